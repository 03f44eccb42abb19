#include <gtest/gtest.h>

#include <coroutine>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "coro/coro_fixture.hpp"
#include "coro/event.hpp"
#include "coro/nursery.hpp"

namespace tunnel_uring {
namespace {

task<int> value_of(int value) { co_return value; }

task<> note_value(int& out) {
    const int value = co_await value_of(5);
    out = value;
}

TEST_F(coro, a_task_does_nothing_until_it_is_awaited) {
    const run_queue::entered here{queue_};
    int out = 0;
    task<> lazy = note_value(out);
    EXPECT_EQ(out, 0);
    EXPECT_EQ(live_frames(), frames_ + 1);
    nursery root;
    root.start(std::move(lazy));
    EXPECT_EQ(out, 5);
}

task<> note_twice(std::vector<int>& order, int number, bool waits) {
    order.push_back(number);
    if (waits) co_await later{};
    order.push_back(number + 1);
}

task<> await_in_turn(std::vector<int>& order, bool waits) {
    order.push_back(1);
    co_await note_twice(order, 2, waits);
    order.push_back(4);
}

TEST_F(coro, an_awaited_task_that_does_not_wait_runs_inline) {
    const run_queue::entered here{queue_};
    std::vector<int> order;
    nursery root;
    root.start(await_in_turn(order, false));
    EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST_F(coro, an_awaiter_goes_on_after_what_was_ready_before_its_child_ended) {
    const run_queue::entered here{queue_};
    std::vector<int> order;
    nursery root;
    root.start(await_in_turn(order, true));
    root.start(note_twice(order, 10, true));
    EXPECT_EQ(order, (std::vector{1, 2, 10}));
    while (!queue_.empty()) queue_.run_batch();
    EXPECT_EQ(order, (std::vector{1, 2, 10, 3, 11, 4}));
}

task<int> descend(int depth) {
    if (depth == 0) co_return 0;
    const int below = co_await descend(depth - 1);
    co_return below + 1;
}

task<> measure_depth(int depth, int& reached) { reached = co_await descend(depth); }

TEST_F(coro, tasks_await_each_other_a_thousand_deep_on_one_stack) {
    int reached = 0;
    run(measure_depth(1000, reached));
    EXPECT_EQ(reached, 1000);
}

task<int> descend_later(int depth) {
    if (depth == 0) co_return 0;
    co_await later{};
    const int below = co_await descend_later(depth - 1);
    co_return below + 1;
}

task<> measure_later_depth(int depth, int& reached) { reached = co_await descend_later(depth); }

TEST_F(coro, tasks_that_wait_before_they_await_need_no_stack_at_any_depth) {
    int reached = 0;
    run(measure_later_depth(100'000, reached));
    EXPECT_EQ(reached, 100'000);
}

task<counted> make_counted(life& lives) {
    counted made{lives, 3};
    co_await later{};
    co_return made;
}

task<> take_counted(life& lives, std::size_t& alive) {
    const counted taken = co_await make_counted(lives);
    EXPECT_EQ(taken.value(), 3);
    alive = lives.alive();
}

TEST_F(coro, nothing_of_a_task_is_left_once_its_result_was_taken) {
    std::size_t alive = 0;
    run(take_counted(lives_, alive));
    EXPECT_EQ(alive, 1U);
}

task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

task<> unbox(int& out) {
    const std::unique_ptr<int> box = co_await boxed(7);
    out = *box;
}

TEST_F(coro, a_result_may_be_move_only) {
    int value = 0;
    run(unbox(value));
    EXPECT_EQ(value, 7);
}

task<result<int>> refuse() { co_return error{EPERM}; }
task<result<void>> agree() { co_return {}; }

task<> look_at_results(int& code, bool& agreed) {
    const result<int> refused = co_await refuse();
    code = refused.error().code();
    const result<void> fine = co_await agree();
    agreed = fine.has_value();
}

TEST_F(coro, errors_are_values) {
    int code = 0;
    bool agreed = false;
    run(look_at_results(code, agreed));
    EXPECT_EQ(code, EPERM);
    EXPECT_TRUE(agreed);
}

task<int> value_in(counted box) { co_return box.value(); }

TEST_F(coro, a_task_that_never_started_may_be_destroyed_with_its_parameters) {
    {
        const task<int> unused = value_in(counted{lives_});
        EXPECT_EQ(lives_.alive(), 1U);
    }
    EXPECT_EQ(lives_.alive(), 0U);
}

TEST_F(coro, a_task_that_another_is_assigned_to_gives_up_its_own_frame) {
    task<int> kept = value_in(counted{lives_, 1});
    kept = value_in(counted{lives_, 2});
    EXPECT_EQ(lives_.alive(), 1U);
    const task<int> moved = std::move(kept);
    EXPECT_EQ(lives_.alive(), 1U);
}

task<> wait_for(event& signal, cancel_token stop, std::vector<int>& order, int number) {
    const result<void> woken = co_await signal.wait(stop);
    order.push_back(woken ? number : -number);
}

task<> wake_in_order(std::vector<int>& order) {
    event signal;
    nursery waiters;
    for (int number = 1; number <= 3; ++number) waiters.start(wait_for(signal, {}, order, number));
    signal.notify();
    signal.notify();
    signal.notify();
    co_await waiters.join();
}

TEST_F(coro, an_event_wakes_in_the_order_of_waiting) {
    std::vector<int> order;
    run(wake_in_order(order));
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

task<> wait_after_notify(std::vector<int>& order) {
    event signal;
    signal.notify();
    signal.notify();
    co_await wait_for(signal, {}, order, 1);
    cancel_source stop;
    nursery waiters;
    waiters.start(wait_for(signal, stop.token(), order, 2));
    stop.request();
    co_await waiters.join();
}

TEST_F(coro, a_notification_is_kept_for_one_wait_and_cancelling_ends_the_next) {
    std::vector<int> order;
    run(wait_after_notify(order));
    EXPECT_EQ(order, (std::vector{1, -2}));
}

task<> start_another(nursery& owner, event& signal, int& ended) {
    const result<void> woken = co_await signal.wait();
    EXPECT_TRUE(woken);
    ended += 1;
    if (ended == 1) {
        owner.start(start_another(owner, signal, ended));
        signal.notify();
    }
}

task<> join_late_children(int& ended) {
    event signal;
    nursery children;
    children.start(start_another(children, signal, ended));
    signal.notify();
    co_await children.join();
    EXPECT_EQ(ended, 2);
}

TEST_F(coro, a_nursery_joins_children_that_children_start) {
    int ended = 0;
    run(join_late_children(ended));
    EXPECT_EQ(ended, 2);
}

task<> cancel_children(int& cancelled_count) {
    cancel_source root;
    nursery children{root.token()};
    event never;
    std::vector<int> order;
    for (int i = 1; i <= 3; ++i) children.start(wait_for(never, children.token(), order, i));
    root.request();
    co_await children.join();
    cancelled_count = static_cast<int>(order.size());
}

TEST_F(coro, cancelling_a_source_reaches_the_children_of_a_nursery) {
    int count = 0;
    run(cancel_children(count));
    EXPECT_EQ(count, 3);
}

task<> read_mail(mailbox<int>& box, std::vector<int>& out) {
    for (int i = 0; i < 3; ++i) {
        const result<int> next = co_await box.next();
        if (next) out.push_back(*next);
    }
}

task<> exchange_mail(std::vector<int>& out) {
    mailbox<int> box;
    box.post(1);
    nursery reader;
    reader.start(read_mail(box, out));
    box.post(2);
    box.post(3);
    co_await reader.join();
}

TEST_F(coro, a_mailbox_keeps_the_order_of_its_values) {
    std::vector<int> out;
    run(exchange_mail(out));
    EXPECT_EQ(out, (std::vector{1, 2, 3}));
}

TEST_F(coro, a_listener_of_a_requested_token_hears_at_once_and_a_destroyed_one_never) {
    cancel_source source;
    int heard = 0;
    {
        const on_cancel gone{source.token(), [&heard]() noexcept { heard += 10; }};
    }
    source.request();
    const on_cancel late{source.token(), [&heard]() noexcept { heard += 1; }};
    EXPECT_EQ(heard, 1);
}

task<> wait_for_ever(event& never) {
    const result<void> woken = co_await never.wait();
    static_cast<void>(woken);
}

void destroy_started_task() {
    run_queue queue;
    const run_queue::entered here{queue};
    event never;
    task<> started = wait_for_ever(never);
    std::move(started).operator co_await().await_suspend(std::noop_coroutine());
    started = {};
}

TEST(coro_death, a_frame_that_is_destroyed_in_flight_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_started_task(), "destroyed only unstarted or finished");
}

}  // namespace
}  // namespace tunnel_uring
