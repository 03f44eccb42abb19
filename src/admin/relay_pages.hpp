// What a relay tells about itself.
#pragma once

#include <string>
#include <vector>

#include "admin/admin_pages.hpp"
#include "admin/meters.hpp"
#include "admin/process_metrics.hpp"
#include "tunnel/relay.hpp"
#include "tunnel/status.hpp"

namespace tunnel_uring {

struct relay_view {
    process_facts process;
    relay_status status;
    byte_counters bytes;
    relay_meter& meter;
    time_point now;
};

std::string relay_metrics(const relay_view& view);
std::string relay_status_json(const relay_view& view);

class relay_pages final : public admin_pages {
  public:
    // All outlive it. The relay listens already.
    relay_pages(io_context& io, const relay_config& config, const relay& serving,
                relay_meter& meter) noexcept
        : io_{io}, config_{config}, serving_{serving}, meter_{meter}, began_{io.now()} {}

    std::optional<admin_page> get(std::string_view path) override;
    std::vector<std::string_view> paths() const override;

  private:
    relay_view look() const;
    admin_page readiness() const;

    io_context& io_;
    const relay_config& config_;
    const relay& serving_;
    relay_meter& meter_;
    const time_point began_;
};

}  // namespace tunnel_uring
