#include "app/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/config_print.hpp"
#include "app/host_checks.hpp"

namespace tunnel_uring {

namespace {

struct roles {
    bool agent = false;
    bool relay = false;
};

// What somebody has said something about; the token may be in the environment for any reason.
roles roles_of(const loaded_config& config) {
    roles found{!config.services.empty(), !config.tokens.empty()};
    for (const auto& [path, origin] : config.origins) {
        if (path.starts_with("agent.") && path != "agent.token") found.agent = true;
        if (path.starts_with("relay.")) found.relay = true;
    }
    return found;
}

void check_config(const loaded_config& config, const roles& which, std::vector<check_row>& rows) {
    for (const config_problem& problem : config.problems)
        rows.push_back({verdict::fail, "config", problem.text(), "", exit_bad_config});
    for (const std::string& warning : config.warnings)
        rows.push_back({verdict::warn, "config", warning, "", exit_bad_config});
    if (!config.problems.empty()) return;
    const std::string where = config.file.empty() ? "no file, defaults" : config.file;
    const std::string what = which.agent && which.relay ? "agent and relay"
                             : which.agent              ? "agent"
                             : which.relay              ? "relay"
                                                        : "neither agent nor relay";
    rows.push_back({verdict::ok, "config", fmt::format("{} ({})", where, what), "", exit_ok});
}

void check_roles(const loaded_config& config, const roles& which, bool offline,
                 std::vector<check_row>& rows) {
    const agent_config& agent = config.values.agent;
    if (which.agent) {
        check_agent_files(agent, rows);
        if (!config.token_path.empty()) check_token_file(config.token_path, rows);
        for (const service_config& service : agent.services) {
            const std::string name = "service " + service.name;
            if (service.type == service_kind::http)
                check_http_upstream(name, service.upstream, rows);
            else check_reachable(name, service.upstream, verdict::warn, rows);
        }
        for (const std::string& relay : agent.relays) {
            if (offline)
                rows.push_back({verdict::skip, "relay", relay + ": --offline", "", exit_ok});
            else check_reachable("relay", relay, verdict::fail, rows);
        }
    }
    if (which.relay) {
        check_relay_files(config.values.relay, rows);
        check_relay_ports(config.values.relay, rows);
        check_domain(config.values.relay.http, offline, rows);
    }
}

constexpr std::array<std::string_view, 4> labels{"[ OK ]", "[WARN]", "[FAIL]", "[SKIP]"};
constexpr std::array<std::string_view, 4> verdict_words{"ok", "warn", "fail", "skip"};

bool failed(const check_row& row) noexcept { return row.what == verdict::fail; }

}  // namespace

std::string row_text(const check_row& row) {
    return fmt::format("{} {}: {}{}{}", labels[static_cast<std::size_t>(row.what)], row.name,
                       row.text, row.remedy.empty() ? "" : " -> ", row.remedy);
}

std::string rows_json(const std::vector<check_row>& rows) {
    nlohmann::json out{{"ok", std::none_of(rows.begin(), rows.end(), failed)},
                       {"checks", nlohmann::json::array()}};
    for (const check_row& row : rows) {
        out["checks"].push_back({{"name", row.name},
                                 {"verdict", verdict_words[static_cast<std::size_t>(row.what)]},
                                 {"text", row.text},
                                 {"remedy", row.remedy}});
    }
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

exit_status run_check(loaded_config config, const check_options& options) {
    if (options.print && config.problems.empty()) {
        fmt::print("{}", print_config(config));
        return exit_ok;
    }
    const roles which = roles_of(config);
    if (which.agent) require_agent(config);
    if (which.relay) require_relay(config);
    std::vector<check_row> rows;
    check_config(config, which, rows);
    if (!options.print) {
        check_io_uring(config.values.io_uring, rows);
        if (config.problems.empty()) check_roles(config, which, options.offline, rows);
    }
    if (options.json) fmt::print("{}\n", rows_json(rows));
    else
        for (const check_row& row : rows) fmt::print("{}\n", row_text(row));
    std::fflush(stdout);
    const auto worst = std::find_if(rows.begin(), rows.end(), failed);
    return worst == rows.end() ? exit_ok : worst->status;
}

}  // namespace tunnel_uring
