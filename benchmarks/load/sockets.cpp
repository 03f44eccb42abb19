#include "sockets.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace load {

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

socket_fd::~socket_fd() {
    if (fd_ >= 0) ::close(fd_);
}

void tune(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

std::pair<socket_fd, std::uint16_t> listen_on(std::uint16_t port) {
    socket_fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(port);
    auto* name = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener.get(), name, sizeof address) != 0) fail("bind");
    if (::listen(listener.get(), 4096) != 0) fail("listen");
    socklen_t size = sizeof address;
    ::getsockname(listener.get(), name, &size);
    return {std::move(listener), ntohs(address.sin_port)};
}

socket_fd begin_connect(std::uint16_t port, int flags) {
    socket_fd connection{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)};
    tune(connection.get());
    const sockaddr_in address = loopback(port);
    const auto* target = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(connection.get(), target, sizeof address) != 0 && errno != EINPROGRESS)
        fail("connect");
    return connection;
}

void send_all(int fd, const void* bytes, std::size_t size) {
    const char* at = static_cast<const char*>(bytes);
    while (size > 0) {
        const ssize_t sent = ::send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            pollfd room{fd, POLLOUT, 0};
            ::poll(&room, 1, 1000);
            continue;
        }
        if (sent <= 0) fail("send");
        at += sent;
        size -= static_cast<std::size_t>(sent);
    }
}

void receive_all(int fd, void* bytes, std::size_t size) {
    char* at = static_cast<char*>(bytes);
    while (size > 0) {
        const ssize_t got = ::recv(fd, at, size, 0);
        if (got == 0) throw std::runtime_error("a connection ended too early");
        if (got < 0) fail("recv");
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

void poller::watch(int fd, std::uint32_t events, std::uint64_t tag, int how) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(fd_.get(), how, fd, &event) != 0) fail("epoll_ctl");
}

int poller::wait(steady::time_point until) {
    while (true) {
        const auto left = std::max(until - steady::now(), steady::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec limit{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
        const int count = ::epoll_pwait2(fd_.get(), ready_.data(), static_cast<int>(ready_.size()),
                                         &limit, nullptr);
        if (count >= 0) return count;
        if (errno != EINTR) fail("epoll_wait");
    }
}

}  // namespace load
