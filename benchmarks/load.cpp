// The load of the benchmark: one upstream that can echo, pour out and swallow, and one client that
// measures. One thread each, plain sockets, epoll where there are many; nothing of the library
// under test. Results are one JSON object on stdout.
//
//   load server [--port 0]                                  prints `listening <port>`
//   load ping-pong  --port p --size 64 --streams 1 --count 10000
//   load bulk       --port p --streams 8 --bytes 2000000000 [--up]
//   load connect-rate --port p --streams 16 --count 5000
//   load first-byte --port p --count 1000 [--interval-us 2000]
//
// Each connection begins with a request of 16 bytes: what the server shall do, and a size.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t chunk_size = 256 * 1024;
constexpr std::size_t most_message_size = 1024 * 1024;

enum class job : std::uint64_t { echo = 1, pour = 2, swallow = 3 };

struct request {
    job what;
    std::uint64_t size;  // echo: of a message; pour, swallow: of the whole stream
};
static_assert(sizeof(request) == 16);

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

class socket_fd {
  public:
    explicit socket_fd(int fd) : fd_(fd) {
        if (fd_ < 0) fail("socket");
    }
    socket_fd(socket_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    socket_fd& operator=(socket_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~socket_fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

// Both ends alike: no delay, and a congestion control that does not pace loopback.
void tune(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
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
        if (sent <= 0) fail("send");
        at += sent;
        size -= static_cast<std::size_t>(sent);
    }
}

void receive_all(int fd, void* bytes, std::size_t size) {
    char* at = static_cast<char*>(bytes);
    while (size > 0) {
        const ssize_t got = ::recv(fd, at, size, 0);
        if (got <= 0) fail("recv");
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

class poller {
  public:
    poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}

    void watch(int fd, std::uint32_t events, int how = EPOLL_CTL_ADD) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        if (::epoll_ctl(fd_.get(), how, fd, &event) != 0) fail("epoll_ctl");
    }

    // Calls `handle(fd)` for each ready descriptor, once; waits at most 30 s for the first.
    template <class Handle>
    void turn(Handle handle) {
        std::array<epoll_event, 256> ready;
        const int count = ::epoll_wait(fd_.get(), ready.data(), ready.size(), 30'000);
        if (count == 0) throw std::runtime_error("no progress in 30 s");
        for (int i = 0; i < count; ++i) handle(ready[static_cast<std::size_t>(i)].data.fd);
    }

  private:
    socket_fd fd_;
};

// -- the server -----------------------------------------------------------------------------------

class served {
  public:
    explicit served(socket_fd connection) : connection_(std::move(connection)) {}

    // Everything that can be done now; false when the connection is over.
    bool advance(std::vector<char>& scratch) {
        if (head_size_ < sizeof head_)
            return read_head() && (head_size_ < sizeof head_ || begin(scratch));
        if (head_.what == job::pour) return pour(scratch);
        if (head_.what == job::swallow) return swallow(scratch);
        return echo();
    }

    bool wants_to_write() const {
        return head_size_ == sizeof head_ && (head_.what == job::pour ? left_ > 0 : unsent_ > 0);
    }

  private:
    bool read_head() {
        char* at = reinterpret_cast<char*>(&head_) + head_size_;
        const ssize_t got = ::recv(connection_.get(), at, sizeof head_ - head_size_, 0);
        if (got < 0) return errno == EAGAIN;
        head_size_ += static_cast<std::size_t>(got);
        return got > 0;
    }

    bool begin(std::vector<char>& scratch) {
        left_ = head_.size;
        if (head_.what == job::echo) message_.resize(std::min(head_.size, most_message_size));
        return advance(scratch);
    }

    bool pour(const std::vector<char>& scratch) {
        while (left_ > 0) {
            const std::size_t size = std::min(left_, scratch.size());
            const ssize_t sent = ::send(connection_.get(), scratch.data(), size, MSG_NOSIGNAL);
            if (sent < 0) return errno == EAGAIN;
            left_ -= static_cast<std::size_t>(sent);
        }
        // The client ends the connection, so that its port is the one to wait.
        char byte;
        const ssize_t got = ::recv(connection_.get(), &byte, 1, 0);
        return got < 0 && errno == EAGAIN;
    }

    bool swallow(std::vector<char>& scratch) {
        while (left_ > 0) {
            const ssize_t got = ::recv(connection_.get(), scratch.data(), scratch.size(), 0);
            if (got < 0) return errno == EAGAIN;
            if (got == 0) return false;
            left_ -= std::min(left_, static_cast<std::size_t>(got));
            if (left_ == 0) send_all(connection_.get(), "!", 1);
        }
        return ::recv(connection_.get(), scratch.data(), 1, 0) < 0 && errno == EAGAIN;
    }

    // A message is answered when it is whole, in one send.
    bool echo() {
        if (unsent_ > 0) return send_message();
        const std::size_t room = message_.size() - gathered_;
        const ssize_t got = ::recv(connection_.get(), message_.data() + gathered_, room, 0);
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        gathered_ += static_cast<std::size_t>(got);
        if (gathered_ < message_.size()) return true;
        unsent_ = gathered_;
        return send_message();
    }

    bool send_message() {
        const char* from = message_.data() + (gathered_ - unsent_);
        const ssize_t sent = ::send(connection_.get(), from, unsent_, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        unsent_ -= static_cast<std::size_t>(sent);
        if (unsent_ == 0) gathered_ = 0;
        return true;
    }

    socket_fd connection_;
    request head_{};
    std::size_t head_size_ = 0;
    std::size_t left_ = 0;
    std::vector<char> message_;
    std::size_t gathered_ = 0;
    std::size_t unsent_ = 0;
};

void serve(std::uint16_t port) {
    socket_fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(port);
    auto* name = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener.get(), name, sizeof address) != 0) fail("bind");
    if (::listen(listener.get(), 4096) != 0) fail("listen");
    socklen_t size = sizeof address;
    ::getsockname(listener.get(), name, &size);
    std::printf("listening %d\n", ntohs(address.sin_port));
    std::fflush(stdout);

    std::vector<char> scratch(chunk_size, 'x');
    std::unordered_map<int, std::pair<served, bool>> open;
    poller poll;
    poll.watch(listener.get(), EPOLLIN);
    const auto accept_all = [&] {
        int fd;
        while ((fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
               0) {
            tune(fd);
            poll.watch(fd, EPOLLIN);
            open.emplace(fd, std::pair{served{socket_fd{fd}}, false});
        }
    };
    const auto advance = [&](int fd) {
        auto& [connection, writing] = open.at(fd);
        if (!connection.advance(scratch)) {
            open.erase(fd);
        } else if (connection.wants_to_write() != writing) {
            writing = !writing;
            poll.watch(fd, writing ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
        }
    };
    while (true) {
        try {
            poll.turn([&](int fd) { fd == listener.get() ? accept_all() : advance(fd); });
        } catch (const std::runtime_error&) {
            // Nobody came for a while, or one left in the middle: both are normal for a server.
        }
    }
}

// -- the client -----------------------------------------------------------------------------------

class times {
  public:
    void add(steady::duration took) {
        all_.push_back(std::chrono::duration<double, std::micro>(took).count());
    }

    // {"count", "per_s", "p50_us", "p90_us", "p99_us"}
    void print(steady::duration whole) {
        std::sort(all_.begin(), all_.end());
        const double seconds = std::chrono::duration<double>(whole).count();
        std::printf(
            "{\"count\": %zu, \"per_s\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, "
            "\"p99_us\": %.1f}\n",
            all_.size(), static_cast<double>(all_.size()) / seconds, at(0.50), at(0.90), at(0.99));
    }

  private:
    double at(double share) const {
        const auto last = static_cast<double>(all_.size() - 1);
        return all_[static_cast<std::size_t>(share * last)];
    }

    std::vector<double> all_;
};

struct options {
    std::uint16_t port = 0;
    std::size_t size = 64;
    std::size_t streams = 1;
    std::size_t count = 1000;
    std::size_t bytes = 1'000'000'000;
    std::chrono::microseconds interval{0};
    bool up = false;
};

struct talker {
    socket_fd connection;
    std::size_t received = 0;
    steady::time_point began{};
};

std::vector<talker> open_talkers(const options& chosen) {
    std::vector<talker> all;
    for (std::size_t i = 0; i < chosen.streams; ++i) {
        all.push_back({begin_connect(chosen.port, 0), 0, {}});
        const request head{job::echo, chosen.size};
        send_all(all.back().connection.get(), &head, sizeof head);
    }
    return all;
}

// One stream: a blocking loop, as a simple client would have.
void ping_pong_alone(const options& chosen) {
    std::vector<talker> one = open_talkers(chosen);
    const int fd = one.front().connection.get();
    std::vector<char> message(chosen.size, 'p');
    times taken;
    const std::size_t warm_up = chosen.count / 10;
    steady::time_point start;
    for (std::size_t i = 0; i < warm_up + chosen.count; ++i) {
        const auto began = steady::now();
        if (i == warm_up) start = began;
        send_all(fd, message.data(), message.size());
        receive_all(fd, message.data(), message.size());
        if (i >= warm_up) taken.add(steady::now() - began);
    }
    taken.print(steady::now() - start);
}

void ping_pong_together(const options& chosen) {
    std::vector<talker> talkers = open_talkers(chosen);
    std::vector<char> message(chosen.size, 'p');
    std::vector<char> answer(chosen.size);
    std::unordered_map<int, talker*> by_fd;
    poller poll;
    times taken;
    std::size_t sent = 0;
    std::size_t done = 0;
    const auto ask = [&](talker& one) {
        one.received = 0;
        one.began = steady::now();
        send_all(one.connection.get(), message.data(), message.size());
        ++sent;
    };
    const auto start = steady::now();
    for (talker& one : talkers) {
        by_fd[one.connection.get()] = &one;
        poll.watch(one.connection.get(), EPOLLIN);
        ask(one);
    }
    while (done < sent) {
        poll.turn([&](int fd) {
            talker& one = *by_fd.at(fd);
            const std::size_t room = chosen.size - one.received;
            const ssize_t got = ::recv(fd, answer.data(), room, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) return;
            if (got <= 0) fail("recv");
            one.received += static_cast<std::size_t>(got);
            if (one.received < chosen.size) return;
            taken.add(steady::now() - one.began);
            ++done;
            if (sent < chosen.count) ask(one);
        });
    }
    taken.print(steady::now() - start);
}

void ping_pong(const options& chosen) {
    if (chosen.streams == 1) {
        ping_pong_alone(chosen);
    } else {
        ping_pong_together(chosen);
    }
}

void print_rate(std::size_t bytes, steady::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    std::printf("{\"bytes\": %zu, \"gb_per_s\": %.4f}\n", bytes,
                static_cast<double>(bytes) / seconds / 1e9);
}

// How many bytes the stream on `fd` has still to move after one turn at it.
std::size_t move_some(int fd, bool up, std::size_t left, std::vector<char>& chunk) {
    const bool sending = up && left > 1;
    const std::size_t size = std::min(sending ? left - 1 : left, chunk.size());
    const ssize_t moved =
        sending ? ::send(fd, chunk.data(), size, MSG_NOSIGNAL) : ::recv(fd, chunk.data(), size, 0);
    if (moved < 0 && errno == EAGAIN) return left;
    if (moved <= 0) fail("a stream ended too early");
    return left - static_cast<std::size_t>(moved);
}

// Upwards the last "byte left" is the server's answer that it has everything.
void bulk(const options& chosen) {
    const std::size_t each = chosen.bytes / chosen.streams;
    std::vector<char> chunk(chunk_size, 'b');
    std::unordered_map<int, std::pair<socket_fd, std::size_t>> open;
    poller poll;
    const auto start = steady::now();
    for (std::size_t i = 0; i < chosen.streams; ++i) {
        socket_fd connection = begin_connect(chosen.port, 0);
        const int fd = connection.get();
        const request head{chosen.up ? job::swallow : job::pour, each};
        send_all(fd, &head, sizeof head);
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        poll.watch(fd, chosen.up ? EPOLLOUT : EPOLLIN);
        open.emplace(fd, std::pair{std::move(connection), each + (chosen.up ? 1 : 0)});
    }
    while (!open.empty()) {
        poll.turn([&](int fd) {
            std::size_t& left = open.at(fd).second;
            left = move_some(fd, chosen.up, left, chunk);
            if (left == 0) {
                open.erase(fd);
            } else if (chosen.up && left == 1) {
                poll.watch(fd, EPOLLIN, EPOLL_CTL_MOD);
            }
        });
    }
    print_rate(each * chosen.streams, steady::now() - start);
}

// What a new connection asks: one message, in the same packet as the request.
std::vector<char> first_words(const options& chosen) {
    std::vector<char> words(sizeof(request) + chosen.size, 'w');
    const request head{job::echo, chosen.size};
    std::memcpy(words.data(), &head, sizeof head);
    return words;
}

void connect_rate(const options& chosen) {
    const std::vector<char> words = first_words(chosen);
    std::vector<char> answer(chosen.size);
    std::unordered_map<int, talker> open;
    poller poll;
    times taken;
    std::size_t begun = 0;
    const auto begin = [&] {
        ++begun;
        const auto now = steady::now();
        socket_fd connection = begin_connect(chosen.port, SOCK_NONBLOCK);
        const int fd = connection.get();
        poll.watch(fd, EPOLLOUT);
        open.emplace(fd, talker{std::move(connection), 0, now});
    };
    const auto step = [&](int fd) {
        talker& one = open.at(fd);
        if (one.received == 0 && ::recv(fd, answer.data(), 1, MSG_PEEK) < 0) {
            if (errno != EAGAIN) fail("recv");
            send_all(fd, words.data(), words.size());
            poll.watch(fd, EPOLLIN, EPOLL_CTL_MOD);
            return;
        }
        const ssize_t got = ::recv(fd, answer.data(), chosen.size - one.received, 0);
        if (got <= 0) fail("a connection ended too early");
        one.received += static_cast<std::size_t>(got);
        if (one.received < chosen.size) return;
        taken.add(steady::now() - one.began);
        open.erase(fd);
        if (begun < chosen.count) begin();
    };
    const auto start = steady::now();
    while (begun < std::min(chosen.streams, chosen.count)) begin();
    while (!open.empty()) poll.turn(step);
    taken.print(steady::now() - start);
}

// One connection after another; with an interval everybody sleeps in between.
void first_byte(const options& chosen) {
    const std::vector<char> words = first_words(chosen);
    std::vector<char> answer(chosen.size);
    times taken;
    const auto start = steady::now();
    for (std::size_t i = 0; i < chosen.count; ++i) {
        const auto began = steady::now();
        const socket_fd connection = begin_connect(chosen.port, 0);
        send_all(connection.get(), words.data(), words.size());
        receive_all(connection.get(), answer.data(), 1);
        taken.add(steady::now() - began);
        receive_all(connection.get(), answer.data(), answer.size() - 1);
        if (chosen.interval.count() > 0) std::this_thread::sleep_until(began + chosen.interval);
    }
    taken.print(steady::now() - start);
}

options parse(int count, char** words) {
    options chosen;
    for (int i = 2; i < count; ++i) {
        const std::string name = words[i];
        if (name == "--up") {
            chosen.up = true;
            continue;
        }
        if (++i == count) throw std::runtime_error(name + " needs a value");
        const std::size_t value = std::strtoull(words[i], nullptr, 10);
        if (name == "--port") chosen.port = static_cast<std::uint16_t>(value);
        else if (name == "--size")
            chosen.size = std::clamp<std::size_t>(value, 1, most_message_size);
        else if (name == "--streams") chosen.streams = std::max<std::size_t>(value, 1);
        else if (name == "--count") chosen.count = std::max<std::size_t>(value, 1);
        else if (name == "--bytes") chosen.bytes = value;
        else if (name == "--interval-us") chosen.interval = std::chrono::microseconds(value);
        else throw std::runtime_error("unknown option " + name);
    }
    return chosen;
}

}  // namespace

int main(int count, char** words) {
    const std::map<std::string, void (*)(const options&)> modes{
        {"server", [](const options& chosen) { serve(chosen.port); }},
        {"ping-pong", ping_pong},
        {"bulk", bulk},
        {"connect-rate", connect_rate},
        {"first-byte", first_byte}};
    try {
        const auto mode = modes.find(count > 1 ? words[1] : "");
        if (mode == modes.end())
            throw std::runtime_error("server, ping-pong, bulk, connect-rate or first-byte?");
        mode->second(parse(count, words));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "load: %s\n", error.what());
        return 1;
    }
}
