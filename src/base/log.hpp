// The log: one line a thing that happened, on stderr, in a single write(2).
//
// A line has an event name that machines match ("relay.connected"), a sentence for people, and
// fields. What comes from outside is escaped (no control byte, no invalid UTF-8 reaches a terminal)
// and capped in length, so nobody can forge or flood a line. Safe from any thread.
#pragma once

#include <tunnel_uring/config.hpp>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.hpp"

namespace tunnel_uring {

inline constexpr std::size_t log_value_limit = 256;  // Bytes of one value; the rest is "…".

// A name and a value, valid as long as the text it was made from.
class log_field {
  public:
    using value_type =
        std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool, duration>;

    template <class Text>
        requires std::convertible_to<Text, std::string_view>
    log_field(std::string_view name, const Text& value) noexcept
        : name_{name}, value_{std::string_view{value}} {}
    template <std::integral Integer>
        requires(!std::same_as<Integer, bool>)
    log_field(std::string_view name, Integer value) noexcept
        : name_{name},
          value_{static_cast<
              std::conditional_t<std::is_signed_v<Integer>, std::int64_t, std::uint64_t>>(value)} {}
    log_field(std::string_view name, double value) noexcept : name_{name}, value_{value} {}
    log_field(std::string_view name, bool value) noexcept : name_{name}, value_{value} {}
    log_field(std::string_view name, duration value) noexcept : name_{name}, value_{value} {}

    std::string_view name() const noexcept { return name_; }
    const value_type& value() const noexcept { return value_; }

  private:
    std::string_view name_;
    value_type value_;
};

using log_fields = std::initializer_list<log_field>;

// What the process shows from now on; before, warnings and errors as text.
void configure_log(const log_config& config) noexcept;
bool log_shows(log_level level) noexcept;

void log(log_level level, std::string_view event, std::string_view sentence,
         log_fields fields = {});

inline void log_trace(std::string_view event, std::string_view sentence, log_fields fields = {}) {
    log(log_level::trace, event, sentence, fields);
}
inline void log_debug(std::string_view event, std::string_view sentence, log_fields fields = {}) {
    log(log_level::debug, event, sentence, fields);
}
inline void log_info(std::string_view event, std::string_view sentence, log_fields fields = {}) {
    log(log_level::info, event, sentence, fields);
}
inline void log_warn(std::string_view event, std::string_view sentence, log_fields fields = {}) {
    log(log_level::warn, event, sentence, fields);
}
inline void log_error(std::string_view event, std::string_view sentence, log_fields fields = {}) {
    log(log_level::error, event, sentence, fields);
}

// ── the parts, for tests and for whoever prints the like ──

// The line with its newline. `format` is not automatic. Text tells the local time, the others UTC.
std::string log_line(log_format format, std::chrono::system_clock::time_point when, log_level level,
                     std::string_view event, std::string_view sentence, log_fields fields);
// Printable on any terminal: control bytes and invalid UTF-8 as \xNN, capped at `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = log_value_limit);
// A JSON string (RFC 8259) with its quotes; invalid UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

std::string_view name_of(log_level level) noexcept;

}  // namespace tunnel_uring
