// What is known of a pool, as plain values: for /metrics, status pages and tests.
#pragma once

#include <cstdint>
#include <optional>

#include "base/histogram.hpp"
#include "pool/circuit_breaker.hpp"

namespace tunnel_uring {

// Sockets now. created = validating + idle + leased + closing + closed.
struct pool_census {
    std::uint32_t dialing = 0;  // By the pool itself.
    std::uint64_t created = 0;
    std::uint64_t validating = 0;  // Connected beforehand, not yet ready.
    std::uint64_t idle = 0;
    std::uint64_t leased = 0;
    std::uint64_t closing = 0;
    std::uint64_t closed = 0;
    std::uint64_t outside = 0;  // Of those leased, or about to be: beyond the ring.
    std::uint32_t waiters = 0;
};

// Events since the start.
struct pool_counters {
    std::uint64_t acquired_fresh = 0;
    std::uint64_t acquired_served = 0;
    std::uint64_t acquired_direct = 0;
    std::uint64_t acquire_failures = 0;  // Of callers who did not give up by themselves.
    std::uint64_t returned_clean = 0;
    std::uint64_t renewed = 0;  // Leases whose socket had died, or was too old, and was replaced.
    std::uint64_t waited = 0;   // Acquires that found the pool at its maximum.
    std::uint64_t wait_timeouts = 0;
    std::uint64_t refused = 0;       // The queue of waiters was full.
    std::uint64_t refused_down = 0;  // The breaker was open and direct_max in use.
    std::uint64_t degraded = 0;      // Connected past the pool.
    std::uint64_t dials = 0;
    std::uint64_t dial_failures = 0;  // The upstream's doing, time-outs included.
    std::uint64_t dial_timeouts = 0;
    std::uint64_t local_failures = 0;  // This host's: no ports, descriptors or memory left.
    std::uint64_t validations = 0;     // Of sockets connected beforehand or come back.
    std::uint64_t validation_failures = 0;
    std::uint64_t evicted_hung_up = 0;
    std::uint64_t evicted_spoke = 0;
    std::uint64_t retired_idle = 0;
    std::uint64_t retired_lifetime = 0;
    std::uint64_t retired_surplus = 0;
    std::uint64_t polls_rearmed = 0;
    std::uint64_t health_checks = 0;
    std::uint64_t health_failures = 0;
    std::uint64_t leaks = 0;
};

// How long things took.
struct pool_times {
    histogram acquire;   // From the call to the lease.
    histogram create;    // A connection's making, where it was made.
    histogram validate;  // From the connection to its place among the ready.
    void add(const pool_times& other) noexcept {
        acquire.add(other.acquire);
        create.add(other.create);
        validate.add(other.validate);
    }
};

// What the rates of the last while are made of.
struct pool_window {
    histogram acquire;
    histogram create;
    std::uint64_t acquires = 0;  // Leases and failures.
    std::uint64_t reused = 0;    // http: sockets that had served; byte streams: warm ones.
    std::uint64_t timeouts = 0;  // Of waits and of connects.
    std::uint64_t validations = 0;
    std::uint64_t validation_failures = 0;
    void add(const pool_window& other) noexcept;
};

struct pool_stats {
    // ── now ──
    pool_census census;
    std::uint64_t size_current = 0;  // Against size_max.
    std::uint64_t size_max = 0;      // max_pool_size; of byte streams max_connections.
    std::uint64_t idle_current = 0;
    std::uint32_t idle_target = 0;
    double demand_rate = 0;  // Sockets used up in a second.
    bool preconnects = false;
    breaker_state breaker = breaker_state::closed;
    std::uint64_t breaker_opened = 0;  // Times.
    // What the upstream's idle time-out seems to be; 0: nothing was learned.
    duration idle_limit_unused{0};
    duration idle_limit_served{0};

    // ── since the start ──
    pool_counters counters;
    pool_times times;
    std::uint64_t leak_detected = 0;

    // ── of the last metrics_window; empty where nothing happened ──
    std::optional<duration> acquire_time_p99;
    std::optional<duration> create_time_avg;
    std::optional<double> reuse_rate;
    std::optional<double> validation_failure_rate;
    std::optional<double> timeout_rate;
};

}  // namespace tunnel_uring
