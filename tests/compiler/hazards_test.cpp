// The forms of co_await that GCC 12 compiles as they are written. Each test says which form it
// stands in for ("Instead of: …"): one that GCC 12 miscompiles, and that must not be used until no
// compiler in use does.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tunnel_uring/result.hpp>

#include "coro/coro_fixture.hpp"
#include "coro/event.hpp"

namespace tunnel_uring {
namespace {

// Every form is played twice: with children that finish at once, and with children that wait.
class hazards : public coro, public testing::WithParamInterface<bool> {
  protected:
    const bool waits_ = GetParam();
};
INSTANTIATE_TEST_SUITE_P(children, hazards, testing::Bool(), [](const auto& each) {
    return std::string{each.param ? "that_wait" : "that_finish_at_once"};
});

task<int> answer(bool waits, int value) {
    if (waits) co_await later{};
    co_return value;
}

// ── the stack ──

task<> count_down(bool waits, int count, std::int64_t& sum) {
    for (int i = 0; i < count; ++i) {
        const int one = co_await answer(waits, 1);
        sum += one;
    }
}

// Instead of: `await_suspend` that returns the child's handle. That symmetric transfer is a tail
// call at -O2 only; at -O0 and under sanitizers each completion would add to the stack.
TEST_P(hazards, a_million_completions_need_no_stack) {
    std::int64_t sum = 0;
    run(count_down(waits_, 1'000'000, sum));
    EXPECT_EQ(sum, 1'000'000);
}

task<> take_signals(event& signal, int count, int& taken) {
    for (int i = 0; i < count; ++i) {
        signal.notify();
        const result<void> woken = co_await signal.wait();
        taken += woken ? 1 : 0;
    }
}

// Instead of: the same, in an awaiter that is no task.
TEST_F(coro, a_million_signals_that_are_there_already_need_no_stack) {
    event signal;
    int taken = 0;
    run(take_signals(signal, 1'000'000, taken));
    EXPECT_EQ(taken, 1'000'000);
}

task<> pass_on(event& mine, event& next) {
    const result<void> woken = co_await mine.wait();
    EXPECT_TRUE(woken);
    next.notify();
}

task<> topple(int count, bool& fell) {
    std::vector<event> signals(static_cast<std::size_t>(count) + 1);
    nursery row;
    for (std::size_t i = 0; i + 1 < signals.size(); ++i)
        row.start(pass_on(signals[i], signals[i + 1]));
    signals.front().notify();
    const result<void> last = co_await signals.back().wait();
    fell = last.has_value();
    co_await row.join();
}

// Instead of: `notify` that resumes who waits. One would run inside of the other.
TEST_F(coro, a_row_of_coroutines_that_wake_each_other_needs_no_stack) {
    bool fell = false;
    run(topple(100'000, fell));
    EXPECT_TRUE(fell);
}

// ── conditions ──

task<> branch_if(bool waits, int& ran) {
    const int value = co_await answer(waits, 1);
    if (value == 1) ran += 1;
    else ran += 100;
}

// Instead of: `if (co_await …) body`: in a coroutine without locals the body silently never runs.
TEST_P(hazards, an_if_takes_a_result_that_has_a_name) {
    int ran = 0;
    run(branch_if(waits_, ran));
    EXPECT_EQ(ran, 1);
}

task<> branch_while(bool waits, int& left) {
    while (true) {
        const int step = co_await answer(waits, left > 0 ? 1 : 0);
        if (step == 0) break;
        left -= step;
    }
}

// Instead of: `while (co_await …) body`.
TEST_P(hazards, a_loop_leaves_by_a_result_that_has_a_name) {
    int left = 3;
    run(branch_while(waits_, left));
    EXPECT_EQ(left, 0);
}

task<> branch_switch(bool waits, int& ran) {
    const int which = co_await answer(waits, 2);
    switch (which) {
        case 1: ran = 10; break;
        case 2: ran = 20; break;
        default: ran = 30;
    }
}

// Instead of: `switch (co_await …)`.
TEST_P(hazards, a_switch_takes_a_result_that_has_a_name) {
    int ran = 0;
    run(branch_switch(waits_, ran));
    EXPECT_EQ(ran, 20);
}

task<std::vector<int>> numbers(bool waits) {
    std::vector<int> all{1, 2, 3};
    if (waits) co_await later{};
    co_return all;
}

task<> add_numbers(bool waits, int& sum) {
    const std::vector<int> all = co_await numbers(waits);
    for (const int one : all) sum += one;
}

// Instead of: `for (x : co_await …)`: what is iterated over is gone.
TEST_P(hazards, a_range_has_a_name) {
    int sum = 0;
    run(add_numbers(waits_, sum));
    EXPECT_EQ(sum, 6);
}

task<counted> make(bool waits, life& lives, int value) {
    if (waits) co_await later{};
    co_return counted{lives, value};
}

task<> choose(bool waits, bool first, life& lives, int& chosen) {
    if (first) {
        const counted one = co_await make(waits, lives, 1);
        chosen = one.value();
    } else {
        const counted other{lives, 2};
        chosen = other.value();
    }
}

// Instead of: `first ? co_await a() : b`: the result is destroyed twice.
TEST_P(hazards, a_choice_is_an_if_with_an_else) {
    int chosen = 0;
    run(choose(waits_, true, lives_, chosen));
    EXPECT_EQ(chosen, 1);
    run(choose(waits_, false, lives_, chosen));
    EXPECT_EQ(chosen, 2);
    EXPECT_GT(lives_.made(), 1);
}

task<bool> is_open(bool waits, bool value, int& asked) {
    asked += 1;
    if (waits) co_await later{};
    co_return value;
}

task<> ask_both(bool waits, bool first, int& asked, bool& all) {
    all = co_await is_open(waits, first, asked);
    if (all) all = co_await is_open(waits, true, asked);
}

// Instead of: `co_await a() && co_await b()`.
TEST_P(hazards, a_second_question_is_asked_in_a_statement_of_its_own) {
    int asked = 0;
    bool all = false;
    run(ask_both(waits_, true, asked, all));
    EXPECT_TRUE(all);
    EXPECT_EQ(asked, 2);
    run(ask_both(waits_, false, asked, all));
    EXPECT_FALSE(all);
    EXPECT_EQ(asked, 3);
}

// ── what is given to a co_await ──

struct options {
    std::string name;
    counted token;
    std::vector<std::string> more;
};

task<std::size_t> length_of(bool waits, options what) {
    if (waits) co_await later{};
    co_return what.name.size() + what.more.size() + static_cast<std::size_t>(what.token.value());
}

task<> give_options(bool waits, life& lives, std::size_t& length) {
    options what{
        .name = std::string(100, 'x'), .token = counted{lives, 7}, .more = {"longer than a SSO"}};
    length = co_await length_of(waits, std::move(what));
}

// Instead of: `co_await f({.name = …})`: the aggregate is destroyed twice.
TEST_P(hazards, an_aggregate_has_a_name_before_it_is_given) {
    std::size_t length = 0;
    run(give_options(waits_, lives_, length));
    EXPECT_EQ(length, 108U);
}

// An awaiter with a member that is not trivial, and a constructor.
class [[nodiscard]] holding {
  public:
    holding(bool waits, counted what) : waits_{waits}, what_{std::move(what)} {}
    bool await_ready() const noexcept { return !waits_; }
    void await_suspend(std::coroutine_handle<> handle) const { run_queue::current().push(handle); }
    int await_resume() const noexcept { return what_.value(); }

  private:
    bool waits_;
    counted what_;
};

task<> await_holding(bool waits, life& lives, int& value) {
    value = co_await holding(waits, counted{lives, 5});
}

// Instead of: `co_await awaiter{object}`, where the awaiter is an aggregate.
TEST_P(hazards, an_awaiter_has_a_constructor) {
    int value = 0;
    run(await_holding(waits_, lives_, value));
    EXPECT_EQ(value, 5);
}

struct pair_of {
    counted first;
    int second;
};

task<> build_from_results(bool waits, life& lives, int& sum) {
    counted first = co_await make(waits, lives, 3);
    const int second = co_await answer(waits, 4);
    const pair_of both{std::move(first), second};
    sum = both.first.value() + both.second;
}

// Instead of: `aggregate{co_await a(), co_await b()}`.
TEST_P(hazards, an_aggregate_is_built_from_results_that_have_names) {
    int sum = 0;
    run(build_from_results(waits_, lives_, sum));
    EXPECT_EQ(sum, 7);
}

int twice(const counted& value) { return 2 * value.value(); }

task<> call_with_result(bool waits, life& lives, int& value) {
    const counted one = co_await make(waits, lives, 21);
    value = twice(one);
}

// Instead of: `f(co_await a())`.
TEST_P(hazards, an_argument_is_a_result_that_has_a_name) {
    int value = 0;
    run(call_with_result(waits_, lives_, value));
    EXPECT_EQ(value, 42);
}

class speaker {
  public:
    speaker(life& lives, int value) : token_{lives, value} {}
    task<int> speak(bool waits) {
        if (waits) co_await later{};
        co_return token_.value();
    }

  private:
    counted token_;
};

task<> let_speak(bool waits, life& lives, int& value) {
    speaker one{lives, 9};
    value = co_await one.speak(waits);
}

// Instead of: `co_await speaker{…}.speak()`: the temporary is destroyed twice.
TEST_P(hazards, a_member_coroutine_is_called_on_what_has_a_name) {
    int value = 0;
    run(let_speak(waits_, lives_, value));
    EXPECT_EQ(value, 9);
}

task<int> apply(bool waits, std::function<int(int)> action, int value) {
    if (waits) co_await later{};
    co_return action(value);
}

task<> give_action(bool waits, life& lives, int& value) {
    const counted token{lives, 30};
    const std::function<int(int)> add = [token](int more) { return token.value() + more; };
    value = co_await apply(waits, add, 3);
}

// Instead of: `co_await f([token] { … })`: what the temporary closure captured is destroyed twice.
TEST_P(hazards, a_closure_has_a_name_before_it_is_given) {
    int value = 0;
    run(give_action(waits_, lives_, value));
    EXPECT_EQ(value, 33);
}

task<> start_lambda(bool waits, life& lives, int& value) {
    nursery tasks;
    {
        const auto body = [](bool slow, counted token, int& out) -> task<> {
            if (slow) co_await later{};
            out = token.value();
        };
        tasks.start(body(waits, counted{lives, 11}, value));
    }
    co_await tasks.join();
}

// Instead of: `start([token]() -> task<> { … }())`: captures live in the closure, which is gone
// when the coroutine goes on; parameters live in the frame.
TEST_P(hazards, a_lambda_coroutine_captures_nothing_and_has_parameters) {
    int value = 0;
    run(start_lambda(waits_, lives_, value));
    EXPECT_EQ(value, 11);
}

// ── results ──

task<result<counted>> acquire(bool waits, life& lives, bool works) {
    if (waits) co_await later{};
    if (!works) co_return error{ECONNREFUSED, "no luck, in a sentence that is not short"};
    co_return counted{lives, 1};
}

task<result<int>> acquire_both(bool waits, life& lives, bool works) {
    const result<counted> one = co_await acquire(waits, lives, true);
    if (!one) co_return one.error();
    const result<counted> other = co_await acquire(waits, lives, works);
    if (!other) co_return other.error();
    co_return one->value() + other->value();
}

task<> keep_outcome(bool waits, life& lives, bool works, int& sum, std::string& sentence) {
    const result<int> both = co_await acquire_both(waits, lives, works);
    if (both) sum = *both;
    else sentence = both.error().sentence();
}

// Instead of: a statement-expression macro `TRY(co_await …)`: it crashes the compiler.
TEST_P(hazards, an_error_is_passed_on_in_two_lines) {
    int sum = 0;
    std::string sentence;
    run(keep_outcome(waits_, lives_, true, sum, sentence));
    EXPECT_EQ(sum, 2);
    EXPECT_EQ(sentence, "");
    run(keep_outcome(waits_, lives_, false, sum, sentence));
    EXPECT_EQ(sentence, "no luck, in a sentence that is not short");
}

task<std::unique_ptr<counted>> box(bool waits, life& lives) {
    auto one = std::make_unique<counted>(lives, 8);
    if (waits) co_await later{};
    co_return one;
}

task<std::unique_ptr<counted>> hand_on(bool waits, life& lives) {
    co_return co_await box(waits, lives);
}

task<> open_box(bool waits, life& lives, int& value) {
    const std::unique_ptr<counted> one = co_await hand_on(waits, lives);
    value = one->value();
}

// Instead of: `return co_await …` through a temporary of its own: one object, made and destroyed
// once, whoever hands it on.
TEST_P(hazards, a_result_that_is_handed_on_is_one_object) {
    int value = 0;
    run(open_box(waits_, lives_, value));
    EXPECT_EQ(value, 8);
    EXPECT_EQ(lives_.made(), 1);
}

// ── frames ──

struct alignas(16) wide {
    std::byte bytes[16];
};

task<> look_at_alignment(bool waits, wide given, bool& aligned) {
    const wide own{};
    if (waits) co_await later{};
    const auto address = [](const wide& of) { return reinterpret_cast<std::uintptr_t>(&of); };
    aligned = address(own) % 16 == 0 && address(given) % 16 == 0;
}

// Instead of: `alignas(64)` in a frame: frames come from operator new, which knows 16 only.
TEST_P(hazards, what_needs_an_alignment_of_16_has_it_in_a_frame) {
    static_assert(alignof(wide) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(alignof(task<counted>::promise_type) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(alignof(event::waiter) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(alignof(nursery) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    bool aligned = false;
    run(look_at_alignment(waits_, wide{}, aligned));
    EXPECT_TRUE(aligned);
}

task<> use(bool waits, const counted& shared, std::vector<int>& seen) {
    if (waits) co_await later{};
    seen.push_back(shared.value());
}

task<> share(bool waits, life& lives, std::vector<int>& seen) {
    const counted shared{lives, 6};  // Before the nursery: it outlives the join.
    nursery tasks;
    tasks.start(use(waits, shared, seen));
    tasks.start(use(waits, shared, seen));
    co_await tasks.join();
}

// Instead of: `start(use(counted{…}))` with a reference parameter: the temporary is gone at the
// child's first suspension.
TEST_P(hazards, a_reference_is_to_what_outlives_the_nursery) {
    std::vector<int> seen;
    run(share(waits_, lives_, seen));
    EXPECT_EQ(seen, (std::vector{6, 6}));
    EXPECT_EQ(lives_.made(), 1);
}

task<> own_parameters(bool waits, counted one, std::unique_ptr<counted> other, int& sum) {
    if (waits) co_await later{};
    sum = one.value() + other->value();
}

task<> give_parameters(bool waits, life& lives, int& sum) {
    counted one{lives, 1};
    auto other = std::make_unique<counted>(lives, 2);
    co_await own_parameters(waits, std::move(one), std::move(other), sum);
    EXPECT_EQ(one.value(), -1);  // NOLINT(bugprone-use-after-move): it was moved from, not copied.
    EXPECT_EQ(lives.alive(), 1U);
}

// Instead of: views and references to what the caller lets go: parameters by value live in the
// frame, and end with it.
TEST_P(hazards, parameters_by_value_live_as_long_as_the_awaited_frame) {
    int sum = 0;
    run(give_parameters(waits_, lives_, sum));
    EXPECT_EQ(sum, 3);
}

}  // namespace
}  // namespace tunnel_uring
