// At the maximum: who waits, in which order, how long; and how all of it ends.
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class waiting : public pool_test {};
class closing : public pool_test {};
class sweep : public pool_test {};

struct caller {
    int order = -1;  // Of being served.
    int failure = 0;
};

task<> visit(world& w, caller& self, int& served, duration time, cancel_token stop) {
    result<lease> got = co_await w.pool->acquire(stop);
    if (!got) {
        self.failure = got.error().code();
        co_return;
    }
    self.order = served++;
    const result<void> slept = co_await w.io.sleep(time, stop);
    if (slept) got->release_clean();
}

TEST_F(waiting, is_first_come_first_served_for_a_thousand_on_eight_slots) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(8, 8);
        limits.acquire_timeout = 1h;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(8);
        std::vector<caller> callers(1000);
        int served = 0;
        nursery visits;
        for (caller& each : callers) visits.start(visit(w, each, served, 5ms, {}));
        EXPECT_EQ(pool.census().waiters, 992U);
        co_await visits.join();
        int in_order = 0;
        for (int i = 0; i < 1000; ++i) in_order += callers[static_cast<std::size_t>(i)].order == i;
        EXPECT_EQ(in_order, 1000);
        EXPECT_EQ(pool.census().created, 8U);
    });
}

TEST_F(waiting, is_bounded_and_a_full_queue_refuses_at_once) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(0);
        limits.acquire_queue = 3;
        limits.acquire_timeout = 1h;
        pool_policy policy;
        policy.max_connections = 2;
        warm_pool& pool = w.start(limits, policy);
        std::vector<caller> callers(6);
        int served = 0;
        nursery visits;
        for (caller& each : callers) visits.start(visit(w, each, served, 1s, {}));
        EXPECT_EQ(callers[5].failure, ENOBUFS);
        EXPECT_EQ(pool.counters().refused, 1U);
        co_await visits.join();
        EXPECT_EQ(served, 5);
    });
}

TEST_F(waiting, ends_after_acquire_timeout) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(0);
        limits.acquire_timeout = 2s;
        pool_policy policy;
        policy.max_connections = 1;
        warm_pool& pool = w.start(limits, policy);
        result<lease> kept = co_await pool.acquire({});
        const time_point before = w.io.now();
        const result<lease> late = co_await pool.acquire({});
        EXPECT_EQ(late.error().code(), EBUSY);
        EXPECT_GE(w.io.now() - before, 2s);
        EXPECT_EQ(pool.counters().wait_timeouts, 1U);
        EXPECT_EQ(pool.census().waiters, 0U);
    });
}

TEST_F(waiting, cancelled_lets_the_next_one_in) {
    run([](world& w) -> task<> {
        pool_policy policy;
        policy.max_connections = 1;
        warm_pool& pool = w.start(small_pool(0), policy);
        result<lease> kept = co_await pool.acquire({});
        caller gives_up;
        caller stays;
        int served = 0;
        cancel_source stop;
        nursery visits;
        visits.start(visit(w, gives_up, served, 1ms, stop.token()));
        visits.start(visit(w, stays, served, 1ms, {}));
        stop.request();
        kept->release_clean();
        co_await visits.join();
        EXPECT_EQ(gives_up.failure, ECANCELED);
        EXPECT_EQ(stays.order, 0);
        EXPECT_TRUE(pool.census().waiters == 0);
    });
}

TEST_F(waiting, is_not_overtaken_by_who_comes_later) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> kept = pool.try_acquire();
        caller first;
        int served = 0;
        nursery visits;
        visits.start(visit(w, first, served, 1s, {}));
        kept->release_clean();
        EXPECT_FALSE(pool.try_acquire());
        co_await w.pass(1ms);
        EXPECT_EQ(first.order, 0);
        EXPECT_FALSE(pool.try_acquire());
        co_await visits.join();
    });
}

TEST_F(waiting, keeps_its_turn_when_the_promised_socket_died) {
    run([](world& w) -> task<> {
        pool_policy policy = reusing();
        warm_pool& pool = w.start(small_pool(1, 1), policy);
        co_await w.idle(1);
        std::optional<lease> kept = pool.try_acquire();
        caller first;
        caller second;
        int served = 0;
        nursery visits;
        visits.start(visit(w, first, served, 1ms, {}));
        visits.start(visit(w, second, served, 1ms, {}));
        kept->release_clean();
        w.upstream.hang_up_all();
        co_await visits.join();
        EXPECT_EQ(first.order, 0);
        EXPECT_EQ(second.order, 1);
    });
}

TEST_F(waiting, goes_on_to_the_next_when_a_callers_connect_fails) {
    run([](world& w) -> task<> {
        w.upstream.delay = 10ms;
        w.upstream.failure = ECONNREFUSED;
        pool_policy policy;
        policy.max_connections = 1;
        w.start(small_pool(0), policy);
        std::vector<caller> callers(3);
        int served = 0;
        nursery visits;
        for (caller& each : callers) visits.start(visit(w, each, served, 1ms, {}));
        co_await visits.join();
        for (const caller& each : callers) EXPECT_EQ(each.failure, ECONNREFUSED);
    });
}

TEST_F(closing, ends_waiters_dials_and_idle_sockets_and_awaits_leases) {
    run([](world& w) -> task<> {
        pool_policy policy;
        policy.max_connections = 2;
        warm_pool& pool = w.start(small_pool(2, 4), policy);
        co_await w.idle(2);
        w.upstream.hanging = true;
        std::vector<caller> callers(5);
        int served = 0;
        nursery visits;
        // Two leases from the ring, whose slots connect again and hang; three callers wait.
        for (caller& each : callers) visits.start(visit(w, each, served, 500ms, {}));
        co_await w.pass(10ms);
        EXPECT_EQ(pool.census().dialing, 2U);
        EXPECT_EQ(pool.census().waiters, 3U);
        co_await w.close();
        EXPECT_EQ(pool.census().leased, 0U);
        co_await visits.join();
        EXPECT_EQ(served, 2);
        for (std::size_t i = 2; i < 5; ++i) EXPECT_EQ(callers[i].failure, ESHUTDOWN);
    });
}

TEST_F(closing, ends_the_connects_of_callers) {
    run([](world& w) -> task<> {
        w.upstream.hanging = true;
        w.start(small_pool(0));
        caller dialing;
        int served = 0;
        nursery visits;
        visits.start(visit(w, dialing, served, 1ms, {}));
        co_await w.close();
        co_await visits.join();
        EXPECT_EQ(dialing.failure, ESHUTDOWN);
    });
}

TEST_F(closing, refuses_what_comes_after) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1));
        co_await w.idle(1);
        co_await w.close();
        EXPECT_FALSE(pool.try_acquire());
        const result<lease> late = co_await pool.acquire({});
        EXPECT_EQ(late.error().code(), ESHUTDOWN);
    });
}

TEST_F(closing, during_warm_up_ends_it) {
    run([](world& w) -> task<> {
        w.upstream.hanging = true;
        w.start(small_pool(3));
        struct outcome {
            int code = 0;
        } seen;
        nursery watchers;
        constexpr auto watch = [](world& in, int& code) -> task<> {
            const result<void> warm = co_await in.pool->warmed_up({});
            code = warm ? 0 : warm.error().code();
        };
        watchers.start(watch(w, seen.code));
        co_await w.close();
        co_await watchers.join();
        EXPECT_EQ(seen.code, ECANCELED);
    });
}

// A small life of everything: callers of each kind, hang-ups, bytes, failures.
task<> turmoil(world& w, cancel_token stop, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    std::deque<caller> callers;
    int served = 0;
    nursery visits{stop};
    for (int step = 0; step < 40 && !stop.requested(); ++step) {
        const std::uint64_t dice = random() % 8;
        if (dice < 4) {
            const duration time = std::chrono::milliseconds{random() % 50};
            visits.start(visit(w, callers.emplace_back(), served, time, visits.token()));
        } else if (dice == 4 && !w.upstream.peers.empty()) {
            w.upstream.peers.pop_front();
        } else if (dice == 5 && !w.upstream.peers.empty() && w.upstream.peers.back().valid()) {
            const iovec byte{.iov_base = const_cast<char*>("x"), .iov_len = 1};
            static_cast<void>(w.upstream.peers.back().try_send({&byte, 1}));
        } else if (dice == 6) {
            constexpr std::array failures{0, 0, ECONNREFUSED, EMFILE};
            w.upstream.failure = failures[random() % failures.size()];
            w.upstream.delay = std::chrono::milliseconds{random() % 5};
        }
        const result<void> slept =
            co_await w.io.sleep(std::chrono::milliseconds{random() % 20}, stop);
        static_cast<void>(slept);
    }
    co_await visits.join();
}

pool_config turmoil_limits() {
    pool_config limits = small_pool(3, 4);
    limits.acquire_timeout = 60ms;
    limits.acquire_queue = 4;
    limits.max_idle_time = 100ms;
    limits.max_lifetime = 200ms;
    limits.connection_timeout = 20ms;
    limits.lease_limit = 30ms;
    limits.cleanup_interval = 70ms;
    limits.circuit_breaker = {3, 20ms, 80ms};
    limits.degrade.direct_max = 2;
    return limits;
}

pool_policy turmoil_policy(bool reuse) {
    pool_policy policy;
    policy.kind = reuse ? pool_kind::http : pool_kind::client_first;
    policy.max_connections = 3;
    policy.check_interval = 50ms;
    policy.check_timeout = 10ms;
    return policy;
}

TEST_F(sweep, of_random_lives_keeps_the_accounts) {
    run([](world& w) -> task<> {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            SCOPED_TRACE(seed);
            warm_pool& pool = w.start(turmoil_limits(), turmoil_policy(seed % 2 == 0), seed);
            co_await turmoil(w, {}, seed);
            co_await pool.close();
            EXPECT_EQ(pool.census().created, pool.census().closed);
            w.upstream.failure = 0;
        }
        w.closed = true;
    });
}

TEST_F(sweep, of_closing_at_every_moment_leaves_nothing) {
    run([](world& w) -> task<> {
        for (int moment = 0; moment < 150; ++moment) {
            SCOPED_TRACE(moment);
            warm_pool& pool = w.start(turmoil_limits(), turmoil_policy(moment % 2 == 0), 7);
            cancel_source stop;
            nursery life;
            life.start(turmoil(w, stop.token(), static_cast<std::uint64_t>(moment / 10)));
            for (int turn = 0; turn < moment; ++turn) {
                const result<void> next = co_await w.io.sleep_until(w.io.now());
                static_cast<void>(next);
            }
            nursery end;
            end.start(pool.close());
            stop.request();
            co_await life.join();
            co_await end.join();
            EXPECT_EQ(pool.census().created, pool.census().closed);
            w.upstream.failure = 0;
        }
        w.closed = true;
    });
}

TEST_F(sweep, of_cancelling_an_acquire_at_every_moment_loses_nothing) {
    run([](world& w) -> task<> {
        int outcomes = 0;
        for (int moment = 0; moment < 40; ++moment) {
            SCOPED_TRACE(moment);
            pool_policy policy = turmoil_policy(moment % 2 == 0);
            policy.max_connections = 1;
            warm_pool& pool = w.start(small_pool(moment % 4 == 0 ? 1 : 0, 1), policy);
            w.upstream.delay = 5ms;
            cancel_source stop;
            caller first;
            caller second;
            int served = 0;
            nursery visits;
            visits.start(visit(w, first, served, 5ms, {}));
            visits.start(visit(w, second, served, 5ms, stop.token()));
            for (int turn = 0; turn < moment; ++turn) co_await w.pass(500us);
            stop.request();
            co_await visits.join();
            EXPECT_TRUE(second.order >= 0 || second.failure == ECANCELED);
            outcomes |= second.order >= 0 ? 1 : 2;
            co_await pool.close();
            EXPECT_EQ(pool.census().created, pool.census().closed);
        }
        EXPECT_EQ(outcomes, 3);
        w.closed = true;
    });
}

}  // namespace
}  // namespace tunnel_uring::test
