#include "app/keys.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace tunnel_uring {

namespace {

constexpr double ns(duration time) { return static_cast<double>(time.count()); }
constexpr value_limits between(duration least, duration most) { return {ns(least), ns(most)}; }
constexpr value_limits zero_or(duration least, duration most) {
    return {ns(least), ns(most), true};
}

constexpr value_limits any_port{0, 65535};
constexpr value_limits long_text{0, 4096};
constexpr value_limits short_text{1, 64};
constexpr value_limits short_path{0, 256};
constexpr value_limits timeout = between(1ms, 10min);
constexpr value_limits one_word{};

constexpr std::array tables{
    config_table{"", "At the top of the file."},
    config_table{"agent", "The end beside your services: `tunnel-uring agent`, `http` and `tcp`."},
    config_table{"agent.lanes", "Connections that the agent keeps open to each relay."},
    config_table{"agent.reconnect",
                 "Exponential backoff with full jitter, without an end, when a relay is away."},
    config_table{"pool",
                 "Connections to a service that stand ready. What is said here holds for every "
                 "service that does not say otherwise in its own `[services.pool]`."},
    config_table{"pool.circuit_breaker",
                 "When a service fails it is not asked for connections for a while: then by one "
                 "probe, and after each that fails again, twice as late."},
    config_table{"pool.degrade", "What becomes of visitors while a pool cannot serve."},
    config_table{"services", "One entry for each service that the agent exposes.", true},
    config_table{"services.pool", "Any key of `[pool]`, for the service above it.", false,
                 "services"},
    config_table{"services.pool.circuit_breaker",
                 "Any key of `[pool.circuit_breaker]`, for the service above it.", false,
                 "services"},
    config_table{"services.pool.degrade", "Any key of `[pool.degrade]`, for the service above it.",
                 false, "services"},
    config_table{"services.health_check",
                 "A connection made now and then to see whether the service serves.", false,
                 "services"},
    config_table{"services.http",
                 "What is said to and of the upstream of a service of type `http`.", false,
                 "services"},
    config_table{"relay", "The public end: `tunnel-uring relay`."},
    config_table{"relay.tokens", "One entry for each token that may come in.", true},
    config_table{"admin",
                 "Where an agent or a relay tells about itself, by HTTP: `/status` (what "
                 "`tunnel-uring status` shows), `/metrics`, `/healthz` and `/readyz`. Nobody has "
                 "to prove who he is, so keep it to this host."},
    config_table{"metrics", "What `/metrics` tells; see metrics.md."},
    config_table{"alerts",
                 "Conditions on the metrics of each service's pool, looked at once a second by the "
                 "agent; metrics.md says how they are written and what becomes of them. Any entry "
                 "here, or `alerts = []`, replaces the three that hold by default.",
                 true},
    config_table{"log", "What is told on stderr."},
    config_table{"io_uring", "The ring under everything."},
    config_table{"shutdown", "The end."},
};

using scope = key_scope;
using type = value_type;

#define TU_SLOT(expression) [](scope& in) -> value_slot { return &in.expression; }

constexpr std::string_view preset_note = "that of the profile";

// One set of rows for two tables: a service's pool has all that [pool] has. Where the profile is
// another, so are the defaults that it presets.
#define TU_POOL_KEYS(table)                                                                        \
    config_key{                                                                                    \
        table,                                                                                     \
        "profile",                                                                                 \
        type::choice,                                                                              \
        one_word,                                                                                  \
        "Where the upstream is: presets `connection_timeout`, `max_idle_time`, "                   \
        "`validation_timeout`, `acquire_timeout` and `health_check_interval`, as the table "       \
        "below says; each may be told by itself too.",                                             \
        TU_SLOT(pool->profile)},                                                                   \
        config_key{                                                                                \
            table,                                                                                 \
            "reuse",                                                                               \
            type::choice,                                                                          \
            one_word,                                                                              \
            "`auto`: connections of http serve one visitor after another, those of tcp one "       \
            "each. `off`: each visitor gets one of his own, made when he comes.",                  \
            TU_SLOT(pool->reuse)},                                                                 \
        config_key{table,                                                                          \
                   "max_pool_size",                                                                \
                   type::count,                                                                    \
                   {1, 10'000},                                                                    \
                   "Most connections of one service's pool.",                                      \
                   TU_SLOT(pool->max_pool_size)},                                                  \
        config_key{table,                                                                          \
                   "min_idle_connections",                                                         \
                   type::count,                                                                    \
                   {0, 10'000},                                                                    \
                   "So many stand ready at least, and as many more as visitors come, up to "       \
                   "`max_pool_size`. 0: `warm_up_size`.",                                          \
                   TU_SLOT(pool->min_idle_connections),                                            \
                   "`0`, of an http service `5`"},                                                 \
        config_key{                                                                                \
            table,                                                                                 \
            "warm_up_size",                                                                        \
            type::count,                                                                           \
            {0, 10'000},                                                                           \
            "So many are opened at the start, and when the service is back. 0: a service is "      \
            "not connected to before a visitor comes.",                                            \
            TU_SLOT(pool->warm_up_size),                                                           \
            "`0`, of an http service `10`"},                                                       \
        config_key{                                                                                \
            table,                                                                                 \
            "warm_up_on_start",                                                                    \
            type::boolean,                                                                         \
            one_word,                                                                              \
            "Open them at once, before the service is announced; else when the first visitor "     \
            "comes.",                                                                              \
            TU_SLOT(pool->warm_up_on_start)},                                                      \
        config_key{                                                                                \
            table,                                                                                 \
            "max_idle_time",                                                                       \
            type::time,                                                                            \
            between(1s, 24h),                                                                      \
            "A connection that stood ready so long is closed and replaced, jittered by 10 %; "     \
            "sooner where the service is seen to close idle ones itself.",                         \
            TU_SLOT(pool->max_idle_time),                                                          \
            preset_note},                                                                          \
        config_key{table,                                                                          \
                   "max_lifetime",                                                                 \
                   type::time,                                                                     \
                   zero_or(1s, 24h * 30),                                                          \
                   "A connection so old is closed and replaced, jittered by 10 %. 0: no limit.",   \
                   TU_SLOT(pool->max_lifetime)},                                                   \
        config_key{table,                                                                          \
                   "connection_timeout",                                                           \
                   type::time,                                                                     \
                   timeout,                                                                        \
                   "Longest time for one connection to be made.",                                  \
                   TU_SLOT(pool->connection_timeout),                                              \
                   preset_note},                                                                   \
        config_key{                                                                                \
            table,                                                                                 \
            "validation_timeout",                                                                  \
            type::time,                                                                            \
            timeout,                                                                               \
            "Longest time for a new connection to prove good, for a probe, for a health check, "   \
            "and for a service to be warm before it is announced all the same.",                   \
            TU_SLOT(pool->validation_timeout),                                                     \
            preset_note},                                                                          \
        config_key{table,                                                                          \
                   "cleanup_interval",                                                             \
                   type::time,                                                                     \
                   between(1s, 1h),                                                                \
                   "So often half of what stood ready and was not needed is closed.",              \
                   TU_SLOT(pool->cleanup_interval)},                                               \
        config_key{table,                                                                          \
                   "acquire_timeout",                                                              \
                   type::time,                                                                     \
                   timeout,                                                                        \
                   "At the maximum a visitor waits so long for a connection.",                     \
                   TU_SLOT(pool->acquire_timeout),                                                 \
                   preset_note},                                                                   \
        config_key{table,                                                                          \
                   "acquire_queue",                                                                \
                   type::count,                                                                    \
                   {0, 1'000'000},                                                                 \
                   "So many visitors may wait; one more is refused at once.",                      \
                   TU_SLOT(pool->acquire_queue)},                                                  \
        config_key{table,                                                                          \
                   "health_check_interval",                                                        \
                   type::time,                                                                     \
                   between(100ms, 24h),                                                            \
                   "So often a service is checked; see `[services.health_check]`.",                \
                   TU_SLOT(pool->health_check_interval),                                           \
                   preset_note},                                                                   \
        config_key{                                                                                \
            table,                                                                                 \
            "max_failures",                                                                        \
            type::count,                                                                           \
            {1, 1000},                                                                             \
            "So many health checks in a row have to fail before the service counts as down.",      \
            TU_SLOT(pool->max_failures)},                                                          \
        config_key{table,                                                                          \
                   "lease_limit",                                                                  \
                   type::time,                                                                     \
                   zero_or(1s, 24h * 30),                                                          \
                   "A request that holds its connection for longer is reported once. 0: none is.", \
                   TU_SLOT(pool->lease_limit)},                                                    \
        config_key{table ".circuit_breaker",                                                       \
                   "failure_threshold",                                                            \
                   type::count,                                                                    \
                   {0, 1000},                                                                      \
                   "So many connects in a row have to fail before the service counts as down. 0: " \
                   "failed connects alone never say so.",                                          \
                   TU_SLOT(pool->circuit_breaker.failure_threshold)},                              \
        config_key{table ".circuit_breaker",                                                       \
                   "open_for",                                                                     \
                   type::time,                                                                     \
                   between(10ms, 1h),                                                              \
                   "Until the first probe.",                                                       \
                   TU_SLOT(pool->circuit_breaker.open_for)},                                       \
        config_key{table ".circuit_breaker",                                                       \
                   "open_max",                                                                     \
                   type::time,                                                                     \
                   between(10ms, 24h),                                                             \
                   "Between later ones at most.",                                                  \
                   TU_SLOT(pool->circuit_breaker.open_max)},                                       \
        config_key{table ".degrade",                                                               \
                   "direct_connect",                                                               \
                   type::boolean,                                                                  \
                   one_word,                                                                       \
                   "A visitor whom the pool cannot serve is connected past it: when it is at its " \
                   "maximum for `acquire_timeout`, or the service counts as down.",                \
                   TU_SLOT(pool->degrade.direct_connect)},                                         \
        config_key{table ".degrade", "direct_max",       type::count,                              \
                   {0, 10'000},      "So many at once.", TU_SLOT(pool->degrade.direct_max)},       \
        config_key {                                                                               \
        table ".degrade", "http_fallback_status", type::count, {400, 599},                         \
            "What others are answered with, beside Retry-After; visitors of tcp are reset.",       \
            TU_SLOT(pool->degrade.http_fallback_status)                                            \
    }

constexpr std::array keys{
    config_key{"",
               "config_version",
               type::count,
               {1, 1},
               "The version of this file's keys.",
               TU_SLOT(all.config_version)},

    config_key{"agent", "name", type::name, short_text, "Shown on the relay.",
               TU_SLOT(all.agent.name), "the host's name"},
    config_key{"agent",
               "relays",
               type::relay_addresses,
               {1, 16},
               "Relays to be at, a session with each.",
               TU_SLOT(all.agent.relays),
               "none: required"},
    config_key{"agent", "token_file", type::path, long_text,
               "A file with the token that `tunnel-uring token` made, mode 0600. Relative to the "
               "config file.",
               TU_SLOT(all.token_file)},
    config_key{"agent",
               "token",
               type::token,
               long_text,
               "The token itself, instead of a file. Never on a command line, where every user of "
               "the host could read it.",
               TU_SLOT(all.agent.token),
               {},
               false,
               true},
    config_key{"agent", "insecure_plaintext", type::boolean, one_word,
               "Connect without encryption to relays beyond this host.",
               TU_SLOT(all.agent.insecure_plaintext)},
    config_key{"agent",
               "max_exchanges",
               type::count,
               {1, 1'000'000},
               "Most visitors served at once, over all services.",
               TU_SLOT(all.agent.max_exchanges)},

    config_key{"agent.lanes",
               "shared",
               type::count,
               {1, 64},
               "Lanes that each carry many visitors' bytes.",
               TU_SLOT(all.agent.lanes.shared)},
    config_key{"agent.lanes",
               "bulk_max",
               type::count,
               {0, 1024},
               "Most bulk lanes each way, for big transfers; how many stand ready follows demand.",
               TU_SLOT(all.agent.lanes.bulk_max)},
    config_key{"agent.lanes", "max_lifetime", type::time, between(1s, 24h * 30),
               "A shared lane so old is replaced, jittered by 10 %.",
               TU_SLOT(all.agent.lanes.max_lifetime)},
    config_key{"agent.lanes", "heartbeat", type::time, between(10ms, 10min),
               "A session silent so long is pinged.", TU_SLOT(all.agent.lanes.heartbeat)},
    config_key{"agent.lanes", "heartbeat_loss", type::time, between(20ms, 1h),
               "A relay silent so long is taken for dead. More than `heartbeat`.",
               TU_SLOT(all.agent.lanes.heartbeat_loss)},

    config_key{"agent.reconnect", "initial", type::time, between(1ms, 1h),
               "The first delay is at most this.", TU_SLOT(all.agent.reconnect.initial)},
    config_key{"agent.reconnect", "max", type::time, between(1ms, 24h), "No delay is longer.",
               TU_SLOT(all.agent.reconnect.max)},
    config_key{"agent.reconnect",
               "multiplier",
               type::number,
               {1, 100},
               "From one delay's bound to the next one's.",
               TU_SLOT(all.agent.reconnect.multiplier)},
    config_key{"agent.reconnect", "reset_after", type::time, between(0s, 24h),
               "After a session of this length the delays start again from `initial`.",
               TU_SLOT(all.agent.reconnect.reset_after)},

    TU_POOL_KEYS("pool"),

    config_key{"services", "name", type::name, short_text,
               "Its name, in the log and in `--set services.<name>.<key>=<value>`.",
               TU_SLOT(service->name), "none: required", true},
    config_key{"services", "type", type::choice, one_word, "What it is.", TU_SLOT(service->type),
               "none: required", true},
    config_key{"services", "upstream", type::dial_address, long_text,
               "Where it listens: `host:port`, a port of localhost, or `unix:/path`.",
               TU_SLOT(service->upstream), "none: required", true},
    config_key{"services", "subdomain", type::subdomain, long_text,
               "http: visitors reach it at this name below the relay's domain: `app` is "
               "`app.<domain>`.",
               TU_SLOT(service->subdomain),
               "with no `hostnames` either: made from token and upstream, the same every time"},
    config_key{
        "services",
        "hostnames",
        type::hostnames,
        {0, 16},
        "http: full names it is reached at, `*.example.com` for a whole zone. The relay must "
        "grant them to the token, and DNS must lead them to the relay.",
        TU_SLOT(service->hostnames)},
    config_key{
        "services", "remote_port", type::count, any_port,
        "tcp: the relay's port for it. 0: the relay picks one, and the agent asks for the same "
        "again after a reconnect.",
        TU_SLOT(service->remote_port)},
    config_key{"services", "proxy_protocol", type::choice, one_word,
               "Tell the service who the visitor is, by a PROXY protocol header.",
               TU_SLOT(service->proxy_protocol)},
    config_key{
        "services", "speaks_first", type::choice, one_word,
        "tcp: who says the first byte. `server` (ssh, smtp, mysql): connections made ahead of "
        "their visitor meet login timers, so make none unless you know better.",
        TU_SLOT(service->speaks_first)},
    config_key{"services",
               "max_connections",
               type::count,
               {1, 1'000'000},
               "Most visitors at once; one more is refused.",
               TU_SLOT(service->max_connections)},

    TU_POOL_KEYS("services.pool"),

    config_key{"services.health_check", "type", type::choice, one_word,
               "`tcp`: it can be connected to. `http`: it answers a GET. `auto`: `tcp` where "
               "connections are made ahead of visitors, else `off`.",
               TU_SLOT(service->health_check.type)},
    config_key{"services.health_check", "path", type::url_path, short_path,
               "http: what is asked for. Empty: `/`.", TU_SLOT(service->health_check.path)},
    config_key{"services.health_check",
               "expected_status",
               type::count,
               {100, 599, true},
               "http: the status that a good answer has. 0: any from 200 to 399.",
               TU_SLOT(service->health_check.expected_status)},
    config_key{"services.health_check", "interval", type::time, zero_or(100ms, 24h),
               "Between two checks, jittered by 10 %.", TU_SLOT(service->health_check.interval),
               "the pool's `health_check_interval`"},
    config_key{"services.health_check", "timeout", type::time, zero_or(1ms, 10min),
               "Longest time for a check.", TU_SLOT(service->health_check.timeout),
               "the pool's `validation_timeout`"},
    config_key{"services.health_check",
               "max_failures",
               type::count,
               {1, 1000, true},
               "So many in a row have to fail.",
               TU_SLOT(service->health_check.max_failures),
               "the pool's `max_failures`"},

    config_key{"services.http", "host_header", type::host_header, long_text,
               "The Host that the upstream hears: `preserve`: what the visitor said; `upstream`: "
               "the upstream's own address, for servers that refuse names they do not know; else "
               "this text.",
               TU_SLOT(service->http.host_header)},
    config_key{
        "services.http", "forwarded", type::boolean, one_word,
        "Tell the upstream who the visitor is and what he asked for: X-Forwarded-For, -Proto "
        "and -Host.",
        TU_SLOT(service->http.forwarded)},
    config_key{"services.http", "response_timeout", type::time, zero_or(1ms, 24h),
               "To the first byte of the answer; after that the visitor gets a 504. 0: no limit.",
               TU_SLOT(service->http.response_timeout)},

    config_key{"relay", "control_listen", type::listen_address, long_text,
               "Where agents come in. Port 0: any.", TU_SLOT(all.relay.control_listen)},
    config_key{"relay", "tcp_host", type::host_address, long_text,
               "The address whose ports visitors come in at.", TU_SLOT(all.relay.tcp_host),
               "the host of `control_listen`"},
    config_key{"relay",
               "tcp_ports",
               type::ports,
               {1, 65535},
               "The ports that agents may have.",
               TU_SLOT(all.tcp_ports)},
    config_key{"relay", "http_listen", type::optional_listen_address, long_text,
               "Where visitors come in by HTTP. Empty: nowhere. Port 0: any.",
               TU_SLOT(all.relay.http.listen)},
    config_key{"relay", "domain", type::domain, long_text,
               "Services' subdomains are names below this one.", TU_SLOT(all.relay.http.domain)},
    config_key{"relay", "public_url", type::public_url, long_text,
               "Scheme and port that visitors see, where something stands before the relay.",
               TU_SLOT(all.relay.http.public_url), "http and the port of `http_listen`"},
    config_key{"relay",
               "trusted_proxies",
               type::networks,
               {0, 1024},
               "Whose X-Forwarded-* fields and PROXY headers are believed.",
               TU_SLOT(all.relay.http.trusted_proxies)},
    config_key{
        "relay", "proxy_protocol_in", type::choice, one_word,
        "The PROXY protocol header that connections of `trusted_proxies` begin with. `auto`: "
        "either, or none.",
        TU_SLOT(all.relay.http.proxy_protocol_in)},
    config_key{"relay", "health_path", type::url_path, short_path,
               "Answered with 200 by the relay itself, on names of no service. Empty: off.",
               TU_SLOT(all.relay.http.health_path)},
    config_key{"relay",
               "max_head_bytes",
               type::size,
               {1024, 32 * 1024},
               "Of a request: its first line and fields. Longer: 431.",
               TU_SLOT(all.relay.http.max_head_bytes)},
    config_key{"relay",
               "max_fields",
               type::count,
               {1, 1000},
               "Of a request's head. More: 431.",
               TU_SLOT(all.relay.http.max_fields)},
    config_key{"relay", "header_timeout", type::time, zero_or(10ms, 1h),
               "A visitor has so long for a whole head. 0: no limit.",
               TU_SLOT(all.relay.http.header_timeout)},
    config_key{"relay", "idle_timeout", type::time, zero_or(10ms, 24h),
               "A visitor's connection may be silent so long between requests; at least "
               "`header_timeout`. 0: no limit.",
               TU_SLOT(all.relay.http.idle_timeout)},
    config_key{"relay",
               "min_body_rate",
               type::count,
               {0, 1'000'000},
               "Bytes a second, each way, while a body is under way; slower is cut. 0: no limit.",
               TU_SLOT(all.relay.http.min_body_rate)},
    config_key{"relay",
               "max_visitors",
               type::count,
               {1, 1'000'000},
               "Most connections of HTTP visitors, idle ones too.",
               TU_SLOT(all.relay.http.max_visitors)},
    config_key{"relay",
               "max_exchanges_per_address",
               type::count,
               {1, 1'000'000},
               "Most requests at once from one address. More: 429.",
               TU_SLOT(all.relay.http.max_exchanges_per_address)},
    config_key{"relay", "insecure_open", type::boolean, one_word, "Let agents in without a token.",
               TU_SLOT(all.relay.insecure_open)},
    config_key{"relay", "insecure_plaintext", type::boolean, one_word,
               "Listen for agents beyond this host without encryption.",
               TU_SLOT(all.relay.insecure_plaintext)},
    config_key{"relay",
               "max_agents",
               type::count,
               {1, 1'000'000},
               "Most agents at once.",
               TU_SLOT(all.relay.max_agents)},
    config_key{"relay",
               "max_exchanges",
               type::count,
               {1, 1'000'000},
               "Most visitors at once, over all agents.",
               TU_SLOT(all.relay.max_exchanges)},
    config_key{"relay", "heartbeat", type::time, between(10ms, 10min),
               "An agent silent so long is pinged.", TU_SLOT(all.relay.heartbeat)},
    config_key{"relay", "heartbeat_loss", type::time, between(20ms, 1h),
               "An agent silent so long is taken for dead. More than `heartbeat`.",
               TU_SLOT(all.relay.heartbeat_loss)},

    config_key{"relay.tokens", "name", type::name, short_text, "Whose it is.", TU_SLOT(grant->name),
               "none: required", true},
    config_key{"relay.tokens", "public_key", type::public_key, long_text,
               "As `tunnel-uring token` printed it. The token itself stays with the agent.",
               TU_SLOT(grant->public_key), "none: required", true},
    config_key{"relay.tokens",
               "tcp_ports",
               type::port_list,
               {1, 65535},
               "Which of the relay's `tcp_ports` its services may have.",
               TU_SLOT(grant->tcp_ports),
               "all"},
    config_key{"relay.tokens",
               "subdomains",
               type::subdomain_patterns,
               {0, 1024},
               "Names below the relay's `domain` that its services may have, such as `app` or "
               "`app-*`; `*` stands for any letters, digits and dashes.",
               TU_SLOT(grant->subdomains),
               "all"},
    config_key{"relay.tokens",
               "hostnames",
               type::hostname_patterns,
               {0, 1024},
               "Names elsewhere that its services may have: `app.example.com`, `*.example.com` for "
               "that zone, `*` for any.",
               TU_SLOT(grant->hostnames)},

    config_key{"admin", "listen", type::admin_address, long_text,
               "An address of this host (port 0: any), or `unix:/path`, which only its owner may "
               "use. Empty or `off`: nowhere. Where the default is taken by another, the command "
               "goes on without; what is said here must be had.",
               TU_SLOT(all.admin.listen)},
    config_key{"metrics", "prometheus", type::boolean, one_word,
               "Answer GET /metrics, in the text format of Prometheus.",
               TU_SLOT(all.admin.prometheus)},
    config_key{"metrics", "window", type::time, between(1s, 1h),
               "How far back rates, averages and quantiles look (`*_p99`, `*_avg`, `*_rate`), in "
               "metrics and alerts.",
               TU_SLOT(all.admin.metrics_window)},

    config_key{"alerts", "name", type::name, short_text, "What it is called.", TU_SLOT(alert->name),
               "none: required", true},
    config_key{"alerts", "severity", type::choice, one_word,
               "`critical` is logged as an error, the others as warnings.",
               TU_SLOT(alert->severity)},
    config_key{"alerts", "when", type::condition, long_text, "True: something is wrong.",
               TU_SLOT(alert->when), "none: required", true},
    config_key{"alerts", "for", type::time, between(0s, 24h),
               "It fires when that has been so for so long.", TU_SLOT(alert->hold)},
    config_key{"alerts",
               "exec",
               type::arguments,
               {0, 64},
               "A program and its arguments, run when it fires and when it is resolved.",
               TU_SLOT(alert->exec)},

    config_key{"log", "level", type::choice, one_word, "Lines of less weight are left out.",
               TU_SLOT(all.log.level)},
    config_key{"log", "format", type::choice, one_word,
               "`auto` is `text` on a terminal, else `logfmt`.", TU_SLOT(all.log.format)},
    config_key{"log", "access", type::boolean, one_word,
               "One line for each visitor's connection or request; off: only of those that went "
               "wrong.",
               TU_SLOT(all.log.access)},

    config_key{"io_uring",
               "entries",
               type::count,
               {64, 32'768},
               "Of the submission queue.",
               TU_SLOT(all.io_uring.entries)},
    config_key{"io_uring",
               "buffers",
               type::count,
               {16, 32'768, false, true},
               "Provided buffers in each of two groups, a power of two.",
               TU_SLOT(all.io_uring.buffers)},
    config_key{"io_uring",
               "buffer_size",
               type::size,
               {4096, 1 << 20},
               "Of each buffer.",
               TU_SLOT(all.io_uring.buffer_size)},

    config_key{"io_uring", "splice", type::boolean, one_word,
               "Move the bytes of big transfers through pipes (splice(2)) instead of copying them.",
               TU_SLOT(all.io_uring.splice)},
    config_key{
        "io_uring", "busy_poll", type::spin_time, between(1us, 1ms),
        "How long a process that has nothing to do asks the kernel for more before it "
        "sleeps: waking takes longer than that. `auto`: off with fewer than 4 cores, else 50us "
        "while what comes mostly comes so soon and nobody else wants the core.",
        TU_SLOT(all.io_uring.busy_poll)},

    config_key{"shutdown", "grace", type::time, between(0s, 24h),
               "After SIGTERM or SIGINT open connections have so long to end; a second signal ends "
               "at once.",
               TU_SLOT(all.grace)},
};

#undef TU_POOL_KEYS
#undef TU_SLOT

constexpr std::array<std::string_view, 5> level_words{"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> format_words{"auto", "text", "logfmt", "json"};
constexpr std::array<std::string_view, 3> proxy_words{"off", "v1", "v2"};
constexpr std::array<std::string_view, 4> proxy_in_words{"off", "v1", "v2", "auto"};
constexpr std::array<std::string_view, 2> speaker_words{"client", "server"};
constexpr std::array<std::string_view, 2> kind_words{"tcp", "http"};
constexpr std::array<std::string_view, 3> profile_words{"internet", "lan", "high-latency"};
constexpr std::array<std::string_view, 2> reuse_words{"auto", "off"};
constexpr std::array<std::string_view, 3> severity_words{"critical", "major", "warning"};
constexpr std::array<std::string_view, 4> check_words{"auto", "off", "tcp", "http"};

}  // namespace

std::string config_key::path() const {
    return table.empty() ? std::string{name} : std::string{table} + "." + std::string{name};
}

std::string config_key::variable() const {
    const config_table* const in = find_table(table);
    if (in == nullptr || in->repeats()) return {};
    std::string text = "TUNNEL_URING_" + path();
    for (char& character : text) {
        character = character == '.'
                        ? '_'
                        : static_cast<char>(std::toupper(static_cast<unsigned char>(character)));
    }
    return text;
}

bool is_list(value_type type) noexcept {
    switch (type) {
        case value_type::relay_addresses:
        case value_type::networks:
        case value_type::subdomain_patterns:
        case value_type::hostnames:
        case value_type::hostname_patterns:
        case value_type::arguments: return true;
        default: return false;
    }
}

bool is_for(const config_key& key, service_kind kind) noexcept {
    const bool of_services = key.table == "services";
    const bool http_only = key.table == "services.http" ||
                           (of_services && (key.name == "subdomain" || key.name == "hostnames"));
    const bool tcp_only = of_services && (key.name == "remote_port" || key.name == "speaks_first");
    return kind == service_kind::http ? !tcp_only : !http_only;
}

std::span<const config_table> config_tables() noexcept { return tables; }
std::span<const config_key> config_keys() noexcept { return keys; }

const config_table* find_table(std::string_view path) noexcept {
    const auto found = std::find_if(tables.begin(), tables.end(),
                                    [path](const config_table& one) { return one.path == path; });
    return found == tables.end() ? nullptr : &*found;
}

const config_key* find_key(std::string_view table, std::string_view name) noexcept {
    const auto found = std::find_if(keys.begin(), keys.end(), [&](const config_key& one) {
        return one.table == table && one.name == name;
    });
    return found == keys.end() ? nullptr : &*found;
}

std::span<const std::string_view> words(log_level) noexcept { return level_words; }
std::span<const std::string_view> words(log_format) noexcept { return format_words; }
std::span<const std::string_view> words(enum proxy_protocol) noexcept { return proxy_words; }
std::span<const std::string_view> words(enum proxy_protocol_in) noexcept { return proxy_in_words; }
std::span<const std::string_view> words(first_speaker) noexcept { return speaker_words; }
std::span<const std::string_view> words(service_kind) noexcept { return kind_words; }
std::span<const std::string_view> words(pool_profile) noexcept { return profile_words; }
std::span<const std::string_view> words(pool_reuse) noexcept { return reuse_words; }
std::span<const std::string_view> words(health_check_type) noexcept { return check_words; }
std::span<const std::string_view> words(alert_severity) noexcept { return severity_words; }

}  // namespace tunnel_uring
