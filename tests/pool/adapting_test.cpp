// What the pool learns while it runs: how many sockets should stand ready, and for how long.
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class validation : public pool_test {};
class adapting : public pool_test {};
class learning : public pool_test {};
class choosing : public pool_test {};
class off : public pool_test {};

// So many callers a second, who keep what they get for `time`.
task<> keep_asking(world& w, int rate, duration span, duration time) {
    constexpr auto visit = [](world& in, duration held) -> task<> {
        result<lease> got = co_await in.pool->acquire({});
        EXPECT_TRUE(got);
        co_await in.pass(held);
        if (got) got->release_clean();
    };
    nursery visits;
    const duration gap = duration{1s} / rate;
    for (duration passed{0}; passed < span; passed += gap) {
        visits.start(visit(w, time));
        co_await w.pass(gap);
    }
    co_await visits.join();
}

TEST_F(validation, keeps_a_new_socket_back_for_as_long_as_its_connect_took) {
    run([](world& w) -> task<> {
        w.upstream.delay = 40ms;
        warm_pool& pool = w.start(small_pool(1));
        co_await w.pass(60ms);
        EXPECT_EQ(pool.census().validating, 1U);
        EXPECT_FALSE(pool.try_acquire());
        co_await w.pass(40ms);
        EXPECT_EQ(pool.census().idle, 1U);
        EXPECT_EQ(pool.counters().validations, 1U);
    });
}

TEST_F(validation, of_a_socket_that_is_hung_up_at_once_fails_and_it_is_never_handed_out) {
    run([](world& w) -> task<> {
        w.upstream.closing_at_once = true;
        w.upstream.delay = 20ms;
        warm_pool& pool = w.start(small_pool(2));
        for (int i = 0; i < 400; ++i) {
            EXPECT_EQ(pool.census().idle, 0U);
            co_await w.pass(5ms);
        }
        EXPECT_GE(pool.counters().validation_failures, 5U);
        EXPECT_EQ(pool.counters().validations, pool.counters().validation_failures);
        EXPECT_EQ(*pool.snapshot().validation_failure_rate, 1.0);
    });
}

TEST_F(validation, of_a_server_that_speaks_first_waits_for_its_banner) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1);
        limits.validation_timeout = 2s;
        warm_pool& pool = w.start(limits, of_kind(pool_kind::server_first));
        co_await w.pass(1s);
        EXPECT_EQ(pool.census().validating, 1U);
        EXPECT_FALSE(pool.try_acquire());
        w.upstream.say(w.upstream.peers.front(), "220 late\r\n");
        co_await w.idle(1);
        EXPECT_TRUE(pool.try_acquire());
    });
}

TEST_F(validation, of_a_server_that_should_speak_first_and_does_not_fails_in_time) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1);
        limits.validation_timeout = 2s;
        warm_pool& pool = w.start(limits, of_kind(pool_kind::server_first));
        co_await w.pass(1999ms);
        EXPECT_EQ(pool.counters().validation_failures, 0U);
        co_await w.pass(10ms);
        EXPECT_EQ(pool.counters().validation_failures, 1U);
    });
}

TEST_F(validation, counts_for_the_warm_up) {
    run([](world& w) -> task<> {
        w.upstream.delay = 10ms;
        warm_pool& pool = w.start(small_pool(4));
        const time_point began = w.io.now();
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        EXPECT_GE(w.io.now() - began, 20ms);
        EXPECT_EQ(pool.census().idle, 4U);
    });
}

TEST_F(validation, of_a_warm_up_is_not_waited_for_where_the_upstream_is_down_or_silent) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        w.upstream.delay = 5ms;
        warm_pool& refused = w.start(small_pool(4));
        time_point began = w.io.now();
        co_await refused.ready({});
        EXPECT_LT(w.io.now() - began, 100ms);
        co_await refused.close();
        w.upstream.failure = 0;
        w.upstream.hanging = true;
        pool_config limits = small_pool(4);
        limits.validation_timeout = 3s;
        began = w.io.now();
        warm_pool& silent = w.start(limits);
        co_await silent.ready({});
        EXPECT_GE(w.io.now() - began, 3s);
        EXPECT_LT(w.io.now() - began, 4s);
    });
}

TEST_F(adapting, connects_nothing_before_the_first_caller_where_that_is_wanted) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(3);
        limits.warm_up_on_start = false;
        warm_pool& pool = w.start(limits);
        co_await pool.ready({});
        co_await w.pass(1h);
        EXPECT_TRUE(w.upstream.dials.empty());
        const result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        co_await w.idle(3);
    });
}

TEST_F(adapting, holds_more_ready_when_more_are_used_up_and_comes_down_again) {
    run([](world& w) -> task<> {
        w.upstream.delay = 50ms;
        pool_config limits = small_pool(4, 40);
        limits.min_idle_connections = 2;
        warm_pool& pool = w.start(limits);
        co_await w.idle(4);
        // 200/s · 50 ms = 10 on average, and three deviations of √10.
        co_await keep_asking(w, 200, 2s, 1ms);
        EXPECT_GE(pool.idle_target(), 15U);
        EXPECT_LE(pool.idle_target(), 25U);
        co_await w.pass(2s);
        const std::uint64_t ready = pool.census().idle;
        EXPECT_EQ(ready, pool.idle_target());
        co_await w.pass(15min);
        EXPECT_EQ(pool.idle_target(), 2U);
        EXPECT_EQ(pool.census().idle, 2U);
    });
}

TEST_F(adapting, does_not_hold_more_for_sockets_that_come_back) {
    run([](world& w) -> task<> {
        w.upstream.delay = 50ms;
        pool_config limits = small_pool(5, 40);
        limits.min_idle_connections = 5;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(5);
        co_await keep_asking(w, 100, 5s, 1ms);
        EXPECT_LE(pool.idle_target(), 6U);
        EXPECT_LE(pool.census().created, 8U);
    });
}

TEST_F(adapting, closes_half_of_what_was_never_needed_each_time_and_the_coldest_first) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(2, 20);
        limits.cleanup_interval = 10s;
        limits.max_idle_time = 1h;
        warm_pool& pool = w.start(limits, reusing());
        std::vector<lease> burst;
        for (int i = 0; i < 18; ++i) {
            result<lease> got = co_await pool.acquire({});
            burst.push_back(std::move(*got));
        }
        stream* const last = w.upstream.peer_of(burst.back().socket());
        EXPECT_NE(last, nullptr);
        for (lease& each : burst) {
            each.release_clean();
            co_await w.pass(1ms);
        }
        burst.clear();
        co_await w.pass(9s);
        const std::uint64_t before = pool.census().idle;
        EXPECT_GE(before, 18U);
        co_await w.pass(12s);  // What stood ready since the burst is seen by the second time.
        const std::uint64_t after = pool.census().idle;
        EXPECT_LT(after, before);
        EXPECT_GE(after, before / 2);
        co_await w.pass(2min);
        EXPECT_EQ(pool.census().idle, 2U);
        EXPECT_GE(pool.counters().retired_surplus, 16U);
        std::optional<lease> hottest = pool.try_acquire();
        EXPECT_EQ(w.upstream.peer_of(hottest->socket()), last);
        hottest->release_clean();
    });
}

TEST_F(adapting, keeps_what_is_needed_now_and_then) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1, 10);
        limits.cleanup_interval = 10s;
        warm_pool& pool = w.start(limits, reusing());
        for (int round = 0; round < 30; ++round) {
            std::vector<lease> burst;
            for (int i = 0; i < 8; ++i) {
                result<lease> got = co_await pool.acquire({});
                burst.push_back(std::move(*got));
            }
            for (lease& each : burst) each.release_clean();
            co_await w.pass(5s);
        }
        EXPECT_LE(pool.census().created, 12U);
    });
}

TEST_F(adapting, warms_up_again_when_the_upstream_is_back) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(6, 20);
        limits.min_idle_connections = 2;
        limits.circuit_breaker.failure_threshold = 0;
        warm_pool& pool = w.start(limits);
        co_await w.pass(15min);
        EXPECT_EQ(pool.census().idle, 2U);
        w.upstream.failure = ECONNREFUSED;
        w.upstream.hang_up_all();
        co_await w.pass(10s);
        w.upstream.failure = 0;
        co_await w.idle(6);
    });
}

TEST_F(learning, retires_sockets_before_the_upstreams_own_time_out) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), reusing());
        for (int i = 0; i < 3; ++i) {
            co_await w.idle(1);
            co_await w.pass(20s);
            EXPECT_EQ(pool.counters().evicted_hung_up, static_cast<std::uint64_t>(i));
            w.upstream.hang_up_all();
            co_await w.pass(10ms);
        }
        co_await w.idle(1);
        EXPECT_GE(pool.snapshot().idle_limit_unused, 19s);
        EXPECT_LE(pool.snapshot().idle_limit_unused, 20100ms);
        EXPECT_EQ(pool.snapshot().idle_limit_served, duration{0});
        co_await w.pass(17s);
        EXPECT_EQ(pool.counters().retired_idle, 1U);
        EXPECT_EQ(pool.counters().evicted_hung_up, 3U);
    });
}

TEST_F(learning, keeps_what_it_knows_of_served_sockets_apart) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        for (int i = 0; i < 3; ++i) {
            co_await w.idle(1);
            std::optional<lease> got = pool.try_acquire();
            got->release_clean();
            co_await w.pass(5s);
            w.upstream.hang_up_all();
            co_await w.pass(10ms);
        }
        co_await w.idle(1);
        EXPECT_GT(pool.snapshot().idle_limit_served, 4s);
        EXPECT_EQ(pool.snapshot().idle_limit_unused, duration{0});
    });
}

// A POST on a socket that its upstream closes at that moment is lost: it is worth to know even
// short time-outs. But what is replaced at once must not be closed all the time.
TEST_F(learning, of_a_short_time_out_is_for_sockets_that_have_served_only) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2, 2), reusing());
        for (int i = 0; i < 3; ++i) {
            co_await w.pass(5s);
            co_await w.idle(2);
            std::optional<lease> got = pool.try_acquire();
            got->release_clean();
            co_await w.pass(300ms);
            w.upstream.hang_up_all();
            co_await w.pass(10ms);
        }
        EXPECT_GE(pool.snapshot().idle_limit_served, 290ms);
        EXPECT_LE(pool.snapshot().idle_limit_served, 310ms);
        for (int i = 0; i < 5; ++i) {
            co_await w.pass(5s);
            co_await w.idle(2);
            co_await w.pass(300ms);
            w.upstream.hang_up_all();
            co_await w.pass(10ms);
        }
        EXPECT_TRUE(pool.snapshot().idle_limit_unused == duration{0} ||
                    pool.snapshot().idle_limit_unused >= 1s);
    });
}

TEST_F(learning, of_a_restart_is_none) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(8));
        co_await w.idle(8);
        co_await w.pass(30s);
        w.upstream.hang_up_all();
        co_await w.pass(10s);
        EXPECT_EQ(pool.counters().evicted_hung_up, 8U);
        EXPECT_EQ(pool.snapshot().idle_limit_unused, duration{0});
    });
}

acquire_options only_young() {
    acquire_options how;
    how.only_young = true;
    return how;
}

TEST_F(choosing, a_young_socket_takes_one_that_is_ready_for_less_than_a_second) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), reusing());
        co_await w.idle(1);
        const result<lease> got = co_await pool.acquire({}, only_young());
        EXPECT_EQ(got->origin(), socket_origin::fresh);
    });
}

TEST_F(choosing, a_young_socket_connects_one_when_all_are_older) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2), reusing());
        co_await w.idle(2);
        co_await w.pass(1500ms);
        const result<lease> got = co_await pool.acquire({}, only_young());
        EXPECT_EQ(got->origin(), socket_origin::direct);
        EXPECT_EQ(pool.census().idle, 2U);
    });
}

TEST_F(choosing, a_young_socket_at_the_maximum_replaces_an_old_one) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2, 2), reusing());
        co_await w.idle(2);
        co_await w.pass(1500ms);
        const result<lease> got = co_await pool.acquire({}, only_young());
        EXPECT_TRUE(got);
        EXPECT_EQ(got->origin(), socket_origin::direct);
        EXPECT_EQ(pool.counters().renewed, 1U);
        const pool_census now = pool.census();
        EXPECT_EQ(now.idle + now.leased, 2U);
    });
}

TEST_F(choosing, any_socket_takes_what_is_warm_however_old) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), reusing());
        co_await w.idle(1);
        co_await w.pass(30s);
        const result<lease> got = co_await pool.acquire({});
        EXPECT_EQ(got->origin(), socket_origin::fresh);
    });
}

TEST_F(off, neither_connects_beforehand_nor_uses_again) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(10, 20);
        limits.min_idle_connections = 5;
        warm_pool& pool = w.start(limits, of_kind(pool_kind::off));
        co_await w.pass(1min);
        EXPECT_TRUE(w.upstream.dials.empty());
        for (int i = 0; i < 5; ++i) {
            result<lease> got = co_await pool.acquire({});
            EXPECT_EQ(got->origin(), socket_origin::direct);
            got->release_clean();
            co_await w.pass(1ms);
        }
        EXPECT_EQ(pool.census().created, 5U);
        EXPECT_EQ(pool.census().closed, 5U);
        EXPECT_EQ(*pool.snapshot().reuse_rate, 0.0);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
