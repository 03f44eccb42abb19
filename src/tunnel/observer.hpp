// What happens in a relay or an agent that people want to know. Called from the run loop; must not
// block.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tunnel/exchange.hpp"

namespace tunnel_uring {

// One request of a visitor and its answer, as an end of the tunnel saw it.
struct request_report {
    std::string_view service;  // Empty at a relay that found none.
    std::string_view visitor;
    std::string_view method;
    std::string_view host;
    std::string_view target;
    std::uint16_t status = 0;      // 0: there was no answer.
    duration took{0};              // From the head to the last byte of the answer.
    std::uint64_t body_bytes = 0;  // Of the answer.
    bool whole = false;            // Both bodies came to their ends.
    std::string_view sentence;     // What went wrong; empty when nothing did.
    std::string_view advice;       // What a person may do about it.
};

class relay_observer {
  public:
    virtual ~relay_observer() = default;
    virtual void agent_connected(std::string_view agent, std::string_view from) = 0;
    virtual void agent_gone(std::string_view agent, std::string_view why) = 0;
    virtual void connection_refused(std::string_view from, std::string_view why) = 0;
    virtual void port_opened(std::string_view agent, std::string_view service,
                             std::string_view address) = 0;
    virtual void port_closed(std::string_view agent, std::string_view service,
                             std::string_view address) = 0;
    virtual void exchange_ended(std::string_view service, std::string_view visitor,
                                const exchange_end& how) = 0;
    virtual void request_ended(const request_report& what) = 0;
};

class agent_observer {
  public:
    virtual ~agent_observer() = default;
    virtual void connected(std::string_view relay) = 0;
    virtual void disconnected(std::string_view relay, std::string_view why) = 0;
    // The first try is in `delay`.
    virtual void retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                          duration delay) = 0;
    // The relay does not want this agent; it is asked again later all the same.
    virtual void refused(std::string_view relay, std::uint16_t code, std::string_view sentence) = 0;
    // "tcp://host:port" or "http://name:port", one for each name.
    virtual void service_open(std::string_view service, std::span<const std::string> urls) = 0;
    virtual void service_refused(std::string_view service, std::uint16_t code,
                                 std::string_view sentence) = 0;
    // No connection for its warm-up could be made. Visitors may come all the same, and are refused
    // until the upstream is there.
    virtual void upstream_down(std::string_view service, std::string_view why) = 0;
    // ── what a service's pool notices; not every observer cares ──
    // The breaker opened, and closed: connections are made past the pool only, then as always.
    virtual void breaker_opened(std::string_view, std::string_view /*why*/) {}
    virtual void breaker_closed(std::string_view) {}
    // The service serves one connection at a time: none is made ahead of its visitors from now on.
    virtual void preconnect_stopped(std::string_view) {}
    // A connection has been in use for so long; "upstream.cpp:70" is where it was taken.
    virtual void lease_overdue(std::string_view, std::string_view /*taken_at*/, duration) {}
    virtual void exchange_ended(std::string_view service, std::string_view visitor,
                                const exchange_end& how) = 0;
    virtual void request_ended(const request_report& what) = 0;
};

}  // namespace tunnel_uring
