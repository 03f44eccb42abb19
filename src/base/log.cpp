#include "base/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "base/units.hpp"

namespace tunnel_uring {

namespace {

std::atomic<log_level> shown_level{log_level::warn};
std::atomic<log_format> shown_format{log_format::text};

// The length of the UTF-8 sequence at the front (RFC 3629), 0 when it is none.
std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const auto tail = [byte](std::size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead < 0xE0) return tail(1) ? 2 : 0;
    if (lead >= 0xE0 && lead < 0xF0) {
        const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
        return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (lead >= 0xF0 && lead < 0xF5) {
        const bool overlong = lead == 0xF0 && byte(1) < 0x90;
        const bool too_far = lead == 0xF4 && byte(1) >= 0x90;
        return tail(1) && tail(2) && tail(3) && !overlong && !too_far ? 4 : 0;
    }
    return 0;
}

// C0, DEL, and C1 (two bytes, C2 80 to C2 9F), which some terminals obey.
bool is_control(std::string_view sequence) noexcept {
    const auto lead = static_cast<unsigned char>(sequence[0]);
    if (sequence.size() == 1) return lead < 0x20 || lead == 0x7F;
    return lead == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char character : text) {
        if (character == '"' || character == '\\') out += '\\';
        out += character;
    }
    return out + '"';
}

std::string logfmt_value(std::string_view text) {
    std::string out = printable(text);
    const bool bare = !out.empty() && out.find_first_of(" \"=\\") == std::string::npos;
    return bare ? out : quoted(out);
}

struct value_printer {
    bool json;

    std::string operator()(std::string_view text) const {
        return json ? json_string(printable(text)) : logfmt_value(text);
    }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(std::uint64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{:.6g}", number); }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(duration time) const {
        return json ? json_string(approximate_duration(time)) : approximate_duration(time);
    }
};

std::string timestamp(std::chrono::system_clock::time_point when) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(when - seconds).count();
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), milliseconds);
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
    std::string out;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
        const bool plain = length > 0 && !is_control(sequence);
        std::string shown{sequence};
        if (!plain) {
            shown.clear();
            for (const char byte : sequence)
                shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
        }
        if (out.size() + shown.size() > limit) return out + "…";
        out += shown;
        text.remove_prefix(sequence.size());
    }
    return out;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
        if (length == 0) out += "\\ufffd";
        else if (sequence == "\"" || sequence == "\\") out.append("\\").append(sequence);
        else if (sequence == "\n") out += "\\n";
        else if (sequence == "\t") out += "\\t";
        else if (length == 1 && is_control(sequence))
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(sequence[0]));
        else out += sequence;
        text.remove_prefix(sequence.size());
    }
    return out + '"';
}

std::string_view name_of(log_level level) noexcept {
    constexpr std::array<std::string_view, 5> names{"trace", "debug", "info", "warn", "error"};
    return names[static_cast<std::size_t>(level)];
}

std::string log_line(log_format format, std::chrono::system_clock::time_point when, log_level level,
                     std::string_view event, std::string_view sentence, log_fields fields) {
    constexpr std::size_t sentence_limit = 1024;
    const std::string time = timestamp(when);
    const std::string text = printable(sentence, sentence_limit);
    const bool json = format == log_format::json;
    const value_printer print{json};
    std::string line;
    if (json) {
        line = fmt::format(R"({{"ts":"{}","level":"{}","event":"{}","msg":{})", time,
                           name_of(level), event, json_string(text));
    } else if (format == log_format::logfmt) {
        line = fmt::format("ts={} level={} event={} msg={}", time, name_of(level), event,
                           quoted(text));
    } else {
        const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
        line = fmt::format("{:%H:%M:%S}{} {:<5} {}", fmt::localtime(seconds), time.substr(19, 4),
                           name_of(level), text);
        if (fields.size() > 0) line += ' ';
    }
    for (const log_field& field : fields) {
        const std::string value = std::visit(print, field.value());
        line += json ? fmt::format(",\"{}\":{}", field.name(), value)
                     : fmt::format(" {}={}", field.name(), value);
    }
    line += json ? "}\n" : "\n";
    return line;
}

void configure_log(const log_config& config) noexcept {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    shown_level = config.level;
    shown_format = config.format != log_format::automatic
                       ? config.format
                       : (terminal ? log_format::text : log_format::logfmt);
}

bool log_shows(log_level level) noexcept { return level >= shown_level; }

void log(log_level level, std::string_view event, std::string_view sentence, log_fields fields) {
    if (!log_shows(level)) return;
    const std::string line =
        log_line(shown_format, std::chrono::system_clock::now(), level, event, sentence, fields);
    // A log that nobody can take is no reason to stop.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tunnel_uring
