#include "base/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace tunnel_uring {

namespace {

struct unit {
    std::string_view name;
    std::uint64_t value;
};

constexpr std::array duration_units{
    unit{"d", 86'400'000'000'000},
    unit{"h", 3'600'000'000'000},
    unit{"m", 60'000'000'000},
    unit{"s", 1'000'000'000},
    unit{"ms", 1'000'000},
    unit{"us", 1'000},
    unit{"ns", 1},
};
constexpr double longest_duration = 100.0 * 366 * 86400 * 1e9;

constexpr std::array size_units{
    unit{"B", 1},
    unit{"KiB", std::uint64_t{1} << 10U},
    unit{"MiB", std::uint64_t{1} << 20U},
    unit{"GiB", std::uint64_t{1} << 30U},
    unit{"TiB", std::uint64_t{1} << 40U},
    unit{"KB", 1'000},
    unit{"kB", 1'000},
    unit{"MB", 1'000'000},
    unit{"GB", 1'000'000'000},
    unit{"TB", 1'000'000'000'000},
};

// Takes a number without sign or exponent off the front.
std::optional<double> take_number(std::string_view& text) {
    const std::size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const char* const first = text.data();
    const char* const last = first + length;
    const auto [end, failure] = std::from_chars(first, last, value);
    if (length == 0 || failure != std::errc{} || end != last) return {};
    text.remove_prefix(length);
    return value;
}

std::string_view take_letters(std::string_view& text) {
    const std::size_t length = std::min(text.find_first_of("0123456789. "), text.size());
    const std::string_view letters = text.substr(0, length);
    text.remove_prefix(length);
    return letters;
}

template <std::size_t Count>
std::optional<std::uint64_t> find_unit(const std::array<unit, Count>& units,
                                       std::string_view name) {
    for (const unit& one : units) {
        if (one.name == name) return one.value;
    }
    return {};
}

}  // namespace

std::optional<duration> parse_duration(std::string_view text) {
    double sum = 0;
    const bool only_number = text.find_first_not_of("0123456789.") == std::string_view::npos;
    do {
        const std::optional<double> number = take_number(text);
        if (!number) return {};
        const std::optional<std::uint64_t> factor =
            find_unit(duration_units, only_number ? "s" : take_letters(text));
        if (!factor) return {};
        sum += *number * static_cast<double>(*factor);
    } while (!text.empty());
    if (sum > longest_duration) return {};
    return duration{std::llround(sum)};
}

std::string format_duration(duration value) {
    std::string text;
    auto left = static_cast<std::uint64_t>(value.count());
    for (const unit& one : duration_units) {
        // Days only when nothing smaller is left: "1d" reads well, "1d2h" does not.
        if (one.name == "d" && left % one.value != 0) continue;
        if (left < one.value) continue;
        text += fmt::format("{}{}", left / one.value, one.name);
        left %= one.value;
    }
    return text.empty() ? "0s" : text;
}

std::string approximate_duration(duration value) {
    const auto count = static_cast<double>(value.count());
    if (count < 1e3) return fmt::format("{}ns", value.count());
    if (count < 1e6) return fmt::format("{:.3g}us", count / 1e3);
    if (count < 1e9) return fmt::format("{:.3g}ms", count / 1e6);
    if (count < 60e9) return fmt::format("{:.3g}s", count / 1e9);
    return format_duration(std::chrono::duration_cast<std::chrono::seconds>(value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    const std::optional<double> number = take_number(text);
    if (!number) return {};
    const std::optional<std::uint64_t> factor = find_unit(size_units, text.empty() ? "B" : text);
    if (!factor) return {};
    const double bytes = *number * static_cast<double>(*factor);
    // Every integer below 2^53 is exact in a double.
    if (bytes >= 9007199254740992.0) return {};
    return static_cast<std::uint64_t>(bytes);
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::array names{"", "KiB", "MiB", "GiB", "TiB"};
    std::size_t power = 0;
    while (bytes != 0 && bytes % 1024 == 0 && power + 1 < names.size()) {
        bytes /= 1024;
        power += 1;
    }
    return fmt::format("{}{}", bytes, names[power]);
}

}  // namespace tunnel_uring
