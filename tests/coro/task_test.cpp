#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "coro/coro_fixture.hpp"
#include "coro/event.hpp"
#include "coro/nursery.hpp"

namespace tunnel_uring {
namespace {

task<int> value_of(int value) { co_return value; }

task<> add_up(int count, long& sum) {
    for (int i = 0; i < count; ++i) {
        const int value = co_await value_of(1);
        sum += value;
    }
}

TEST_F(coro, a_million_children_that_never_suspend_need_no_stack) {
    long sum = 0;
    run(add_up(1'000'000, sum));
    EXPECT_EQ(sum, 1'000'000);
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

TEST_F(coro, a_task_that_never_started_may_be_destroyed) { const task<int> unused = value_of(3); }

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

}  // namespace
}  // namespace tunnel_uring
