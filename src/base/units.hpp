// Durations and sizes as people write them, both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace tunnel_uring {

// "250ms", "10s", "1.5h", "1h30m", a bare "10" (seconds). Units: ns us ms s m h d. Nothing when it
// is no duration, is negative or longer than 100 years.
std::optional<duration> parse_duration(std::string_view text);
// The shortest text that parse_duration reads back exactly: "300s" is "5m", zero is "0s".
std::string format_duration(duration value);
// For people: three digits, one unit, "1.23ms".
std::string approximate_duration(duration value);

// "65536", "64KiB", "50MiB", "1GB". Binary units have an i, decimal ones none. Nothing when it is
// no size, is negative or does not fit.
std::optional<std::uint64_t> parse_size(std::string_view text);
// With the largest binary unit that divides it: "16KiB", "1000".
std::string format_size(std::uint64_t bytes);

}  // namespace tunnel_uring
