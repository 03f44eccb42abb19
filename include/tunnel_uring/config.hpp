// What an agent and a relay can be told. Every field has the default that users meet; the text form
// (file, environment, flags) and all ranges are in docs/configuration.md.
//
// Durations are std::chrono, sizes are bytes, addresses are text as people write them: "host:port",
// "[v6]:port", "unix:/path".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tunnel_uring {

// The order is that of weight: a log of one level shows what weighs as much or more.
enum class log_level { trace, debug, info, warn, error };
enum class log_format {
    automatic,  // text where stderr is a terminal, else logfmt
    text,
    logfmt,
    json,
};

// Of the whole process.
struct log_config {
    log_level level = log_level::info;
    log_format format = log_format::automatic;
    bool access = true;  // One line for each connection of a visitor.
};

// Of io_uring_config::busy_poll: spins where there are 4 cores, while it has paid off lately.
inline constexpr std::chrono::nanoseconds busy_poll_auto{-1};

// One ring, for one thread.
struct io_uring_config {
    std::uint32_t entries = 4096;           // Of the submission queue; 64 to 32768.
    std::uint32_t buffers = 1024;           // In each of two groups; a power of two, 16 to 32768.
    std::uint32_t buffer_size = 16 * 1024;  // Bytes; 4 KiB to 1 MiB.
    bool splice = true;                     // Bulk goes through pipes instead of being copied.
    // How long to ask the kernel for more before sleeping; 0: not at all.
    std::chrono::nanoseconds busy_poll = busy_poll_auto;
};

// Where a role tells about itself: HTTP for machines and for `tunnel-uring status`.
struct admin_config {
    // A numeric "host:port" (port 0: any) or "unix:/path", which only its owner may use; "": off.
    std::string listen = "127.0.0.1:4040";
    // When it cannot listen there the role does not start; else it goes on without.
    bool required = false;
    bool prometheus = true;  // GET /metrics.
    // How far back rates and quantiles look; pools have their own.
    std::chrono::nanoseconds metrics_window = std::chrono::seconds{60};
};

enum class alert_severity { critical, major, warning };

// What is wrong with a service's pool when a condition on its metrics has held for some time.
struct alert_config {
    std::string name;
    alert_severity severity = alert_severity::warning;
    std::string when;  // docs/metrics.md, "Alerts"
    std::chrono::nanoseconds hold{0};
    std::vector<std::string> exec;  // A program and its arguments; empty: none.
};
inline std::vector<alert_config> default_alerts() {
    using std::chrono::minutes;
    return {{"pool_exhausted",
             alert_severity::critical,
             "connection_pool_idle_current == 0 and connection_pool_size_current >= "
             "connection_pool_size_max",
             std::chrono::seconds{30},
             {}},
            {"slow_acquire",
             alert_severity::major,
             "connection_acquire_time_p99 > 500ms",
             minutes{5},
             {}},
            {"low_reuse", alert_severity::warning, "connection_reuse_rate < 60%", minutes{10}, {}}};
}

// One token that may come in at a relay. Its holder proves the key; the relay never sees a token.
struct token_grant {
    std::string name;
    std::string public_key;  // "ed25519:…"
    // Ports its services may have; empty: any of relay_config::tcp_ports.
    std::vector<std::pair<std::uint16_t, std::uint16_t>> tcp_ports;
    // Names below relay_config::domain that its services may have: "app", "app-*" (`*` stands for
    // any letters, digits and dashes of a label); empty: any.
    std::vector<std::string> subdomains;
    // Names elsewhere: "app.example.com", "*.example.com" (that name's whole zone), "*" for any;
    // empty: none.
    std::vector<std::string> hostnames;
};

// A PROXY protocol header that visitors' connections begin with, from a balancer before the relay.
enum class proxy_protocol_in {
    off,
    v1,
    v2,
    automatic,  // v1, v2 or none.
};

// Visitors by HTTP. A time of 0 is no limit.
struct http_front_config {
    std::string listen;                // "" = off; port 0: any.
    std::string domain = "localhost";  // A service's subdomain `app` is app.<domain>.
    // Scheme and port that visitors see, "https://tunnel.example.com"; "": http and the port of
    // `listen`.
    std::string public_url;
    // Addresses and networks ("10.0.0.0/8") whose X-Forwarded-* fields and PROXY headers count.
    std::vector<std::string> trusted_proxies;
    enum proxy_protocol_in proxy_protocol_in = proxy_protocol_in::off;
    std::string health_path = "/.tunnel-uring/health";  // On names of no service; "" = off.
    std::uint32_t max_head_bytes = 32 * 1024;           // Start line and fields.
    std::uint32_t max_fields = 100;
    std::chrono::nanoseconds header_timeout = std::chrono::seconds{10};  // To a whole head.
    std::chrono::nanoseconds idle_timeout = std::chrono::seconds{75};    // Between requests.
    std::uint32_t min_body_rate = 256;   // Bytes a second while a body is under way, each way.
    std::uint32_t max_visitors = 16000;  // Connections, idle ones too.
    std::uint32_t max_exchanges_per_address = 1000;  // Requests at once from one address.
};

struct relay_config {
    std::string control_listen = "0.0.0.0:7443";  // Agents come in here; port 0: any.
    std::string tcp_host;  // Where visitors come in; empty: the host of control_listen.
    std::uint16_t tcp_ports_first = 15000;
    std::uint16_t tcp_ports_last = 15999;
    http_front_config http;
    std::vector<token_grant> tokens;
    bool insecure_open = false;       // Let agents in without a token.
    bool insecure_plaintext = false;  // Let control and lanes leave loopback unencrypted.
    std::uint32_t max_agents = 10000;
    std::uint32_t max_exchanges = 100000;  // All agents together.
    std::chrono::nanoseconds heartbeat = std::chrono::seconds{3};
    std::chrono::nanoseconds heartbeat_loss = std::chrono::seconds{8};
    std::chrono::nanoseconds grace = std::chrono::seconds{30};
    admin_config admin;
    io_uring_config io_uring;
};

enum class proxy_protocol { off, v1, v2 };
enum class first_speaker { client, server };

// Where the upstream is; what that presets is in profile_values().
enum class pool_profile { internet, lan, high_latency };
enum class pool_reuse {
    automatic,  // http: one visitor after another; tcp: connected beforehand only.
    off,        // Neither: each visitor gets a connection of his own, made for him.
};

// Times that are preset together.
struct profile_times {
    std::chrono::nanoseconds connection_timeout = std::chrono::seconds{10};
    std::chrono::nanoseconds max_idle_time = std::chrono::seconds{300};
    std::chrono::nanoseconds validation_timeout = std::chrono::seconds{5};
    std::chrono::nanoseconds acquire_timeout = std::chrono::seconds{2};
    std::chrono::nanoseconds health_check_interval = std::chrono::seconds{60};
};
constexpr profile_times profile_values(pool_profile profile) noexcept {
    using std::chrono::seconds;
    switch (profile) {
        case pool_profile::lan:
            return {seconds{3}, seconds{90}, seconds{1}, seconds{1}, seconds{15}};
        case pool_profile::high_latency:
            return {seconds{30}, seconds{600}, seconds{15}, seconds{10}, seconds{120}};
        case pool_profile::internet: break;
    }
    return {};
}

struct circuit_breaker_config {
    std::uint32_t failure_threshold = 5;  // In a row; 0: failures do not open it.
    std::chrono::nanoseconds open_for = std::chrono::seconds{5};
    std::chrono::nanoseconds open_max = std::chrono::seconds{60};
};

// What becomes of visitors whom the pool cannot serve.
struct degrade_config {
    bool direct_connect = true;
    std::uint32_t direct_max = 32;  // At once.
    std::uint32_t http_fallback_status = 503;
};

struct pool_config : profile_times {
    pool_profile profile = pool_profile::internet;
    pool_reuse reuse = pool_reuse::automatic;
    std::uint32_t max_pool_size = 50;
    // The idle target follows demand from here upwards; 0: from warm_up_size.
    std::uint32_t min_idle_connections = 0;
    std::uint32_t warm_up_size = 0;  // 0: a tcp service is not connected before it is asked for.
    bool warm_up_on_start = true;
    std::chrono::nanoseconds max_lifetime = std::chrono::minutes{30};  // 0: no limit.
    std::chrono::nanoseconds cleanup_interval = std::chrono::seconds{30};
    std::uint32_t acquire_queue = 1024;
    std::uint32_t max_failures = 3;                                // Health checks in a row.
    std::chrono::nanoseconds lease_limit = std::chrono::hours{1};  // 0: none.
    // How far back rates, averages and quantiles look.
    std::chrono::nanoseconds metrics_window = std::chrono::seconds{60};
    circuit_breaker_config circuit_breaker;
    degrade_config degrade;
};

enum class health_check_type {
    automatic,  // tcp where connections are made beforehand, else off.
    off,
    tcp,   // Can be connected to.
    http,  // Answers a GET.
};

// A time or count of 0 is that of the service's pool.
struct health_check_config {
    health_check_type type = health_check_type::automatic;
    std::string path = "/";
    std::uint32_t expected_status = 0;  // 0: 200 to 399.
    std::chrono::nanoseconds interval{0};
    std::chrono::nanoseconds timeout{0};
    std::uint32_t max_failures = 0;
};

enum class service_kind { tcp, http };

// What is said to and of an http service.
struct http_service_config {
    // "preserve": as the visitor said it; "upstream": the upstream's own address; else this text.
    std::string host_header = "preserve";
    bool forwarded = true;  // X-Forwarded-For, -Proto and -Host for the upstream.
    // To the first byte of the answer; 0: none.
    std::chrono::nanoseconds response_timeout = std::chrono::seconds{60};
};

struct service_config {
    std::string name;
    service_kind type = service_kind::tcp;
    std::string upstream;
    // http: the name below the relay's domain, and full names ("*.example.com" for a zone). With
    // neither, a name is made from token and upstream: the same one every time.
    std::string subdomain;
    std::vector<std::string> hostnames;  // At most 16.
    http_service_config http;
    std::uint16_t remote_port = 0;  // 0: the relay picks one, the same again after a reconnect.
    enum proxy_protocol proxy_protocol = proxy_protocol::off;  // Header to the upstream.
    first_speaker speaks_first = first_speaker::client;
    std::uint32_t max_connections = 1000;
    health_check_config health_check;
    pool_config pool;
};

struct lanes_config {
    std::uint32_t shared = 4;
    std::uint32_t bulk_max = 64;  // Each way.
    std::chrono::nanoseconds max_lifetime = std::chrono::hours{1};
    std::chrono::nanoseconds heartbeat = std::chrono::seconds{3};
    std::chrono::nanoseconds heartbeat_loss = std::chrono::seconds{8};
};

struct reconnect_config {
    std::chrono::nanoseconds initial = std::chrono::milliseconds{200};
    std::chrono::nanoseconds max = std::chrono::seconds{30};
    double multiplier = 2.0;
    std::chrono::nanoseconds reset_after = std::chrono::seconds{60};
};

struct agent_config {
    std::string name;
    std::vector<std::string> relays;  // A session with each.
    std::string token;                // "tut_…"; empty only for a relay that is open.
    bool insecure_plaintext = false;
    std::uint32_t max_exchanges = 10000;
    lanes_config lanes;
    reconnect_config reconnect;
    std::vector<service_config> services;
    std::chrono::nanoseconds grace = std::chrono::seconds{30};
    std::vector<alert_config> alerts = default_alerts();
    admin_config admin;
    io_uring_config io_uring;
};

}  // namespace tunnel_uring
