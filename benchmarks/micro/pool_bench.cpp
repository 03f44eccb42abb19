// What it costs to take a warm socket from the pool; the bar is 100 ns, no allocation and no system
// call: the kernel itself is asked to tell of one (prctl(2), PR_SET_SYSCALL_USER_DISPATCH).
#include <benchmark/benchmark.h>

#include <sys/prctl.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <new>
#include <vector>

#include "net/address.hpp"
#include "net/listener.hpp"
#include "pool/warm_pool.hpp"

namespace {

std::size_t allocations = 0;
// What the kernel looks at before each system call of this thread.
volatile char dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
volatile std::sig_atomic_t system_calls = 0;

// The call that was caught is not made; whatever it would have been for, the benchmark has failed.
void caught(int) {
    dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
    system_calls = system_calls + 1;
}

// Sigreturn is a system call too: the handler leaves the filter open.
bool catch_system_calls() {
    struct sigaction action{};
    action.sa_handler = caught;
    return ::sigaction(SIGSYS, &action, nullptr) == 0 &&
           ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &dispatch) == 0;
}

}  // namespace

// Inlined, GCC takes their pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations += 1;
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tunnel_uring {
namespace {

constexpr std::uint32_t sockets_count = 256;
constexpr std::size_t files_for_each = 2;

class loopback final : public dial_source {
  public:
    explicit loopback(io_context& io) : where_{listen(io)} {}

    task<result<stream>> connect(cancel_token stop) override {
        co_return co_await stream::connect(where_.io(), where_.address(), stop);
    }
    task<> serve(cancel_token stop) {
        acceptor incoming{where_};
        for (;;) {
            result<stream> accepted = co_await incoming.accept(stop);
            if (!accepted) break;
            peers_.push_back(std::move(*accepted));
        }
        co_await incoming.stop();
        peers_.clear();
    }

  private:
    static listener listen(io_context& io) {
        host_port any;
        any.host = "127.0.0.1";
        result<listener> opened = listener::open(io, to_socket_address(any));
        if (!opened) std::abort();
        return std::move(*opened);
    }
    listener where_;
    std::vector<stream> peers_;
};

// All sockets taken, one after another; then they come back, which is not measured.
task<> take_all(io_context& io, benchmark::State& state, loopback& upstream) {
    pool_config limits;
    limits.max_pool_size = limits.warm_up_size = limits.min_idle_connections = sockets_count;
    pool_policy policy;
    policy.kind = pool_kind::http;
    warm_pool pool{io, upstream, limits, policy, 1};
    nursery background;
    background.start(upstream.serve(background.token()));
    pool.start();
    const result<void> warm = co_await pool.warmed_up({});
    if (!warm) state.SkipWithError("the pool did not get warm");
    if (!catch_system_calls()) state.SkipWithError("this kernel does not tell of system calls");
    std::vector<lease> taken;
    taken.reserve(sockets_count);
    std::size_t allocated = 0;
    while (warm && state.KeepRunningBatch(sockets_count)) {
        const auto began = std::chrono::steady_clock::now();
        const std::size_t before = allocations;
        dispatch = SYSCALL_DISPATCH_FILTER_BLOCK;
        while (std::optional<lease> got = pool.try_acquire()) taken.push_back(std::move(*got));
        dispatch = SYSCALL_DISPATCH_FILTER_ALLOW;
        allocated += allocations - before;
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        if (taken.size() != sockets_count) state.SkipWithError("some were not ready");
        state.SetIterationTime(took.count());
        for (lease& each : taken) each.release_clean();
        taken.clear();
        while (pool.census().idle != sockets_count) {
            const result<void> next = co_await io.sleep_until(io.now());
            static_cast<void>(next);
        }
    }
    state.counters["allocations"] = static_cast<double>(allocated);
    state.counters["system_calls"] = static_cast<double>(system_calls);
    if (allocated != 0 || system_calls != 0) state.SkipWithError("not free of charge");
    co_await pool.close();
    background.cancel();
    co_await background.join();
}

void take_a_warm_socket(benchmark::State& state) {
    uring_limits limits;
    limits.files = files_for_each * sockets_count + 64;
    result<std::unique_ptr<backend>> kernel = make_uring_backend(limits);
    if (!kernel) return state.SkipWithError(kernel.error().message().c_str());
    io_context io{std::move(*kernel)};
    loopback upstream{io};
    io.run(take_all(io, state, upstream));
}

// What is not measured, the way back, takes fifty times as long.
BENCHMARK(take_a_warm_socket)->UseManualTime()->Iterations(4096L * sockets_count);

}  // namespace
}  // namespace tunnel_uring

BENCHMARK_MAIN();
