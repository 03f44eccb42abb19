// A client of Redis with a pool of TCP connections, in threads, without an agent.
//
//     redis_pool <host> <port> [requests]
//
// SETs and GETs, first with a connection for each request, then with connections from the pool,
// then from eight threads at once; prints what each took and the pool's stats. Exit status 0: every
// answer was right.
#include <tunnel_uring/connection_pool.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tunnel_uring::connection_pool;
using tunnel_uring::connection_pool_limits;
using tunnel_uring::connection_pool_stats;
using tunnel_uring::connection_pool_time;
using tunnel_uring::error;
using tunnel_uring::pool_time;
using tunnel_uring::result;

// Until `fd` is ready, or `by` is over.
bool ready(int fd, short events, pool_time by) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(by - std::chrono::steady_clock::now());
    pollfd look{fd, events, 0};
    return ::poll(&look, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000))) >
           0;
}

// One connection, spoken to in RESP (the protocol of Redis): a request, its answer, the next.
class redis {
  public:
    static result<redis> connect(const std::string& host, const std::string& port, pool_time by) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0)
            return error{EHOSTUNREACH, host + ": " + ::gai_strerror(code)};
        const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all{found, ::freeaddrinfo};
        redis made{::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        int code = 0;
        if (::connect(made.fd_, found->ai_addr, found->ai_addrlen) != 0) code = errno;
        if (code == EINPROGRESS && !ready(made.fd_, POLLOUT, by)) code = ETIMEDOUT;
        socklen_t size = sizeof code;
        if (code == EINPROGRESS) ::getsockopt(made.fd_, SOL_SOCKET, SO_ERROR, &code, &size);
        if (code != 0) return error{code, "redis at " + host + ':' + port + " is not there"};
        const int on = 1;
        ::setsockopt(made.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return made;
    }
    redis(redis&& other) noexcept
        : fd_{std::exchange(other.fd_, -1)}, unread_{std::move(other.unread_)} {}
    redis& operator=(redis&&) = delete;
    ~redis() {
        if (fd_ >= 0) ::close(fd_);
    }

    // The answer: of a string its bytes, of a status or a number its text. After an error the
    // connection is in the middle of something, and must not be used again.
    result<std::string> ask(std::initializer_list<std::string_view> words) {
        std::string request = '*' + std::to_string(words.size()) + "\r\n";
        for (const std::string_view word : words)
            request.append("$" + std::to_string(word.size()) + "\r\n").append(word).append("\r\n");
        const pool_time by = std::chrono::steady_clock::now() + 5s;
        if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size()))
            return error{EPIPE, "redis took no request"};
        const result<std::string> line = read_line(by);
        if (!line) return line.error();
        if (line->empty()) return error{EPROTO, "redis says nothing"};
        const std::string rest = line->substr(1);
        if (line->front() == '-') return error{EPROTO, "redis says: " + rest};
        if (line->front() != '$' || rest == "-1") return rest;
        const auto size = static_cast<std::size_t>(std::strtoul(rest.c_str(), nullptr, 10));
        while (unread_.size() < size + 2)
            if (const result<void> more = receive(by); !more) return more.error();
        std::string value = unread_.substr(0, size);
        unread_.erase(0, size + 2);
        return value;
    }
    // Nothing has come that nobody asked for, and no end. Looks without taking anything.
    bool quiet() const {
        char byte = 0;
        return unread_.empty() && ::recv(fd_, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
    }

  private:
    explicit redis(int fd) noexcept : fd_{fd} {}
    result<std::string> read_line(pool_time by) {
        std::size_t end = 0;
        while ((end = unread_.find("\r\n")) == std::string::npos)
            if (const result<void> more = receive(by); !more) return more.error();
        std::string line = unread_.substr(0, end);
        unread_.erase(0, end + 2);
        return line;
    }
    result<void> receive(pool_time by) {
        if (!ready(fd_, POLLIN, by)) return error{ETIMEDOUT, "redis does not answer"};
        std::array<char, 4096> part{};
        const ssize_t got = ::recv(fd_, part.data(), part.size(), 0);
        if (got <= 0) return error{got == 0 ? EPIPE : errno, "redis hung up"};
        unread_.append(part.data(), static_cast<std::size_t>(got));
        return {};
    }
    int fd_;
    std::string unread_;
};

// What the pool needs to know of it.
struct redis_manager {
    std::string host;
    std::string port;

    result<redis> create(pool_time by) const { return redis::connect(host, port, by); }
    bool validate(const redis& one) const { return one.quiet(); }
    bool recycle(const redis& one) const { return one.quiet(); }
    void close(redis&) const {}  // Its destructor does it.
};

using redis_pool = connection_pool<redis, redis_manager>;

bool set_and_get(redis& one, const std::string& value) {
    const std::string key = "pool-example:" + value;
    const result<std::string> set = one.ask({"SET", key, value, "EX", "60"});
    const result<std::string> got = one.ask({"GET", key});
    return set && got && *got == value;
}

bool through(redis_pool& pool, const std::string& value) {
    auto leased = pool.acquire();
    if (!leased) {
        std::fprintf(stderr, "%s\n", leased.error().message().c_str());
        return false;
    }
    // Left on an error without release_clean(), the connection is closed: the late answer to a
    // request that was given up would be the first thing its next user reads.
    if (!set_and_get(**leased, value)) return false;
    leased->release_clean();
    return true;
}

template <class Work>
double microseconds_each(int times, Work&& work) {
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) work(i);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
    return took.count() / times;
}

void print(const char* what, const connection_pool_time& times) {
    std::printf("  %-8s %6llu times, average %8.1f us, p99 %8.1f us\n", what,
                static_cast<unsigned long long>(times.count),
                static_cast<double>(times.average.count()) / 1000,
                static_cast<double>(times.p99.count()) / 1000);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return std::fprintf(stderr, "usage: redis_pool <host> <port> [requests]\n"), 2;
    const int requests = argc > 3 ? std::max(1, std::atoi(argv[3])) : 1000;
    connection_pool_limits limits;
    limits.max_pool_size = 4;  // Fewer than threads: they take turns.
    limits.min_idle_connections = 2;
    result<redis_pool> opened = redis_pool::open(limits, redis_manager{argv[1], argv[2]});
    if (!opened) return std::fprintf(stderr, "%s\n", opened.error().message().c_str()), 1;
    redis_pool& pool = *opened;
    if (const result<void> warm = pool.warm_up(5s); !warm)
        return std::fprintf(stderr, "%s\n", warm.error().message().c_str()), 1;

    std::atomic<int> wrong{0};
    const double cold = microseconds_each(requests, [&](int i) {
        result<redis> own = pool.manager().create(std::chrono::steady_clock::now() + 5s);
        if (!own || !set_and_get(*own, std::to_string(i))) wrong += 1;
    });
    const double warm = microseconds_each(requests, [&](int i) {
        if (!through(pool, std::to_string(i))) wrong += 1;
    });
    std::printf("SET and GET, a connection for each: %.1f us, from the pool: %.1f us\n", cold,
                warm);

    std::vector<std::thread> crowd;
    for (int first = 0; first < 8; ++first)
        crowd.emplace_back([&, first] {
            for (int i = 0; i < requests / 8; ++i)
                if (!through(pool, std::to_string(first) + '-' + std::to_string(i))) wrong += 1;
        });
    for (std::thread& each : crowd) each.join();

    const result<void> drained = pool.drain(5s);
    const connection_pool_stats all = pool.stats();
    std::printf("created %llu, closed %llu, reuse rate %.3f, waited %llu, wrong %d\n",
                static_cast<unsigned long long>(all.created),
                static_cast<unsigned long long>(all.closed), all.reuse_rate(),
                static_cast<unsigned long long>(all.waited), wrong.load());
    print("acquire", all.acquire);
    print("create", all.create);
    print("held", all.held);
    return drained && wrong == 0 && all.created == all.closed ? 0 : 1;
}
