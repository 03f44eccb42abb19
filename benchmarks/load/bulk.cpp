#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

#include "modes.hpp"
#include "talk.hpp"

namespace load {

namespace {

struct transfer {
    socket_fd connection;
    block_source up{steady::time_point{}};
    block_sink down;
    std::uint64_t told = 0;  // By the server: how many bytes came up.
    std::size_t told_bytes = 0;
};

void receive_some(transfer& one, std::vector<char>& chunk) {
    const ssize_t got = ::recv(one.connection.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got == 0) throw std::runtime_error("a stream ended too early");
    if (got < 0) fail("recv");
    one.down.take(chunk.data(), static_cast<std::size_t>(got));
}

void hear_total(transfer& one) {
    char* at = reinterpret_cast<char*>(&one.told) + one.told_bytes;
    const ssize_t got =
        ::recv(one.connection.get(), at, sizeof one.told - one.told_bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got == 0) throw std::runtime_error("a stream ended too early");
    if (got < 0) fail("recv");
    one.told_bytes += static_cast<std::size_t>(got);
    if (one.told_bytes == sizeof one.told && one.told != one.up.bytes())
        throw std::runtime_error("a stream lost bytes");
}

void print_rate(std::uint64_t bytes, steady::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    std::printf("{\"bytes\": %zu, \"seconds\": %.6f, \"gb_per_s\": %.5f}\n",
                static_cast<std::size_t>(bytes), seconds,
                static_cast<double>(bytes) / seconds / 1e9);
}

}  // namespace

void bulk(const options& chosen) {
    std::vector<char> chunk(chunk_bytes);
    std::vector<transfer> all(chosen.streams);
    poller poll;
    const auto start = steady::now();
    for (std::size_t i = 0; i < all.size(); ++i) {
        transfer& one = all[i];
        one.connection = begin_connect(chosen.port, 0);
        one.up = block_source{start + chosen.duration};
        const auto time = static_cast<std::uint64_t>(chosen.duration.count());
        const request head{chosen.up ? job::swallow : job::pour, time};
        send_all(one.connection.get(), &head, sizeof head);
        poll.watch(one.connection.get(), chosen.up ? EPOLLOUT : EPOLLIN, i);
    }
    std::size_t open = all.size();
    const auto step = [&](std::uint64_t tag) {
        transfer& one = all[static_cast<std::size_t>(tag)];
        if (!chosen.up) {
            receive_some(one, chunk);
        } else if (one.up.done()) {
            hear_total(one);
        } else {
            one.up.send_some(one.connection.get());
            if (one.up.done()) poll.watch(one.connection.get(), EPOLLIN, tag, EPOLL_CTL_MOD);
        }
        if (chosen.up ? one.told_bytes < sizeof one.told : !one.down.done()) return;
        one.connection = socket_fd{};
        --open;
    };
    while (open > 0) poll.turn(step);
    const auto took = steady::now() - start;
    std::uint64_t bytes = 0;
    for (const transfer& one : all) bytes += chosen.up ? one.up.bytes() : one.down.bytes();
    print_rate(bytes, took);
}

}  // namespace load
