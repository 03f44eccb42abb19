#include "app/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "app/demo_report.hpp"
#include "app/demo_services.hpp"
#include "app/demo_traffic.hpp"
#include "app/signals.hpp"
#include "net/address.hpp"
#include "net/listener.hpp"
#include "net/resolver.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/relay.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

constexpr duration patience = 30s;  // Of the whole demo with its services; then it has failed.
constexpr duration patience_a_request = 10ms;

socket_address any_loopback_port() {
    host_port where;
    where.host = "127.0.0.1";
    return to_socket_address(where);
}

class quiet_relay final : public relay_observer {
  public:
    void agent_connected(std::string_view, std::string_view) override {}
    void agent_gone(std::string_view, std::string_view) override {}
    void connection_refused(std::string_view, std::string_view) override {}
    void port_opened(std::string_view, std::string_view, std::string_view) override {}
    void port_closed(std::string_view, std::string_view, std::string_view) override {}
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}
};

class open_services final : public agent_observer {
  public:
    void connected(std::string_view) override {}
    void disconnected(std::string_view, std::string_view why) override { trouble_ = why; }
    void retrying(std::string_view, std::string_view why, std::uint32_t, duration) override {
        trouble_ = why;
    }
    void refused(std::string_view, std::uint16_t, std::string_view sentence) override {
        trouble_ = sentence;
    }
    void service_open(std::string_view service, std::span<const std::string> urls) override {
        open_[std::string{service}] = urls.front();
        changed_.notify();
    }
    void service_refused(std::string_view, std::uint16_t, std::string_view sentence) override {
        trouble_ = sentence;
    }
    void upstream_down(std::string_view, std::string_view why) override { trouble_ = why; }
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}

    // The URL of `service`, once it is open.
    task<result<std::string>> of(std::string service, cancel_token stop) {
        while (!open_.contains(service)) {
            const result<void> woken = co_await changed_.wait(stop);
            if (!woken) co_return error{ETIMEDOUT, trouble_};
        }
        co_return open_[service];
    }

  private:
    std::map<std::string, std::string> open_;
    event changed_;
    std::string trouble_ = "the agent did not get its services in time";
};

// Names of the services, in the agent's order.
constexpr std::string_view tcp_on = "echo";
constexpr std::string_view tcp_off = "echo-pool-off";
constexpr std::string_view http_on = "demo";
constexpr std::string_view http_off = "demo-pool-off";

service_config echo_service(std::string_view name, const socket_address& upstream,
                            std::uint32_t warm) {
    service_config service;
    service.name = name;
    service.upstream = format(upstream);
    service.pool.warm_up_size = warm;
    service.pool.min_idle_connections = warm;
    return service;
}

service_config http_service(std::string_view name, const socket_address& upstream,
                            std::uint32_t warm) {
    service_config service = echo_service(name, upstream, warm);
    service.type = service_kind::http;
    service.subdomain = name;
    if (warm == 0) service.pool.reuse = pool_reuse::off;
    return service;
}

relay_config relay_for(const token& key, const demo_options& options) {
    relay_config config;
    config.control_listen = "127.0.0.1:0";
    config.tcp_ports_first = 0;
    config.tcp_ports_last = 65535;
    config.http.listen = "127.0.0.1:0";
    config.http.max_exchanges_per_address =
        std::max(config.http.max_exchanges_per_address, 2 * options.concurrency);
    token_grant grant;
    grant.name = "demo";
    grant.public_key = format_public_key(key.key());
    config.tokens.push_back(grant);
    return config;
}

agent_config agent_for(const token& key, const demo_options& options, const relay& front,
                       const socket_address& echo, const socket_address& web) {
    agent_config config;
    config.name = "demo";
    config.relays.push_back(format(front.control_address()));
    config.token = key.text();
    config.services.push_back(echo_service(tcp_on, echo, options.concurrency));
    config.services.push_back(echo_service(tcp_off, echo, 0));
    config.services.push_back(http_service(http_on, web, options.concurrency));
    config.services.push_back(http_service(http_off, web, 0));
    for (service_config& service : config.services)
        service.pool.max_pool_size = std::max(service.pool.max_pool_size, options.concurrency);
    return config;
}

// "http://demo.localhost:8080" without its scheme.
std::string authority_of(const std::string& url) {
    const std::size_t scheme = url.find("://");
    return scheme == std::string::npos ? url : url.substr(scheme + 3);
}

// Where each shape's visitors go.
task<result<void>> find_ways(open_services& open, demo_report& out, cancel_token stop) {
    for (const std::size_t index : {std::size_t{1}, std::size_t{2}}) {
        std::string service{index == 1 ? tcp_on : tcp_off};
        const result<std::string> url = co_await open.of(std::move(service), stop);
        if (!url) co_return url.error();
        const result<host_port> where = parse_host_port(authority_of(*url));
        if (!where) co_return where.error();
        out.tcp[index].to = to_socket_address(*where);
    }
    for (const std::size_t index : {std::size_t{1}, std::size_t{2}}) {
        std::string service{index == 1 ? http_on : http_off};
        const result<std::string> url = co_await open.of(std::move(service), stop);
        if (!url) co_return url.error();
        out.http[index].host = authority_of(*url);
        if (index == 1) out.hello.url = *url + "/hello";
    }
    co_return result<void>{};
}

task<> send_traffic(io_context& io, const demo_options& options, demo_report& out,
                    cancel_token stop) {
    const demo_load load{options.requests, options.concurrency};
    co_await say_hello(io, out.http[1].to, out.http[1].host, out.hello, stop);
    for (tcp_shape& one : out.tcp) co_await ask_tcp(io, one, load, stop);
    for (http_shape& one : out.http) co_await ask_http(io, one, load, stop);
    co_await check_bulk(io, out.tcp[1].to, out.bulk, stop);
}

// With relay and agent running.
task<> measure(io_context& io, const demo_options& options, const agent& back, open_services& open,
               demo_report& out, cancel_token stop) {
    const time_point began = io.now();
    for (const std::size_t index : {std::size_t{0}, std::size_t{2}}) {
        const result<void> warm = co_await back.services()[index]->pool().warmed_up(stop);
        if (!warm) out.trouble = "the pool did not warm up";
    }
    out.warm_up = io.now() - began;
    const result<void> found = co_await find_ways(open, out, stop);
    if (found) co_await send_traffic(io, options, out, stop);
    else out.trouble = found.error().message();
}

// Relay and agent, from their start to their end.
task<> run_tunnel(io_context& io, const demo_options& options, const socket_address& echo,
                  const socket_address& web, stop_signals& signals, demo_report& out) {
    const time_point began = io.now();
    const token key = token::generate();
    const relay_config relay_settings = relay_for(key, options);
    quiet_relay relay_watcher;
    relay front{io, relay_settings, relay_watcher};
    const result<void> listening = co_await front.listen();
    if (!listening) {
        out.trouble = listening.error().message();
        co_return;
    }
    out.relay_address = format(front.control_address());
    if (const std::optional<socket_address> http = front.http_address()) {
        out.http_address = format(*http);
        out.http[1].to = out.http[2].to = *http;
    }
    out.tcp[0].to = echo;
    out.http[0].to = web;
    out.http[0].host = format(web);
    const agent_config settings = agent_for(key, options, front, echo, web);
    resolver names{io};
    open_services open;
    agent back{io, settings, names, open, std::random_device{}()};
    nursery roles;
    roles.start(front.run(signals.drain(), signals.stop()));
    roles.start(back.run(signals.drain(), signals.stop()));
    {
        deadline limit{io, patience + options.requests * patience_a_request, signals.drain()};
        co_await measure(io, options, back, open, out, limit.token());
    }
    out.took = io.now() - began;
    fmt::print("{}", options.json ? report_json(out) : report_text(out));
    std::fflush(stdout);
    if (options.keep && !signals.drain().requested()) {
        fmt::print("up       {} and a TCP echo service at {} until Ctrl+C\n", out.hello.url,
                   format(out.tcp[1].to));
        std::fflush(stdout);
        co_await cancelled(signals.drain());
    }
    signals.request_drain();
    co_await roles.join();
}

task<> demonstrate(io_context& io, const demo_options& options, demo_report& out) {
    stop_signals signals;
    cancel_source over;
    nursery services;
    services.start(signals.watch(io, over.token()));
    result<listener> echo = listener::open(io, any_loopback_port());
    result<listener> web = listener::open(io, any_loopback_port());
    if (echo && web) {
        services.start(serve_echo(*echo, over.token()));
        services.start(serve_http_sample(*web, over.token()));
        const socket_address echo_at = echo->address();
        const socket_address web_at = web->address();
        co_await run_tunnel(io, options, echo_at, web_at, signals, out);
    } else {
        out.trouble = echo ? web.error().message() : echo.error().message();
    }
    over.request();
    co_await services.join();
}

}  // namespace

exit_status run_demo(const demo_options& options) {
    result<std::unique_ptr<backend>> kernel = make_uring_backend({});
    if (!kernel) {
        fmt::print(stderr, "tunnel-uring: {}\n", kernel.error().message());
        return exit_host;
    }
    demo_report out;
    out.bulk.bytes = options.bulk_bytes;
    io_context io{std::move(*kernel)};
    io.run(demonstrate(io, options, out));
    if (out.relay_address.empty()) fmt::print(stderr, "tunnel-uring: {}\n", out.trouble);
    return out.ok() ? exit_ok : exit_failed;
}

}  // namespace tunnel_uring
