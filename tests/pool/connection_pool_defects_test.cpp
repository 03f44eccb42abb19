// What a well-known connection pool of another language gets wrong, each defect by its name: not
// in the pool for any type either. (For the pool of sockets: rust_pool_defects_test.cpp.)
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "pool/fake_connections.hpp"

namespace tunnel_uring::test {
namespace {

class generic_defect : public connection_pool_test {};

// A pair of sockets: the manager has one end, the test the other.
struct socket_pairs {
    std::shared_ptr<std::vector<int>> far_ends = std::make_shared<std::vector<int>>();

    result<int> create(pool_time) const {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
            return error{errno};
        far_ends->push_back(ends[1]);
        return ends[0];
    }
    // Alive is what has nothing to read, not even an end; a banner stays where it is.
    bool validate(int fd) const {
        char byte = 0;
        const ssize_t got = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return got > 0 || (got < 0 && errno == EAGAIN);
    }
    void close(int fd) const { ::close(fd); }
};

connection_pool_limits checking_each_time() {
    connection_pool_limits limits;
    limits.max_pool_size = 2;
    limits.threads = 0;
    limits.trusted_for = 0s;
    return limits;
}

TEST_F(generic_defect, validation_that_reads_a_byte_loses_it) {
    auto sockets = connection_pool<int, socket_pairs>::open(checking_each_time());
    ASSERT_TRUE(sockets);
    const auto far_ends = sockets->manager().far_ends;
    auto first = sockets->acquire();
    first->release_clean();
    ASSERT_EQ(::send(far_ends->front(), "220 hello", 9, 0), 9);
    auto again = sockets->acquire();  // It was checked.
    std::array<char, 16> banner{};
    ASSERT_EQ(::recv(**again, banner.data(), banner.size(), 0), 9);
    EXPECT_EQ(std::string_view(banner.data(), 9), "220 hello");
    EXPECT_EQ(sockets->stats().checks, 1U);
    for (const int fd : *far_ends) ::close(fd);
}

TEST_F(generic_defect, asking_for_the_peers_address_never_notices_a_fin) {
    auto sockets = connection_pool<int, socket_pairs>::open(checking_each_time());
    ASSERT_TRUE(sockets);
    const auto far_ends = sockets->manager().far_ends;
    auto first = sockets->acquire();
    first->release_clean();
    ::shutdown(far_ends->front(), SHUT_WR);
    auto again = sockets->acquire();
    EXPECT_EQ(far_ends->size(), 2U) << "a new one";
    EXPECT_EQ(sockets->stats().check_failures, 1U);
    again->release_clean();
    for (const int fd : *far_ends) ::close(fd);
}

TEST_F(generic_defect, one_slow_check_stalls_every_acquire) {
    connection_pool_limits limits = by_hand(3);
    limits.trusted_for = 500ms;
    start(limits);
    lease one = take();
    lease two = take();
    one.release_clean();
    still_clock::pass(1s);
    end->checking.shut();
    std::thread unlucky{[&] { EXPECT_EQ(id_of_next(), 1); }};
    end->checking.await(1);
    two.release_clean();
    EXPECT_EQ(id_of_next(), 2) << "while the check of 1 hangs";
    lease other = take();
    lease made = take();
    EXPECT_EQ(made->id, 3);
    EXPECT_EQ(pool->stats().checking, 1U);
    end->checking.open();
    unlucky.join();
}

TEST_F(generic_defect, the_idle_clock_restarts_at_each_return_and_there_is_no_lifetime) {
    connection_pool_limits limits = by_hand(1);
    limits.max_idle_time = 1h;
    limits.max_lifetime = 100s;
    start(limits);
    for (int second = 0; second < 120; ++second) {
        const int id = id_of_next();
        EXPECT_TRUE(id == 1 || second >= 90);
        pass(1s);
    }
    EXPECT_EQ(end->made, 2);
    EXPECT_EQ(pool->stats().retired_lifetime, 1U);
}

TEST_F(generic_defect, warming_up_by_get_and_drop_warms_one_socket) {
    connection_pool_limits limits = by_hand(50);
    limits.min_idle_connections = 10;
    start(limits);
    const result<void> warm = pool->warm_up(1min);
    EXPECT_TRUE(warm);
    std::vector<lease> all;
    for (int i = 0; i < 10; ++i) all.push_back(take());
    EXPECT_EQ(pool->stats().acquired_idle, 10U);
    EXPECT_EQ(pool->stats().acquired_new, 0U);
}

TEST_F(generic_defect, waiters_have_no_deadline) {
    connection_pool_limits limits = by_hand(1);
    limits.acquire_timeout = 1ms;
    start(limits);
    const lease kept = take();
    const result<lease> late = pool->acquire();
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), EBUSY);
}

TEST_F(generic_defect, the_permit_is_free_before_the_recycle_ends_so_the_total_passes_the_maximum) {
    start(by_hand(1));
    lease only = take();
    end->closing.shut();
    std::thread closer{[&] { only.discard(); }};
    end->closing.await(1);
    EXPECT_EQ(pool->stats().closing, 1U);
    EXPECT_EQ(pool->acquire_within(0s).error().code(), EBUSY) << "it is not closed yet";
    std::thread next{[&] { EXPECT_EQ(id_of_next(), 2); }};
    await([](const auto& now) { return now.waiting == 1; });
    end->closing.open();
    closer.join();
    next.join();
    EXPECT_EQ(end->most_open, 1);
}

TEST_F(generic_defect, first_in_first_out_keeps_everything_warm_for_ever) {
    connection_pool_limits limits = by_hand(10);
    limits.max_idle_time = 60s;
    start(limits);
    {
        std::vector<lease> burst;
        for (int i = 0; i < 8; ++i) burst.push_back(take());
        for (lease& each : burst) each.release_clean();
    }
    for (int second = 0; second < 120; ++second) {
        EXPECT_EQ(id_of_next(), 8);
        pass(1s);
    }
    EXPECT_EQ(pool->stats().idle, 1U);
    EXPECT_EQ(pool->stats().retired_idle, 7U) << "the cold end ages out";
}

TEST_F(generic_defect, half_read_connections_go_back) {
    start(by_hand(1));
    {
        const lease half_read = take();  // Whoever uses it fails in the middle, and returns.
    }
    EXPECT_EQ(id_of_next(), 2);
    EXPECT_EQ(pool->stats().returned_unclean, 1U);
}

TEST_F(generic_defect, there_are_no_metrics) {
    connection_pool_limits limits = by_hand(2);
    limits.lease_limit = 10s;
    limits.trusted_for = 0s;
    std::vector<unsigned> told;
    limits.on_leak = [&told](const std::source_location& where, duration age) {
        told.push_back(where.line());
        EXPECT_GE(age, 10s);
    };
    start(limits);
    EXPECT_EQ(pool->stats().reuse_rate(), 0);
    EXPECT_EQ(id_of_next(), 1);
    lease leaked = take();
    const unsigned line = __LINE__ - 1;
    lease other = take();
    EXPECT_EQ(pool->acquire_within(0s).error().code(), EBUSY);
    still_clock::pass(3s);
    other.release_clean();
    for (int i = 0; i < 3; ++i) pass(5s);
    EXPECT_EQ(told, std::vector<unsigned>{line}) << "once";
    const connection_pool_stats now = pool->stats();
    EXPECT_EQ(now.leaks, 1U);
    EXPECT_EQ(now.acquired_new, 2U);
    EXPECT_EQ(now.acquired_idle, 1U);
    EXPECT_EQ(now.acquire_failures, 1U);
    EXPECT_EQ(now.acquire.count, 4U);
    EXPECT_EQ(now.create.count, 2U);
    EXPECT_EQ(now.check.count, 1U);
    EXPECT_EQ(now.held.count, 2U);
    EXPECT_GE(now.held.p99, 3s);
    EXPECT_LE(now.held.p99, 3400ms);
    const std::vector<connection_pool_lease> out = pool->leases();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out.front().taken_at.line(), line);
    EXPECT_EQ(out.front().age, 18s);
    EXPECT_EQ(leaked.age(), 18s);
}

TEST_F(generic_defect, there_is_no_close_and_no_drain) {
    start(by_hand(3));
    lease kept = take();
    EXPECT_EQ(id_of_next(), 2);
    pool->close();
    EXPECT_EQ(end->open, 1) << "what is idle is closed at once";
    EXPECT_EQ(pool->acquire().error().code(), ESHUTDOWN);
    EXPECT_EQ(pool->drain(1ms).error().code(), ETIMEDOUT);
    kept.release_clean();
    const result<void> drained = pool->drain(1ms);
    EXPECT_TRUE(drained);
    EXPECT_EQ(pool->stats().created, pool->stats().closed);
}

}  // namespace
}  // namespace tunnel_uring::test
