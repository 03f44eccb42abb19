#include "app/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "app/signals.hpp"
#include "net/address.hpp"
#include "net/listener.hpp"
#include "net/resolver.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/relay.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

constexpr std::size_t request_bytes = 1024;
constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr duration patience = 30s;  // Of the whole demo with its services; then it has failed.

socket_address any_loopback_port() {
    host_port where;
    where.host = "127.0.0.1";
    return to_socket_address(where);
}

// ── the sample service: says back what it is told ──

task<> echo(stream connection, cancel_token stop) {
    std::vector<std::byte> memory(chunk_bytes);
    for (;;) {
        const result<std::size_t> got = co_await connection.receive(memory, stop);
        if (!got || *got == 0) break;
        const bytes_view bytes = bytes_view{memory}.first(*got);
        const result<void> sent = co_await connection.send_all(bytes, stop);
        if (!sent) break;
    }
    static_cast<void>(connection.shutdown_send());
}

task<> serve_echo(listener& source, cancel_token stop) {
    acceptor incoming{source};
    nursery connections{stop};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        connections.start(echo(std::move(*accepted), connections.token()));
    }
    co_await incoming.stop();
    co_await connections.join();
}

// ── the traffic ──

struct shape {
    explicit shape(std::string title) : name{std::move(title)} {}

    std::string name;
    socket_address to;
    std::vector<duration> connect;     // Until the visitor is connected.
    std::vector<duration> first_byte;  // From then to the first byte of the answer.
    std::uint32_t right = 0;
    std::uint32_t wrong = 0;
    std::uint32_t left = 0;  // Not begun.
};

task<bool> ask_once(io_context& io, shape& what, bytes_view question, cancel_token stop) {
    using clock = std::chrono::steady_clock;
    const auto began = clock::now();
    result<stream> visitor = co_await stream::connect(io, what.to, stop);
    if (!visitor) co_return false;
    const auto connected = clock::now();
    const result<void> sent = co_await visitor->send_all(question, stop);
    if (!sent) co_return false;
    static_cast<void>(visitor->shutdown_send());
    std::vector<std::byte> answer(question.size() + 1);
    std::size_t size = 0;
    for (;;) {
        const bytes_span room = bytes_span{answer}.subspan(size);
        const result<std::size_t> got = co_await visitor->receive(room, stop);
        if (!got) co_return false;
        if (size == 0) {
            what.connect.push_back(connected - began);
            what.first_byte.push_back(clock::now() - connected);
        }
        if (*got == 0) break;
        size += *got;
        if (size == answer.size()) co_return false;
    }
    co_return sha256(bytes_view{answer}.first(size)) == sha256(question);
}

task<> ask_in_turn(io_context& io, shape& what, std::uint64_t seed, cancel_token stop) {
    std::mt19937_64 random{seed};
    std::vector<std::byte> question(request_bytes);
    while (what.left > 0) {
        what.left -= 1;
        for (std::byte& byte : question) byte = static_cast<std::byte>(random());
        const bool right = co_await ask_once(io, what, question, stop);
        ++(right ? what.right : what.wrong);
    }
}

task<> ask_many(io_context& io, shape& what, const demo_options& options, cancel_token stop) {
    what.left = options.requests;
    nursery visitors;
    for (std::uint32_t i = 0; i < options.concurrency; ++i)
        visitors.start(ask_in_turn(io, what, i + 1, stop));
    co_await visitors.join();
}

struct bulk_check {
    std::uint64_t bytes = 0;
    bool right = false;
    duration took{};
};

// The bytes of a position are the same whoever asks: both ends of the check make them anew.
void fill_pattern(bytes_span out, std::mt19937_64& random) {
    for (std::size_t i = 0; i + 8 <= out.size(); i += 8)
        store_big_endian(out.data() + i, static_cast<std::uint64_t>(random()));
}

task<> send_pattern(stream& visitor, std::uint64_t bytes, cancel_token stop) {
    std::mt19937_64 random{7};
    std::vector<std::byte> chunk(chunk_bytes);
    for (std::uint64_t sent = 0; sent < bytes; sent += chunk.size()) {
        fill_pattern(chunk, random);
        const result<void> done = co_await visitor.send_all(chunk, stop);
        if (!done) co_return;
    }
    static_cast<void>(visitor.shutdown_send());
}

task<> check_bulk(io_context& io, socket_address to, bulk_check& check, cancel_token stop) {
    const auto began = std::chrono::steady_clock::now();
    result<stream> visitor = co_await stream::connect(io, to, stop);
    if (!visitor) co_return;
    nursery sending;
    sending.start(send_pattern(*visitor, check.bytes, stop));
    std::mt19937_64 random{7};
    std::vector<std::byte> expected(chunk_bytes);
    std::vector<std::byte> got_bytes(chunk_bytes);
    hasher sent_sum;
    hasher got_sum;
    std::uint64_t total = 0;
    for (;;) {
        const result<std::size_t> got = co_await visitor->receive(got_bytes, stop);
        if (!got || *got == 0) break;
        total += *got;
        got_sum.add(bytes_view{got_bytes}.first(*got));
    }
    for (std::uint64_t at = 0; at < check.bytes; at += expected.size()) {
        fill_pattern(expected, random);
        sent_sum.add(expected);
    }
    co_await sending.join();
    check.right = total == check.bytes && sent_sum.finish() == got_sum.finish();
    check.took = std::chrono::steady_clock::now() - began;
}

// ── relay and agent ──

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

class addresses final : public agent_observer {
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
        open_[std::string{service}] = urls.front().substr(std::string_view{"tcp://"}.size());
        changed_.notify();
    }
    void service_refused(std::string_view, std::uint16_t, std::string_view sentence) override {
        trouble_ = sentence;
    }
    void upstream_down(std::string_view, std::string_view why) override { trouble_ = why; }
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}

    // Where visitors reach `service`, once it is open.
    task<result<socket_address>> of(std::string service, cancel_token stop) {
        while (!open_.contains(service)) {
            const result<void> woken = co_await changed_.wait(stop);
            if (!woken) co_return error{ETIMEDOUT, trouble_};
        }
        const result<host_port> where = parse_host_port(open_[service]);
        co_return to_socket_address(*where);
    }

  private:
    std::map<std::string, std::string> open_;
    event changed_;
    std::string trouble_ = "the agent did not get its ports in time";
};

service_config echo_service(std::string name, const socket_address& upstream, std::uint32_t warm) {
    service_config service;
    service.name = std::move(name);
    service.upstream = format(upstream);
    service.pool.warm_up_size = warm;
    service.pool.min_idle_connections = warm;
    return service;
}

struct report {
    std::array<shape, 3> shapes{shape{"direct"}, shape{"pool on"}, shape{"pool off"}};
    bulk_check bulk;
    std::string relay_address;
    std::string trouble;
    duration warm_up{};
    duration took{};

    bool ok() const {
        return trouble.empty() && bulk.right &&
               std::all_of(shapes.begin(), shapes.end(),
                           [](const shape& one) { return one.wrong == 0 && one.right > 0; });
    }
};

double milliseconds(duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

double quantile(std::vector<duration> values, double fraction) {
    if (values.empty()) return 0;
    const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                     values.end());
    return milliseconds(values[rank]);
}

void print_table(const report& what) {
    fmt::print("relay    {}\n", what.relay_address);
    fmt::print("agent    connected; warm-up took {:.1f} ms\n", milliseconds(what.warm_up));
    for (const shape& one : what.shapes) {
        fmt::print("checked  {:<8}  {} connections of {} bytes, {} right, {} wrong (sha256)\n",
                   one.name, one.right + one.wrong, request_bytes, one.right, one.wrong);
    }
    const double seconds = milliseconds(what.bulk.took) / 1000;
    fmt::print("bulk     {} MiB there and back on one connection: {} ({:.0f} MB/s)\n",
               what.bulk.bytes >> 20U, what.bulk.right ? "sha256 match" : "WRONG",
               seconds > 0 ? static_cast<double>(what.bulk.bytes) / 1e6 / seconds : 0.0);
    fmt::print("{:<10}{:>22}{:>34}\n", "", "connect, ms", "first byte after that, ms");
    fmt::print("{:<10}{:>10}{:>8}{:>8}{:>14}{:>10}{:>10}\n", "", "p50", "p90", "p99", "p50", "p90",
               "p99");
    for (const shape& one : what.shapes) {
        fmt::print("{:<10}{:>10.3f}{:>8.3f}{:>8.3f}{:>14.3f}{:>10.3f}{:>10.3f}\n", one.name,
                   quantile(one.connect, 0.5), quantile(one.connect, 0.9),
                   quantile(one.connect, 0.99), quantile(one.first_byte, 0.5),
                   quantile(one.first_byte, 0.9), quantile(one.first_byte, 0.99));
    }
    if (!what.trouble.empty()) fmt::print("trouble  {}\n", what.trouble);
    fmt::print("{} in {:.1f} s\n", what.ok() ? "PASS" : "FAIL", milliseconds(what.took) / 1000);
    std::fflush(stdout);
}

void print_json(const report& what) {
    nlohmann::json out{{"ok", what.ok()},
                       {"relay", what.relay_address},
                       {"seconds", milliseconds(what.took) / 1000},
                       {"warm_up_ms", milliseconds(what.warm_up)},
                       {"bulk",
                        {{"bytes", what.bulk.bytes},
                         {"right", what.bulk.right},
                         {"seconds", milliseconds(what.bulk.took) / 1000}}}};
    if (!what.trouble.empty()) out["trouble"] = what.trouble;
    for (const shape& one : what.shapes) {
        out["shapes"].push_back({{"name", one.name},
                                 {"right", one.right},
                                 {"wrong", one.wrong},
                                 {"connect_ms_p50", quantile(one.connect, 0.5)},
                                 {"connect_ms_p99", quantile(one.connect, 0.99)},
                                 {"first_byte_ms_p50", quantile(one.first_byte, 0.5)},
                                 {"first_byte_ms_p99", quantile(one.first_byte, 0.99)}});
    }
    fmt::print("{}\n", out.dump());
    std::fflush(stdout);
}

task<> send_traffic(io_context& io, const demo_options& options, addresses& open,
                    const socket_address& sample, report& out, cancel_token stop) {
    out.shapes[0].to = sample;
    for (const std::size_t index : {std::size_t{1}, std::size_t{2}}) {
        const result<socket_address> where = co_await open.of(index == 1 ? "warm" : "cold", stop);
        if (!where) {
            out.trouble = where.error().message();
            co_return;
        }
        out.shapes[index].to = *where;
    }
    for (shape& one : out.shapes) co_await ask_many(io, one, options, stop);
    co_await check_bulk(io, out.shapes[1].to, out.bulk, stop);
}

task<> demonstrate(io_context& io, const demo_options& options, report& out) {
    const time_point began = io.now();
    stop_signals signals;
    cancel_source over;
    nursery services;
    services.start(signals.watch(io, over.token()));
    result<listener> sample = listener::open(io, any_loopback_port());
    if (!sample) {
        out.trouble = sample.error().message();
        over.request();
        co_await services.join();
        co_return;
    }
    services.start(serve_echo(*sample, over.token()));

    const token key = token::generate();
    relay_config relay_settings;
    relay_settings.control_listen = "127.0.0.1:0";
    relay_settings.tcp_ports_first = 0;
    relay_settings.tcp_ports_last = 65535;
    token_grant grant;
    grant.name = "demo";
    grant.public_key = format_public_key(key.key());
    relay_settings.tokens.push_back(grant);
    quiet_relay relay_watcher;
    relay front{io, relay_settings, relay_watcher};
    const result<void> listening = co_await front.listen();
    if (listening) {
        out.relay_address = format(front.control_address());
        agent_config settings;
        settings.name = "demo";
        settings.relays.push_back(out.relay_address);
        settings.token = key.text();
        settings.services.push_back(echo_service("warm", sample->address(), options.concurrency));
        settings.services.push_back(echo_service("cold", sample->address(), 0));
        resolver names{io};
        addresses open;
        agent back{io, settings, names, open, std::random_device{}()};
        nursery roles;
        roles.start(front.run(signals.drain(), signals.stop()));
        roles.start(back.run(signals.drain(), signals.stop()));
        {
            deadline limit{io, patience + options.requests * 5ms, signals.drain()};
            const result<void> warm =
                co_await back.services().front()->pool().warmed_up(limit.token());
            if (!warm) out.trouble = "the pool did not warm up";
            out.warm_up = io.now() - began;
            co_await send_traffic(io, options, open, sample->address(), out, limit.token());
        }
        out.took = io.now() - began;
        if (options.json) print_json(out);
        else print_table(out);
        if (options.keep && !signals.drain().requested()) {
            fmt::print("up       echo service at {} until Ctrl+C\n", format(out.shapes[1].to));
            std::fflush(stdout);
            co_await cancelled(signals.drain());
        }
        signals.request_drain();
        co_await roles.join();
    } else {
        out.trouble = listening.error().message();
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
    report out;
    out.bulk.bytes = options.bulk_bytes;
    io_context io{std::move(*kernel)};
    io.run(demonstrate(io, options, out));
    if (out.relay_address.empty()) fmt::print(stderr, "tunnel-uring: {}\n", out.trouble);
    return out.ok() ? exit_ok : exit_failed;
}

}  // namespace tunnel_uring
