// The one table of configuration keys. Parsing, --set, TUNNEL_URING_* variables, `check --print`
// and docs/configuration.md are all made from it; defaults are those of the config structs.
#pragma once

#include <tunnel_uring/config.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.hpp"

namespace tunnel_uring {

using port_range = std::pair<std::uint16_t, std::uint16_t>;

// All that can be configured, as the tables of the file have it.
struct settings {
    agent_config agent;
    relay_config relay;
    pool_config pool;  // Where every service's own pool starts from.
    log_config log;
    io_uring_config io_uring;
    admin_config admin;
    duration grace = agent_config{}.grace;
    std::string token_file;
    port_range tcp_ports{relay_config{}.tcp_ports_first, relay_config{}.tcp_ports_last};
    std::uint32_t config_version = 1;
};

// What a key may be in: the whole, and one entry of a repeated table.
struct key_scope {
    settings& all;
    pool_config* pool = nullptr;  // That of `all` or of `service`.
    service_config* service = nullptr;
    token_grant* grant = nullptr;
    alert_config* alert = nullptr;
};

enum class value_type {
    boolean,
    count,          // a whole number
    number,         // any number
    time,           // a duration
    spin_time,      // auto, off or a duration
    size,           // bytes
    text,           // any
    path,           // of a file
    name,           // letters, digits, . _ -
    dial_address,   // host:port, port or unix:/path
    relay_address,  // host:port
    relay_addresses,
    listen_address,           // a numeric host:port
    optional_listen_address,  // that, or ""
    admin_address,            // that, unix:/path, off or ""
    host_address,             // a numeric host
    token,
    public_key,
    ports,  // 15000-15999 or one port
    port_list,
    domain,              // tunnel.example.com
    public_url,          // https://tunnel.example.com, or ""
    networks,            // addresses and networks
    url_path,            // /health, or ""
    subdomain,           // app, a.b or ""
    subdomain_patterns,  // app-*
    hostnames,           // app.example.com, *.example.com
    hostname_patterns,   // those and *
    host_header,         // preserve, upstream or a host
    condition,           // of an alert
    arguments,           // a program and what it gets
    choice,              // one of some words
};

using value_slot =
    std::variant<bool*, std::uint16_t*, std::uint32_t*, double*, duration*, std::string*,
                 std::vector<std::string>*, port_range*, std::vector<port_range>*, log_level*,
                 log_format*, enum proxy_protocol*, enum proxy_protocol_in*, first_speaker*,
                 service_kind*, pool_profile*, pool_reuse*, health_check_type*, alert_severity*>;

// Inclusive; nanoseconds for times, bytes for sizes, characters for text.
struct value_limits {
    double least = 0;
    double most = 0;
    bool or_zero = false;  // 0 is fine too, and means something of its own.
    bool power_of_two = false;
};

struct config_key {
    std::string_view table;  // "agent.lanes"; "" for the top.
    std::string_view name;
    value_type type;
    value_limits limits;
    std::string_view help;
    value_slot (*slot)(key_scope&);
    std::string_view default_note = {};  // Where the default is no value but a rule.
    bool required = false;               // In an entry of a repeated table.
    bool secret = false;                 // Never shown, never on a command line.

    std::string path() const;      // "agent.lanes.shared"
    std::string variable() const;  // "TUNNEL_URING_AGENT_LANES_SHARED"; "" in repeated tables
};

struct config_table {
    std::string_view path;
    std::string_view help;
    bool repeated = false;        // [[path]]; its entries are told apart by `name`.
    std::string_view owner = {};  // The repeated table that it belongs to one entry of.
    bool repeats() const noexcept { return repeated || !owner.empty(); }
};

// What is told of a pool to start from where nobody has said it: an http service's connections
// serve one visitor after another, so some always stand ready; a tcp service is not connected to
// before it is asked for.
inline constexpr std::uint32_t http_warm_up_size = 10;
inline constexpr std::uint32_t http_min_idle_connections = 5;

// Lists of text, whose flags may be repeated.
bool is_list(value_type type) noexcept;
// False for keys of [[services]] and its tables that mean nothing to a service of this kind.
bool is_for(const config_key& key, service_kind kind) noexcept;

// In the order in which they are documented and printed.
std::span<const config_table> config_tables() noexcept;
std::span<const config_key> config_keys() noexcept;
const config_table* find_table(std::string_view path) noexcept;
const config_key* find_key(std::string_view table, std::string_view name) noexcept;

// The words of a choice, in the order of its enum.
std::span<const std::string_view> words(log_level) noexcept;
std::span<const std::string_view> words(log_format) noexcept;
std::span<const std::string_view> words(enum proxy_protocol) noexcept;
std::span<const std::string_view> words(enum proxy_protocol_in) noexcept;
std::span<const std::string_view> words(first_speaker) noexcept;
std::span<const std::string_view> words(service_kind) noexcept;
std::span<const std::string_view> words(pool_profile) noexcept;
std::span<const std::string_view> words(pool_reuse) noexcept;
std::span<const std::string_view> words(health_check_type) noexcept;
std::span<const std::string_view> words(alert_severity) noexcept;

}  // namespace tunnel_uring
