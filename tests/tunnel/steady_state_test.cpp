// What a relay and an agent ask of the heap once they have done a thing a few times.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "base/allocations.hpp"
#include "tunnel/tunnel_world.hpp"

namespace tunnel_uring::test {
namespace {

constexpr int warm_up_rounds = 300;
constexpr int counted_rounds = 1000;
constexpr std::string_view request =
    "GET /some/page HTTP/1.1\r\nHost: app.localhost\r\nAccept: */*\r\n\r\n";
constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

// The upstream and its visitor, in threads of their own, with blocking sockets.
class people {
  public:
    explicit people(service_kind kind) : kind_{kind}, listening_{socket(AF_INET, SOCK_STREAM, 0)} {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof here;
        auto* const where = reinterpret_cast<sockaddr*>(&here);
        EXPECT_EQ(bind(listening_, where, length), 0);
        EXPECT_EQ(listen(listening_, 16), 0);
        EXPECT_EQ(getsockname(listening_, where, &length), 0);
        port_ = ntohs(here.sin_port);
        serving_ = std::thread{[this]() { serve(); }};
    }
    ~people() {
        visiting_.join();
        over_ = true;
        serving_.join();
        close(listening_);
    }

    std::uint16_t port() const noexcept { return port_; }
    void visit(const socket_address& where) {
        visiting_ = std::thread{[this, where]() { ask(where); }};
    }

    // The visitor waits at each of these until the loop has looked at its count.
    enum phase { warming_up, counting, done };
    std::atomic<int> reached{warming_up};
    std::atomic<int> seen{warming_up};

  private:
    void serve() const {
        std::vector<pollfd> all{{listening_, POLLIN, 0}};
        while (!over_) {
            poll(all.data(), all.size(), 10);
            if (all[0].revents != 0)
                all.push_back({accept(listening_, nullptr, nullptr), POLLIN, 0});
            for (std::size_t i = 1; i < all.size(); ++i) {
                if (all[i].revents != 0) reply(all[i]);
            }
        }
        for (std::size_t i = 1; i < all.size(); ++i) close(all[i].fd);
    }

    void reply(pollfd& peer) const {
        std::array<char, 4096> memory{};
        const ssize_t got = recv(peer.fd, memory.data(), memory.size(), 0);
        if (got <= 0) {
            peer.events = 0;
            peer.fd = -1;
            return;
        }
        const std::string_view said =
            kind_ == service_kind::http
                ? answer
                : std::string_view{memory.data(), static_cast<std::size_t>(got)};
        EXPECT_GT(send(peer.fd, said.data(), said.size(), MSG_NOSIGNAL), 0);
    }

    void ask(const socket_address& where) {
        const int fd = socket(where.family(), SOCK_STREAM, 0);
        EXPECT_EQ(connect(fd, where.get(), where.length), 0);
        std::array<char, 4096> memory{};
        for (const phase next : {counting, done}) {
            const int rounds = next == counting ? warm_up_rounds : counted_rounds;
            for (int i = 0; i < rounds; ++i) {
                if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) <= 0) break;
                if (recv(fd, memory.data(), memory.size(), 0) <= 0) break;
                rounds_ += 1;
            }
            reached = next;
            while (seen != next) std::this_thread::yield();
        }
        EXPECT_EQ(rounds_, warm_up_rounds + counted_rounds);
        close(fd);
    }

    const service_kind kind_;
    const int listening_;
    std::uint16_t port_ = 0;
    std::atomic<bool> over_{false};
    int rounds_ = 0;
    std::thread serving_;
    std::thread visiting_;
};

struct scene {
    service_kind kind;
    std::size_t asked = 0;  // Of the heap, in all counted rounds.
};

relay_config relay_of_scene() {
    relay_config config;
    config.control_listen = "127.0.0.1:0";
    config.http.listen = "127.0.0.1:0";
    config.tcp_ports_first = 20'000;
    config.tcp_ports_last = 32'767;
    config.insecure_open = true;
    return config;
}

agent_config agent_of_scene(service_kind kind, const relay& front, std::uint16_t upstream) {
    agent_config config;
    config.name = "agent";
    config.relays = {format(front.control_address())};
    service_config service;
    service.name = "service";
    service.type = kind;
    service.upstream = "127.0.0.1:" + std::to_string(upstream);
    if (kind == service_kind::http) service.subdomain = "app";
    config.services.push_back(service);
    return config;
}

task<> play(io_context& io, scene& what) {
    sim::service_watcher watcher;
    cancel_source stop;
    const relay_config front_config = relay_of_scene();
    relay front{io, front_config, watcher};
    const result<void> listening = co_await front.listen();
    EXPECT_TRUE(listening.has_value());
    people others{what.kind};
    resolver names{io};
    const agent_config back_config = agent_of_scene(what.kind, front, others.port());
    agent back{io, back_config, names, watcher, 1};
    nursery roles;
    roles.start(front.run(stop.token(), stop.token()));
    roles.start(back.run(stop.token(), stop.token()));
    while (!watcher.open) {
        const result<void> woken = co_await watcher.changed.wait();
        static_cast<void>(woken);
    }
    const bool http = what.kind == service_kind::http;
    others.visit(http ? *front.http_address() : to_socket_address(*parse_host_port(watcher.where)));
    std::size_t before = 0;
    while (others.seen != people::done) {
        const int reached = others.reached;
        if (reached != others.seen) {
            if (reached == people::counting) before = allocations();
            else what.asked = allocations() - before;
            others.seen = reached;
        }
        const result<void> slept = co_await io.sleep(1ms);
        static_cast<void>(slept);
    }
    stop.request();
    co_await roles.join();
}

std::size_t allocations_of(service_kind kind) {
    uring_limits limits;
    limits.entries = 256;
    limits.files = 256;
    result<std::unique_ptr<backend>> kernel = make_uring_backend(limits);
    EXPECT_TRUE(kernel.has_value());
    io_context io{std::move(*kernel)};
    scene what{kind};
    io.run(play(io, what));
    return what.asked;
}

class steady_state : public testing::Test {
    void SetUp() override {
        if (!counts_allocations) GTEST_SKIP() << "the sanitizer has an operator new of its own";
        if (!make_uring_backend({})) GTEST_SKIP() << "io_uring is denied here";
    }
};

TEST_F(steady_state, of_a_byte_stream_asks_nothing_of_the_heap) {
    EXPECT_EQ(allocations_of(service_kind::tcp), 0U);
}

// Of both ends: texts of heads, and the exchange's place in the lane's map.
TEST_F(steady_state, of_a_request_asks_little_of_the_heap) {
    EXPECT_LE(allocations_of(service_kind::http), 18U * counted_rounds);
}

}  // namespace
}  // namespace tunnel_uring::test
