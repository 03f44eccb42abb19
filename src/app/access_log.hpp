// What visitors did, a line each.
#pragma once

#include <tunnel_uring/config.hpp>

#include <chrono>
#include <string>

#include "tunnel/observer.hpp"

namespace tunnel_uring {

// Whole, answered, and nothing to say about it.
bool went_well(const request_report& what) noexcept;

// The log's lines: exchange.ended or exchange.cut, request.ended. What went well is left out
// where log.access is false.
void log_exchange(const log_config& log, std::string_view service, std::string_view visitor,
                  const exchange_end& how);
void log_request(const log_config& log, const request_report& what);

// For a person at a terminal, in local time, without newline and without the advice:
// "14:02:11.204  200  GET   /api/items                 0.38 ms  1.2 KB".
std::string request_line(const request_report& what, std::chrono::system_clock::time_point when);
// "812 B", "1.2 KB", "3.4 MB".
std::string approximate_size(std::uint64_t bytes);

}  // namespace tunnel_uring
