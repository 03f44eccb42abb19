#include "app/config_rules.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <set>

#include "app/host_names.hpp"
#include "base/log.hpp"
#include "base/units.hpp"
#include "net/address.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

void add(loaded_config& config, const std::string& path, std::string_view sentence) {
    config.problems.push_back({config.origin(path), fmt::format("{}: {}", path, sentence)});
}

// Of two keys that contradict each other the place of the one that somebody set.
void add(loaded_config& config, const std::string& path, const std::string& other,
         std::string_view sentence) {
    const bool set = config.origins.contains(path);
    config.problems.push_back(
        {config.origin(set ? path : other), fmt::format("{}: {}", path, sentence)});
}

void check_heartbeat(loaded_config& config, const std::string& table, duration heartbeat,
                     duration loss) {
    if (heartbeat < loss) return;
    add(config, table + ".heartbeat_loss", table + ".heartbeat",
        fmt::format("{} is not longer than the heartbeat of {}; make it at least twice as long",
                    format_duration(loss), format_duration(heartbeat)));
}

void check_pool(loaded_config& config, const std::string& path, const pool_config& pool) {
    const auto most = pool.max_pool_size;
    if (pool.warm_up_size > most)
        add(config, path + ".warm_up_size", path + ".max_pool_size",
            fmt::format("{} is more than max_pool_size, {}", pool.warm_up_size, most));
    if (pool.min_idle_connections > most)
        add(config, path + ".min_idle_connections", path + ".max_pool_size",
            fmt::format("{} is more than max_pool_size, {}", pool.min_idle_connections, most));
    const circuit_breaker_config& breaker = pool.circuit_breaker;
    if (breaker.open_max < breaker.open_for)
        add(config, path + ".circuit_breaker.open_max", path + ".circuit_breaker.open_for",
            fmt::format("{} is shorter than open_for, {}", format_duration(breaker.open_max),
                        format_duration(breaker.open_for)));
}

void check_health_check(loaded_config& config, const std::string& path,
                        const service_config& service) {
    const health_check_config& check = service.health_check;
    const auto told = [&](std::string_view key) {
        return config.origins.contains(fmt::format("{}.{}", path, key));
    };
    for (const std::string_view key : {"path", "expected_status"}) {
        if (check.type != health_check_type::http && told(key))
            add(config, fmt::format("{}.{}", path, key),
                "is asked for by checks of type \"http\" only; say type = \"http\" too");
    }
    const duration none{0};
    const duration interval =
        check.interval == none ? service.pool.health_check_interval : check.interval;
    const duration timeout =
        check.timeout == none ? service.pool.validation_timeout : check.timeout;
    if ((told("interval") || told("timeout")) && timeout > interval)
        add(config, path + ".timeout", path + ".interval",
            fmt::format("{} is longer than the interval, {}", format_duration(timeout),
                        format_duration(interval)));
}

void check_kind(loaded_config& config, const service_config& service, const std::string& path) {
    const bool typed = config.origins.contains(path + ".type");
    const bool mistyped = std::any_of(
        config.problems.begin(), config.problems.end(),
        [&](const config_problem& one) { return one.sentence.starts_with(path + ".type:"); });
    if (!typed || mistyped) return;
    for (const config_key& key : config_keys()) {
        if (!key.table.starts_with("services") || is_for(key, service.type)) continue;
        const bool of_http = key.table == "services.http";
        const std::string own = fmt::format("{}{}.{}", path, of_http ? ".http" : "", key.name);
        if (!config.origins.contains(own)) continue;
        const bool http = service.type == service_kind::http;
        add(config, own,
            fmt::format("means nothing to a service of type \"{}\"; leave it out, or say type = "
                        "\"{}\"",
                        http ? "http" : "tcp", http ? "tcp" : "http"));
    }
}

// Of one service's names; they travel in one message to the relay.
constexpr std::size_t hostname_characters = 3000;

void check_names(loaded_config& config, const service_config& service, const std::string& path,
                 std::set<std::string>& subdomains, std::set<std::string>& hostnames) {
    if (!service.subdomain.empty() && !subdomains.insert(service.subdomain).second)
        add(config, path + ".subdomain",
            fmt::format("another service has the name \"{}\" already", service.subdomain));
    std::size_t characters = 0;
    for (const std::string& name : service.hostnames) {
        characters += name.size();
        if (!hostnames.insert(name).second)
            add(config, path + ".hostnames",
                fmt::format("another service has the name \"{}\" already", name));
    }
    if (characters > hostname_characters)
        add(config, path + ".hostnames",
            fmt::format("they have {} characters together, and at most {} may be; divide them "
                        "over several services",
                        characters, hostname_characters));
}

void check_services(loaded_config& config) {
    std::set<std::uint16_t> ports;
    std::set<std::string> subdomains;
    std::set<std::string> hostnames;
    for (std::size_t i = 0; i < config.services.size(); ++i) {
        const service_config& service = config.values.agent.services[i];
        const std::string path = "services." + config.services[i].name;
        check_kind(config, service, path);
        check_names(config, service, path, subdomains, hostnames);
        // What it inherits from [pool] has been told there.
        const auto own = config.origins.lower_bound(path + ".pool.");
        if (own != config.origins.end() && own->first.starts_with(path + ".pool."))
            check_pool(config, path + ".pool", service.pool);
        check_health_check(config, path + ".health_check", service);
        if (service.remote_port != 0 && !ports.insert(service.remote_port).second)
            add(config, path + ".remote_port",
                fmt::format("another service has port {} already", service.remote_port));
    }
}

void check_tokens(loaded_config& config) {
    std::set<std::string> known;
    for (std::size_t i = 0; i < config.tokens.size(); ++i) {
        const std::string& key = config.values.relay.tokens[i].public_key;
        if (!key.empty() && !known.insert(key).second)
            add(config, "relay.tokens." + config.tokens[i].name + ".public_key",
                "another entry has the same key; give each agent a token of its own");
    }
}

void check_http_front(loaded_config& config) {
    const http_front_config& http = config.values.relay.http;
    const bool any_port = http.listen.ends_with(":0");
    if (!any_port && http.listen == config.values.relay.control_listen)
        add(config, "relay.http_listen", "relay.control_listen",
            fmt::format("{} is where agents come in (relay.control_listen); take another port",
                        http.listen));
    if (http.proxy_protocol_in != proxy_protocol_in::off && http.trusted_proxies.empty())
        add(config, "relay.proxy_protocol_in",
            "whoever sends such a header says who the visitor is; say in relay.trusted_proxies "
            "(--trusted-proxy) whom to believe");
    const std::string_view host = host_of_url(http.public_url);
    if (!http.public_url.empty() && host != http.domain)
        config.warnings.push_back(
            fmt::format("relay.public_url has the host {}, but services get names below "
                        "relay.domain, {}",
                        host, http.domain));
}

void check_admin(loaded_config& config) {
    const std::string& listen = config.values.admin.listen;
    const auto taken = [&](const std::string& other, const std::string& key) {
        if (listen != other || listen.ends_with(":0") || listen.empty()) return;
        add(config, "admin.listen", key,
            fmt::format("{} is {} too; take another port", other, key));
    };
    taken(config.values.relay.control_listen, "relay.control_listen");
    taken(config.values.relay.http.listen, "relay.http_listen");
    const result<host_port> where = parse_host_port(listen);
    if (listen.empty() || !where || is_loopback(to_socket_address(*where))) return;
    config.warnings.push_back(fmt::format(
        "admin.listen, {}, is beyond loopback: whoever reaches it reads metrics and status",
        listen));
}

// A path in the config file is meant from where that file is.
std::string token_file_path(const loaded_config& config) {
    const std::filesystem::path path{config.values.token_file};
    const bool from_file = config.origin("agent.token_file").source == value_source::file;
    if (path.is_absolute() || !from_file) return path.string();
    return (std::filesystem::path{config.file}.parent_path() / path).string();
}

void read_token_file(loaded_config& config, const std::string& path) {
    const std::string key = "agent.token_file";
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    std::array<char, 256> text{};
    const ssize_t length = fd < 0 ? -1 : ::read(fd, text.data(), text.size());
    const int code = errno;
    if (fd >= 0) ::close(fd);
    if (length < 0)
        return add(config, key,
                   fmt::format("cannot read {}: {}; make a token with `tunnel-uring token --out "
                               "{}`",
                               printable(path), std::strerror(code), printable(path)));
    const result<token> parsed =
        token::parse(std::string_view{text.data(), static_cast<std::size_t>(length)});
    if (!parsed)
        return add(config, key, fmt::format("{}: {}", printable(path), parsed.error().sentence()));
    config.values.agent.token = parsed->text();
}

void find_token(loaded_config& config) {
    const auto file = config.origin("agent.token_file").source;
    const auto direct = config.origin("agent.token").source;
    if (config.values.token_file.empty() || direct > file) return;
    if (direct == file && direct != value_source::default_value)
        return add(config, "agent.token_file", "agent.token is there too; say only one of them");
    config.values.agent.token.clear();
    config.token_path = token_file_path(config);
    read_token_file(config, config.token_path);
}

bool beyond_this_host(const std::string& address) {
    const result<host_port> where = parse_host_port(address);
    return where && is_numeric(*where) && !is_loopback(to_socket_address(*where));
}

}  // namespace

void check_rules(loaded_config& config) {
    const agent_config& agent = config.values.agent;
    const relay_config& relay = config.values.relay;
    check_heartbeat(config, "agent.lanes", agent.lanes.heartbeat, agent.lanes.heartbeat_loss);
    check_heartbeat(config, "relay", relay.heartbeat, relay.heartbeat_loss);
    if (agent.reconnect.initial > agent.reconnect.max)
        add(config, "agent.reconnect.max", "agent.reconnect.initial",
            fmt::format("{} is shorter than initial, {}", format_duration(agent.reconnect.max),
                        format_duration(agent.reconnect.initial)));
    check_pool(config, "pool", config.values.pool);
    check_services(config);
    check_http_front(config);
    check_tokens(config);
    check_admin(config);
}

void require_agent(loaded_config& config) {
    const agent_config& agent = config.values.agent;
    if (agent.relays.empty())
        add(config, "agent.relays",
            "no relay is given; say --relay host:port, TUNNEL_URING_RELAY or agent.relays");
    if (agent.services.empty())
        add(config, "services",
            "there is nothing to expose; add a [[services]] entry or say --service name=target");
    find_token(config);
    for (const std::string& relay : agent.relays) {
        if (agent.insecure_plaintext || !beyond_this_host(relay)) continue;
        add(config, "agent.relays",
            fmt::format("{} is beyond this host, and the connection to it would not be encrypted; "
                        "say --insecure-plaintext (agent.insecure_plaintext = true) if you trust "
                        "the network between",
                        relay));
    }
}

void require_relay(loaded_config& config) {
    relay_config& relay = config.values.relay;
    // A token file in the config is the agent's affair; on the command line it is meant for us.
    if (config.origin("agent.token_file").source == value_source::flag) {
        find_token(config);
        const result<token> held = token::parse(config.values.agent.token);
        if (!held) return;
        token_grant grant;
        grant.name = "token-file";
        grant.public_key = format_public_key(held->key());
        grant.hostnames = {"*"};
        relay.tokens.push_back(std::move(grant));
    }
    if (relay.tokens.empty() && !relay.insecure_open)
        add(config, "relay.tokens",
            "nobody may come in; make a token with `tunnel-uring token` and give its public key "
            "by --public-key or a [[relay.tokens]] entry, or let everybody in by --insecure-open");
    if (!relay.insecure_plaintext && beyond_this_host(relay.control_listen))
        add(config, "relay.control_listen",
            fmt::format("{} is not loopback, and agents' connections would not be encrypted; say "
                        "--listen 127.0.0.1:7443, or --insecure-plaintext "
                        "(relay.insecure_plaintext = true) if you trust the network",
                        relay.control_listen));
}

}  // namespace tunnel_uring
