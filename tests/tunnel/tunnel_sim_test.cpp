// The tunnel in the simulated world: every scenario under random faults, with every operation
// failing in turn, and stopped at every operation.
#include "tunnel/tunnel_world.hpp"

namespace tunnel_uring::sim {
namespace {

task<> small_echo(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::echo);
    for (int i = 0; open && i < 3; ++i) co_await all.converse(3000, 3000);
    co_await all.finish();
}

task<> converse_in(world& all, std::uint64_t up, std::uint64_t down, duration pause) {
    const bool complete = co_await all.converse(up, down, pause);
    static_cast<void>(complete);
}

task<> many_at_once(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::echo);
    nursery visitors;
    for (std::uint64_t i = 0; open && i < 12; ++i)
        visitors.start(converse_in(all, 500 + i * 700, 500 + i * 700, {}));
    co_await visitors.join();
    co_await all.finish();
}

task<> large_upload(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::answer_at_end, 100);
    if (open) co_await all.converse(400'000, 100);
    co_await all.finish();
}

task<> large_download(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::speak_first, 400'000);
    if (open) co_await all.converse(10, 400'000);
    co_await all.finish();
}

task<> large_both_ways(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::echo);
    nursery visitors;
    for (int i = 0; open && i < 2; ++i) visitors.start(converse_in(all, 300'000, 300'000, {}));
    co_await visitors.join();
    co_await all.finish();
}

task<> slow_reader_among_others(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::echo);
    nursery visitors;
    if (open) {
        visitors.start(converse_in(all, 250'000, 250'000, 5ms));
        for (int i = 0; i < 4; ++i) visitors.start(converse_in(all, 2000, 2000, {}));
    }
    co_await visitors.join();
    co_await all.finish();
}

task<> upstream_ends_first(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::speak_and_end, 5000);
    for (int i = 0; open && i < 2; ++i) co_await all.converse(20'000, 5000);
    co_await all.finish();
}

// Nothing may look complete that was not.
task<> expect_cut(world& all) {
    all.facts.faulty = true;
    const bool complete = co_await all.converse(3000, 3000);
    EXPECT_FALSE(complete);
}

task<> upstream_refuses(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start_refused();
    for (int i = 0; open && i < 2; ++i) co_await expect_cut(all);
    co_await all.finish();
}

task<> upstream_hangs_up(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::hang_up);
    for (int i = 0; open && i < 2; ++i) co_await expect_cut(all);
    co_await all.finish();
}

// What was under way when a role ended may be cut, visibly; afterwards all is well again.
task<> agent_restarts(io_context& io, run_facts& facts) {
    const bool faulty = facts.faulty;
    world all{io, facts};
    bool open = co_await all.start(habit::echo);
    nursery visitors;
    if (open) {
        facts.faulty = true;
        for (int i = 0; i < 3; ++i) visitors.start(converse_in(all, 150'000, 150'000, 1ms));
        const result<void> slept = co_await io.sleep(2ms, facts.stopping.token());
        static_cast<void>(slept);
        co_await all.stop_agent(true);
        co_await visitors.join();
        facts.faulty = faulty;
        all.start_agent();
        open = co_await all.wait_open();
        if (open) co_await all.converse(3000, 3000);
    }
    co_await all.finish();
}

task<> relay_restarts(io_context& io, run_facts& facts) {
    const bool faulty = facts.faulty;
    world all{io, facts};
    bool open = co_await all.start(habit::echo);
    nursery visitors;
    if (open) {
        facts.faulty = true;
        for (int i = 0; i < 3; ++i) visitors.start(converse_in(all, 150'000, 150'000, 1ms));
        const result<void> slept = co_await io.sleep(2ms, facts.stopping.token());
        static_cast<void>(slept);
        co_await all.stop_relay(true);
        co_await visitors.join();
        facts.faulty = faulty;
        open = co_await all.start_relay();
        if (open) open = co_await all.wait_open();
        if (open) co_await all.converse(3000, 3000);
    }
    co_await all.finish();
}

// A drain lets what is under way come to its end.
task<> agent_drains(io_context& io, run_facts& facts) {
    world all{io, facts};
    const bool open = co_await all.start(habit::echo);
    nursery visitors;
    if (open) {
        for (int i = 0; i < 3; ++i) visitors.start(converse_in(all, 100'000, 100'000, 1ms));
        while (all.back().counters().exchanges_opened < 3 && !facts.faulty) {
            const result<void> slept = co_await io.sleep(1ms, facts.stopping.token());
            if (!slept) break;
        }
    }
    co_await all.stop_agent(false);
    co_await visitors.join();
    all.start_agent();
    co_await all.finish();
}

struct named_scenario {
    const char* name;
    scenario what;
};

constexpr std::array scenarios{
    named_scenario{"small_echo", small_echo},
    named_scenario{"many_at_once", many_at_once},
    named_scenario{"large_upload", large_upload},
    named_scenario{"large_download", large_download},
    named_scenario{"large_both_ways", large_both_ways},
    named_scenario{"slow_reader_among_others", slow_reader_among_others},
    named_scenario{"upstream_ends_first", upstream_ends_first},
    named_scenario{"upstream_refuses", upstream_refuses},
    named_scenario{"upstream_hangs_up", upstream_hangs_up},
    named_scenario{"agent_restarts", agent_restarts},
    named_scenario{"relay_restarts", relay_restarts},
    named_scenario{"agent_drains", agent_drains},
};

class tunnel_sim : public testing::TestWithParam<named_scenario> {};

// 12 scenarios: 10 000 seeds in all.
constexpr std::uint64_t seeds_each = 834;

TEST_P(tunnel_sim, survives_every_random_schedule) { random_seeds(GetParam().what, seeds_each); }

TEST_P(tunnel_sim, survives_a_failure_of_every_operation) { torture(GetParam().what); }

TEST_P(tunnel_sim, may_be_stopped_at_every_operation) { cancel_everywhere(GetParam().what); }

INSTANTIATE_TEST_SUITE_P(scenarios, tunnel_sim, testing::ValuesIn(scenarios),
                         [](const auto& chosen) { return std::string{chosen.param.name}; });

TEST(tunnel_sim_faults, every_kind_of_fault_is_really_seen) {
    const sightings seen = random_seeds(large_both_ways, 20);
    EXPECT_GT(seen.short_receives, 0U);
    EXPECT_GT(seen.short_sends, 0U);
    EXPECT_GT(seen.late_completions, 0U);
    EXPECT_GT(seen.multishots_ended, 0U);
    EXPECT_GT(seen.cancels_lost, 0U);
    EXPECT_GT(seen.successes_after_cancel, 0U);
    EXPECT_GT(seen.sends_without_room, 0U);
}

}  // namespace
}  // namespace tunnel_uring::sim
