// Three drivers over scenarios in the simulated world (docs/HACKING.md says how to replay one).
//
//   random   seed after seed, every fault that the kernel can have
//   torture  the n-th operation fails with an errno, for every n
//   cancel   everything is told to stop at the n-th operation, for every n
//
// A scenario is a coroutine over an io_context; it asserts its own invariants. The drivers add what
// is true of all: it ends, and nothing is left: no operation, descriptor, buffer or frame.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <string>

#include "coro/run_queue.hpp"
#include "ring/io_context.hpp"
#include "sim/sim_kernel.hpp"

namespace tunnel_uring::sim {

// What a scenario may know of the run it is in.
struct run_facts {
    std::uint64_t seed = 1;
    bool faulty = false;     // Something was made to fail: what ends may end cut.
    cancel_source stopping;  // Requested by the cancel driver.
};

using scenario = task<> (*)(io_context& io, run_facts& facts);

inline sightings play(scenario what, run_facts& facts, options world) {
    const std::size_t frames = live_frames();
    auto simulated = std::make_unique<kernel>(std::move(world));
    const std::shared_ptr<sightings> seen = simulated->seen();
    {
        io_context io{std::move(simulated)};
        io.run(what(io, facts));
        EXPECT_EQ(io.census(), io_census{});
        EXPECT_EQ(io.counters().late_completions, 0U);
    }
    EXPECT_EQ(live_frames(), frames);
    return *seen;
}

inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// TUNNEL_URING_SEED replays one; TUNNEL_URING_SEEDS says how many a scenario gets.
inline sightings random_seeds(scenario what, std::uint64_t count) {
    sightings sum;
    count = number_from("TUNNEL_URING_SEEDS", count);
    std::uint64_t first = 1;
    if (const std::uint64_t only = number_from("TUNNEL_URING_SEED", 0); only != 0) {
        first = only;
        count = 1;
    }
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("replay with TUNNEL_URING_SEED=" + std::to_string(seed));
        run_facts facts;
        facts.seed = seed;
        options world;
        world.seed = seed;
        world.chances = faults::everything();
        const sightings seen = play(what, facts, std::move(world));
        sum.short_receives += seen.short_receives;
        sum.short_sends += seen.short_sends;
        sum.late_completions += seen.late_completions;
        sum.multishots_ended += seen.multishots_ended;
        sum.cancels_lost += seen.cancels_lost;
        sum.successes_after_cancel += seen.successes_after_cancel;
        sum.sends_without_room += seen.sends_without_room;
        if (testing::Test::HasFailure()) break;
    }
    return sum;
}

// TUNNEL_URING_STRIDE: only every so many-th operation is failed or stopped at; for slow builds.
inline std::uint64_t stride() { return number_from("TUNNEL_URING_STRIDE", 1); }

inline constexpr std::array torture_errnos{ECONNRESET, EPIPE,  ETIMEDOUT, ECONNREFUSED, EMFILE,
                                           ENOBUFS,    ENOMEM, EINTR,     EAGAIN,       EIO};

// Every index with one errno chosen by the index; with TUNNEL_URING_TORTURE_ERRNOS=all, each errno.
// TUNNEL_URING_INDEX replays one.
inline void torture(scenario what) {
    const char* const wanted = std::getenv("TUNNEL_URING_TORTURE_ERRNOS");
    const bool all = wanted != nullptr && std::string{wanted} == "all";
    const std::uint64_t only = number_from("TUNNEL_URING_INDEX", 0);
    for (std::size_t turn = 0; turn < (all ? torture_errnos.size() : 1); ++turn) {
        for (std::uint64_t index = only == 0 ? 1 : only;; index += stride()) {
            SCOPED_TRACE("replay with TUNNEL_URING_INDEX=" + std::to_string(index));
            run_facts facts;
            facts.faulty = true;
            options world;
            world.fail_at = index;
            world.fail_with =
                torture_errnos[(all ? turn : index * 2654435761U >> 7U) % torture_errnos.size()];
            const sightings seen = play(what, facts, std::move(world));
            if (seen.failures_injected == 0 || only != 0) break;
            if (testing::Test::HasFailure()) return;
        }
    }
}

inline void cancel_everywhere(scenario what) {
    const std::uint64_t only = number_from("TUNNEL_URING_INDEX", 0);
    for (std::uint64_t index = only == 0 ? 1 : only;; index += stride()) {
        SCOPED_TRACE("replay with TUNNEL_URING_INDEX=" + std::to_string(index));
        run_facts facts;
        facts.faulty = true;
        options world;
        bool reached = false;
        world.act_at = index;
        world.act = [&facts, &reached] {
            reached = true;
            facts.stopping.request();
        };
        play(what, facts, std::move(world));
        if (!reached || only != 0 || testing::Test::HasFailure()) return;
    }
}

}  // namespace tunnel_uring::sim
