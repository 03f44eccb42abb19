// Warm-up, hand-out, refill and limits.
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class warm_up : public pool_test {};
class hand_out : public pool_test {};
class refill : public pool_test {};
class age : public pool_test {};

TEST_F(warm_up, connects_what_was_asked_for_a_few_at_a_time) {
    run([](world& w) -> task<> {
        w.upstream.delay = 10ms;
        warm_pool& pool = w.start(small_pool(20, 50));
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        EXPECT_EQ(pool.census().idle, 20U);
        EXPECT_EQ(w.upstream.most_dialing, 4);
    });
}

TEST_F(warm_up, of_a_byte_stream_happens_only_when_asked_for) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(0);
        limits.min_idle_connections = 5;
        warm_pool& pool = w.start(limits);
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        co_await w.pass(10s);
        EXPECT_TRUE(w.upstream.dials.empty());
    });
}

TEST_F(warm_up, keeps_min_idle_connections_where_sockets_are_used_again) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(0);
        limits.min_idle_connections = 5;
        warm_pool& pool = w.start(limits, reusing());
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        EXPECT_EQ(pool.census().idle, 5U);
    });
}

TEST_F(warm_up, never_passes_the_maximum) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(20, 3));
        const result<void> warm = co_await pool.warmed_up({});
        EXPECT_TRUE(warm);
        co_await w.pass(10s);
        EXPECT_EQ(w.upstream.dials.size(), 3U);
    });
}

TEST_F(warm_up, of_a_dead_upstream_can_be_given_up) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        warm_pool& pool = w.start(small_pool(3));
        deadline patience{w.io, 5s, {}};
        const result<void> warm = co_await pool.warmed_up(patience.token());
        EXPECT_FALSE(warm);
        EXPECT_TRUE(patience.expired_first());
    });
}

TEST_F(hand_out, of_a_warm_socket_makes_no_system_call_and_no_frame) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2));
        co_await w.idle(2);
        const std::uint64_t calls = w.kernel->calls();
        const std::size_t frames = live_frames();
        std::optional<lease> got = pool.try_acquire();
        EXPECT_EQ(w.kernel->calls(), calls);
        EXPECT_EQ(live_frames(), frames);
        EXPECT_TRUE(got && got->warm());
    });
}

TEST_F(hand_out, gives_a_socket_that_works) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1));
        co_await w.idle(1);
        result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        w.upstream.say(*w.upstream.peer_of(got->socket()), "hello");
        std::array<std::byte, 5> heard{};
        const result<void> read = co_await got->socket().read_exactly(heard, {});
        EXPECT_TRUE(read);
        EXPECT_EQ(std::memcmp(heard.data(), "hello", 5), 0);
        got->release_clean();
    });
}

TEST_F(hand_out, takes_never_used_sockets_oldest_first) {
    run([](world& w) -> task<> {
        w.upstream.delay = 10ms;
        warm_pool& pool = w.start(small_pool(6));
        co_await w.idle(6);
        std::optional<lease> first = pool.try_acquire();
        std::optional<lease> second = pool.try_acquire();
        EXPECT_EQ(first->origin(), socket_origin::fresh);
        EXPECT_EQ(w.upstream.peer_of(first->socket()), &w.upstream.peers.front());
        EXPECT_EQ(w.upstream.peer_of(second->socket()), &*std::next(w.upstream.peers.begin()));
    });
}

TEST_F(hand_out, takes_served_sockets_newest_first_and_before_unused_ones) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(4), reusing());
        co_await w.idle(4);
        std::optional<lease> early = pool.try_acquire();
        std::optional<lease> late = pool.try_acquire();
        stream* const early_end = w.upstream.peer_of(early->socket());
        stream* const late_end = w.upstream.peer_of(late->socket());
        early->release_clean();
        co_await w.pass(1ms);
        late->release_clean();
        co_await w.pass(1ms);
        std::optional<lease> first = pool.try_acquire();
        std::optional<lease> second = pool.try_acquire();
        std::optional<lease> third = pool.try_acquire();
        EXPECT_EQ(first->origin(), socket_origin::served);
        EXPECT_EQ(w.upstream.peer_of(first->socket()), late_end);
        EXPECT_EQ(w.upstream.peer_of(second->socket()), early_end);
        EXPECT_EQ(third->origin(), socket_origin::fresh);
    });
}

TEST_F(hand_out, connects_at_once_when_nothing_is_warm) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(0));
        result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        EXPECT_EQ(got->origin(), socket_origin::direct);
        EXPECT_EQ(pool.counters().acquired_direct, 1U);
    });
}

TEST_F(hand_out, never_waits_for_a_refill_below_the_maximum) {
    run([](world& w) -> task<> {
        w.upstream.hanging = true;
        warm_pool& pool = w.start(small_pool(4, 8), reusing());
        co_await w.pass(1ms);
        EXPECT_EQ(w.upstream.dialing, 4);
        w.upstream.hanging = false;
        const time_point before = w.io.now();
        result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        EXPECT_LT(w.io.now() - before, 1s);
    });
}

TEST_F(hand_out, connects_within_connection_timeout) {
    run([](world& w) -> task<> {
        w.upstream.hanging = true;
        pool_config limits = small_pool(0);
        limits.connection_timeout = 3s;
        warm_pool& pool = w.start(limits);
        const time_point before = w.io.now();
        const result<lease> got = co_await pool.acquire({});
        EXPECT_EQ(got.error().code(), ETIMEDOUT);
        EXPECT_GE(w.io.now() - before, 3s);
        EXPECT_LT(w.io.now() - before, 4s);
        EXPECT_EQ(pool.counters().dial_timeouts, 1U);
    });
}

TEST_F(hand_out, tells_the_reason_of_a_refused_connection) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        warm_pool& pool = w.start(small_pool(0));
        const result<lease> got = co_await pool.acquire({});
        EXPECT_EQ(got.error().code(), ECONNREFUSED);
        EXPECT_EQ(pool.counters().dial_failures, 1U);
    });
}

TEST_F(hand_out, counts_conditions_of_this_host_apart) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(0));
        for (const int local : {EADDRNOTAVAIL, EMFILE, ENFILE}) {
            w.upstream.failure = local;
            const result<lease> got = co_await pool.acquire({});
            EXPECT_EQ(got.error().code(), local);
        }
        EXPECT_EQ(pool.counters().local_failures, 3U);
        EXPECT_EQ(pool.counters().dial_failures, 0U);
    });
}

TEST_F(hand_out, by_value_leaves_the_lease_as_the_count) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1));
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        result<stream> socket = co_await got->detach();
        EXPECT_TRUE(socket && socket->valid());
        co_await w.idle(1);
        EXPECT_EQ(pool.census().leased, 1U);
        socket->close();
        got.reset();
        EXPECT_EQ(pool.census().leased, 0U);
    });
}

TEST_F(hand_out, by_value_frees_the_slot_of_a_socket_that_would_have_come_back) {
    run([](world& w) -> task<> {
        pool_policy policy = reusing();
        policy.max_connections = 1;
        warm_pool& pool = w.start(small_pool(1, 1), policy);
        co_await w.idle(1);
        std::optional<lease> upgraded = pool.try_acquire();
        result<stream> socket = co_await upgraded->detach();
        EXPECT_TRUE(socket);
        co_await w.idle(1);
        std::optional<lease> next = pool.try_acquire();
        EXPECT_TRUE(next);
        const result<stream> refused = co_await next->detach();
        EXPECT_EQ(refused.error().code(), EBUSY);
    });
}

TEST_F(refill, replaces_a_byte_stream_while_its_lease_lasts) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3, 3));
        co_await w.idle(3);
        std::optional<lease> a = pool.try_acquire();
        std::optional<lease> b = pool.try_acquire();
        co_await w.idle(3);
        EXPECT_EQ(pool.census().leased, 2U);
    });
}

TEST_F(refill, of_a_dead_upstream_goes_one_at_a_time_and_slows_down) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        pool_config limits = small_pool(50, 50);
        limits.circuit_breaker.failure_threshold = 0;
        w.start(limits);
        const time_point start = w.io.now();
        co_await w.pass(60s);
        // Four at first; then delays of 1 s on average, up to 2 s.
        EXPECT_LE(w.upstream.dials_within(start, 1s), 16U);
        EXPECT_LE(w.upstream.dials_within(start + 10s, 50s), 100U);
        EXPECT_GE(w.upstream.dials_within(start + 10s, 50s), 25U);
        w.upstream.most_dialing = 0;
        co_await w.pass(10s);
        EXPECT_EQ(w.upstream.most_dialing, 1);
    });
}

TEST_F(refill, does_not_stampede_an_upstream_that_restarts) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(50, 50);
        limits.circuit_breaker.failure_threshold = 0;
        w.start(limits);
        co_await w.idle(50);
        w.upstream.failure = ECONNREFUSED;
        w.upstream.hang_up_all();
        co_await w.pass(20s);
        w.upstream.failure = 0;
        const time_point back = w.io.now();
        const std::size_t before = w.upstream.dials.size();
        const auto seen = [&w, before] { return w.upstream.dials.size() > before; };
        co_await w.until(seen);
        const time_point first = w.upstream.dials[before];
        EXPECT_LE(first - back, 2s);
        co_await w.pass(1s);
        EXPECT_LE(w.upstream.dials_within(first, 1s), 16U);
        co_await w.idle(50);
    });
}

TEST_F(refill, does_not_stampede_an_upstream_that_was_gone_for_an_instant) {
    run([](world& w) -> task<> {
        w.start(small_pool(50, 50));
        co_await w.idle(50);
        co_await w.pass(10s);
        const time_point gone = w.io.now();
        w.upstream.hang_up_all();
        co_await w.pass(1s);
        EXPECT_LE(w.upstream.dials_within(gone, 1s), 16U);
        co_await w.idle(50);
    });
}

TEST_F(refill, does_not_hammer_an_upstream_that_closes_what_it_accepts) {
    run([](world& w) -> task<> {
        w.upstream.closing_at_once = true;
        w.start(small_pool(10, 10));
        const time_point start = w.io.now();
        co_await w.pass(30s);
        EXPECT_LE(w.upstream.dials_within(start + 10s, 20s), 60U);
    });
}

TEST_F(refill, begins_anew_as_soon_as_a_caller_could_connect) {
    run([](world& w) -> task<> {
        w.upstream.failure = ECONNREFUSED;
        warm_pool& pool = w.start(small_pool(4));
        co_await w.pass(60s);
        w.upstream.failure = 0;
        result<lease> got = co_await pool.acquire({});
        EXPECT_TRUE(got);
        co_await w.pass(150ms);
        EXPECT_GE(pool.census().idle, 1U);
        co_await w.idle(4);
    });
}

TEST_F(age, retires_what_was_idle_too_long_not_all_at_once) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(8);
        limits.max_idle_time = 100s;
        warm_pool& pool = w.start(limits);
        co_await w.idle(8);
        co_await w.pass(88s);
        EXPECT_EQ(pool.counters().retired_idle, 0U);
        co_await w.pass(12s);
        EXPECT_GT(pool.counters().retired_idle, 0U);
        EXPECT_LT(pool.counters().retired_idle, 8U);
        co_await w.pass(12s);
        EXPECT_EQ(pool.counters().retired_idle, 8U);
        co_await w.idle(8);
    });
}

TEST_F(age, ends_a_socket_that_is_used_all_the_time) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1, 1);
        limits.max_lifetime = 60s;
        warm_pool& pool = w.start(limits, reusing());
        co_await w.idle(1);
        for (int i = 0; i < 70; ++i) {
            result<lease> got = co_await pool.acquire({});
            EXPECT_TRUE(got);
            if (!got) co_return;
            co_await w.pass(1s);
            got->release_clean();
        }
        EXPECT_EQ(pool.census().created, 2U);
    });
}

TEST_F(age, of_nothing_is_limited_when_the_limits_are_zero) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(2);
        limits.max_lifetime = 0s;
        limits.max_idle_time = 0s;
        warm_pool& pool = w.start(limits);
        co_await w.idle(2);
        co_await w.pass(100h);
        EXPECT_EQ(pool.census().created, 2U);
    });
}

TEST_F(age, of_an_idle_socket_ends_with_a_fin) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1);
        limits.max_idle_time = 10s;
        w.start(limits);
        co_await w.idle(1);
        stream& end = w.upstream.peers.front();
        std::array<std::byte, 1> byte{};
        const result<std::size_t> got = co_await end.receive(byte, {});
        EXPECT_TRUE(got);
        EXPECT_EQ(*got, 0U);
    });
}

TEST_F(age, of_a_lease_beyond_its_limit_is_reported_with_its_place) {
    run([](world& w) -> task<> {
        pool_config limits = small_pool(1);
        limits.lease_limit = 30s;
        warm_pool& pool = w.start(limits);
        unsigned reported_line = 0;
        duration reported_age{0};
        pool.on_leak([&](const std::source_location& where, duration old) {
            reported_line = where.line();
            reported_age = old;
        });
        co_await w.idle(1);
        const unsigned line = __LINE__ + 1;
        std::optional<lease> kept = pool.try_acquire();
        co_await w.pass(29s);
        EXPECT_EQ(pool.counters().leaks, 0U);
        co_await w.pass(100s);
        EXPECT_EQ(pool.counters().leaks, 1U);
        EXPECT_EQ(reported_line, line);
        EXPECT_GE(reported_age, 30s);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
