// json_text: one JSON object (RFC 8259), written from front to back.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace tunnel_uring {

class json_text {
  public:
    // Within an object everything has a name, within a list nothing (an empty one). At the top is
    // one object.
    void open_object(std::string_view name = {}) { open(name, '{'); }
    void close_object() { close('}'); }
    void open_list(std::string_view name = {}) { open(name, '['); }
    void close_list() { close(']'); }

    void text(std::string_view name, std::string_view value);
    void number(std::string_view name, double value);
    void truth(std::string_view name, bool value);
    void null(std::string_view name);

    std::string take() noexcept { return std::move(text_); }

  private:
    void open(std::string_view name, char bracket);
    void close(char bracket);
    void begin(std::string_view name);

    std::string text_;
    bool first_ = true;  // In what was opened last.
};

}  // namespace tunnel_uring
