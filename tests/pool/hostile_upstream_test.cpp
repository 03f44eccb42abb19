// Twenty ways in which an upstream can be bad, in any order: the pool keeps its limits meanwhile,
// and is whole again soon after the last of them.
#include <algorithm>

#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class hostile_upstream : public pool_test {};

constexpr int ways_count = 20;

void reset_some(scripted_upstream& upstream, std::size_t count) {
    for (stream& peer : upstream.peers)
        if (count != 0 && peer.valid()) --count, peer.abort();
}

void say_to_all(scripted_upstream& upstream, std::string_view words) {
    const iovec vector{.iov_base = const_cast<char*>(words.data()), .iov_len = words.size()};
    for (stream& peer : upstream.peers)
        if (peer.valid()) static_cast<void>(peer.try_send({&vector, 1}));
}

void misbehave(scripted_upstream& upstream, int way) {
    switch (way) {
        case 0: upstream.failure = ECONNREFUSED; break;
        case 1: upstream.failure = ETIMEDOUT; break;
        case 2: upstream.failure = EHOSTUNREACH; break;
        case 3: upstream.failure = ENETUNREACH; break;
        case 4: upstream.failure = ECONNRESET; break;
        case 5: upstream.failure = EADDRNOTAVAIL; break;
        case 6: upstream.failure = EMFILE; break;
        case 7: upstream.failure = ENOENT; break;
        case 8: upstream.hanging = true; break;
        case 9: upstream.delay = 300ms; break;
        case 10: upstream.closing_at_once = true; break;
        case 11: upstream.greeting = true; break;  // Unasked.
        case 12: upstream.hang_up_all(); break;
        case 13: reset_some(upstream, 1); break;
        case 14: reset_some(upstream, 100); break;
        case 15: say_to_all(upstream, "HTTP/1.1 408 Request Timeout\r\n\r\n"); break;
        case 16:
            say_to_all(upstream, "x");
            upstream.hang_up_all();
            break;
        case 17: upstream.ill = EPROTO; break;
        case 18: upstream.ill = ECONNRESET; break;
        default:
            upstream.closing_at_once = true;
            upstream.delay = 100ms;
            upstream.hang_up_all();
    }
}

void behave(scripted_upstream& upstream) {
    upstream.failure = upstream.ill = 0;
    upstream.hanging = upstream.closing_at_once = upstream.greeting = false;
    upstream.delay = duration{0};
}

pool_config limits_of_all() {
    pool_config limits = small_pool(4, 6);
    limits.connection_timeout = 2s;
    limits.validation_timeout = 1s;
    limits.acquire_timeout = 500ms;
    limits.acquire_queue = 8;
    limits.max_lifetime = 20s;
    limits.cleanup_interval = 2s;
    limits.circuit_breaker = {3, 500ms, 4s};
    limits.degrade.direct_max = 3;
    return limits;
}

struct tally {
    int served = 0;
    int failed = 0;
    std::uint64_t most_in_ring = 0;
    std::uint64_t most_outside = 0;
};

task<> visit(world& w, tally& all, duration time, bool clean, bool young) {
    acquire_options how;
    how.only_young = young;
    result<lease> got = co_await w.pool->acquire({}, how);
    const pool_stats now = w.pool->snapshot();
    all.most_in_ring = std::max(all.most_in_ring, now.size_current + now.census.dialing);
    all.most_outside = std::max(all.most_outside, now.census.outside);
    if (!got) {
        all.failed += 1;
        co_return;
    }
    all.served += 1;
    co_await w.pass(time);
    if (clean) got->release_clean();
}

// One life: `first` for sure, and others after it.
task<> live(world& w, pool_kind kind, int first, std::uint64_t seed, tally& all) {
    std::mt19937_64 random{seed};
    pool_policy policy = of_kind(kind);
    policy.check_interval = 1s;
    policy.check_timeout = 200ms;
    warm_pool& pool = w.start(limits_of_all(), policy, seed);
    nursery visits;
    for (int step = 0; step < 60; ++step) {
        if (step % 6 == 0) {
            if (random() % 2 == 0) behave(w.upstream);
            misbehave(w.upstream, step == 0 ? first : static_cast<int>(random() % ways_count));
        }
        visits.start(visit(w, all, std::chrono::milliseconds{random() % 300}, random() % 4 != 0,
                           random() % 4 == 0));
        co_await w.pass(std::chrono::milliseconds{random() % 150});
    }
    behave(w.upstream);
    co_await visits.join();
    // The longest that the breaker stays open, a connect, and the pace of a recovery.
    co_await w.pass(8s);
    EXPECT_EQ(pool.breaker(), breaker_state::closed);
    EXPECT_GE(pool.census().idle, 4U);
    EXPECT_EQ(pool.census().leased, 0U);
    const result<lease> got = co_await pool.acquire({});
    EXPECT_TRUE(got);
}

TEST_F(hostile_upstream, leaves_a_pool_within_its_limits_and_whole_again_soon_after) {
    run_simulated([](world& w) -> task<> {
        tally all;
        for (int way = 0; way < ways_count; ++way) {
            for (std::uint64_t seed = 1; seed <= 8; ++seed) {
                SCOPED_TRACE(testing::Message() << "way " << way << ", seed " << seed);
                co_await live(w, pool_kind::http, way, seed, all);
                co_await w.pool->close();
                EXPECT_EQ(w.pool->census().created, w.pool->census().closed);
                w.upstream.peers.clear();
            }
        }
        w.closed = true;
        EXPECT_LE(all.most_in_ring, 6U);
        EXPECT_LE(all.most_outside, 3U);
        EXPECT_GT(all.served, 1000);
        EXPECT_GT(all.failed, 100);
    });
}

TEST_F(hostile_upstream, leaves_a_pool_of_byte_streams_whole_again_soon_after) {
    run_simulated([](world& w) -> task<> {
        tally all;
        for (int way = 0; way < ways_count; ++way) {
            SCOPED_TRACE(testing::Message() << "way " << way);
            co_await live(w, pool_kind::client_first, way, 1, all);
            co_await w.pool->close();
            EXPECT_EQ(w.pool->census().created, w.pool->census().closed);
            w.upstream.peers.clear();
        }
        w.closed = true;
        EXPECT_GT(all.served, 300);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
