// The pool for any type: what its header promises, with connections that are only numbers.
#include <random>

#include "pool/fake_connections.hpp"

namespace tunnel_uring::test {
namespace {

class opening : public connection_pool_test {};
class leasing : public connection_pool_test {};
class turns : public connection_pool_test {};
class keeping : public connection_pool_test {};
class failing : public connection_pool_test {};
class ending : public connection_pool_test {};

TEST_F(opening, refuses_limits_out_of_their_range_with_a_sentence) {
    struct wrong_limit {
        std::string_view sentence;
        void (*spoil)(connection_pool_limits&);
    };
    const wrong_limit all[] = {
        {"max_pool_size is 0; it may be 1 to 65536", [](auto& l) { l.max_pool_size = 0; }},
        {"max_pool_size is 65537; it may be 1 to 65536", [](auto& l) { l.max_pool_size = 65537; }},
        {"min_idle_connections is 51; it may be 0 to 50",
         [](auto& l) { l.min_idle_connections = 51; }},
        {"threads is 65; it may be 0 to 64", [](auto& l) { l.threads = 65; }},
        {"acquire_timeout is negative", [](auto& l) { l.acquire_timeout = -1ns; }},
        {"connection_timeout is not positive", [](auto& l) { l.connection_timeout = 0s; }},
        {"cleanup_interval is not positive", [](auto& l) { l.cleanup_interval = 0s; }},
        {"max_idle_time is negative", [](auto& l) { l.max_idle_time = -1s; }},
        {"max_lifetime is negative", [](auto& l) { l.max_lifetime = -1s; }},
        {"retry_max is below retry_initial", [](auto& l) { l.retry_max = 1ms; }},
    };
    for (const wrong_limit& each : all) {
        connection_pool_limits limits;
        each.spoil(limits);
        const result<pool_type> opened = pool_type::open(std::move(limits));
        ASSERT_FALSE(opened) << each.sentence;
        EXPECT_EQ(opened.error().code(), EINVAL);
        EXPECT_EQ(opened.error().sentence(), each.sentence);
    }
}

// As the header shows it; a warning would be an error.
TEST_F(opening, takes_the_limits_that_matter_by_their_names) {
    const result<pool_type> opened = pool_type::open({.max_pool_size = 3, .threads = 0});
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->stats().max_pool_size, 3U);
}

TEST_F(leasing, makes_a_connection_where_none_is_idle_and_uses_it_again) {
    start(by_hand(2));
    lease first = take();
    EXPECT_EQ(first->id, 1);
    first.release_clean();
    EXPECT_FALSE(first);
    EXPECT_EQ(id_of_next(), 1);
    const connection_pool_stats now = pool->stats();
    EXPECT_EQ(now.acquired_new, 1U);
    EXPECT_EQ(now.acquired_idle, 1U);
    EXPECT_EQ(now.returned_clean, 2U);
    EXPECT_DOUBLE_EQ(now.reuse_rate(), 0.5);
}

TEST_F(leasing, closes_what_was_not_given_back_clean) {
    start(by_hand(2));
    {
        const lease forgotten = take();
    }
    EXPECT_EQ(end->open, 0);
    lease thrown_away = take();
    thrown_away.discard();
    EXPECT_EQ(end->open, 0);
    try {
        lease kept = take();
        throw std::runtime_error{"in the middle of it"};
    } catch (const std::runtime_error&) {
        EXPECT_EQ(end->open, 0);
    }
    EXPECT_EQ(pool->stats().returned_unclean, 3U);
    EXPECT_EQ(pool->stats().closed, 3U);
}

TEST_F(leasing, moves_with_its_connection) {
    start(by_hand(2));
    lease one = take();
    lease other = std::move(one);
    EXPECT_EQ(other->id, 1);
    other = take();
    EXPECT_EQ(other->id, 2);
    EXPECT_EQ(end->open, 1) << "the one it had was closed";
}

TEST_F(leasing, takes_the_most_recently_used_and_of_the_unused_the_oldest) {
    connection_pool_limits limits = by_hand(4);
    limits.min_idle_connections = 2;
    start(limits);
    pool->maintain();
    lease first = take();
    lease second = take();
    EXPECT_EQ(first->id, 1);
    EXPECT_EQ(second->id, 2);
    pool->maintain();  // 3 and 4, never used.
    first.release_clean();
    second.release_clean();
    lease a = take();
    lease b = take();
    lease c = take();
    EXPECT_EQ(a->id, 2);
    EXPECT_EQ(b->id, 1);
    EXPECT_EQ(c->id, 3);
}

TEST_F(leasing, checks_what_is_not_trusted_and_replaces_what_fails_once) {
    connection_pool_limits limits = by_hand(3);
    limits.trusted_for = 500ms;
    limits.min_idle_connections = 3;
    start(limits);
    pool->maintain();
    EXPECT_EQ(id_of_next(), 1);
    EXPECT_EQ(end->checks, 0);
    still_clock::pass(1s);
    EXPECT_EQ(id_of_next(), 1);
    EXPECT_EQ(end->checks, 1);
    for (const int id : {1, 2, 3}) end->hang_up(id);
    still_clock::pass(1s);
    EXPECT_EQ(id_of_next(), 4) << "a new one, though others were idle";
    EXPECT_EQ(end->checks, 2);
    EXPECT_EQ(pool->stats().check_failures, 1U);
}

TEST_F(leasing, checks_each_one_where_none_is_trusted) {
    connection_pool_limits limits = by_hand(1);
    limits.trusted_for = 0s;
    start(limits);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(id_of_next(), 1);
    EXPECT_EQ(end->checks, 4);
}

TEST_F(leasing, lets_the_manager_undo_what_was_done) {
    start(by_hand(1));
    end->recycles = false;
    EXPECT_EQ(id_of_next(), 1);
    EXPECT_EQ(end->open, 0);
    EXPECT_EQ(id_of_next(), 2);
    EXPECT_EQ(pool->stats().returned_unclean, 2U);
}

TEST_F(leasing, may_outlast_the_handle_of_its_pool) {
    start(by_hand(1));
    lease last = take();
    pool.reset();
    EXPECT_EQ(last->id, 1);
    EXPECT_EQ(end->open, 1);
    last.release_clean();
    EXPECT_EQ(end->open, 0);
}

TEST_F(turns, come_first_come_first_served_for_a_hundred_on_eight) {
    start(by_hand(8));
    std::vector<lease> taken;
    for (int i = 0; i < 8; ++i) taken.push_back(take());
    std::vector<std::thread> callers;
    std::mutex mutex;
    std::vector<int> order;
    constexpr int callers_count = 100;
    for (int i = 0; i < callers_count; ++i) {
        callers.emplace_back([&, i] {
            lease got = take();
            {
                const std::lock_guard held{mutex};
                order.push_back(i);
            }
            got.release_clean();
        });
        await([&](const auto& now) { return now.waiting == static_cast<std::uint32_t>(i + 1); });
    }
    taken.front().release_clean();  // All of them go through one connection, one by one.
    for (std::thread& each : callers) each.join();
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(order.size(), static_cast<std::size_t>(callers_count));
    EXPECT_EQ(end->made, 8);
}

TEST_F(turns, do_not_come_to_who_gave_up_and_a_full_queue_refuses_at_once) {
    connection_pool_limits limits = by_hand(1);
    limits.acquire_queue = 1;
    start(limits);
    lease only = take();
    std::thread waiting{[&] {
        const result<lease> late = pool->acquire_within(300ms);
        ASSERT_FALSE(late);
        EXPECT_EQ(late.error().code(), EBUSY);
    }};
    await([](const auto& now) { return now.waiting == 1; });
    const result<lease> refused = pool->acquire();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ENOBUFS);
    waiting.join();
    const result<lease> impatient = pool->acquire_within(0s);
    ASSERT_FALSE(impatient);
    EXPECT_EQ(impatient.error().code(), EBUSY);
    only.release_clean();
    EXPECT_EQ(id_of_next(), 1);
    EXPECT_EQ(pool->stats().refused_full, 1U);
    EXPECT_EQ(pool->stats().acquire_timeouts, 2U);
}

TEST_F(turns, go_to_the_next_when_a_connection_could_not_be_made) {
    start(by_hand(1));
    lease only = take();
    std::thread first{[&] {
        const result<lease> got = pool->acquire();
        EXPECT_EQ(got.error().code(), ECONNREFUSED);
    }};
    await([](const auto& now) { return now.waiting == 1; });
    std::thread second{[&] { EXPECT_EQ(id_of_next(), 2); }};
    await([](const auto& now) { return now.waiting == 2; });
    end->create_errno = ECONNREFUSED;
    end->create_failures = 1;
    only.discard();
    first.join();
    second.join();
}

TEST_F(keeping, makes_min_idle_connections_beforehand_and_again_when_they_are_gone) {
    connection_pool_limits limits = by_hand(5);
    limits.min_idle_connections = 3;
    start(limits);
    const result<void> warm = pool->warm_up(1min);
    EXPECT_TRUE(warm);
    EXPECT_EQ(pool->stats().idle, 3U);
    lease a = take();
    lease b = take();
    lease c = take();
    EXPECT_EQ(pool->stats().acquired_idle, 3U);
    pool->maintain();
    EXPECT_EQ(pool->stats().idle, 2U) << "five in all";
}

TEST_F(keeping, makes_as_many_at_a_time_as_there_are_threads) {
    connection_pool_limits limits = by_hand(10);
    limits.min_idle_connections = 10;
    limits.threads = 3;
    end->creating.shut();
    start(limits);
    end->creating.await(3);
    EXPECT_EQ(pool->stats().creating, 3U);
    end->creating.open();
    await([](const auto& now) { return now.idle == 10; });
}

TEST_F(keeping, closes_what_was_idle_too_long_but_not_all_at_once) {
    connection_pool_limits limits = by_hand(50);
    limits.max_idle_time = 100s;
    limits.cleanup_interval = 1s;
    start(limits);
    {
        std::vector<lease> burst;
        for (int i = 0; i < 50; ++i) burst.push_back(take());
        for (lease& each : burst) each.release_clean();
    }
    pass(89s);
    EXPECT_EQ(pool->stats().idle, 50U);
    pass(6s);
    const std::uint64_t half = pool->stats().idle;
    EXPECT_GT(half, 0U);
    EXPECT_LT(half, 50U);
    pass(31s);
    EXPECT_EQ(pool->stats().idle, 0U);
    EXPECT_EQ(pool->stats().retired_idle, 50U);
}

TEST_F(keeping, never_hands_out_what_is_past_its_limits_before_a_clean_up_saw_it) {
    connection_pool_limits limits = by_hand(2);
    limits.max_idle_time = 10s;
    start(limits);
    EXPECT_EQ(id_of_next(), 1);
    still_clock::pass(11s);
    EXPECT_EQ(id_of_next(), 2);
    EXPECT_EQ(pool->stats().retired_idle, 1U);
}

TEST_F(keeping, checks_idle_ones_but_leaves_the_last_one_to_callers) {
    start(by_hand(3));
    {
        std::vector<lease> all;
        for (int i = 0; i < 3; ++i) all.push_back(take());
        for (lease& each : all) each.release_clean();
    }
    for (const int id : {1, 2, 3}) end->hang_up(id);
    pass(31s);
    EXPECT_EQ(end->checks, 2);
    EXPECT_EQ(pool->stats().check_failures, 2U);
    EXPECT_EQ(pool->stats().idle, 1U);
}

TEST_F(keeping, slows_down_when_connections_cannot_be_made) {
    connection_pool_limits limits = by_hand(3);
    limits.min_idle_connections = 1;
    limits.retry_initial = 1s;
    limits.retry_max = 1min;
    end->create_errno = ECONNREFUSED;
    start(limits);
    for (int i = 0; i < 36000; ++i) pass(100ms);
    const std::uint64_t tries = pool->stats().create_failures;
    EXPECT_GT(tries, 60U);  // Every half minute on average, for an hour.
    EXPECT_LT(tries, 300U);
    end->create_errno = 0;
    pass(1min);
    EXPECT_EQ(pool->stats().idle, 1U);
}

TEST_F(failing, create_tells_its_caller_why) {
    start(by_hand(1));
    end->create_errno = ECONNREFUSED;
    const result<lease> none = pool->acquire();
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), ECONNREFUSED);
    EXPECT_EQ(none.error().sentence(), "the far end is away");
    end->create_errno = 0;
    EXPECT_EQ(id_of_next(), 1) << "its place is free again";
}

TEST_F(failing, by_an_exception_loses_no_place) {
    connection_pool_limits limits = by_hand(1);
    limits.trusted_for = 0s;
    start(limits);
    EXPECT_EQ(id_of_next(), 1);
    end->throws = true;
    const result<lease> none = pool->acquire();  // Its check throws, its close, its create.
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), EIO);
    EXPECT_EQ(none.error().sentence(), "create() threw: no more numbers");
    end->throws = false;
    lease got = take();
    end->throws = true;
    got.release_clean();  // Its recycle throws, its close.
    end->throws = false;
    EXPECT_EQ(id_of_next(), 3);
    EXPECT_EQ(pool->stats().close_failures, 2U);
}

TEST_F(failing, again_and_again_opens_the_breaker_where_there_is_one) {
    connection_pool_limits limits = by_hand(2);
    limits.circuit_breaker.failure_threshold = 3;
    limits.circuit_breaker.open_for = 5s;
    start(limits);
    end->create_errno = ECONNREFUSED;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(pool->acquire().error().code(), ECONNREFUSED);
    EXPECT_TRUE(pool->stats().breaker_open);
    end->create_errno = 0;
    EXPECT_EQ(pool->acquire().error().code(), EHOSTDOWN);
    EXPECT_EQ(pool->stats().refused_down, 1U);
    still_clock::pass(5s);
    EXPECT_EQ(id_of_next(), 1);
    EXPECT_FALSE(pool->stats().breaker_open);
}

TEST_F(failing, warm_up_says_why_or_that_it_took_too_long) {
    connection_pool_limits limits = by_hand(2);
    limits.min_idle_connections = 1;
    start(limits);
    end->create_errno = ECONNREFUSED;
    EXPECT_EQ(pool->warm_up(1min).error().code(), ECONNREFUSED);
    EXPECT_EQ(pool->warm_up(1ms).error().code(), ETIMEDOUT) << "it waits before it tries again";
}

TEST_F(ending, close_refuses_callers_wakes_who_waits_and_closes_what_is_idle) {
    start(by_hand(2));
    EXPECT_EQ(id_of_next(), 1);
    lease kept = take();
    lease other = take();
    std::thread waiting{[&] { EXPECT_EQ(id_of_next(), 2); }};
    await([](const auto& now) { return now.waiting == 1; });
    other.release_clean();  // For who waits.
    waiting.join();
    lease third = take();
    third.release_clean();
    EXPECT_EQ(pool->stats().idle, 1U);
    lease again = take();
    std::thread refused{[&] { EXPECT_EQ(pool->acquire().error().code(), ESHUTDOWN); }};
    await([](const auto& now) { return now.waiting == 1; });
    pool->close();
    refused.join();
    EXPECT_EQ(pool->acquire().error().code(), ESHUTDOWN);
    EXPECT_EQ(end->open, 2) << "leases go on";
    kept.release_clean();
    EXPECT_EQ(end->open, 1);
    pool->close();
}

TEST_F(ending, drain_waits_for_leases_and_says_where_the_oldest_was_taken) {
    start(by_hand(2));
    lease kept = take();
    const int line = __LINE__ - 1;
    const result<void> late = pool->drain(1ms);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), ETIMEDOUT);
    EXPECT_NE(late.error().sentence().find("connection_pool_test.cpp:" + std::to_string(line)),
              std::string::npos)
        << late.error().sentence();
    std::thread drainer{[&] {
        const result<void> drained = pool->drain(1h);
        EXPECT_TRUE(drained);
    }};
    kept.release_clean();
    drainer.join();
    EXPECT_EQ(end->open, 0);
}

TEST_F(ending, a_connection_that_comes_after_close_is_closed_and_its_caller_refused) {
    start(by_hand(1));
    end->creating.shut();
    std::thread caller{[&] { EXPECT_EQ(pool->acquire().error().code(), ESHUTDOWN); }};
    end->creating.await(1);
    pool->close();
    end->creating.open();
    caller.join();
    EXPECT_EQ(pool->stats().created, 1U);
    EXPECT_EQ(pool->stats().closed, 1U);
}

TEST_F(ending, of_a_pool_awaits_its_threads) {
    connection_pool_limits limits = by_hand(4);
    limits.min_idle_connections = 4;
    limits.threads = 2;
    end->creating.shut();
    start(limits);
    end->creating.await(2);
    std::thread opener{[&] { end->creating.open(); }};
    pool.reset();
    EXPECT_EQ(end->open, 0);
    opener.join();
}

// Threads that take, keep, break and give back, while others look on and connections go stale.
TEST_F(ending, of_a_crowd_leaves_nothing) {
    connection_pool_limits limits;
    limits.max_pool_size = 5;
    limits.min_idle_connections = 2;
    limits.threads = 2;
    limits.trusted_for = 0s;
    limits.acquire_timeout = 1min;
    limits.cleanup_interval = 1ms;
    limits.max_lifetime = 20ms;
    limits.retry_initial = limits.retry_max = 1ms;
    start(limits);
    std::vector<std::thread> crowd;
    std::atomic<int> done{0};
    for (unsigned seed = 0; seed < 8; ++seed) {
        crowd.emplace_back([&, seed] {
            std::mt19937 random{seed};
            for (int i = 0; i < 400; ++i) {
                result<lease> got = pool->acquire();
                if (!got) continue;
                pool->manager().touch(**got, 1);
                if (random() % 8 == 0) std::this_thread::yield();
                pool->manager().touch(**got, -1);
                if (random() % 8 == 0) end->hang_up((*got)->id);
                if (random() % 16 == 0) end->create_errno = ECONNREFUSED;
                else end->create_errno = 0;
                if (random() % 4 != 0) got->release_clean();
            }
            done += 1;
        });
    }
    while (done < 8) expect_sums(pool->stats());
    for (std::thread& each : crowd) each.join();
    EXPECT_LE(end->most_open, 5);
}

}  // namespace
}  // namespace tunnel_uring::test
