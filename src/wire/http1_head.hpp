// Reads a head line by line, and then makes of it what travels. For http1_reader.cpp only.
//
// Each line is looked at here for what readers are known to disagree about, and given to llhttp,
// which judges the grammar. Lines are judged in their order, so that a verdict does not depend on
// how the head came in pieces.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/http1.hpp"
#include "wire/http1_syntax.hpp"

namespace tunnel_uring::http1 {

// What is wrong with the bytes of a line whatever it says, or null. `line` ends with LF.
const http_fault* check_bytes(std::string_view line) noexcept;

// Of responses: what was asked.
struct expectation {
    bool to_head = false;
    bool upgrade_asked = false;
};

class head_parser {
  public:
    void begin(http_reader::kind what, std::uint32_t fields_limit) noexcept;

    // The next line, with its end; it begins at `at` in the head's text. A fault, or null.
    const http_fault* take(std::string_view line, std::uint32_t at);
    // The empty line has been taken.
    bool over() const noexcept { return over_; }

    // After over(), with the text of the head. A fault, or null.
    const http_fault* finish(std::string_view text, request_head& out);
    const http_fault* finish(std::string_view text, const expectation& asked, response_head& out);

  private:
    struct field {
        text_range name;
        text_range value;
        field_kind kind;
    };

    const http_fault* take_start_line(std::string_view line);
    const http_fault* take_request_line(std::string_view line);
    const http_fault* take_status_line(std::string_view line);
    const http_fault* take_version(std::string_view version);
    const http_fault* take_field(std::string_view line, std::uint32_t at);
    const http_fault* consider(const field& what, std::string_view value);
    const http_fault* consider_length(std::string_view value);
    const http_fault* consider_encoding(std::string_view value);
    const http_fault* consider_connection(std::string_view value, std::uint32_t at);
    void consider_upgrade(std::string_view value);
    bool judged_well(std::string_view line) noexcept;

    bool llhttp_agrees() const noexcept;
    http_body declared_body() const noexcept;
    bool is_named(std::string_view text, std::string_view name) const;
    // Those that go on; where the value of Host is then.
    text_range append_fields(std::string_view text, bool upgrade, std::string& out) const;
    const http_fault* append_target(std::string_view text, request_head& out) const;
    void join_forwarded(std::string_view text, request_head& out) const;

    llhttp_t llhttp_{};
    std::vector<field> fields_;
    std::vector<text_range> named_;  // By Connection, but for its own options.
    std::uint64_t length_ = 0;
    std::uint32_t fields_limit_ = 0;
    text_range method_;
    text_range target_;
    text_range reason_;
    text_range host_;
    std::uint16_t status_ = 0;
    bool is_request_ = true;
    bool over_ = false;
    bool http_1_0_ = false;
    bool has_host_ = false;
    bool has_length_ = false;
    bool chunked_ = false;
    bool close_ = false;
    bool keep_alive_ = false;
    bool wants_upgrade_ = false;    // Connection: upgrade
    bool has_upgrade_ = false;      // Upgrade
    bool refused_upgrade_ = false;  // To what we do not let through.
    bool accepts_trailers_ = false;
    bool expects_continue_ = false;
};

}  // namespace tunnel_uring::http1
