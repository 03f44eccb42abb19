// lease::renew(): a socket that proved dead is replaced, in the same place.
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class renewing : public pool_test {};

// A lease of a socket whose upstream has hung up.
task<lease> dead_lease(world& w) {
    std::optional<lease> got = w.pool->try_acquire();
    EXPECT_TRUE(got);
    const auto accepted = [&w, &got] { return w.upstream.peer_of(got->socket()) != nullptr; };
    co_await w.until(accepted);
    w.upstream.hang_up(*w.upstream.peer_of(got->socket()));
    co_return std::move(*got);
}

task<> expect_it_works(world& w, lease& held) {
    const auto accepted = [&w, &held] { return w.upstream.peer_of(held.socket()) != nullptr; };
    co_await w.until(accepted);
    w.upstream.say(*w.upstream.peer_of(held.socket()), "hello");
    std::array<std::byte, 5> heard{};
    const result<void> read = co_await held.socket().read_exactly(heard, {});
    EXPECT_TRUE(read);
}

TEST_F(renewing, a_dead_lease_gives_it_a_socket_that_works) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1), reusing());
        co_await w.idle(1);
        lease held = co_await dead_lease(w);
        EXPECT_TRUE(held.warm());
        const result<void> renewed = co_await held.renew({});
        EXPECT_TRUE(renewed);
        EXPECT_EQ(held.origin(), socket_origin::direct);
        EXPECT_EQ(pool.counters().renewed, 1U);
        co_await expect_it_works(w, held);
    });
}

TEST_F(renewing, keeps_the_slot_to_which_the_socket_comes_back) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        {
            lease held = co_await dead_lease(w);
            const result<void> renewed = co_await held.renew({});
            EXPECT_TRUE(renewed);
            // The ring has one place, and it is taken.
            EXPECT_EQ(pool.census().leased, 1U);
            EXPECT_EQ(pool.census().idle, 0U);
            EXPECT_FALSE(pool.try_acquire());
            co_await expect_it_works(w, held);
            held.release_clean();
        }
        co_await w.idle(1);
        EXPECT_EQ(pool.census().created, 2U);
        EXPECT_EQ(pool.census().closed, 1U);
        const std::optional<lease> again = pool.try_acquire();
        EXPECT_TRUE(again && again->origin() == socket_origin::served);
    });
}

TEST_F(renewing, never_takes_a_warm_socket) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(3), reusing());
        co_await w.idle(3);
        std::vector<socket_address> before;
        for (const stream& peer : w.upstream.peers) before.push_back(peer.peer_address());
        const std::size_t dials = w.upstream.dials.size();
        lease held = co_await dead_lease(w);
        const result<void> renewed = co_await held.renew({});
        EXPECT_TRUE(renewed);
        EXPECT_GT(w.upstream.dials.size(), dials);
        const socket_address own = held.socket().local_address();
        EXPECT_EQ(std::count(before.begin(), before.end(), own), 0);
        EXPECT_GE(pool.census().idle, 2U);
    });
}

TEST_F(renewing, can_be_done_again_when_the_new_socket_dies_too) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        lease held = co_await dead_lease(w);
        for (int i = 0; i < 3; ++i) {
            const result<void> renewed = co_await held.renew({});
            EXPECT_TRUE(renewed);
        }
        EXPECT_EQ(pool.counters().renewed, 3U);
        EXPECT_EQ(pool.census().created, 4U);
        EXPECT_EQ(pool.census().closed, 3U);
    });
}

TEST_F(renewing, that_fails_leaves_a_lease_that_only_ends) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        {
            lease held = co_await dead_lease(w);
            w.upstream.failure = ECONNREFUSED;
            const result<void> renewed = co_await held.renew({});
            EXPECT_EQ(renewed.error().code(), ECONNREFUSED);
            EXPECT_EQ(pool.counters().renewed, 0U);
            EXPECT_EQ(pool.counters().dial_failures, 1U);
            EXPECT_EQ(pool.census().leased, 1U);
        }
        w.upstream.failure = 0;
        co_await w.idle(1);
        const pool_census now = pool.census();
        EXPECT_EQ(now.leased, 0U);
        EXPECT_EQ(now.created, 2U);
        EXPECT_EQ(now.closed, 1U);
    });
}

TEST_F(renewing, ends_when_it_is_cancelled) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        lease held = co_await dead_lease(w);
        w.upstream.hanging = true;
        deadline patience{w.io, 1s, {}};
        const result<void> renewed = co_await held.renew(patience.token());
        EXPECT_EQ(renewed.error().code(), ECANCELED);
        EXPECT_EQ(pool.counters().dial_failures, 0U);
        w.upstream.hanging = false;
    });
}

// The slot is still joining the poll of the socket that was idle a moment ago.
TEST_F(renewing, may_follow_the_acquire_at_once) {
    run([](world& w) -> task<> {
        w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        std::optional<lease> held = w.pool->try_acquire();
        EXPECT_TRUE(held);
        const result<void> renewed = co_await held->renew({});
        EXPECT_TRUE(renewed);
        co_await expect_it_works(w, *held);
        held->release_clean();
        held.reset();
        co_await w.idle(1);
    });
}

TEST_F(renewing, a_lease_that_has_left_the_ring_works_as_well) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(1, 1));
        co_await w.idle(1);
        std::optional<lease> held = pool.try_acquire();
        EXPECT_TRUE(held);
        const result<void> renewed = co_await held->renew({});
        EXPECT_TRUE(renewed);
        co_await expect_it_works(w, *held);
        held.reset();
        co_await w.idle(1);
        EXPECT_EQ(pool.census().leased, 0U);
    });
}

TEST_F(renewing, ends_when_the_pool_closes) {
    run([](world& w) -> task<> {
        w.start(small_pool(1, 1), reusing());
        co_await w.idle(1);
        lease dead = co_await dead_lease(w);
        w.upstream.hanging = true;
        constexpr auto renew = [](lease held, int& code) -> task<> {
            const result<void> renewed = co_await held.renew({});
            code = renewed ? 0 : renewed.error().code();
        };
        int code = 0;
        nursery renewals;
        renewals.start(renew(std::move(dead), code));
        co_await w.pass(10ms);
        co_await w.close();
        co_await renewals.join();
        EXPECT_EQ(code, ESHUTDOWN);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
