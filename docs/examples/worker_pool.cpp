// A pool of something that is no socket: child processes that are slow to start and quick to use.
// Each is a shell that reads a number a line and answers with its square.
//
//     worker_pool [requests]
//
// Prints how long a request takes with a process of its own and with one from the pool, and the
// pool's stats. Exit status 0: every answer was right.
#include <tunnel_uring/connection_pool.hpp>

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tunnel_uring::connection_pool;
using tunnel_uring::connection_pool_limits;
using tunnel_uring::connection_pool_stats;
using tunnel_uring::error;
using tunnel_uring::pool_time;
using tunnel_uring::result;

// One child. Its end closes the pipe and waits for the process.
class worker {
  public:
    static result<worker> start() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
            return error{errno, "no pipe to a worker"};
        worker made{ends[0]};
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        std::string shell = "sh";
        std::string flag = "-c";
        std::string script = "while read n; do echo $((n * n)); done";
        const std::array<char*, 4> arguments{shell.data(), flag.data(), script.data(), nullptr};
        const int code =
            ::posix_spawnp(&made.pid_, "sh", &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        if (code != 0) return error{code, "no worker could be started"};
        return made;
    }
    worker(worker&& other) noexcept
        : pipe_{std::exchange(other.pipe_, -1)}, pid_{std::exchange(other.pid_, 0)} {}
    worker& operator=(worker&&) = delete;
    ~worker() {
        if (pipe_ >= 0) ::close(pipe_);
        if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    }

    // The square of `number`; an error leaves the worker in no state to be used again.
    result<long> ask(long number) {
        const std::string line = std::to_string(number) + '\n';
        if (::send(pipe_, line.data(), line.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(line.size()))
            return error{EPIPE, "the worker is gone"};
        std::string answer;
        while (answer.empty() || answer.back() != '\n') {
            char byte = 0;
            if (::read(pipe_, &byte, 1) != 1) return error{EPIPE, "the worker is gone"};
            answer += byte;
        }
        return std::strtol(answer.c_str(), nullptr, 10);
    }
    // It has neither ended nor said what nobody asked for.
    bool quiet() const {
        pollfd look{pipe_, POLLIN, 0};
        return ::poll(&look, 1, 0) == 0;
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, 0), nullptr, 0);
    }

  private:
    explicit worker(int pipe) noexcept : pipe_{pipe} {}
    int pipe_;
    pid_t pid_ = 0;
};

struct workers {
    result<worker> create(pool_time) const {
        result<worker> made = worker::start();
        if (!made) return made;
        const result<long> ready = made->ask(1);  // The slow part is done before it is needed.
        if (!ready) return ready.error();
        return made;
    }
    bool validate(const worker& one) const { return one.quiet(); }
    void close(worker&) const {}  // Its destructor does it.
};

using worker_pool = connection_pool<worker, workers>;

template <class Work>
double microseconds_each(int times, Work&& work) {
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) work(i);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
    return took.count() / times;
}

bool serve(worker_pool& pool, long number) {
    auto leased = pool.acquire();
    if (!leased) {
        std::fprintf(stderr, "%s\n", leased.error().message().c_str());
        return false;
    }
    const result<long> answer = (*leased)->ask(number);
    if (!answer || *answer != number * number) return false;  // Not given back: it is closed.
    leased->release_clean();
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const int requests = argc > 1 ? std::max(1, std::atoi(argv[1])) : 200;
    connection_pool_limits limits;
    limits.max_pool_size = 4;
    limits.min_idle_connections = 2;
    limits.trusted_for = 0s;  // The check costs a microsecond.
    result<worker_pool> opened = worker_pool::open(limits);
    if (!opened) return std::fprintf(stderr, "%s\n", opened.error().message().c_str()), 1;
    worker_pool& pool = *opened;
    if (const result<void> warm = pool.warm_up(10s); !warm)
        return std::fprintf(stderr, "%s\n", warm.error().message().c_str()), 1;

    std::atomic<int> wrong{0};
    const double cold = microseconds_each(requests, [&](long i) {
        result<worker> own = worker::start();
        const result<long> answer = own ? own->ask(i) : result<long>{own.error()};
        if (!answer || *answer != i * i) wrong += 1;
    });
    const double warm = microseconds_each(requests, [&](long i) {
        if (!serve(pool, i)) wrong += 1;
    });
    std::printf("a process for each request: %.1f us, one from the pool: %.1f us\n", cold, warm);

    // A worker that dies while it is idle is replaced before anybody meets it.
    {
        auto leased = pool.acquire();
        if (leased) {
            (*leased)->kill();
            leased->release_clean();
        }
    }
    std::vector<std::thread> crowd;
    for (long first = 0; first < 8; ++first)
        crowd.emplace_back([&, first] {
            for (long i = 0; i < requests / 8; ++i)
                if (!serve(pool, first * 1000 + i)) wrong += 1;
        });
    for (std::thread& each : crowd) each.join();

    const result<void> drained = pool.drain(10s);
    const connection_pool_stats all = pool.stats();
    std::printf("created %llu, closed %llu, reuse rate %.3f, check failures %llu, wrong %d\n",
                static_cast<unsigned long long>(all.created),
                static_cast<unsigned long long>(all.closed), all.reuse_rate(),
                static_cast<unsigned long long>(all.check_failures), wrong.load());
    return drained && wrong == 0 && all.check_failures == 1 && all.created == all.closed ? 0 : 1;
}
