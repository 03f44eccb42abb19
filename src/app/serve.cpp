#include "app/serve.hpp"

#include <fmt/format.h>

#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>

#include "admin/admin_server.hpp"
#include "admin/agent_pages.hpp"
#include "admin/relay_pages.hpp"
#include "app/role_logs.hpp"
#include "app/signals.hpp"
#include "base/log.hpp"
#include "net/address.hpp"
#include "net/resolver.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/relay.hpp"

namespace tunnel_uring {

namespace {

// For whoever checks that nothing is left when a role has ended.
void print_census(const io_context& io) {
    if (std::getenv("TUNNEL_URING_CENSUS") == nullptr) return;
    const io_census left = io.census();
    const std::string line =
        fmt::format("census ops={} buffers={} fds={} slots={} frames={}\n", left.operations,
                    left.buffers, left.descriptors, left.descriptors, live_frames());
    std::fputs(line.c_str(), stderr);
}

// Where the role tells about itself. Without what was asked for it does not start.
class admin_door {
  public:
    // `announce`: on stdout too.
    admin_door(io_context& io, const admin_config& config, admin_pages& pages, bool announce)
        : config_{config}, announce_{announce} {
        if (!config.listen.empty()) server_.emplace(io, config, pages);
    }

    task<bool> open(cancel_token stop) {
        if (!server_ || !config_.required) co_return true;
        const result<void> opened = co_await server_->open(stop);
        if (!opened) {
            log_error("admin.cannot_start",
                      fmt::format("{} (admin.listen, --admin)", opened.error().message()));
            co_return false;
        }
        opened_ = true;
        co_return true;
    }
    task<> run(cancel_token stop) {
        if (!server_) co_return;
        if (!opened_) {
            const result<void> opened = co_await server_->open(stop);
            if (stop.requested()) co_return;
            if (!opened) {
                log_info("admin.off",
                         fmt::format("{}; going on without /metrics and status: --admin <addr> "
                                     "takes another, --admin off none",
                                     opened.error().message()));
                co_return;
            }
        }
        const std::string where = format(server_->address());
        if (announce_) say("listening admin " + where);
        else log_debug("admin.listening", "metrics and status are here", {{"address", where}});
        co_await server_->run(stop);
    }

  private:
    const admin_config& config_;
    const bool announce_;
    std::optional<admin_server> server_;
    bool opened_ = false;
};

task<> serve_relay(io_context& io, const relay_config& config, const log_config& log,
                   stop_signals& signals, exit_status& status) {
    relay_log watcher{log};
    relay_meter meter{io, config.admin.metrics_window, watcher};
    relay serving{io, config, meter};
    const result<void> listening = co_await serving.listen();
    if (!listening) {
        log_error("relay.cannot_start", listening.error().message());
        status = exit_host;
        co_return;
    }
    say("listening control " + format(serving.control_address()));
    const std::optional<socket_address> http = serving.http_address();
    if (http && !config.http.listen.empty()) say("listening http " + format(*http));
    relay_pages pages{io, config, serving, meter};
    admin_door admin{io, config.admin, pages, true};
    const bool opened = co_await admin.open({});
    if (!opened) {
        status = exit_host;
        co_return;
    }
    cancel_source over;
    nursery watching;
    watching.start(signals.watch(io, over.token()));
    watching.start(admin.run(over.token()));
    co_await serving.run(signals.drain(), signals.stop());
    over.request();
    co_await watching.join();
}

task<> serve_agent(io_context& io, const agent_config& config, const log_config& log,
                   const agent_output& output, stop_signals& signals, exit_status& status) {
    agent_log watcher{config, log, output, signals};
    resolver names{io};
    agent_meter meter{io, config, watcher};
    agent serving{io, config, names, meter, std::random_device{}()};
    alert_watch alerts{io, config, serving};
    agent_pages pages{io, config, serving, meter, alerts};
    admin_door admin{io, config.admin, pages, output.what == agent_output::form::services};
    const bool opened = co_await admin.open({});
    if (!opened) {
        status = exit_host;
        co_return;
    }
    cancel_source over;
    nursery watching;
    watching.start(signals.watch(io, over.token()));
    watching.start(alerts.run(over.token()));
    watching.start(admin.run(over.token()));
    const on_cancel draining{signals.drain(), [&pages]() noexcept { pages.drain(); }};
    co_await serving.run(signals.drain(), signals.stop());
    over.request();
    co_await watching.join();
    if (watcher.gave_up()) status = exit_refused;
}

result<std::unique_ptr<backend>> open_ring(const io_uring_config& config) {
    uring_limits limits;
    limits.entries = config.entries;
    result<std::unique_ptr<backend>> kernel = make_uring_backend(limits);
    if (!kernel) log_error("host.unsupported", kernel.error().message());
    return kernel;
}

// With fewer cores relay, agent and service on one host would spin on each other's.
constexpr int cores_to_spin = 4;

int usable_cores() {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

busy_poll spinning_of(const io_uring_config& config) {
    if (config.busy_poll == busy_poll_auto)
        return usable_cores() < cores_to_spin ? busy_poll{} : busy_poll::when_it_pays();
    if (config.busy_poll == duration{0}) return {};
    return busy_poll::always(config.busy_poll);
}

exit_status end_of(exit_status status, const stop_signals& signals) {
    const int number = signals.ended_by();
    return number == 0 ? status : static_cast<exit_status>(exit_signalled + number);
}

}  // namespace

exit_status run_relay(const relay_config& config, const log_config& log) {
    stop_signals signals;
    result<std::unique_ptr<backend>> kernel = open_ring(config.io_uring);
    if (!kernel) return exit_host;
    io_context io{std::move(*kernel), spinning_of(config.io_uring)};
    exit_status status = exit_ok;
    io.run(serve_relay(io, config, log, signals, status));
    print_census(io);
    return end_of(status, signals);
}

exit_status run_agent(const agent_config& config, const log_config& log,
                      const agent_output& output) {
    stop_signals signals;
    result<std::unique_ptr<backend>> kernel = open_ring(config.io_uring);
    if (!kernel) return exit_host;
    io_context io{std::move(*kernel), spinning_of(config.io_uring)};
    exit_status status = exit_ok;
    io.run(serve_agent(io, config, log, output, signals, status));
    print_census(io);
    return end_of(status, signals);
}

}  // namespace tunnel_uring
