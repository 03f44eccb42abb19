#include "admin/relay_pages.hpp"

#include "admin/shared_metrics.hpp"
#include "net/address.hpp"

namespace tunnel_uring {

namespace {

using kind = metric_kind;

double number(std::uint64_t count) noexcept { return static_cast<double>(count); }

void expose_agents(exposition& out, const relay_view& view) {
    const auto one = [&out](const metric_family& family, std::uint64_t count) {
        out.begin(family);
        out.sample({}, number(count));
    };
    const relay_status& status = view.status;
    const relay_events& events = view.meter.events();
    one({"tunnel_uring_agents_connected", kind::gauge, "Agents that are here."},
        status.agents_count);
    one({"tunnel_uring_agents_arrived_total", kind::counter, "Agents that came in."},
        events.agents_connected);
    one({"tunnel_uring_agents_gone_total", kind::counter, "Agents that left or were lost."},
        events.agents_gone);
    one({"tunnel_uring_connections_refused_total", kind::counter,
         "Strangers on the control address, and visitors who could not be read."},
        events.connections_refused);
    one({"tunnel_uring_ports_open", kind::gauge, "Ports that agents' tcp services have."},
        status.ports);
    one({"tunnel_uring_names_open", kind::gauge, "Names that agents' http services have."},
        status.names);
    one({"tunnel_uring_places_opened_total", kind::counter, "Ports and names that were opened."},
        events.places_opened);
    one({"tunnel_uring_http_visitors", kind::gauge, "Connections of http visitors, idle ones too."},
        status.visitors);
    out.begin(lanes_family);
    expose_lanes(out, {}, status.lanes);
    out.begin(lanes_busy_family);
    out.sample({}, number(status.lanes.bulk_busy));
}

void tell_agent(json_text& out, const remote_agent_status& agent) {
    out.open_object();
    out.text("name", agent.name);
    out.text("from", agent.from);
    out.number("seconds", seconds(agent.lasting));
    if (agent.round_trip) out.number("round_trip_seconds", seconds(*agent.round_trip));
    else out.null("round_trip_seconds");
    tell_lanes(out, agent.lanes);
    out.close_object();
}

}  // namespace

std::string relay_metrics(const relay_view& view) {
    exposition out;
    expose_process(out, view.process, "relay");
    expose_agents(out, view);
    expose_bytes(out, view.bytes);
    out.begin(http_requests_family);
    expose_classes(out, {}, view.meter.requests());
    out.begin(http_duration_family);
    out.samples({}, view.meter.requests().took());
    return out.take();
}

std::string relay_status_json(const relay_view& view) {
    const relay_status& status = view.status;
    json_text out;
    out.open_object();
    tell_process(out, view.process, "relay");
    out.truth("ready", !status.draining);
    if (status.draining) out.text("missing", "shutting down");
    out.open_object("listening");
    out.text("control", format(status.control));
    if (status.http) out.text("http", format(*status.http));
    out.close_object();
    out.number("agents_connected", number(status.agents_count));
    out.number("ports", number(status.ports));
    out.number("names", number(status.names));
    out.number("http_visitors", number(status.visitors));
    tell_lanes(out, status.lanes);
    tell_requests(out, view.meter.requests(), view.now, view.process.uptime);
    out.open_list("agents");
    for (const remote_agent_status& agent : status.agents) tell_agent(out, agent);
    out.close_list();
    tell_bytes(out, view.bytes);
    out.close_object();
    return out.take() + "\n";
}

relay_view relay_pages::look() const {
    return {look_at_process(io_, began_), serving_.status(), serving_.counters(), meter_,
            io_.now()};
}

admin_page relay_pages::readiness() const {
    admin_page page;
    const bool ready = !serving_.draining();
    page.status = ready ? 200 : 503;
    page.body = ready ? "ready\n" : "shutting down\n";
    return page;
}

std::vector<std::string_view> relay_pages::paths() const {
    if (!config_.admin.prometheus) return {"/status", "/healthz", "/readyz"};
    return {"/status", "/metrics", "/healthz", "/readyz"};
}

std::optional<admin_page> relay_pages::get(std::string_view path) {
    if (path == "/healthz") return admin_page{.body = "ok\n"};
    if (path == "/readyz") return readiness();
    if (path == "/status")
        return admin_page{.type = "application/json", .body = relay_status_json(look())};
    if (path == "/metrics" && config_.admin.prometheus)
        return admin_page{.type = exposition::content_type, .body = relay_metrics(look())};
    return {};
}

}  // namespace tunnel_uring
