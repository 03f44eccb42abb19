// `demo`: relay, agent and sample services in this process; real traffic through them; a verdict.
#pragma once

#include <cstdint>

#include "app/exit_status.hpp"

namespace tunnel_uring {

struct demo_options {
    std::uint32_t requests = 2000;  // For each of: direct, pool on, pool off; by TCP and by HTTP.
    std::uint32_t concurrency = 16;
    std::uint64_t bulk_bytes = 64U << 20U;  // Each way, through one connection.
    bool keep = false;                      // Stay up, and print the addresses, until a signal.
    bool json = false;                      // One object on stdout instead of the table.
};

// exit_ok only if every byte of every exchange was right.
exit_status run_demo(const demo_options& options);

}  // namespace tunnel_uring
