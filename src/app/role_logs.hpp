// What a relay and an agent tell: on stdout what scripts and people wait for, the rest in the log.
#pragma once

#include <tunnel_uring/config.hpp>

#include <map>
#include <string>
#include <vector>

#include "app/serve.hpp"
#include "app/signals.hpp"
#include "tunnel/observer.hpp"

namespace tunnel_uring {

// A line on stdout, flushed.
void say(const std::string& line);

class relay_log final : public relay_observer {
  public:
    explicit relay_log(const log_config& log) noexcept : log_{log} {}

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
    const log_config& log_;
};

class agent_log final : public agent_observer {
  public:
    // All outlive it.
    agent_log(const agent_config& config, const log_config& log, const agent_output& output,
              stop_signals& signals) noexcept
        : config_{config}, log_{log}, output_{output}, signals_{signals} {}

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

    bool gave_up() const noexcept { return gave_up_; }

  private:
    const service_config* find(std::string_view service) const noexcept;
    void announce(std::string_view service, std::span<const std::string> urls);
    void give_up();

    const agent_config& config_;
    const log_config& log_;
    const agent_output& output_;
    stop_signals& signals_;
    std::map<std::string, std::vector<std::string>, std::less<>> announced_;
    std::string relay_;        // Where the last session is.
    std::string last_advice_;  // Of a page with many requests each gets the same.
    bool worked_ = false;
    bool gave_up_ = false;
};

// "http://127.0.0.1:3000" for an http service, as people read it: "3000" is a port of localhost.
std::string upstream_text(const service_config& service);

}  // namespace tunnel_uring
