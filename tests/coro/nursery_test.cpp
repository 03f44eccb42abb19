#include "coro/nursery.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "coro/coro_fixture.hpp"
#include "coro/event.hpp"

namespace tunnel_uring {
namespace {

task<> wait_for(event& signal, cancel_token stop, std::vector<int>& order, int number) {
    const result<void> woken = co_await signal.wait(stop);
    order.push_back(woken ? number : -number);
}

task<> note(std::vector<int>& order, int number) {
    order.push_back(number);
    co_return;
}

task<> join_nothing(std::vector<int>& order) {
    nursery empty;
    co_await empty.join();
    order.push_back(1);
}

TEST_F(coro, joining_no_children_does_not_wait) {
    const run_queue::entered here{queue_};
    std::vector<int> order;
    nursery root;
    root.start(join_nothing(order));
    EXPECT_EQ(order, std::vector{1});
    EXPECT_EQ(root.running(), 0U);
}

task<> count_running(std::vector<std::size_t>& counts) {
    event signal;
    std::vector<int> order;
    nursery children;
    children.start(note(order, 1));
    counts.push_back(children.running());
    children.start(wait_for(signal, {}, order, 2));
    children.start(wait_for(signal, {}, order, 3));
    counts.push_back(children.running());
    signal.notify();
    co_await later{};
    counts.push_back(children.running());
    signal.notify();
    co_await children.join();
    counts.push_back(children.running());
}

TEST_F(coro, a_child_runs_until_it_ends) {
    std::vector<std::size_t> counts;
    run(count_running(counts));
    EXPECT_EQ(counts, (std::vector<std::size_t>{0, 2, 1, 0}));
}

task<> start_inline(std::vector<int>& order) {
    nursery children;
    order.push_back(1);
    children.start(note(order, 2));
    order.push_back(3);
    co_await children.join();
}

TEST_F(coro, a_child_starts_inline) {
    std::vector<int> order;
    run(start_inline(order));
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

task<> join_twice(std::vector<int>& order) {
    event signal;
    nursery children;
    for (int round = 1; round <= 2; ++round) {
        children.start(wait_for(signal, {}, order, round));
        signal.notify();
        co_await children.join();
        order.push_back(10 * round);
    }
}

TEST_F(coro, a_nursery_that_was_joined_may_start_children_again) {
    std::vector<int> order;
    run(join_twice(order));
    EXPECT_EQ(order, (std::vector{1, 10, 2, 20}));
}

task<> join_and_note(nursery& children, std::vector<int>& order, int number) {
    co_await children.join();
    order.push_back(number);
}

task<> join_side_by_side(std::vector<int>& order) {
    event signal;
    nursery children;
    children.start(wait_for(signal, {}, order, 1));
    nursery joining;
    joining.start(join_and_note(children, order, 2));
    joining.start(join_and_note(children, order, 3));
    signal.notify();
    co_await joining.join();
}

TEST_F(coro, several_may_join_one_nursery) {
    std::vector<int> order;
    run(join_side_by_side(order));
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

task<> end_later() { co_await later{}; }

task<> start_meanwhile(nursery& owner, std::vector<int>& order) {
    co_await later{};
    event signal;
    owner.start(wait_for(signal, {}, order, 1));
    co_await later{};
    signal.notify();
    co_await later{};
}

task<> join_what_starts_meanwhile(std::vector<int>& order) {
    nursery children;
    nursery starters;
    children.start(end_later());
    starters.start(start_meanwhile(children, order));
    co_await children.join();
    order.push_back(2);
    co_await starters.join();
}

TEST_F(coro, a_join_waits_for_a_child_that_is_started_after_the_last_one_ended) {
    std::vector<int> order;
    run(join_what_starts_meanwhile(order));
    EXPECT_EQ(order, (std::vector{1, 2}));
}

task<> start_next(nursery& owner, int left, int& ended) {
    co_await later{};
    if (left > 1) owner.start(start_next(owner, left - 1, ended));
    ended += 1;
}

task<> join_generations(int count, int& ended, int& ended_at_join) {
    nursery children;
    children.start(start_next(children, count, ended));
    co_await children.join();
    ended_at_join = ended;
}

TEST_F(coro, a_join_waits_for_a_thousand_generations) {
    int ended = 0;
    int ended_at_join = 0;
    run(join_generations(1000, ended, ended_at_join));
    EXPECT_EQ(ended_at_join, 1000);
}

task<> nest(int depth, int& deepest, int& ended) {
    deepest = std::max(deepest, depth);
    nursery children;
    if (depth < 100) children.start(nest(depth + 1, deepest, ended));
    co_await later{};
    co_await children.join();
    ended += 1;
}

TEST_F(coro, nurseries_nest) {
    int deepest = 0;
    int ended = 0;
    run(nest(1, deepest, ended));
    EXPECT_EQ(deepest, 100);
    EXPECT_EQ(ended, 100);
}

task<> cancel_and_join(bool twice, std::vector<int>& order, bool& parent_requested) {
    cancel_source parent;
    event never;
    nursery children{parent.token()};
    for (int number = 1; number <= 2; ++number)
        children.start(wait_for(never, children.token(), order, number));
    children.cancel();
    if (twice) children.cancel();
    co_await children.join();
    parent_requested = parent.requested();
}

TEST_F(coro, cancelling_a_nursery_tells_its_children_and_not_its_parent) {
    std::vector<int> order;
    bool parent_requested = true;
    run(cancel_and_join(false, order, parent_requested));
    EXPECT_EQ(order, (std::vector{-1, -2}));
    EXPECT_FALSE(parent_requested);
}

TEST_F(coro, cancelling_a_nursery_twice_is_cancelling_it_once) {
    std::vector<int> order;
    bool parent_requested = true;
    run(cancel_and_join(true, order, parent_requested));
    EXPECT_EQ(order, (std::vector{-1, -2}));
}

task<> start_late(std::vector<int>& order) {
    cancel_source parent;
    parent.request();
    event never;
    nursery children{parent.token()};
    children.start(wait_for(never, children.token(), order, 1));
    co_await children.join();
}

TEST_F(coro, a_child_of_a_cancelled_nursery_starts_and_hears_at_once) {
    std::vector<int> order;
    run(start_late(order));
    EXPECT_EQ(order, std::vector{-1});
}

task<> ignore_request(event& signal, std::vector<int>& order) {
    const result<void> woken = co_await signal.wait();
    order.push_back(woken ? 1 : -1);
}

task<> cancel_the_deaf(std::vector<int>& order) {
    event signal;
    nursery children;
    children.start(ignore_request(signal, order));
    nursery joining;
    joining.start(join_and_note(children, order, 2));
    children.cancel();
    co_await later{};
    order.push_back(0);
    signal.notify();
    co_await joining.join();
}

TEST_F(coro, a_join_waits_for_a_child_that_does_not_listen) {
    std::vector<int> order;
    run(cancel_the_deaf(order));
    EXPECT_EQ(order, (std::vector{0, 1, 2}));
}

task<> hold(bool waits, counted what) {
    if (waits) co_await later{};
    EXPECT_EQ(what.value(), 0);
}

task<> join_holders(bool wait, life& lives, std::size_t& alive) {
    nursery children;
    children.start(hold(wait, counted{lives}));
    children.start(hold(wait, counted{lives}));
    co_await children.join();
    alive = lives.alive();
}

TEST_F(coro, a_join_returns_when_the_parameters_of_children_that_waited_are_gone) {
    std::size_t alive = 99;
    run(join_holders(true, lives_, alive));
    EXPECT_EQ(alive, 0U);
}

TEST_F(coro, a_join_returns_when_the_parameters_of_children_that_ended_at_once_are_gone) {
    std::size_t alive = 99;
    run(join_holders(false, lives_, alive));
    EXPECT_EQ(alive, 0U);
}

task<> start_many(int count, std::size_t& frames) {
    std::vector<int> order;
    nursery children;
    const std::size_t before = live_frames();
    for (int i = 0; i < count; ++i) children.start(note(order, i));
    frames = live_frames() - before;
    co_await children.join();
}

TEST_F(coro, children_that_end_at_once_keep_no_frames) {
    std::size_t frames = 99;
    run(start_many(1000, frames));
    EXPECT_EQ(frames, 0U);
}

// Ends another child from its destructor.
class ender {
  public:
    explicit ender(event& signal) : signal_{&signal} {}
    ender(ender&& other) noexcept : signal_{std::exchange(other.signal_, nullptr)} {}
    ender& operator=(ender&&) = delete;
    ~ender() {
        if (signal_ != nullptr) signal_->notify();
    }

  private:
    event* signal_;
};

task<> end_other(ender last) {
    static_cast<void>(last);
    co_await later{};
}

task<> end_by_destruction(std::vector<int>& order) {
    event signal;
    nursery children;
    children.start(wait_for(signal, {}, order, 1));
    children.start(end_other(ender{signal}));
    co_await children.join();
    order.push_back(2);
}

TEST_F(coro, what_a_frame_wakes_as_it_is_destroyed_runs) {
    std::vector<int> order;
    run(end_by_destruction(order));
    EXPECT_EQ(order, (std::vector{1, 2}));
}

void destroy_running_nursery() {
    run_queue queue;
    const run_queue::entered here{queue};
    std::vector<int> order;
    event never;
    nursery children;
    children.start(wait_for(never, {}, order, 1));
}

TEST(coro_death, a_nursery_that_is_destroyed_with_a_child_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_running_nursery(), "running_ == 0 does not hold at .*nursery.hpp");
}

}  // namespace
}  // namespace tunnel_uring
