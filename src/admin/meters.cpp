#include "admin/meters.hpp"

namespace tunnel_uring {

void request_meter::count(const request_report& what, time_point now) noexcept {
    const std::size_t first_digit = what.status / 100U;
    by_class_[first_digit < by_class_.size() ? first_digit : 0] += 1;
    // What no service was asked for took no time.
    if (what.service.empty()) return;
    took_.add(what.took);
    request_window& recent = recent_.at(now);
    recent.took.add(what.took);
    if (what.status == 0 || what.status >= 500 || !what.whole) recent.failed += 1;
}

// ── agent ──

agent_meter::agent_meter(io_context& io, const agent_config& config, agent_observer& next)
    : io_{io}, next_{next} {
    for (const service_config& service : config.services)
        services_.try_emplace(service.name, service.pool.metrics_window, io.now());
}

void agent_meter::connected(std::string_view relay) {
    events_.connected += 1;
    next_.connected(relay);
}

void agent_meter::disconnected(std::string_view relay, std::string_view why) {
    events_.disconnected += 1;
    next_.disconnected(relay, why);
}

void agent_meter::retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                           duration delay) {
    events_.retries += 1;
    next_.retrying(relay, why, attempt, delay);
}

void agent_meter::refused(std::string_view relay, std::uint16_t code, std::string_view sentence) {
    events_.refusals += 1;
    next_.refused(relay, code, sentence);
}

void agent_meter::service_open(std::string_view service, std::span<const std::string> urls) {
    next_.service_open(service, urls);
}

void agent_meter::service_refused(std::string_view service, std::uint16_t code,
                                  std::string_view sentence) {
    events_.service_refusals += 1;
    next_.service_refused(service, code, sentence);
}

void agent_meter::upstream_down(std::string_view service, std::string_view why) {
    next_.upstream_down(service, why);
}

void agent_meter::breaker_opened(std::string_view service, std::string_view why) {
    next_.breaker_opened(service, why);
}

void agent_meter::breaker_closed(std::string_view service) { next_.breaker_closed(service); }

void agent_meter::preconnect_stopped(std::string_view service) {
    next_.preconnect_stopped(service);
}

void agent_meter::lease_overdue(std::string_view service, std::string_view taken_at, duration age) {
    next_.lease_overdue(service, taken_at, age);
}

void agent_meter::exchange_ended(std::string_view service, std::string_view visitor,
                                 const exchange_end& how) {
    if (const auto found = services_.find(service); found != services_.end())
        (how.clean ? found->second.streams_clean : found->second.streams_cut) += 1;
    next_.exchange_ended(service, visitor, how);
}

void agent_meter::request_ended(const request_report& what) {
    if (const auto found = services_.find(what.service); found != services_.end())
        found->second.requests.count(what, io_.now());
    next_.request_ended(what);
}

// ── relay ──

void relay_meter::agent_connected(std::string_view agent, std::string_view from) {
    events_.agents_connected += 1;
    next_.agent_connected(agent, from);
}

void relay_meter::agent_gone(std::string_view agent, std::string_view why) {
    events_.agents_gone += 1;
    next_.agent_gone(agent, why);
}

void relay_meter::connection_refused(std::string_view from, std::string_view why) {
    events_.connections_refused += 1;
    next_.connection_refused(from, why);
}

void relay_meter::port_opened(std::string_view agent, std::string_view service,
                              std::string_view address) {
    events_.places_opened += 1;
    next_.port_opened(agent, service, address);
}

void relay_meter::port_closed(std::string_view agent, std::string_view service,
                              std::string_view address) {
    next_.port_closed(agent, service, address);
}

void relay_meter::exchange_ended(std::string_view service, std::string_view visitor,
                                 const exchange_end& how) {
    next_.exchange_ended(service, visitor, how);
}

void relay_meter::request_ended(const request_report& what) {
    requests_.count(what, io_.now());
    next_.request_ended(what);
}

}  // namespace tunnel_uring
