#include "app/serve.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "app/signals.hpp"
#include "base/log.hpp"
#include "net/address.hpp"
#include "net/resolver.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/relay.hpp"

namespace tunnel_uring {

namespace {

void say(const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
}

// For whoever checks that nothing is left when a role has ended.
void print_census(const io_context& io) {
    if (std::getenv("TUNNEL_URING_CENSUS") == nullptr) return;
    const io_census left = io.census();
    const std::string line =
        fmt::format("census ops={} buffers={} fds={} slots={} frames={}\n", left.operations,
                    left.buffers, left.descriptors, left.descriptors, live_frames());
    std::fputs(line.c_str(), stderr);
}

void log_end(const log_config& log, std::string_view service, std::string_view visitor,
             const exchange_end& how) {
    if (!log.access && how.clean) return;
    const std::string_view reason = how.clean    ? "complete"
                                    : how.reason ? describe(*how.reason)
                                                 : "cut";
    const std::string_view sentence = how.sentence.empty() ? reason : how.sentence;
    if (how.clean)
        log_info("exchange.ended", sentence, {{"service", service}, {"visitor", visitor}});
    else log_warn("exchange.cut", sentence, {{"service", service}, {"visitor", visitor}});
}

class relay_log final : public relay_observer {
  public:
    explicit relay_log(const log_config& log) noexcept : log_{log} {}

    void agent_connected(std::string_view agent, std::string_view from) override {
        log_info("agent.connected", "an agent is here", {{"agent", agent}, {"from", from}});
    }
    void agent_gone(std::string_view agent, std::string_view why) override {
        log_info("agent.gone", why, {{"agent", agent}});
    }
    void connection_refused(std::string_view from, std::string_view why) override {
        log_warn("connection.refused", why, {{"from", from}});
    }
    void port_opened(std::string_view agent, std::string_view service,
                     std::string_view address) override {
        log_info("port.opened", "visitors may come",
                 {{"agent", agent}, {"service", service}, {"address", address}});
    }
    void port_closed(std::string_view agent, std::string_view service,
                     std::string_view address) override {
        log_info("port.closed", "no more visitors",
                 {{"agent", agent}, {"service", service}, {"address", address}});
    }
    void exchange_ended(std::string_view service, std::string_view visitor,
                        const exchange_end& how) override {
        log_end(log_, service, visitor, how);
    }

  private:
    const log_config& log_;
};

class agent_log final : public agent_observer {
  public:
    agent_log(const log_config& log, const agent_output& output, stop_signals& signals) noexcept
        : log_{log}, output_{output}, signals_{signals} {}

    void connected(std::string_view relay) override {
        log_info("relay.connected", "connected to the relay", {{"relay", relay}});
    }
    void disconnected(std::string_view relay, std::string_view why) override {
        log_warn("relay.lost", why, {{"relay", relay}});
    }
    void retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                  duration delay) override {
        log_warn("relay.retry", why, {{"relay", relay}, {"attempt", attempt}, {"in", delay}});
    }
    void refused(std::string_view relay, std::uint16_t, std::string_view sentence) override {
        log_error("relay.refused", sentence, {{"relay", relay}});
        give_up();
    }
    void service_open(std::string_view service, std::string_view public_address) override {
        worked_ = true;
        log_info("service.open", "visitors reach it here",
                 {{"service", service}, {"address", public_address}});
        std::string& last = announced_[std::string{service}];
        if (last == public_address) return;
        last = public_address;
        if (output_.url_only) say(fmt::format("tcp://{}", public_address));
        else say(fmt::format("service {} tcp://{}", service, public_address));
    }
    void service_refused(std::string_view service, std::uint16_t,
                         std::string_view sentence) override {
        log_error("service.refused", sentence, {{"service", service}});
        give_up();
    }
    void exchange_ended(std::string_view service, std::string_view visitor,
                        const exchange_end& how) override {
        log_end(log_, service, visitor, how);
    }

    bool gave_up() const noexcept { return gave_up_; }

  private:
    // Before anything has worked a refusal is a mistake of the person who started it; later it is
    // the relay's trouble, and passes.
    void give_up() {
        if (!output_.end_when_refused || worked_) return;
        gave_up_ = true;
        signals_.request_drain();
        signals_.request_stop();
    }

    const log_config& log_;
    const agent_output& output_;
    stop_signals& signals_;
    std::map<std::string, std::string> announced_;
    bool worked_ = false;
    bool gave_up_ = false;
};

task<> serve_relay(io_context& io, const relay_config& config, const log_config& log,
                   stop_signals& signals, exit_status& status) {
    relay_log watcher{log};
    relay serving{io, config, watcher};
    const result<void> listening = co_await serving.listen();
    if (!listening) {
        log_error("relay.cannot_start", listening.error().message());
        status = exit_host;
        co_return;
    }
    say("listening control " + format(serving.control_address()));
    cancel_source over;
    nursery watching;
    watching.start(signals.watch(io, over.token()));
    co_await serving.run(signals.drain(), signals.stop());
    over.request();
    co_await watching.join();
}

task<> serve_agent(io_context& io, const agent_config& config, const log_config& log,
                   const agent_output& output, stop_signals& signals, exit_status& status) {
    agent_log watcher{log, output, signals};
    resolver names{io};
    agent serving{io, config, names, watcher, std::random_device{}()};
    cancel_source over;
    nursery watching;
    watching.start(signals.watch(io, over.token()));
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

exit_status end_of(exit_status status, const stop_signals& signals) {
    const int number = signals.ended_by();
    return number == 0 ? status : static_cast<exit_status>(exit_signalled + number);
}

}  // namespace

exit_status run_relay(const relay_config& config, const log_config& log) {
    stop_signals signals;
    result<std::unique_ptr<backend>> kernel = open_ring(config.io_uring);
    if (!kernel) return exit_host;
    io_context io{std::move(*kernel)};
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
    io_context io{std::move(*kernel)};
    exit_status status = exit_ok;
    io.run(serve_agent(io, config, log, output, signals, status));
    print_census(io);
    return end_of(status, signals);
}

}  // namespace tunnel_uring
