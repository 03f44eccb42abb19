#include "coro/run_queue.hpp"

#include <gtest/gtest.h>

#include <coroutine>
#include <cstddef>
#include <utility>
#include <vector>

#include "coro/coro_fixture.hpp"
#include "coro/nursery.hpp"

namespace tunnel_uring {
namespace {

// A loop that tests turn by hand.
class run_queues : public coro {
  protected:
    static task<> take_turns(std::vector<int>& order, int number, int turns) {
        for (int turn = 0; turn < turns; ++turn) {
            order.push_back(number);
            co_await later{};
        }
    }
    static task<> start_in_turn(nursery& owner, std::vector<int>& order) {
        co_await later{};
        owner.start(take_turns(order, 3, 1));
    }

    const run_queue::entered here_{queue_};
    std::vector<int> order_;
    nursery tasks_;
};

TEST_F(run_queues, nothing_ready_is_nothing_to_run) {
    EXPECT_TRUE(queue_.empty());
    EXPECT_EQ(queue_.run_batch(), 0U);
}

TEST_F(run_queues, what_became_ready_first_is_resumed_first) {
    for (int number = 1; number <= 3; ++number) tasks_.start(take_turns(order_, number, 2));
    order_.clear();
    EXPECT_EQ(queue_.run_batch(), 3U);
    EXPECT_EQ(order_, (std::vector{1, 2, 3}));
    queue_.run_batch();
}

TEST_F(run_queues, a_batch_leaves_what_becomes_ready_meanwhile_to_the_next) {
    tasks_.start(take_turns(order_, 1, 3));
    EXPECT_EQ(queue_.run_batch(), 1U);
    EXPECT_EQ(order_, (std::vector{1, 1}));
    EXPECT_FALSE(queue_.empty());
    EXPECT_EQ(queue_.run_batch(), 1U);
    EXPECT_EQ(queue_.run_batch(), 1U);
    EXPECT_TRUE(queue_.empty());
}

TEST_F(run_queues, a_coroutine_that_is_always_ready_starves_nobody) {
    tasks_.start(take_turns(order_, 1, 4));
    tasks_.start(take_turns(order_, 2, 4));
    while (!queue_.empty()) queue_.run_batch();
    EXPECT_EQ(order_, (std::vector{1, 2, 1, 2, 1, 2, 1, 2}));
}

TEST_F(run_queues, a_task_that_is_started_in_a_batch_begins_in_it) {
    tasks_.start(start_in_turn(tasks_, order_));
    EXPECT_EQ(queue_.run_batch(), 1U);
    EXPECT_EQ(order_, std::vector{3});
    queue_.run_batch();
}

TEST_F(run_queues, a_finished_frame_is_gone_before_the_next_coroutine_runs) {
    std::size_t frames_before = 0;
    std::size_t frames_seen = 0;
    const auto end = []() -> task<> { co_await later{}; };
    const auto look = [](std::size_t& seen) -> task<> {
        co_await later{};
        seen = live_frames();
    };
    tasks_.start(end());
    tasks_.start(look(frames_seen));
    frames_before = live_frames();
    queue_.run_batch();
    EXPECT_EQ(frames_seen, frames_before - 1);
}

TEST_F(run_queues, queues_nest_and_the_outer_one_comes_back) {
    run_queue inner;
    {
        const run_queue::entered there{inner};
        EXPECT_EQ(&run_queue::current(), &inner);
    }
    EXPECT_EQ(&run_queue::current(), &queue_);
}

TEST_F(run_queues, a_coroutine_is_ready_on_the_queue_that_was_current) {
    run_queue inner;
    nursery inner_tasks;
    {
        const run_queue::entered there{inner};
        inner_tasks.start(take_turns(order_, 1, 1));
    }
    EXPECT_TRUE(queue_.empty());
    EXPECT_FALSE(inner.empty());
    const run_queue::entered there{inner};
    EXPECT_EQ(inner.run_batch(), 1U);
}

void destroy_queue_with_work() {
    run_queue queue;
    queue.push(std::noop_coroutine());
}

TEST(coro_death, a_run_queue_that_is_destroyed_with_work_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_queue_with_work(), "ready_.empty\\(\\) does not hold at .*run_queue.cpp");
}

TEST(coro_death, a_thread_without_a_run_queue_has_none) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(run_queue::current(), "current_queue != nullptr does not hold");
}

}  // namespace
}  // namespace tunnel_uring
