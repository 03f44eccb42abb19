#include "coro/event.hpp"

#include <gtest/gtest.h>

#include <coroutine>
#include <memory>
#include <vector>

#include "coro/coro_fixture.hpp"

namespace tunnel_uring {
namespace {

// A loop that tests turn by hand, with tasks that wait.
class events : public coro {
  protected:
    void settle() {
        while (!queue_.empty()) queue_.run_batch();
    }
    void wait(int number, cancel_token stop = {}) {
        waiting_.start(wait_once(signal_, stop, order_, number));
    }
    static task<> wait_once(event& signal, cancel_token stop, std::vector<int>& order, int number) {
        const result<void> woken = co_await signal.wait(stop);
        if (!woken) {
            EXPECT_EQ(woken.error().code(), ECANCELED);
        }
        order.push_back(woken ? number : -number);
    }
    static task<> wait_twice(event& signal, std::vector<int>& order, int number) {
        co_await wait_once(signal, {}, order, number);
        co_await wait_once(signal, {}, order, number + 1);
    }

    const run_queue::entered here_{queue_};
    std::vector<int> order_;
    cancel_source stop_;
    event signal_;
    nursery waiting_;
};

TEST_F(events, a_notification_wakes_the_longest_waiting_only) {
    wait(1);
    wait(2);
    signal_.notify();
    settle();
    EXPECT_EQ(order_, std::vector{1});
    EXPECT_TRUE(signal_.has_waiter());
    signal_.notify();
    settle();
    EXPECT_EQ(order_, (std::vector{1, 2}));
    EXPECT_FALSE(signal_.has_waiter());
}

TEST_F(events, a_notification_resumes_nobody_inline) {
    wait(1);
    signal_.notify();
    EXPECT_EQ(order_, std::vector<int>{});
    settle();
    EXPECT_EQ(order_, std::vector{1});
}

TEST_F(events, many_notifications_before_a_wait_count_as_one) {
    for (int i = 0; i < 3; ++i) signal_.notify();
    wait(1);
    EXPECT_EQ(order_, std::vector{1});
    wait(2, stop_.token());
    EXPECT_EQ(order_, std::vector{1});
    stop_.request();
    settle();
    EXPECT_EQ(order_, (std::vector{1, -2}));
}

TEST_F(events, a_notification_that_woke_somebody_is_not_kept) {
    wait(1);
    signal_.notify();
    wait(2, stop_.token());
    settle();
    EXPECT_EQ(order_, std::vector{1});
    stop_.request();
    settle();
    EXPECT_EQ(order_, (std::vector{1, -2}));
}

TEST_F(events, clear_forgets_a_kept_notification) {
    signal_.notify();
    signal_.clear();
    wait(1, stop_.token());
    EXPECT_TRUE(signal_.has_waiter());
    stop_.request();
    settle();
    EXPECT_EQ(order_, std::vector{-1});
}

TEST_F(events, notify_all_wakes_everyone_who_waits_in_order) {
    for (int number = 1; number <= 3; ++number) wait(number);
    signal_.notify_all();
    settle();
    EXPECT_EQ(order_, (std::vector{1, 2, 3}));
}

TEST_F(events, notify_all_leaves_no_signal_behind) {
    signal_.notify_all();
    wait(1, stop_.token());
    EXPECT_TRUE(signal_.has_waiter());
    stop_.request();
    settle();
    EXPECT_EQ(order_, std::vector{-1});
}

TEST_F(events, notify_all_keeps_a_signal_that_was_there) {
    signal_.notify();
    signal_.notify_all();
    wait(1);
    EXPECT_EQ(order_, std::vector{1});
}

TEST_F(events, who_waits_again_is_not_woken_by_the_same_notify_all) {
    waiting_.start(wait_twice(signal_, order_, 1));
    signal_.notify_all();
    settle();
    EXPECT_EQ(order_, std::vector{1});
    signal_.notify_all();
    settle();
    EXPECT_EQ(order_, (std::vector{1, 2}));
}

TEST_F(events, a_cancelled_wait_takes_no_notification_from_the_others) {
    wait(1, stop_.token());
    wait(2);
    stop_.request();
    signal_.notify();
    settle();
    EXPECT_EQ(order_, (std::vector{-1, 2}));
}

TEST_F(events, a_notification_that_came_before_the_request_counts) {
    wait(1, stop_.token());
    signal_.notify();
    stop_.request();
    settle();
    EXPECT_EQ(order_, std::vector{1});
}

TEST_F(events, a_notification_after_the_last_wait_was_cancelled_is_kept) {
    wait(1, stop_.token());
    stop_.request();
    signal_.notify();
    settle();
    wait(2);
    EXPECT_EQ(order_, (std::vector{-1, 2}));
}

TEST_F(events, a_wait_with_a_requested_token_does_not_wait) {
    stop_.request();
    wait(1, stop_.token());
    EXPECT_EQ(order_, std::vector{-1});
    EXPECT_FALSE(signal_.has_waiter());
}

TEST_F(events, a_signal_that_is_there_goes_before_a_request) {
    stop_.request();
    signal_.notify();
    wait(1, stop_.token());
    wait(2, stop_.token());
    EXPECT_EQ(order_, (std::vector{1, -2}));
}

void destroy_event_with_waiter() {
    run_queue queue;
    const run_queue::entered here{queue};
    auto signal = std::make_unique<event>();
    event::waiter waiting = signal->wait();
    waiting.await_suspend(std::noop_coroutine());
    signal.reset();
}

TEST(coro_death, an_event_that_is_destroyed_with_a_waiter_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_event_with_waiter(), "does not hold at .*intrusive_list.hpp");
}

// A reader that is waiting, and what it has read; 0 stands for a cancelled wait.
class mailboxes : public events {
  protected:
    static task<> read(mailbox<std::unique_ptr<int>>& box, cancel_token stop,
                       std::vector<int>& order) {
        const result<std::unique_ptr<int>> next = co_await box.next(stop);
        order.push_back(next ? **next : 0);
    }
    void start_reader() { waiting_.start(read(box_, stop_.token(), order_)); }
    void post(int value) { box_.post(std::make_unique<int>(value)); }

    mailbox<std::unique_ptr<int>> box_;
};

TEST_F(mailboxes, a_reader_waits_for_a_value) {
    start_reader();
    settle();
    EXPECT_EQ(order_, std::vector<int>{});
    post(7);
    EXPECT_FALSE(box_.empty());
    settle();
    EXPECT_EQ(order_, std::vector{7});
    EXPECT_TRUE(box_.empty());
}

TEST_F(mailboxes, a_value_that_is_there_is_read_without_waiting) {
    post(1);
    post(2);
    start_reader();
    start_reader();
    EXPECT_EQ(order_, (std::vector{1, 2}));
}

TEST_F(mailboxes, a_request_ends_the_wait_of_a_reader) {
    start_reader();
    stop_.request();
    settle();
    EXPECT_EQ(order_, std::vector{0});
}

TEST_F(mailboxes, a_value_that_is_there_goes_before_a_request) {
    post(3);
    stop_.request();
    start_reader();
    start_reader();
    EXPECT_EQ(order_, (std::vector{3, 0}));
}

TEST_F(mailboxes, a_value_posted_after_a_request_is_for_the_next_reader) {
    start_reader();
    stop_.request();
    post(4);
    settle();
    EXPECT_EQ(order_, std::vector{0});
    start_reader();
    EXPECT_EQ(order_, (std::vector{0, 4}));
}

TEST_F(mailboxes, clear_forgets_values_and_their_signal) {
    post(1);
    box_.clear();
    EXPECT_TRUE(box_.empty());
    start_reader();
    EXPECT_EQ(order_, std::vector<int>{});
    post(2);
    settle();
    EXPECT_EQ(order_, std::vector{2});
}

}  // namespace
}  // namespace tunnel_uring
