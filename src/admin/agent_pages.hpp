// What an agent tells about itself.
#pragma once

#include <string>
#include <vector>

#include "admin/admin_pages.hpp"
#include "admin/alert_watch.hpp"
#include "admin/meters.hpp"
#include "admin/process_metrics.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/status.hpp"

namespace tunnel_uring {

// All that the pages are made from, at one moment.
struct agent_view {
    process_facts process;
    agent_status status;
    byte_counters bytes;
    agent_meter& meter;
    std::vector<alert_view> alerts;
    time_point now;
};

std::string agent_metrics(const agent_view& view);
std::string agent_status_json(const agent_view& view);
// Empty when visitors of every service can come in; else what is missing.
std::string agent_not_ready(const agent_status& status);

class agent_pages final : public admin_pages {
  public:
    // All outlive it.
    agent_pages(io_context& io, const agent_config& config, const agent& serving,
                agent_meter& meter, const alert_watch& alerts) noexcept
        : io_{io},
          config_{config},
          serving_{serving},
          meter_{meter},
          alerts_{alerts},
          began_{io.now()} {}

    // From now on it is not ready any more.
    void drain() noexcept { draining_ = true; }
    std::optional<admin_page> get(std::string_view path) override;
    std::vector<std::string_view> paths() const override;

  private:
    agent_view look() const;
    admin_page readiness() const;

    io_context& io_;
    const agent_config& config_;
    const agent& serving_;
    agent_meter& meter_;
    const alert_watch& alerts_;
    const time_point began_;
    bool draining_ = false;
};

}  // namespace tunnel_uring
