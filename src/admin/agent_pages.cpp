#include "admin/agent_pages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "admin/shared_metrics.hpp"

namespace tunnel_uring {

namespace {

using kind = metric_kind;
using optional_value = std::optional<double>;

double number(std::uint64_t count) noexcept { return static_cast<double>(count); }
optional_value in_seconds(const std::optional<duration>& time) noexcept {
    return time ? optional_value{seconds(*time)} : std::nullopt;
}

// ── a service's pool ──

struct pool_gauge {
    metric_family family;
    optional_value (*value)(const pool_stats& pool);
};

constexpr std::array pool_gauges{
    pool_gauge{{"connection_pool_size_current", kind::gauge,
                "Connections of the pool, idle and busy ones."},
               [](const pool_stats& pool) { return optional_value{number(pool.size_current)}; }},
    pool_gauge{{"connection_pool_size_max", kind::gauge, "As many as it may have."},
               [](const pool_stats& pool) { return optional_value{number(pool.size_max)}; }},
    pool_gauge{{"connection_pool_idle_current", kind::gauge, "Connections that stand ready."},
               [](const pool_stats& pool) { return optional_value{number(pool.idle_current)}; }},
    pool_gauge{{"connection_acquire_time_p99", kind::gauge,
                "99 % of the visitors got a connection within so many seconds; over "
                "`metrics.window`, absent where nothing happened."},
               [](const pool_stats& pool) { return in_seconds(pool.acquire_time_p99); }},
    pool_gauge{{"connection_create_time_avg", kind::gauge,
                "To make a connection took so many seconds on average; over `metrics.window`."},
               [](const pool_stats& pool) { return in_seconds(pool.create_time_avg); }},
    pool_gauge{{"connection_reuse_rate", kind::gauge,
                "The share, 0 to 1, of visitors who got a connection that had served before; of "
                "tcp: that stood ready; over `metrics.window`."},
               [](const pool_stats& pool) { return pool.reuse_rate; }},
    pool_gauge{{"connection_validation_failure_rate", kind::gauge,
                "The share of new connections that did not prove good; over `metrics.window`."},
               [](const pool_stats& pool) { return pool.validation_failure_rate; }},
    pool_gauge{{"connection_timeout_rate", kind::gauge,
                "The share of visitors who waited, or whose connect took, too long; over "
                "`metrics.window`."},
               [](const pool_stats& pool) { return pool.timeout_rate; }},
    pool_gauge{{"connection_leak_detected", kind::gauge,
                "Connections that were held for longer than `pool.lease_limit`, since the start."},
               [](const pool_stats& pool) { return optional_value{number(pool.leak_detected)}; }},
    pool_gauge{{"tunnel_uring_pool_dialing", kind::gauge, "Connections that the pool makes now."},
               [](const pool_stats& pool) { return optional_value{number(pool.census.dialing)}; }},
    pool_gauge{
        {"tunnel_uring_pool_validating", kind::gauge, "New connections that are to prove good."},
        [](const pool_stats& pool) { return optional_value{number(pool.census.validating)}; }},
    pool_gauge{{"tunnel_uring_pool_leased", kind::gauge, "Connections that serve a visitor."},
               [](const pool_stats& pool) { return optional_value{number(pool.census.leased)}; }},
    pool_gauge{{"tunnel_uring_pool_closing", kind::gauge, "Connections on their way out."},
               [](const pool_stats& pool) { return optional_value{number(pool.census.closing)}; }},
    pool_gauge{{"tunnel_uring_pool_outside", kind::gauge,
                "Of those that serve, or are made for a visitor: beyond the ring of the pool."},
               [](const pool_stats& pool) { return optional_value{number(pool.census.outside)}; }},
    pool_gauge{{"tunnel_uring_pool_waiters", kind::gauge, "Visitors who wait for a connection."},
               [](const pool_stats& pool) { return optional_value{number(pool.census.waiters)}; }},
    pool_gauge{{"tunnel_uring_pool_idle_target", kind::gauge,
                "How many are to stand ready, as visitors come now."},
               [](const pool_stats& pool) { return optional_value{number(pool.idle_target)}; }},
    pool_gauge{{"tunnel_uring_pool_demand_rate", kind::gauge, "Connections used up in a second."},
               [](const pool_stats& pool) { return optional_value{pool.demand_rate}; }},
    pool_gauge{{"tunnel_uring_pool_preconnects", kind::gauge,
                "1 where connections are made ahead of visitors."},
               [](const pool_stats& pool) { return optional_value{pool.preconnects ? 1.0 : 0.0}; }},
    pool_gauge{{"tunnel_uring_pool_idle_limit_seconds", kind::gauge,
                "After so long the service itself closes an idle connection, as far as it was "
                "seen to; 0: nothing was learned."},
               [](const pool_stats& pool) {
                   return optional_value{
                       seconds(std::max(pool.idle_limit_unused, pool.idle_limit_served))};
               }},
    pool_gauge{
        {"tunnel_uring_breaker_state", kind::gauge,
         "The circuit breaker: 0 closed, 1 open, 2 half open (one probe is under way)."},
        [](const pool_stats& pool) { return optional_value{static_cast<double>(pool.breaker)}; }},
    pool_gauge{{"tunnel_uring_breaker_opened_total", kind::counter, "Times that it opened."},
               [](const pool_stats& pool) { return optional_value{number(pool.breaker_opened)}; }},
};

struct pool_counter {
    metric_family family;
    std::uint64_t pool_counters::* field;
};

#define TU_COUNTER(field, help)                                                            \
    pool_counter {                                                                         \
        {"tunnel_uring_pool_" #field "_total", kind::counter, help}, &pool_counters::field \
    }

constexpr std::array counters{
    TU_COUNTER(acquired_fresh, "Visitors who got a connection that stood ready, unused."),
    TU_COUNTER(acquired_served, "Visitors who got one that had served before."),
    TU_COUNTER(acquired_direct, "Visitors for whom one was made."),
    TU_COUNTER(acquire_failures, "Visitors who got none, and had not left."),
    TU_COUNTER(returned_clean, "Connections that came back clean."),
    TU_COUNTER(renewed, "Connections that proved dead in a visitor's hand and were replaced."),
    TU_COUNTER(waited, "Visitors who found the pool at its maximum and waited."),
    TU_COUNTER(wait_timeouts, "Of those, who waited for `pool.acquire_timeout` in vain."),
    TU_COUNTER(refused, "Visitors refused because `pool.acquire_queue` waited already."),
    TU_COUNTER(refused_down, "Visitors refused while the breaker was open."),
    TU_COUNTER(degraded, "Connections made past the pool."),
    TU_COUNTER(dials, "Connections begun."),
    TU_COUNTER(dial_failures, "Of those, which the service refused or did not take in time."),
    TU_COUNTER(dial_timeouts, "Of those, which took longer than `pool.connection_timeout`."),
    TU_COUNTER(local_failures, "Connections that failed for want of ports, memory, descriptors."),
    TU_COUNTER(validations, "New connections that were to prove good."),
    TU_COUNTER(validation_failures, "Of those, which did not."),
    TU_COUNTER(evicted_hung_up, "Idle connections that the service closed or reset."),
    TU_COUNTER(evicted_spoke, "Idle connections on which it spoke unasked."),
    TU_COUNTER(retired_idle, "Idle connections closed because of `pool.max_idle_time`."),
    TU_COUNTER(retired_lifetime, "Connections closed because of `pool.max_lifetime`."),
    TU_COUNTER(retired_surplus, "Idle connections closed because so many were not needed."),
    TU_COUNTER(polls_rearmed, "Watches over idle connections that had to be set again."),
    TU_COUNTER(health_checks, "Health checks."),
    TU_COUNTER(health_failures, "Of those, which failed."),
    TU_COUNTER(leaks, "Connections held for longer than `pool.lease_limit`."),
};

#undef TU_COUNTER

struct pool_histogram {
    metric_family family;
    histogram pool_times::* field;
};

constexpr std::array histograms{
    pool_histogram{{"tunnel_uring_connection_acquire_seconds", kind::histogram,
                    "From asking for a connection to having it."},
                   &pool_times::acquire},
    pool_histogram{
        {"tunnel_uring_connection_create_seconds", kind::histogram, "To make a connection."},
        &pool_times::create},
    pool_histogram{{"tunnel_uring_connection_validate_seconds", kind::histogram,
                    "For a new connection to prove good."},
                   &pool_times::validate},
};

std::string labels_of(const service_status& service) {
    return metric_label("service", service.config->name) + "," +
           metric_label("pool", service.config->upstream);
}

void expose_pools(exposition& out, const agent_status& status) {
    for (const pool_gauge& one : pool_gauges) {
        out.begin(one.family);
        for (const service_status& service : status.services) {
            if (const optional_value value = one.value(service.pool))
                out.sample(labels_of(service), *value);
        }
    }
    for (const pool_counter& one : counters) {
        out.begin(one.family);
        for (const service_status& service : status.services)
            out.sample(labels_of(service), number(service.pool.counters.*one.field));
    }
    for (const pool_histogram& one : histograms) {
        out.begin(one.family);
        for (const service_status& service : status.services)
            out.samples(labels_of(service), service.pool.times.*one.field);
    }
}

// ── a service's visitors ──

bool is_http(const service_status& service) noexcept {
    return service.config->type == service_kind::http;
}

const service_place* place_of(const agent_status& status, std::size_t service) noexcept {
    for (const session_status& session : status.relays) {
        if (session.connected && !session.places[service].urls.empty())
            return &session.places[service];
    }
    return nullptr;
}

void expose_visitors(exposition& out, const agent_view& view) {
    const std::vector<service_status>& services = view.status.services;
    out.begin({"tunnel_uring_service_open", kind::gauge,
               "1 where visitors can come in: a relay has a port or names for the service."});
    for (std::size_t i = 0; i < services.size(); ++i)
        out.sample(labels_of(services[i]), place_of(view.status, i) != nullptr ? 1 : 0);
    out.begin(http_requests_family);
    for (const service_status& service : services) {
        if (is_http(service))
            expose_classes(out, labels_of(service),
                           view.meter.service(service.config->name).requests);
    }
    out.begin(http_duration_family);
    for (const service_status& service : services) {
        if (is_http(service))
            out.samples(labels_of(service),
                        view.meter.service(service.config->name).requests.took());
    }
    out.begin({"tunnel_uring_tcp_streams_total", kind::counter,
               "Visitors' connections to tcp services that are over, by `outcome`: `complete` or "
               "`cut`."});
    for (const service_status& service : services) {
        if (is_http(service)) continue;
        const agent_meter::of_service& met = view.meter.service(service.config->name);
        const std::string labels = labels_of(service) + ",";
        out.sample(labels + metric_label("outcome", "complete"), number(met.streams_clean));
        out.sample(labels + metric_label("outcome", "cut"), number(met.streams_cut));
    }
}

// ── sessions ──

void expose_events(exposition& out, const agent_events& events) {
    const auto one = [&out](const metric_family& family, std::uint64_t count) {
        out.begin(family);
        out.sample({}, number(count));
    };
    one({"tunnel_uring_sessions_opened_total", kind::counter, "Sessions with relays that began."},
        events.connected);
    one({"tunnel_uring_sessions_lost_total", kind::counter, "Sessions with relays that ended."},
        events.disconnected);
    one({"tunnel_uring_session_retries_total", kind::counter,
         "Waits for another try, after a loss or a failed try."},
        events.retries);
    one({"tunnel_uring_session_refusals_total", kind::counter,
         "Times that a relay did not want this agent."},
        events.refusals);
    one({"tunnel_uring_service_refusals_total", kind::counter,
         "Times that a relay did not want one of its services."},
        events.service_refusals);
}

void expose_sessions(exposition& out, const agent_view& view) {
    const std::vector<session_status>& relays = view.status.relays;
    out.begin({"tunnel_uring_relay_connected", kind::gauge, "1 where the session stands."});
    for (const session_status& one : relays)
        out.sample(metric_label("relay", one.relay), one.connected ? 1 : 0);
    out.begin({"tunnel_uring_relay_round_trip_seconds", kind::gauge,
               "To the relay and back, as the kernel measures it; absent while away."});
    for (const session_status& one : relays) {
        if (one.round_trip) out.sample(metric_label("relay", one.relay), seconds(*one.round_trip));
    }
    out.begin(lanes_family);
    for (const session_status& one : relays)
        expose_lanes(out, metric_label("relay", one.relay), one.lanes);
    out.begin(lanes_busy_family);
    for (const session_status& one : relays)
        out.sample(metric_label("relay", one.relay), number(one.lanes.bulk_busy));
    expose_events(out, view.meter.events());
}

void expose_alerts(exposition& out, const std::vector<alert_view>& alerts) {
    out.begin({"tunnel_uring_alert_firing", kind::gauge, "1 while the alert fires."});
    for (const alert_view& one : alerts)
        out.sample(metric_label("alert", one.alert->name) + "," +
                       metric_label("severity", name_of(one.alert->severity)) + "," +
                       metric_label("service", one.service->name),
                   one.phase == alert_state::phase::firing ? 1 : 0);
}

// ── status ──

// Those that are not at rest.
void tell_alerts(json_text& out, const std::vector<alert_view>& alerts,
                 const service_config& service) {
    out.open_list("alerts");
    for (const alert_view& one : alerts) {
        if (one.service != &service || one.phase == alert_state::phase::inactive) continue;
        out.open_object();
        out.text("name", one.alert->name);
        out.text("severity", name_of(one.alert->severity));
        out.text("state", one.phase == alert_state::phase::firing ? "firing" : "pending");
        out.close_object();
    }
    out.close_list();
}

void tell_places(json_text& out, const agent_status& status, std::size_t service) {
    const service_place* const open = place_of(status, service);
    out.text("state", open != nullptr ? "open" : "closed");
    out.open_list("urls");
    for (const session_status& session : status.relays) {
        for (const std::string& url : session.places[service].urls) out.text({}, url);
    }
    out.close_list();
    out.open_list("refusals");
    for (const session_status& session : status.relays) {
        const std::string& refusal = session.places[service].refusal;
        if (!refusal.empty()) out.text({}, refusal);
    }
    out.close_list();
}

void tell_optional(json_text& out, std::string_view name, const optional_value& value) {
    if (value) out.number(name, *value);
    else out.null(name);
}

constexpr std::array<std::string_view, 3> breaker_words{"closed", "open", "half_open"};

void tell_pool(json_text& out, const pool_stats& pool) {
    out.open_object("pool");
    out.number("idle", number(pool.idle_current));
    out.number("busy", number(pool.census.leased));
    out.number("size", number(pool.size_current));
    out.number("max", number(pool.size_max));
    out.number("waiting", number(pool.census.waiters));
    tell_optional(out, "acquire_p99_seconds", in_seconds(pool.acquire_time_p99));
    tell_optional(out, "create_avg_seconds", in_seconds(pool.create_time_avg));
    tell_optional(out, "reuse_rate", pool.reuse_rate);
    tell_optional(out, "timeout_rate", pool.timeout_rate);
    out.text("breaker", breaker_words[static_cast<std::size_t>(pool.breaker)]);
    out.number("leaks", number(pool.leak_detected));
    out.close_object();
}

void tell_service(json_text& out, const agent_view& view, std::size_t index) {
    const service_status& service = view.status.services[index];
    out.open_object();
    out.text("name", service.config->name);
    out.text("type", is_http(service) ? "http" : "tcp");
    out.text("upstream", service.config->upstream);
    tell_places(out, view.status, index);
    agent_meter::of_service& met = view.meter.service(service.config->name);
    if (is_http(service)) tell_requests(out, met.requests, view.now, view.process.uptime);
    tell_pool(out, service.pool);
    tell_alerts(out, view.alerts, *service.config);
    out.close_object();
}

void tell_session(json_text& out, const session_status& session) {
    out.open_object();
    out.text("address", session.relay);
    out.truth("connected", session.connected);
    out.number("seconds", seconds(session.lasting));
    if (!session.connected) out.text("trouble", session.trouble);
    tell_optional(out, "round_trip_seconds", in_seconds(session.round_trip));
    tell_lanes(out, session.lanes);
    out.close_object();
}

}  // namespace

std::string agent_metrics(const agent_view& view) {
    exposition out;
    expose_process(out, view.process, "agent");
    expose_sessions(out, view);
    expose_bytes(out, view.bytes);
    expose_visitors(out, view);
    expose_pools(out, view.status);
    expose_alerts(out, view.alerts);
    return out.take();
}

std::string agent_status_json(const agent_view& view) {
    json_text out;
    out.open_object();
    tell_process(out, view.process, "agent");
    const std::string missing = agent_not_ready(view.status);
    out.truth("ready", missing.empty());
    if (!missing.empty()) out.text("missing", missing);
    out.open_list("relays");
    for (const session_status& session : view.status.relays) tell_session(out, session);
    out.close_list();
    out.open_list("services");
    for (std::size_t i = 0; i < view.status.services.size(); ++i) tell_service(out, view, i);
    out.close_list();
    tell_bytes(out, view.bytes);
    out.close_object();
    return out.take() + "\n";
}

std::string agent_not_ready(const agent_status& status) {
    const auto connected = [](const session_status& one) { return one.connected; };
    if (std::none_of(status.relays.begin(), status.relays.end(), connected)) {
        const session_status& first = status.relays.front();
        return fmt::format("not connected to the relay {}{}{}", first.relay,
                           first.trouble.empty() ? "" : ": ", first.trouble);
    }
    for (std::size_t i = 0; i < status.services.size(); ++i) {
        if (place_of(status, i) != nullptr) continue;
        for (const session_status& session : status.relays) {
            const std::string& refusal = session.places[i].refusal;
            if (!refusal.empty())
                return fmt::format("the service {} was refused by {}: {}",
                                   status.services[i].config->name, session.relay, refusal);
        }
        return fmt::format(
            "the service {} is not open yet: its pool warms up, or the relay has "
            "not answered",
            status.services[i].config->name);
    }
    return {};
}

agent_view agent_pages::look() const {
    return {look_at_process(io_, began_),
            serving_.status(),
            serving_.counters(),
            meter_,
            alerts_.view(),
            io_.now()};
}

admin_page agent_pages::readiness() const {
    admin_page page;
    const std::string missing = draining_ ? "shutting down" : agent_not_ready(serving_.status());
    page.status = missing.empty() ? 200 : 503;
    page.body = (missing.empty() ? "ready" : missing) + "\n";
    return page;
}

std::vector<std::string_view> agent_pages::paths() const {
    if (!config_.admin.prometheus) return {"/status", "/healthz", "/readyz"};
    return {"/status", "/metrics", "/healthz", "/readyz"};
}

std::optional<admin_page> agent_pages::get(std::string_view path) {
    if (path == "/healthz") return admin_page{.body = "ok\n"};
    if (path == "/readyz") return readiness();
    if (path == "/status")
        return admin_page{.type = "application/json", .body = agent_status_json(look())};
    if (path == "/metrics" && config_.admin.prometheus)
        return admin_page{.type = exposition::content_type, .body = agent_metrics(look())};
    return {};
}

}  // namespace tunnel_uring
