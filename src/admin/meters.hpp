// Observers that count what they hear, and hand it on. Counting is a few additions: no lock, no
// allocation, no system call.
#pragma once

#include <tunnel_uring/config.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/histogram.hpp"
#include "base/rolling.hpp"
#include "ring/io_context.hpp"
#include "tunnel/observer.hpp"

namespace tunnel_uring {

// Requests of the last metrics_window.
struct request_window {
    histogram took;
    std::uint64_t failed = 0;  // 5xx, or no whole answer.
    void add(const request_window& other) noexcept {
        took.add(other.took);
        failed += other.failed;
    }
};

class request_meter {
  public:
    request_meter(duration window, time_point now) noexcept
        : window_{window}, recent_{window, now} {}

    void count(const request_report& what, time_point now) noexcept;

    // By the status' first digit; 0: no answer.
    const std::array<std::uint64_t, 6>& by_class() const noexcept { return by_class_; }
    const histogram& took() const noexcept { return took_; }
    request_window recent(time_point now) noexcept { return recent_.total(now); }
    duration window() const noexcept { return window_; }

  private:
    const duration window_;
    std::array<std::uint64_t, 6> by_class_{};
    histogram took_;
    rolling<request_window> recent_;
};

struct agent_events {
    std::uint64_t connected = 0;
    std::uint64_t disconnected = 0;
    std::uint64_t retries = 0;
    std::uint64_t refusals = 0;
    std::uint64_t service_refusals = 0;
};

class agent_meter final : public agent_observer {
  public:
    struct of_service {
        of_service(duration window, time_point now) noexcept : requests{window, now} {}
        request_meter requests;           // http
        std::uint64_t streams_clean = 0;  // tcp
        std::uint64_t streams_cut = 0;
    };

    // All outlive it.
    agent_meter(io_context& io, const agent_config& config, agent_observer& next);

    const agent_events& events() const noexcept { return events_; }
    // A service of the config.
    of_service& service(std::string_view name) { return services_.find(name)->second; }

    void connected(std::string_view relay) override;
    void disconnected(std::string_view relay, std::string_view why) override;
    void retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                  duration delay) override;
    void refused(std::string_view relay, std::uint16_t code, std::string_view sentence) override;
    void service_open(std::string_view service, std::span<const std::string> urls) override;
    void service_refused(std::string_view service, std::uint16_t code,
                         std::string_view sentence) override;
    void upstream_down(std::string_view service, std::string_view why) override;
    void breaker_opened(std::string_view service, std::string_view why) override;
    void breaker_closed(std::string_view service) override;
    void preconnect_stopped(std::string_view service) override;
    void lease_overdue(std::string_view service, std::string_view taken_at, duration age) override;
    void exchange_ended(std::string_view service, std::string_view visitor,
                        const exchange_end& how) override;
    void request_ended(const request_report& what) override;

  private:
    io_context& io_;
    agent_observer& next_;
    agent_events events_;
    std::map<std::string, of_service, std::less<>> services_;
};

struct relay_events {
    std::uint64_t agents_connected = 0;
    std::uint64_t agents_gone = 0;
    std::uint64_t connections_refused = 0;
    std::uint64_t places_opened = 0;
};

class relay_meter final : public relay_observer {
  public:
    relay_meter(io_context& io, duration window, relay_observer& next) noexcept
        : io_{io}, next_{next}, requests_{window, io.now()} {}

    const relay_events& events() const noexcept { return events_; }
    request_meter& requests() noexcept { return requests_; }

    void agent_connected(std::string_view agent, std::string_view from) override;
    void agent_gone(std::string_view agent, std::string_view why) override;
    void connection_refused(std::string_view from, std::string_view why) override;
    void port_opened(std::string_view agent, std::string_view service,
                     std::string_view address) override;
    void port_closed(std::string_view agent, std::string_view service,
                     std::string_view address) override;
    void exchange_ended(std::string_view service, std::string_view visitor,
                        const exchange_end& how) override;
    void request_ended(const request_report& what) override;

  private:
    io_context& io_;
    relay_observer& next_;
    relay_events events_;
    request_meter requests_;
};

}  // namespace tunnel_uring
