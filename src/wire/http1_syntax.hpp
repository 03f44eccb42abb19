// Words of HTTP/1.1 (RFC 9110, section 5.6): tokens, values, lists, and the fields that mean
// something to a tunnel. For the http1_*.cpp files only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tunnel_uring::http1 {

bool is_token_char(char c) noexcept;
bool is_token(std::string_view text) noexcept;
// A control byte other than a tab: what no field value and no line may have.
bool has_control(std::string_view text) noexcept;
// Without spaces and tabs around it.
std::string_view trim(std::string_view text) noexcept;
// `lower` is in lower case.
bool equals(std::string_view text, std::string_view lower) noexcept;
char to_lower(char c) noexcept;

// Takes the first member off the front of a list; empty members are passed over. Nothing when the
// list is used up.
std::optional<std::string_view> next_member(std::string_view& list) noexcept;

// 1*DIGIT, at most 2^63 - 1: a peer that counts in signed numbers must not see another length.
std::optional<std::uint64_t> parse_length(std::string_view text) noexcept;

// uri-host [":" port] with a name of letters, digits and -._~, as long as DNS has them, or an
// address in its notation.
bool is_host(std::string_view text) noexcept;

enum class field_kind : std::uint8_t {
    other,
    host,
    connection,
    content_length,
    transfer_encoding,
    keep_alive,
    proxy_connection,
    te,
    trailer,
    upgrade,
    expect,
    forwarded,  // Forwarded, and what some upstreams take for one of the next three.
    forwarded_for,
    forwarded_proto,
    forwarded_host,
    disguised,  // Content_Length and the like: CGI and its heirs make `-` of `_`.
};
field_kind classify(std::string_view name) noexcept;

// What must not vanish because a `Connection` names it: credentials, and what says who came.
bool is_protected(std::string_view name) noexcept;
// Whether a field may be a trailer (RFC 9110, section 6.5.1).
bool may_be_trailer(std::string_view name) noexcept;

}  // namespace tunnel_uring::http1
