// What a time-out costs that mostly never fires, and one that does.
#include <benchmark/benchmark.h>

#include <deque>

#include "ring/timer_wheel.hpp"

namespace tunnel_uring {
namespace {

constexpr time_point start{1'000'000'000ns};

struct silent final : timer {
    void expired() noexcept override {}
};

// Beside so many others that are armed.
void arm_and_disarm(benchmark::State& state) {
    timer_wheel wheel{start};
    std::deque<silent> others(static_cast<std::size_t>(state.range(0)));
    duration delay = 1s;
    for (silent& one : others) wheel.arm(one, start + (delay += 7ms));
    silent one;
    for (auto _ : state) {
        wheel.arm(one, start + 10s);
        one.unlink();
    }
}
BENCHMARK(arm_and_disarm)->Arg(0)->Arg(10'000);

// What the loop does before each wait: the clock has moved a little, and nothing is due.
void advance_with_nothing_due(benchmark::State& state) {
    timer_wheel wheel{start};
    std::deque<silent> others(10'000);
    for (silent& one : others) wheel.arm(one, start + 10h);
    time_point now = start;
    for (auto _ : state) {
        wheel.advance(now += 10us);
        benchmark::DoNotOptimize(wheel.next());
    }
}
BENCHMARK(advance_with_nothing_due)->Iterations(1'000'000);

void arm_and_fire(benchmark::State& state) {
    timer_wheel wheel{start};
    silent one;
    time_point now = start;
    for (auto _ : state) {
        wheel.arm(one, now + 5ms);
        wheel.advance(now += 6ms);
    }
}
BENCHMARK(arm_and_fire);

}  // namespace
}  // namespace tunnel_uring
