// What it costs to take a warm socket from the pool; the bar is 100 ns.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <vector>

#include "net/address.hpp"
#include "net/listener.hpp"
#include "pool/warm_pool.hpp"

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
    std::vector<lease> taken;
    taken.reserve(sockets_count);
    while (warm && state.KeepRunningBatch(sockets_count)) {
        const auto began = std::chrono::steady_clock::now();
        while (std::optional<lease> got = pool.try_acquire()) taken.push_back(std::move(*got));
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

BENCHMARK(take_a_warm_socket)->UseManualTime();

}  // namespace
}  // namespace tunnel_uring

BENCHMARK_MAIN();
