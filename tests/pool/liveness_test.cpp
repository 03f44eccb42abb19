// What an idle socket may do, and that no caller ever sees it.
#include <poll.h>

#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class liveness : public pool_test {};
class recycle : public pool_test {};

// Wakes its caller in the same batch of completions as what was done to the pool's sockets before:
// all of it was done before the loop looks.
task<> next_batch(world& w, stream& signal) {
    std::array<std::byte, 1> byte{};
    const result<std::size_t> got = co_await signal.receive(byte, {});
    EXPECT_TRUE(got && *got == 1);
    EXPECT_TRUE(w.pool);
}

// A connection beside the pool, both ends in hand.
task<lease> outside_pair(world& w) {
    result<lease> got = co_await w.pool->acquire({});
    EXPECT_TRUE(got);
    lease pair = std::move(*got);
    const auto accepted = [&w, &pair] { return w.upstream.peer_of(pair.socket()) != nullptr; };
    co_await w.until(accepted);
    co_return std::move(pair);
}

TEST_F(liveness, a_fin_evicts_before_an_acquire_of_the_same_batch) {
    run_real([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(2));
        co_await w.idle(2);
        lease pair = co_await outside_pair(w);
        co_await w.idle(2);
        stream& signal = *w.upstream.peer_of(pair.socket());
        const iovec byte{.iov_base = const_cast<char*>("x"), .iov_len = 1};
        for (stream& peer : w.upstream.peers)
            if (&peer != &signal) w.upstream.hang_up(peer);
        const result<std::size_t> sent = pair.socket().try_send({&byte, 1});
        EXPECT_TRUE(sent);
        co_await next_batch(w, signal);
        EXPECT_FALSE(pool.try_acquire());
        EXPECT_EQ(pool.counters().evicted_hung_up, 2U);
    });
}

TEST_F(liveness, a_fin_of_all_is_replaced_and_none_of_them_is_handed_out) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(5));
        co_await w.idle(5);
        co_await w.pass(10s);
        w.upstream.failure = ECONNREFUSED;
        w.upstream.hang_up_all();
        const auto seen = [&pool] { return pool.counters().evicted_hung_up == 5; };
        co_await w.until(seen);
        EXPECT_FALSE(pool.try_acquire());
        w.upstream.failure = 0;
        co_await w.idle(5);
        EXPECT_EQ(pool.census().created, 10U);
    });
}

TEST_F(liveness, a_reset_evicts) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1));
        co_await w.idle(1);
        w.upstream.peers.front().abort();
        const auto seen = [&pool] { return pool.counters().evicted_hung_up == 1; };
        co_await w.until(seen);
    });
}

TEST_F(liveness, bytes_nobody_asked_for_evict) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), reusing());
        co_await w.idle(1);
        w.upstream.say(w.upstream.peers.front(), "HTTP/1.1 408 Request Timeout\r\n\r\n");
        w.upstream.hang_up(w.upstream.peers.front());
        const auto seen = [&pool] {
            return pool.counters().evicted_spoke + pool.counters().evicted_hung_up == 1;
        };
        co_await w.until(seen);
    });
}

TEST_F(liveness, a_banner_waits_for_the_visitor_where_the_server_speaks_first) {
    run([](world& w) -> task<> {
        w.upstream.greeting = true;
        const pool_policy policy = of_kind(pool_kind::server_first);
        warm_pool& pool = w.start(small_pool(1), policy);
        co_await w.idle(1);
        co_await w.pass(10s);
        EXPECT_EQ(pool.census().created, 1U);
        std::optional<lease> got = pool.try_acquire();
        EXPECT_TRUE(got);
        std::array<std::byte, 11> banner{};
        const result<void> read = co_await got->socket().read_exactly(banner, {});
        EXPECT_TRUE(read);
        EXPECT_EQ(std::memcmp(banner.data(), "220 hello\r\n", 11), 0);
    });
}

TEST_F(liveness, a_fin_behind_a_banner_evicts) {
    run([](world& w) -> task<> {
        w.upstream.greeting = true;
        const pool_policy policy = of_kind(pool_kind::server_first);
        warm_pool& pool = w.start(small_pool(1), policy);
        co_await w.idle(1);
        co_await w.pass(10s);
        w.upstream.hang_up_all();
        const auto seen = [&pool] { return pool.counters().evicted_hung_up == 1; };
        co_await w.until(seen);
    });
}

TEST_F(liveness, a_poll_that_ended_by_itself_is_armed_again) {
    run([](world& w) -> task<> {
        w.upstream.greeting = true;
        const pool_policy policy = of_kind(pool_kind::server_first);
        warm_pool& pool = w.start(small_pool(2), policy);
        co_await w.idle(2);
        co_await w.pass(10s);
        w.kernel->end_polls(POLLIN);
        const auto again = [&pool] { return pool.counters().polls_rearmed == 2; };
        co_await w.until(again);
        EXPECT_EQ(pool.census().idle, 2U);
        w.upstream.hang_up_all();
        const auto seen = [&pool] { return pool.counters().evicted_hung_up == 2; };
        co_await w.until(seen);
    });
}

TEST_F(liveness, what_the_poll_sees_of_a_leased_socket_is_its_holders) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        w.upstream.say(w.upstream.peers.front(), "answer");
        std::array<std::byte, 6> answer{};
        const result<void> read = co_await got->socket().read_exactly(answer, {});
        EXPECT_TRUE(read);
        got->release_clean();
        co_await w.idle(1);
        EXPECT_EQ(pool.census().created, 1U);
        EXPECT_EQ(pool.counters().evicted_spoke, 0U);
    });
}

TEST_F(recycle, of_a_clean_socket_serves_again) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        for (int i = 0; i < 10; ++i) {
            co_await w.idle(1);
            std::optional<lease> got = pool.try_acquire();
            EXPECT_TRUE(got);
            got->release_clean();
        }
        EXPECT_EQ(pool.census().created, 1U);
        EXPECT_EQ(pool.counters().acquired_served, 9U);
    });
}

TEST_F(recycle, of_a_socket_with_bytes_left_over_is_refused) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        w.upstream.say(w.upstream.peers.front(), "left over");
        co_await w.pass(1ms);
        got->release_clean();
        co_await w.idle(1);
        EXPECT_EQ(pool.census().created, 2U);
        EXPECT_EQ(pool.counters().acquired_served, 0U);
    });
}

TEST_F(recycle, of_a_socket_closed_meanwhile_is_refused) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        w.upstream.hang_up_all();
        co_await w.pass(1ms);
        got->release_clean();
        EXPECT_FALSE(pool.try_acquire());
        co_await w.idle(1);
        EXPECT_EQ(pool.census().created, 2U);
    });
}

TEST_F(recycle, of_a_lease_without_proof_resets) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        {
            const std::optional<lease> dropped = pool.try_acquire();
        }
        std::array<std::byte, 1> byte{};
        const result<std::size_t> got = co_await w.upstream.peers.front().receive(byte, {});
        EXPECT_EQ(got.error().code(), ECONNRESET);
    });
}

TEST_F(recycle, of_a_byte_stream_never_happens_and_a_clean_one_ends_with_a_fin) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1));
        co_await w.idle(1);
        std::optional<lease> got = pool.try_acquire();
        co_await w.idle(1);
        got->release_clean();
        std::array<std::byte, 1> byte{};
        const result<std::size_t> end = co_await w.upstream.peers.front().receive(byte, {});
        EXPECT_TRUE(end && *end == 0);
        EXPECT_EQ(pool.census().closed, 1U);
    });
}

TEST_F(recycle, never_lets_the_total_pass_the_maximum) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(4, 4), reusing());
        co_await w.idle(4);
        for (int round = 0; round < 50; ++round) {
            result<lease> a = co_await pool.acquire({});
            result<lease> b = co_await pool.acquire({});
            if (round % 2 == 0) a->release_clean();
            const pool_census now = pool.census();
            EXPECT_LE(now.idle + now.leased + now.closing + now.dialing, 4U);
            if (round % 5 == 0) co_await w.pass(1ms);
        }
    });
}

}  // namespace
}  // namespace tunnel_uring::test
