// What an agent or a relay is doing now, as plain values: for status and metrics.
#pragma once

#include <tunnel_uring/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pool/pool_stats.hpp"
#include "ring/socket_address.hpp"

namespace tunnel_uring {

// Of one session or of several.
struct lane_counts {
    std::size_t shared = 0;
    std::size_t bulk_sending = 0;  // Bulk lanes that this end sends on,
    std::size_t bulk_busy = 0;     // those of them at work,
    std::size_t bulk_receiving = 0;
    std::size_t exchanges = 0;
    void add(const lane_counts& other) noexcept {
        shared += other.shared;
        bulk_sending += other.bulk_sending;
        bulk_busy += other.bulk_busy;
        bulk_receiving += other.bulk_receiving;
        exchanges += other.exchanges;
    }
};

// Where visitors of a service come in, at one relay; or what that relay said instead.
struct service_place {
    std::vector<std::string> urls;
    std::string refusal;
};

// An agent's session with one relay.
struct session_status {
    std::string relay;
    bool connected = false;
    duration lasting{0};  // Since it is so.
    std::string trouble;  // While it is not: why; empty before the first try has ended.
    std::optional<duration> round_trip;
    lane_counts lanes;
    std::vector<service_place> places;  // By service.
};

struct service_status {
    const service_config* config = nullptr;
    pool_stats pool;
};

struct agent_status {
    std::vector<session_status> relays;
    std::vector<service_status> services;  // In the order of the config.
    std::size_t exchanges = 0;
};

// A relay's view of one agent.
struct remote_agent_status {
    std::string name;
    std::string from;
    duration lasting{0};
    std::optional<duration> round_trip;
    lane_counts lanes;
};

struct relay_status {
    socket_address control;
    std::optional<socket_address> http;
    bool draining = false;
    std::size_t agents_count = 0;
    std::vector<remote_agent_status> agents;  // Not all of very many.
    lane_counts lanes;
    std::size_t exchanges = 0;
    std::size_t visitors = 0;  // HTTP connections, idle ones too.
    std::size_t ports = 0;
    std::size_t names = 0;
};

}  // namespace tunnel_uring
