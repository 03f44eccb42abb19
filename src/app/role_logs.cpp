#include "app/role_logs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/access_log.hpp"
#include "base/log.hpp"
#include "net/address.hpp"

namespace tunnel_uring {

void say(const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
}

// ── relay ──

void relay_log::agent_connected(std::string_view agent, std::string_view from) {
    log_info("agent.connected", "an agent is here", {{"agent", agent}, {"from", from}});
}

void relay_log::agent_gone(std::string_view agent, std::string_view why) {
    log_info("agent.gone", why, {{"agent", agent}});
}

void relay_log::connection_refused(std::string_view from, std::string_view why) {
    log_warn("connection.refused", why, {{"from", from}});
}

void relay_log::port_opened(std::string_view agent, std::string_view service,
                            std::string_view address) {
    log_info("port.opened", "visitors may come",
             {{"agent", agent}, {"service", service}, {"address", address}});
}

void relay_log::port_closed(std::string_view agent, std::string_view service,
                            std::string_view address) {
    log_info("port.closed", "no more visitors",
             {{"agent", agent}, {"service", service}, {"address", address}});
}

void relay_log::exchange_ended(std::string_view service, std::string_view visitor,
                               const exchange_end& how) {
    log_exchange(log_, service, visitor, how);
}

void relay_log::request_ended(const request_report& what) { log_request(log_, what); }

// ── agent ──

void agent_log::connected(std::string_view relay) {
    // The block on the terminal says it the first time.
    const bool shown = output_.what == agent_output::form::requests && !worked_;
    log(shown ? log_level::debug : log_level::info, "relay.connected", "connected to the relay",
        {{"relay", relay}});
    relay_ = relay;
}

void agent_log::disconnected(std::string_view relay, std::string_view why) {
    log_warn("relay.lost", why, {{"relay", relay}});
}

void agent_log::retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                         duration delay) {
    log_warn("relay.retry", why, {{"relay", relay}, {"attempt", attempt}, {"in", delay}});
}

void agent_log::refused(std::string_view relay, std::uint16_t, std::string_view sentence) {
    log_error("relay.refused", sentence, {{"relay", relay}});
    give_up();
}

void agent_log::service_open(std::string_view service, std::span<const std::string> urls) {
    const bool shown = output_.what == agent_output::form::requests && !worked_;
    worked_ = true;
    for (const std::string& url : urls) {
        log(shown ? log_level::debug : log_level::info, "service.open", "visitors reach it here",
            {{"service", service}, {"url", url}});
    }
    std::vector<std::string>& last = announced_[std::string{service}];
    if (std::equal(last.begin(), last.end(), urls.begin(), urls.end())) return;
    last.assign(urls.begin(), urls.end());
    announce(service, urls);
}

void agent_log::service_refused(std::string_view service, std::uint16_t,
                                std::string_view sentence) {
    log_error("service.refused", sentence, {{"service", service}});
    give_up();
}

void agent_log::upstream_down(std::string_view service, std::string_view why) {
    const service_config* const config = find(service);
    log_warn("upstream.down",
             fmt::format("{}; start it: visitors are refused until it answers", why),
             {{"service", service}, {"upstream", config == nullptr ? "" : config->upstream}});
}

void agent_log::breaker_opened(std::string_view service, std::string_view why) {
    log_warn("breaker.open",
             fmt::format(
                 "{}; it is asked again from time to time, and few visitors are let through", why),
             {{"service", service}});
}

void agent_log::breaker_closed(std::string_view service) {
    log_info("breaker.closed", "the service is back", {{"service", service}});
}

void agent_log::preconnect_stopped(std::string_view service) {
    log_warn("pool.preconnect_off",
             "the service serves one connection at a time and waits on those made ahead of "
             "visitors; none is made any more. Give it more workers, or say warm_up_size = 0",
             {{"service", service}});
}

void agent_log::lease_overdue(std::string_view service, std::string_view taken_at, duration age) {
    log_warn("pool.lease_overdue",
             "a request holds its connection for longer than pool.lease_limit",
             {{"service", service}, {"taken_at", taken_at}, {"age", age}});
}

void agent_log::exchange_ended(std::string_view service, std::string_view visitor,
                               const exchange_end& how) {
    log_exchange(log_, service, visitor, how);
}

void agent_log::request_ended(const request_report& what) {
    if (output_.what != agent_output::form::requests) return log_request(log_, what);
    if (!log_.access && went_well(what)) return;
    say(request_line(what, std::chrono::system_clock::now()));
    if (what.advice.empty() || what.advice == last_advice_) return;
    last_advice_ = what.advice;
    say(fmt::format("{:14}-> {}", "", printable(what.advice, 1024)));
}

const service_config* agent_log::find(std::string_view service) const noexcept {
    const auto found = std::find_if(config_.services.begin(), config_.services.end(),
                                    [&](const service_config& one) { return one.name == service; });
    return found == config_.services.end() ? nullptr : &*found;
}

void agent_log::announce(std::string_view service, std::span<const std::string> urls) {
    if (output_.what != agent_output::form::requests) {
        const bool alone = output_.what == agent_output::form::urls;
        for (const std::string& url : urls)
            say(alone ? url : fmt::format("service {} {}", service, url));
        return;
    }
    const service_config* const config = find(service);
    std::string_view head = "Public";
    for (const std::string& url : urls) {
        say(fmt::format("{:<12}{}  ->  {}", head, url,
                        config == nullptr ? service : upstream_text(*config)));
        head = {};
    }
    say(fmt::format("{:<12}{}  connected  (Ctrl+C to quit)\n", "Relay", relay_));
}

// Before anything has worked a refusal is a mistake of the person who started it; later it is the
// relay's trouble, and passes.
void agent_log::give_up() {
    if (!output_.end_when_refused || worked_) return;
    gave_up_ = true;
    signals_.request_drain();
    signals_.request_stop();
}

std::string upstream_text(const service_config& service) {
    const result<host_port> parsed = parse_host_port(service.upstream);
    if (!parsed || parsed->is_unix()) return service.upstream;
    host_port where = *parsed;
    if (where.host.empty()) where.host = "localhost";
    return (service.type == service_kind::http ? "http://" : "tcp://") + where.text();
}

}  // namespace tunnel_uring
