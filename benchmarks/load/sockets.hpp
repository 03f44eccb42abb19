// Sockets of the load: loopback TCP by plain system calls; nothing of the library under test.
// What goes wrong is thrown as std::runtime_error with errno's words.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace load {

using steady = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what);

// Owns a descriptor.
class socket_fd {
  public:
    socket_fd() = default;
    explicit socket_fd(int fd) : fd_(fd) {
        if (fd_ < 0) fail("socket");
    }
    socket_fd(socket_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    socket_fd& operator=(socket_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~socket_fd();
    int get() const { return fd_; }

  private:
    int fd_ = -1;
};

// No delay, and a congestion control that does not pace loopback: both ends, whatever is measured.
void tune(int fd);

// A listener on loopback; port 0 is any. The second value is the port.
std::pair<socket_fd, std::uint16_t> listen_on(std::uint16_t port);

// A connection to loopback; with SOCK_NONBLOCK among `flags` it may still be under way.
socket_fd begin_connect(std::uint16_t port, int flags);

// As if the socket were blocking: waits for room.
void send_all(int fd, const void* bytes, std::size_t size);
void receive_all(int fd, void* bytes, std::size_t size);

class poller {
  public:
    poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}

    void watch(int fd, std::uint32_t events, std::uint64_t tag, int how = EPOLL_CTL_ADD);

    // Calls `handle(tag)` for each ready descriptor, once. Waits at most until `until` for the
    // first.
    template <class Handle>
    void turn(steady::time_point until, Handle handle) {
        const int count = wait(until);
        for (int i = 0; i < count; ++i) handle(ready_[static_cast<std::size_t>(i)].data.u64);
    }

    // The same; throws where nothing happens in 10 s.
    template <class Handle>
    void turn(Handle handle) {
        const int count = wait(steady::now() + std::chrono::seconds(10));
        if (count == 0) throw std::runtime_error("no progress in 10 s");
        for (int i = 0; i < count; ++i) handle(ready_[static_cast<std::size_t>(i)].data.u64);
    }

  private:
    int wait(steady::time_point until);

    socket_fd fd_;
    std::array<epoll_event, 256> ready_;
};

}  // namespace load
