#include "net/resolver.hpp"

#include <netdb.h>
#include <unistd.h>

#include <array>

namespace tunnel_uring {

namespace {

socket_address numeric(std::string host, std::uint16_t port) {
    host_port where;
    where.host = std::move(host);
    where.port = port;
    return to_socket_address(where);
}

std::vector<socket_address> look_up(const host_port& where, int& failure) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    failure = getaddrinfo(where.host.c_str(), nullptr, &hints, &found);
    std::vector<socket_address> out;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        socket_address address;
        std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
        address.length = at->ai_addrlen;
        set_port(address, where.port);
        out.push_back(address);
    }
    if (found != nullptr) freeaddrinfo(found);
    return out;
}

}  // namespace

resolver::~resolver() {
    {
        const std::lock_guard held{lock_};
        ending_ = true;
    }
    asked_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void resolver::work() {
    std::unique_lock held{lock_};
    for (;;) {
        asked_.wait(held, [this] { return ending_ || !questions_.empty(); });
        if (questions_.empty()) return;
        const std::shared_ptr<question> next = std::move(questions_.front());
        questions_.pop_front();
        const bool answer = !ending_;
        held.unlock();
        if (answer) next->answer = look_up(next->where, next->failure);
        // The end of the stream is the wake-up, and orders the answer before it.
        ::close(next->wake_fd);
        held.lock();
    }
}

task<result<std::vector<socket_address>>> resolver::resolve(host_port where, cancel_token stop) {
    std::vector<socket_address> known;
    if (is_numeric(where)) known.push_back(to_socket_address(where));
    if (where.host == "localhost") {
        known.push_back(numeric("::1", where.port));
        known.push_back(numeric("127.0.0.1", where.port));
    }
    if (!known.empty()) co_return std::move(known);

    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0)
        co_return error{errno};
    const auto asked = std::make_shared<question>();
    asked->where = where;
    asked->wake_fd = pair[1];
    {
        const std::lock_guard held{lock_};
        questions_.push_back(asked);
        if (!thread_.joinable()) thread_ = std::thread{[this] { work(); }};
    }
    asked_.notify_one();
    result<stream> wake = stream::adopt(io_, pair[0]);
    if (!wake) co_return wake.error();
    std::array<std::byte, 1> nothing{};
    const result<std::size_t> answered = co_await wake->receive(nothing, stop);
    if (!answered) co_return answered.error();
    if (asked->answer.empty()) {
        const char* const why = asked->failure != 0 ? gai_strerror(asked->failure) : "no address";
        co_return error{EHOSTUNREACH, "the name \"" + where.host + "\" cannot be resolved: " + why};
    }
    co_return std::move(asked->answer);
}

}  // namespace tunnel_uring
