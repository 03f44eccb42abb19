// An upstream that fails: who is asked, who is let through, and when all is well again.
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class breaker : public pool_test {};
class degrading : public pool_test {};
class health : public pool_test {};
class single_worker : public pool_test {};

pool_config breaking(std::uint32_t idle, std::uint32_t max = 8) {
    pool_config limits = small_pool(idle, max);
    limits.circuit_breaker = {3, 5s, 20s};
    return limits;
}

task<int> failure_of_acquire(world& w) {
    const result<lease> got = co_await w.pool->acquire({});
    co_return got ? 0 : got.error().code();
}

TEST_F(breaker, opens_after_failures_in_a_row_and_the_refill_stops) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        std::string said;
        warm_pool& pool = w.start(breaking(4));
        pool.on_breaker([&said](bool open, std::string_view why) {
            said += open ? "open: " + std::string{why} + "\n" : "closed\n";
        });
        const auto opened = [&pool] { return pool.breaker() == breaker_state::open; };
        co_await w.until(opened);
        const std::size_t dials = w.upstream.dials.size();
        const time_point since = w.io.now();
        co_await w.pass(4900ms);
        EXPECT_EQ(w.upstream.dials.size(), dials);
        co_await w.pass(35s);
        // Probes after 5, 15 and 35 s, each a jittered moment late at most.
        EXPECT_EQ(w.upstream.dials_within(since + 1s, 40s), 3U);
        EXPECT_EQ(said, "open: Connection refused\n");
        w.upstream.failure = 0;
        co_await w.pass(25s);
        EXPECT_EQ(said, "open: Connection refused\nclosed\n");
        EXPECT_EQ(pool.census().idle, 4U);
        EXPECT_EQ(pool.snapshot().breaker_opened, 1U);
    });
}

TEST_F(breaker, has_one_probe_with_a_time_limit_of_its_own) {
    run([](world& w) -> task<> {
        pool_config limits = breaking(4);
        limits.validation_timeout = 1s;
        w.upstream.failure = ECONNREFUSED;
        warm_pool& pool = w.start(limits);
        const auto opened = [&pool] { return pool.breaker() == breaker_state::open; };
        co_await w.until(opened);
        w.upstream.hanging = true;
        w.upstream.most_dialing = 0;
        const auto probing = [&pool] { return pool.breaker() == breaker_state::half_open; };
        co_await w.pass(4s);
        co_await w.until(probing);
        const time_point since = w.io.now();
        co_await w.until(opened);
        EXPECT_GE(w.io.now() - since, 900ms);
        EXPECT_LE(w.io.now() - since, 1100ms);
        EXPECT_EQ(w.upstream.most_dialing, 1);
    });
}

TEST_F(breaker, is_never_tripped_by_conditions_of_this_host) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(breaking(0));
        for (const int local : {EADDRNOTAVAIL, EMFILE, ENFILE, ENOMEM, ENOBUFS}) {
            w.upstream.failure = local;
            for (int i = 0; i < 5; ++i) {
                const int code = co_await failure_of_acquire(w);
                EXPECT_EQ(code, local);
            }
        }
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
        EXPECT_EQ(pool.counters().local_failures, 25U);
    });
}

TEST_F(breaker, is_not_tripped_by_callers_who_give_up) {
    run([](world& w) -> task<> {
        w.upstream.hanging = true;
        warm_pool& pool = w.start(breaking(0));
        for (int i = 0; i < 10; ++i) {
            deadline patience{w.io, 10ms, {}};
            const result<lease> got = co_await pool.acquire(patience.token());
            EXPECT_EQ(got.error().code(), ECANCELED);
        }
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
    });
}

TEST_F(breaker, is_closed_by_a_visitor_who_got_through) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        warm_pool& pool = w.start(breaking(4));
        const auto opened = [&pool] { return pool.breaker() == breaker_state::open; };
        co_await w.until(opened);
        w.upstream.failure = 0;
        const int code = co_await failure_of_acquire(w);
        EXPECT_EQ(code, 0);
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
        co_await w.pass(1s);
        EXPECT_EQ(pool.census().idle, 4U);
    });
}

TEST_F(breaker, leaves_what_is_warm_to_callers) {
    run([](world& w) -> task<> {
        pool_config limits = breaking(2);
        limits.degrade.direct_connect = false;
        warm_pool& pool = w.start(limits);
        co_await w.idle(2);
        w.upstream.failure = ECONNREFUSED;
        std::optional<lease> first = pool.try_acquire();
        const auto opened = [&pool] { return pool.breaker() == breaker_state::open; };
        co_await w.until(opened);
        const result<lease> second = co_await pool.acquire({});
        EXPECT_TRUE(second);
    });
}

TEST_F(degrading, without_direct_connect_refuses_at_once_while_the_breaker_is_open) {
    run([](world& w) -> task<> {
        pool_config limits = breaking(0);
        limits.degrade.direct_connect = false;
        warm_pool& pool = w.start(limits);
        w.upstream.failure = ECONNREFUSED;
        for (int i = 0; i < 3; ++i) {
            const int code = co_await failure_of_acquire(w);
            EXPECT_EQ(code, ECONNREFUSED);
        }
        const std::size_t dials = w.upstream.dials.size();
        for (int i = 0; i < 10; ++i) {
            const int code = co_await failure_of_acquire(w);
            EXPECT_EQ(code, EHOSTDOWN);
        }
        EXPECT_EQ(w.upstream.dials.size(), dials);
        EXPECT_EQ(pool.counters().refused_down, 10U);
        EXPECT_GT(pool.asked_again_in(), 4s);
        co_await w.pass(5100ms);
        w.upstream.failure = 0;
        const int probe = co_await failure_of_acquire(w);
        EXPECT_EQ(probe, 0) << "a visitor is the probe where nothing else is";
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
    });
}

TEST_F(degrading, lets_so_many_past_the_breaker_at_once_and_no_more) {
    run([](world& w) -> task<> {
        pool_config limits = breaking(0);
        limits.degrade.direct_max = 4;
        limits.connection_timeout = 3s;
        warm_pool& pool = w.start(limits);
        w.upstream.failure = ECONNREFUSED;
        for (int i = 0; i < 3; ++i) {
            const int code = co_await failure_of_acquire(w);
            EXPECT_EQ(code, ECONNREFUSED);
        }
        w.upstream.failure = 0;
        w.upstream.hanging = true;
        w.upstream.most_dialing = 0;
        std::array<int, 10> codes{};
        codes.fill(-1);
        constexpr auto ask = [](world& in, int& code) -> task<> {
            code = co_await failure_of_acquire(in);
        };
        nursery visits;
        for (int& code : codes) visits.start(ask(w, code));
        EXPECT_EQ(w.upstream.most_dialing, 4);
        EXPECT_EQ(std::count(codes.begin(), codes.end(), EHOSTDOWN), 6);
        co_await visits.join();
        EXPECT_EQ(std::count(codes.begin(), codes.end(), ETIMEDOUT), 4);
        EXPECT_EQ(pool.counters().degraded, 4U);
    });
}

TEST_F(degrading, connects_past_a_full_pool_after_acquire_timeout) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(2, 2);
        limits.acquire_timeout = 2s;
        limits.degrade.direct_max = 1;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(2);
        std::optional<lease> a = pool.try_acquire();
        std::optional<lease> b = pool.try_acquire();
        const time_point before = w.io.now();
        result<lease> past = co_await pool.acquire({});
        EXPECT_TRUE(past);
        EXPECT_GE(w.io.now() - before, 2s);
        EXPECT_EQ(pool.snapshot().size_current, 2U);
        EXPECT_EQ(pool.census().outside, 1U);
        const int code = co_await failure_of_acquire(w);
        EXPECT_EQ(code, EBUSY);
        past->release_clean();
        *past = lease{};
        co_await w.pass(1ms);
        EXPECT_EQ(pool.census().outside, 0U);
        EXPECT_EQ(pool.census().closed, 1U) << "what is past the pool never joins it";
        const int again = co_await failure_of_acquire(w);
        EXPECT_EQ(again, 0);
    });
}

TEST_F(degrading, never_passes_max_connections) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(0);
        limits.acquire_timeout = 100ms;
        pool_policy policy;
        policy.max_connections = 1;
        warm_pool& pool = w.start(limits, policy);
        const result<lease> kept = co_await pool.acquire({});
        const int code = co_await failure_of_acquire(w);
        EXPECT_EQ(code, EBUSY);
        EXPECT_EQ(pool.counters().degraded, 0U);
    });
}

pool_policy checked(duration interval) {
    pool_policy policy = reusing();
    policy.check_interval = interval;
    policy.check_timeout = 2s;
    policy.max_failures = 3;
    return policy;
}

TEST_F(health, is_checked_every_interval) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), checked(10s));
        co_await w.pass(100s + 500ms);
        EXPECT_GE(w.upstream.checks, 9);
        EXPECT_LE(w.upstream.checks, 12);
        EXPECT_EQ(pool.counters().health_failures, 0U);
    });
}

TEST_F(health, fails_after_max_failures_in_a_row_and_what_is_ready_is_closed) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(3);
        limits.degrade.direct_connect = false;
        warm_pool& pool = w.start(limits, checked(10s));
        co_await w.idle(3);
        w.upstream.ill = EPROTO;
        const auto twice = [&w] { return w.upstream.checks == 2; };
        co_await w.pass(16s);
        co_await w.until(twice);
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
        EXPECT_EQ(pool.census().idle, 3U);
        co_await w.pass(12s);
        EXPECT_EQ(pool.breaker(), breaker_state::open);
        EXPECT_EQ(pool.census().idle, 0U);
        const int code = co_await failure_of_acquire(w);
        EXPECT_EQ(code, EHOSTDOWN) << "that it can be connected to is not enough";
    });
}

TEST_F(health, comes_back_with_a_check_that_succeeds_and_by_nothing_else) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3), checked(10s));
        w.upstream.ill = EPROTO;
        co_await w.pass(40s);
        EXPECT_NE(pool.breaker(), breaker_state::closed);
        const int code = co_await failure_of_acquire(w);
        EXPECT_EQ(code, 0) << "past the breaker";
        EXPECT_NE(pool.breaker(), breaker_state::closed);
        w.upstream.ill = 0;
        co_await w.pass(60s);
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
        EXPECT_GE(pool.census().idle, 3U);
    });
}

TEST_F(health, of_an_upstream_that_does_not_answer_fails_in_time) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), checked(10s));
        co_await w.idle(1);
        w.upstream.hanging = true;
        co_await w.pass(45s);
        EXPECT_EQ(pool.breaker(), breaker_state::open);
        EXPECT_GE(pool.counters().health_failures, 3U);
    });
}

TEST_F(health, is_not_doubted_for_conditions_of_this_host) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), checked(10s));
        co_await w.idle(1);
        w.upstream.ill = EMFILE;
        co_await w.pass(100s);
        EXPECT_EQ(pool.breaker(), breaker_state::closed);
        EXPECT_EQ(pool.counters().health_failures, 0U);
    });
}

TEST_F(single_worker, is_freed_of_unused_sockets_and_gets_none_again_when_that_was_it) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3), reusing());
        co_await w.idle(3);
        std::optional<lease> got = pool.try_acquire();
        co_await w.idle(3);
        EXPECT_TRUE(pool.suspect_single_worker());
        EXPECT_EQ(pool.census().idle, 0U);
        co_await w.pass(100ms);
        EXPECT_EQ(pool.census().idle, 0U);
        EXPECT_TRUE(pool.note_answer());
        co_await w.pass(10min);
        EXPECT_EQ(pool.census().idle, 0U);
        EXPECT_FALSE(pool.snapshot().preconnects);
        got->release_clean();
        co_await w.pass(1ms);
        EXPECT_EQ(pool.census().idle, 0U) << "one that is kept keeps it from the others";
    });
}

TEST_F(single_worker, suspicion_that_was_wrong_leaves_all_as_it_was_and_rests) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3), reusing());
        co_await w.idle(3);
        EXPECT_TRUE(pool.suspect_single_worker());
        EXPECT_FALSE(pool.suspect_single_worker());
        pool.end_suspicion();
        co_await w.idle(3);
        EXPECT_FALSE(pool.suspect_single_worker());
        co_await w.pass(11min);
        EXPECT_TRUE(pool.suspect_single_worker());
        pool.end_suspicion();
    });
}

TEST_F(single_worker, is_not_suspected_where_nothing_unused_stands_ready) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(0), reusing());
        const result<lease> busy = co_await pool.acquire({});
        EXPECT_TRUE(busy);
        EXPECT_FALSE(pool.suspect_single_worker());
    });
}

}  // namespace
}  // namespace tunnel_uring::test
