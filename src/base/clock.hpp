// Time as a value: every floor is told what time it is, none asks the system. The clock is
// CLOCK_MONOTONIC on the real backend and virtual on the simulated one.
#pragma once

#include <chrono>

namespace tunnel_uring {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;
using namespace std::chrono_literals;

}  // namespace tunnel_uring
