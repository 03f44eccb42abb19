#include "app/config_print.hpp"

#include <fmt/format.h>

#include "app/values.hpp"
#include "base/units.hpp"

namespace tunnel_uring {

namespace {

std::string origin_name(const value_origin& origin) {
    return origin.source == value_source::file ? "file" : origin.where;
}

std::string print_key(const loaded_config& config, const config_key& key, const std::string& path,
                      key_scope& scope) {
    const value_origin origin = config.origin(path);
    const bool set = origin.source != value_source::default_value;
    if (key.secret) {
        if (!set) return fmt::format("#{} = \"\"\n", key.name);
        return fmt::format("#{} = \"(masked)\"  # {}\n", key.name, origin_name(origin));
    }
    const std::string value = print(key, scope);
    if (!set) return fmt::format("#{} = {}\n", key.name, value);
    return fmt::format("{} = {}  # {}\n", key.name, value, origin_name(origin));
}

std::string print_table(const loaded_config& config, std::string_view table,
                        const std::string& prefix, key_scope& scope) {
    std::string text;
    for (const config_key& key : config_keys()) {
        if (key.table != table) continue;
        if (scope.service != nullptr && !is_for(key, scope.service->type)) continue;
        const std::string path =
            prefix.empty() ? std::string{key.name} : fmt::format("{}.{}", prefix, key.name);
        text += print_key(config, key, path, scope);
    }
    return text;
}

std::string print_services(loaded_config& config) {
    std::string text;
    for (std::size_t i = 0; i < config.services.size(); ++i) {
        service_config& service = config.values.agent.services[i];
        key_scope scope{config.values, &service.pool, &service};
        const std::string prefix = "services." + config.services[i].name;
        text += "\n[[services]]\n" + print_table(config, "services", prefix, scope);
        if (service.type == service_kind::http)
            text +=
                "[services.http]\n" + print_table(config, "services.http", prefix + ".http", scope);
        for (const std::string_view below :
             {"health_check", "pool", "pool.circuit_breaker", "pool.degrade"}) {
            const std::string table = fmt::format("services.{}", below);
            text += fmt::format("[{}]\n", table) +
                    print_table(config, table, fmt::format("{}.{}", prefix, below), scope);
        }
    }
    return text;
}

std::string print_tokens(loaded_config& config) {
    std::string text;
    for (std::size_t i = 0; i < config.tokens.size(); ++i) {
        key_scope scope{config.values};
        scope.grant = &config.values.relay.tokens[i];
        text += "\n[[relay.tokens]]\n" +
                print_table(config, "relay.tokens", "relay.tokens." + config.tokens[i].name, scope);
    }
    return text;
}

// Where nothing was said of alerts, those that hold stand in comments as a whole.
std::string print_alerts(loaded_config& config) {
    std::string text;
    for (alert_config& alert : config.values.agent.alerts) {
        key_scope scope{config.values};
        scope.alert = &alert;
        text += config.alerts.empty() ? "\n#[[alerts]]\n" : "\n[[alerts]]\n";
        text += print_table(config, "alerts", "alerts." + alert.name, scope);
    }
    return text;
}

// ── markdown ──

std::string default_of(const config_key& key, key_scope& scope) {
    if (!key.default_note.empty()) return std::string{key.default_note};
    if (is_empty(key, scope)) return "none";
    return "`" + print(key, scope) + "`";
}

// What each profile presets.
std::string profiles_markdown() {
    std::string text =
        "\n| profile | connection_timeout | max_idle_time | validation_timeout | "
        "acquire_timeout | health_check_interval |\n|---|---|---|---|---|---|\n";
    const auto names = words(pool_profile{});
    for (std::size_t i = 0; i < names.size(); ++i) {
        const profile_times times = profile_values(static_cast<pool_profile>(i));
        text += fmt::format(
            "| `{}` | `{}` | `{}` | `{}` | `{}` | `{}` |\n", names[i],
            format_duration(times.connection_timeout), format_duration(times.max_idle_time),
            format_duration(times.validation_timeout), format_duration(times.acquire_timeout),
            format_duration(times.health_check_interval));
    }
    return text;
}

std::string table_heading(const config_table& table) {
    if (table.path.empty()) return "## Top";
    if (table.repeated) return fmt::format("## [[{}]]", table.path);
    return fmt::format("## [{}]", table.path);
}

constexpr std::string_view introduction = R"(# Configuration

<!-- Made by `tunnel-uring check --print-keys-markdown`; a test compares. -->

One TOML file may hold `[agent]` and `[relay]`; each command reads its own part. It is looked for
in this order, and the first there is counts: `--config <file>`, `$TUNNEL_URING_CONFIG`,
`./tunnel-uring.toml`, `$XDG_CONFIG_HOME/tunnel-uring/config.toml`,
`/etc/tunnel-uring/config.toml`. No file is needed: every key has a default or a flag.

- **Precedence**: flag or `--set` (the last one counts) > `TUNNEL_URING_*` variable > file >
  default. `tunnel-uring check --print` shows what is in force and where each value is from.
- **`--set key=value`** sets any key by its path: `--set agent.lanes.shared=8`, of one service
  `--set services.db.remote_port=15432`, of its pool `--set services.db.pool.warm_up_size=4`, of
  its HTTP `--set services.web.http.host_header=upstream`, of one token
  `--set relay.tokens.laptop.tcp_ports=15432`.
- **Variables** are the path in capitals: `TUNNEL_URING_AGENT_LANES_SHARED=8`.
  `TUNNEL_URING_RELAY` is short for `agent.relays`, `TUNNEL_URING_TOKEN` for `agent.token`. Lists
  are separated by commas. An empty variable counts as none.
- **Durations** are `"250ms"`, `"10s"`, `"5m"`, `"1h30m"`; a bare number means seconds. **Sizes**
  are `"64KiB"`, `"1MiB"`, or a number of bytes.
- **Unknown keys are errors**, with file, line, column and the nearest key; so are values of a
  wrong type or out of range. `tunnel-uring check` finds them all without starting anything.
)";

}  // namespace

std::string print_config(loaded_config& config) {
    std::string text = "# Defaults stand in comments.\n";
    for (const config_table& table : config_tables()) {
        if (table.path == "services") text += print_services(config);
        if (table.path == "relay.tokens") text += print_tokens(config);
        if (table.path == "alerts") text += print_alerts(config);
        if (table.repeats()) continue;
        key_scope scope{config.values, &config.values.pool};
        if (!table.path.empty()) text += fmt::format("\n[{}]\n", table.path);
        text += print_table(config, table.path, std::string{table.path}, scope);
    }
    return text;
}

std::string keys_markdown() {
    settings all;
    service_config service;
    token_grant grant;
    alert_config alert;
    key_scope scope{all, &all.pool, &service, &grant, &alert};
    std::string text{introduction};
    for (const config_table& table : config_tables()) {
        text += fmt::format("\n{}\n\n{}\n", table_heading(table), table.help);
        // [services.pool] has the keys of [pool].
        if (table.path.starts_with("services.pool")) continue;
        text += "\n| key | takes | default | |\n|---|---|---|---|\n";
        for (const config_key& key : config_keys()) {
            if (key.table != table.path) continue;
            text += fmt::format("| `{}` | {} | {} | {} |\n", key.name, describe_type(key),
                                default_of(key, scope), key.help);
        }
        if (table.path == "pool") text += profiles_markdown();
    }
    return text;
}

}  // namespace tunnel_uring
