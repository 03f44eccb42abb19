// What a well-known connection pool of another language gets wrong, each defect by its name: here
// it does not happen.
#include <algorithm>

#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class defect : public pool_test {};

TEST_F(defect, validation_that_reads_a_byte_loses_it) {
    run([](world& w) -> task<> {
        w.upstream.greeting = true;
        warm_pool& pool = w.start(small_pool(1), of_kind(pool_kind::server_first));
        co_await w.idle(1);
        co_await w.pass(10s);
        std::optional<lease> got = pool.try_acquire();
        std::array<std::byte, 11> banner{};
        const result<void> read = co_await got->socket().read_exactly(banner, {});
        EXPECT_TRUE(read);
        EXPECT_EQ(std::memcmp(banner.data(), "220 hello\r\n", 11), 0);
    });
}

TEST_F(defect, asking_for_the_peers_address_never_notices_a_fin) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2), reusing());
        co_await w.idle(2);
        w.upstream.failure = ECONNREFUSED;
        w.upstream.hang_up_all();
        co_await w.pass(10ms);
        EXPECT_FALSE(pool.try_acquire());
        EXPECT_EQ(pool.counters().evicted_hung_up, 2U);
    });
}

TEST_F(defect, one_slow_check_stalls_every_acquire) {
    run([](world& w) -> task<> {
        pool_policy policy = of_kind(pool_kind::server_first);
        policy.check_interval = 1s;
        policy.check_timeout = 1h;
        pool_config limits = small_pool(1);
        limits.validation_timeout = 1h;
        warm_pool& pool = w.start(limits, policy);
        co_await w.pass(500ms);  // The one that is made beforehand waits for its banner.
        w.upstream.hanging = true;
        co_await w.pass(1s);  // So does the health check, for its connection.
        EXPECT_EQ(w.upstream.checks, 1);
        w.upstream.hanging = false;
        const time_point before = w.io.now();
        const result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        EXPECT_LT(w.io.now() - before, 100ms);
        EXPECT_EQ(pool.census().validating, 1U);
    });
}

TEST_F(defect, the_idle_clock_restarts_at_each_return_and_there_is_no_lifetime) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1, 1);
        limits.max_idle_time = 1h;
        limits.max_lifetime = 100s;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(1);
        for (int i = 0; i < 120; ++i) {
            result<lease> got = co_await pool.acquire({});
            EXPECT_TRUE(got);
            if (!got) co_return;
            got->release_clean();
            co_await w.pass(1s);
        }
        EXPECT_EQ(pool.census().created, 2U);
    });
}

TEST_F(defect, warming_up_by_get_and_drop_warms_one_socket) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(10, 50), reusing());
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        EXPECT_EQ(pool.census().idle, 10U);
        std::vector<lease> all;
        for (int i = 0; i < 10; ++i) {
            std::optional<lease> got = pool.try_acquire();
            EXPECT_TRUE(got);
            if (got) all.push_back(std::move(*got));
        }
        EXPECT_EQ(all.size(), 10U);
    });
}

TEST_F(defect, waiters_have_no_deadline) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1, 1);
        limits.acquire_timeout = 2s;
        limits.degrade.direct_connect = false;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(1);
        const std::optional<lease> kept = pool.try_acquire();
        const time_point before = w.io.now();
        const result<lease> late = co_await pool.acquire({});
        EXPECT_EQ(late.error().code(), EBUSY);
        EXPECT_LT(w.io.now() - before, 2100ms);
    });
}

TEST_F(defect, the_permit_is_free_before_the_recycle_ends_so_the_total_passes_the_maximum) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(2, 2);
        limits.acquire_timeout = 1h;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(2);
        struct most {
            std::uint64_t open = 0;
        } seen;
        constexpr auto visit = [](world& in, most& all, bool clean) -> task<> {
            result<lease> got = co_await in.pool->acquire({});
            EXPECT_TRUE(got);
            const pool_stats now = in.pool->snapshot();
            all.open = std::max(all.open, now.size_current + now.census.dialing);
            co_await in.pass(1ms);
            if (got && clean) got->release_clean();
        };
        nursery visits;
        for (int i = 0; i < 200; ++i) visits.start(visit(w, seen, i % 3 != 0));
        co_await visits.join();
        EXPECT_EQ(seen.open, 2U);
        EXPECT_GT(pool.census().created, 60U) << "many were closed and made anew";
    });
}

TEST_F(defect, first_in_first_out_keeps_everything_warm_for_ever) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1, 10);
        limits.max_idle_time = 60s;
        limits.cleanup_interval = 1h;
        warm_pool& pool = w.start(limits, reusing());
        {
            std::vector<lease> burst;
            for (int i = 0; i < 8; ++i) {
                result<lease> got = co_await pool.acquire({});
                burst.push_back(std::move(*got));
            }
            for (lease& each : burst) each.release_clean();
        }
        co_await w.pass(1ms);
        for (int second = 0; second < 120; ++second) {
            std::optional<lease> got = pool.try_acquire();
            EXPECT_TRUE(got);
            if (got) got->release_clean();
            co_await w.pass(1s);
        }
        EXPECT_GE(pool.counters().retired_idle, 7U) << "the cold end ages out";
        EXPECT_LE(pool.census().idle, 2U);
    });
}

TEST_F(defect, half_read_connections_go_back) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        w.upstream.say(w.upstream.peers.front(), "HTTP/1.1 200 OK\r\n");
        std::array<std::byte, 4> half{};
        const result<void> read = co_await got->socket().read_exactly(half, {});
        EXPECT_TRUE(read);
        got->release_clean();  // A lie.
        co_await w.idle(1);
        EXPECT_EQ(pool.counters().acquired_served, 0U);
        EXPECT_EQ(pool.counters().validation_failures, 1U);
        EXPECT_EQ(pool.census().created, 2U);
    });
}

TEST_F(defect, there_are_no_metrics) {
    run([](world& w) -> task<> {
        w.upstream.delay = 20ms;
        pool_config limits = small_pool(2, 4);
        limits.lease_limit = 5s;
        limits.acquire_timeout = 1s;
        limits.degrade.direct_connect = false;
        warm_pool& pool = w.start(limits, reusing());
        EXPECT_FALSE(pool.snapshot().reuse_rate) << "nothing has happened yet";
        EXPECT_FALSE(pool.snapshot().acquire_time_p99);
        co_await w.idle(2);
        std::vector<lease> all;
        for (int i = 0; i < 4; ++i) {
            result<lease> got = co_await pool.acquire({});
            EXPECT_TRUE(got);
            all.push_back(std::move(*got));
        }
        all.back().release_clean();
        co_await w.pass(1ms);
        result<lease> again = co_await pool.acquire({});
        const result<lease> none = co_await pool.acquire({});
        EXPECT_FALSE(none);
        co_await w.pass(6s);
        const pool_stats now = pool.snapshot();
        EXPECT_EQ(now.size_current, 4U);
        EXPECT_EQ(now.size_max, 4U);
        EXPECT_EQ(now.idle_current, 0U);
        EXPECT_GE(*now.acquire_time_p99, 1s);
        EXPECT_GE(*now.create_time_avg, 20ms);
        EXPECT_LT(*now.create_time_avg, 30ms);
        EXPECT_NEAR(*now.reuse_rate, 1.0 / 6, 0.001);
        EXPECT_NEAR(*now.timeout_rate, 1.0 / 6, 0.001);
        EXPECT_EQ(*now.validation_failure_rate, 0.0);
        EXPECT_EQ(now.leak_detected, 4U);
        EXPECT_EQ(now.times.acquire.count(), 6U);
        co_await w.pass(2min);
        EXPECT_FALSE(pool.snapshot().reuse_rate) << "of the last minute";
        EXPECT_EQ(pool.snapshot().times.acquire.count(), 6U) << "since the start";
    });
}

TEST_F(defect, there_is_no_close_and_no_drain) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3, 4), reusing());
        co_await w.idle(3);
        constexpr auto visit = [](world& in) -> task<> {
            result<lease> got = co_await in.pool->acquire({});
            co_await in.pass(3s);
            got->release_clean();
        };
        nursery visits;
        visits.start(visit(w));
        const time_point before = w.io.now();
        co_await w.close();
        EXPECT_GE(w.io.now() - before, 3s) << "what is under way goes on to its end";
        co_await visits.join();
        EXPECT_EQ(pool.census().created, pool.census().closed);
    });
}

// One of ours, found when the accounts were made stricter.
TEST_F(defect, a_byte_stream_given_back_in_the_turn_of_its_lease_serves_again) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1));
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        got->release_clean();
        co_await w.pass(1ms);
        EXPECT_EQ(pool.census().closed, 1U);
        co_await w.idle(1);
        std::optional<lease> next = pool.try_acquire();
        EXPECT_EQ(next->origin(), socket_origin::fresh);
        EXPECT_EQ(pool.census().outside, 1U);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
