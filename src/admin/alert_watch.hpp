// alert_watch: looks at each service's pool once a second, and tells when an alert fires and when
// it is resolved: in the log, to /metrics and /status, and to the alert's own program.
#pragma once

#include <tunnel_uring/config.hpp>

#include <deque>
#include <optional>
#include <vector>

#include "admin/alert_rule.hpp"
#include "admin/alert_state.hpp"
#include "coro/event.hpp"
#include "tunnel/agent.hpp"

namespace tunnel_uring {

// One alert for one service.
struct alert_view {
    const alert_config* alert = nullptr;
    const service_config* service = nullptr;
    alert_state::phase phase = alert_state::phase::inactive;
};

std::string_view name_of(alert_severity severity) noexcept;

class alert_watch {
  public:
    // All outlive it; the conditions parse.
    alert_watch(io_context& io, const agent_config& config, const agent& serving);

    // Until `stop`; programs that run then are killed.
    task<> run(cancel_token stop);
    std::vector<alert_view> view() const;

  private:
    struct instance {
        const service_config* service = nullptr;
        alert_state state;
        std::optional<double> value;  // When it changed.
        bool told = false;            // Its program knows that it fires.
        bool firing() const noexcept { return state.now() == alert_state::phase::firing; }
    };
    struct alert {
        const alert_config* config = nullptr;
        alert_rule rule;
        std::vector<instance> instances;  // By service.
        event changed;
    };

    void look();
    static void look(alert& what, instance& of, const pool_stats& pool, time_point now);
    task<> tell(alert& what, cancel_token stop);

    io_context& io_;
    const agent& serving_;
    std::deque<alert> alerts_;
};

}  // namespace tunnel_uring
