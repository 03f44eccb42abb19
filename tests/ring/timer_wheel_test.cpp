// The wheel alone: time is an input.
#include "ring/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <vector>

namespace tunnel_uring {
namespace {

constexpr duration tick = 1ms;
constexpr time_point start{1234567ns};

struct note final : timer {
    void expired() noexcept override { count += 1; }
    int count = 0;
};

// Goes to `until` as the loop does: from one `next` to the next one.
void go(timer_wheel& wheel, time_point until) {
    for (time_point at = wheel.next(); at < until; at = wheel.next()) wheel.advance(at);
    wheel.advance(until);
}

// When it fired, found by small steps from `from`.
std::optional<time_point> fired_within(timer_wheel& wheel, const note& which, time_point from,
                                       time_point until) {
    for (time_point now = from; now <= until; now += 50us) {
        wheel.advance(now);
        if (which.count != 0) return now;
    }
    return std::nullopt;
}

class timers : public testing::Test {
  protected:
    timer_wheel wheel{start};
    note one;
};

TEST_F(timers, of_an_empty_wheel_have_no_next) {
    EXPECT_EQ(wheel.next(), time_point::max());
    wheel.advance(start + 24h);
    EXPECT_EQ(wheel.next(), time_point::max());
}

// Each delay lies on another level of the wheel, or at the border of two.
class delays : public testing::TestWithParam<duration> {};
INSTANTIATE_TEST_SUITE_P(of, delays,
                         testing::Values(1ns, 999us, 1ms, 1001us, 255ms, 256ms, 257ms, 1s, 65535ms,
                                         65536ms, 65537ms, 1h, 16777215ms, 16777216ms, 16777217ms,
                                         240h, 1000h),
                         [](const auto& which) {
                             return std::to_string(which.param.count()) + "_nanoseconds";
                         });

TEST_P(delays, a_timer_is_never_early_and_at_most_one_tick_late) {
    timer_wheel wheel{start};
    note one;
    const time_point due = start + GetParam();
    wheel.arm(one, due);
    go(wheel, due - 1ns);
    EXPECT_EQ(one.count, 0);
    const std::optional<time_point> fired = fired_within(wheel, one, due, due + 2 * tick);
    ASSERT_TRUE(fired);
    EXPECT_LE(*fired - due, tick);
}

TEST_P(delays, next_is_never_later_than_the_timer) {
    timer_wheel wheel{start};
    note one;
    wheel.arm(one, start + GetParam());
    int looks = 0;
    while (one.count == 0) {
        const time_point next = wheel.next();
        ASSERT_LE(next, start + GetParam() + tick);
        wheel.advance(next);
        ASSERT_LT(++looks, 10);  // One a level, and one to fire.
    }
}

TEST_P(delays, one_leap_of_time_fires_the_timer) {
    timer_wheel wheel{start};
    note one;
    wheel.arm(one, start + GetParam());
    wheel.advance(start + GetParam() + tick);
    EXPECT_EQ(one.count, 1);
}

TEST_F(timers, that_fired_do_not_fire_again) {
    wheel.arm(one, start + 3ms);
    wheel.advance(start + 10ms);
    go(wheel, start + 300s);
    EXPECT_EQ(one.count, 1);
}

TEST_F(timers, of_the_past_fire_at_the_next_tick) {
    wheel.advance(start + 10s);
    wheel.arm(one, start + 1s);
    EXPECT_EQ(one.count, 0);
    wheel.advance(start + 10s);
    EXPECT_EQ(one.count, 0);
    wheel.advance(start + 10s + tick);
    EXPECT_EQ(one.count, 1);
}

TEST_F(timers, armed_again_are_moved) {
    wheel.arm(one, start + 5ms);
    wheel.arm(one, start + 500ms);
    go(wheel, start + 499ms);
    EXPECT_EQ(one.count, 0);
    go(wheel, start + 500ms);
    EXPECT_EQ(one.count, 1);
}

TEST_F(timers, that_are_unlinked_do_not_fire) {
    wheel.arm(one, start + 5ms);
    one.unlink();
    go(wheel, start + 1h);
    EXPECT_EQ(one.count, 0);
    EXPECT_EQ(wheel.next(), time_point::max());
}

TEST_F(timers, that_are_destroyed_do_not_fire) {
    {
        note brief;
        wheel.arm(brief, start + 5ms);
    }
    go(wheel, start + 6ms);
    EXPECT_EQ(wheel.next(), time_point::max());
}

TEST_F(timers, of_one_moment_fire_in_the_order_of_arming) {
    struct ordered final : timer {
        ordered(std::vector<int>& out, int mine) : order{out}, name{mine} {}
        void expired() noexcept override { order.push_back(name); }
        std::vector<int>& order;
        int name;
    };
    std::vector<int> order;
    std::deque<ordered> all;
    for (int name = 0; name < 5; ++name) wheel.arm(all.emplace_back(order, name), start + 700ms);
    go(wheel, start + 1s);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_F(timers, may_be_armed_again_by_their_own_expiry) {
    struct metronome final : timer {
        explicit metronome(timer_wheel& on) : wheel{on} {}
        void expired() noexcept override {
            count += 1;
            due += 10ms;
            wheel.arm(*this, due);
        }
        timer_wheel& wheel;
        time_point due = start + 10ms;
        int count = 0;
    };
    metronome beat{wheel};
    wheel.arm(beat, beat.due);
    go(wheel, start + 1s);
    EXPECT_EQ(beat.count, 100);
}

TEST_F(timers, armed_for_now_by_an_expiry_fire_a_tick_later_and_end_the_advance) {
    struct impatient final : timer {
        explicit impatient(timer_wheel& on) : wheel{on} {}
        void expired() noexcept override {
            count += 1;
            wheel.arm(*this, start);
        }
        timer_wheel& wheel;
        int count = 0;
    };
    impatient always{wheel};
    wheel.arm(always, start);
    wheel.advance(start + 5 * tick);
    EXPECT_EQ(always.count, 5);
}

TEST_F(timers, beyond_the_wheels_reach_are_kept_until_its_end) {
    wheel.arm(one, time_point::max());
    go(wheel, start + 24h * 49);
    EXPECT_EQ(one.count, 0);
    go(wheel, start + 24h * 50);
    EXPECT_EQ(one.count, 1);
}

TEST_F(timers, that_sort_into_lower_levels_leave_the_later_ones_where_they_are) {
    note later;
    wheel.arm(one, start + 300ms);
    wheel.arm(later, start + 511ms);
    go(wheel, start + 301ms);
    EXPECT_EQ(one.count, 1);
    EXPECT_EQ(later.count, 0);
    go(wheel, start + 512ms);
    EXPECT_EQ(later.count, 1);
}

// A wheel and a sorted list of the same timers; every difference is a fault.
class model {
  public:
    explicit model(std::uint64_t seed) : random_{seed}, notes_(64), due_(64) {}

    void step() {
        const std::size_t which = random_() % notes_.size();
        switch (random_() % 4) {
            case 0:
            case 1: arm(which, now_ + span()); break;
            case 2:
                notes_[which].unlink();
                forget(which);
                break;
            default: pass(random_() % 2 == 0 ? span() : duration{random_() % 3'000'000}); break;
        }
        check_next();
    }
    std::uint64_t fired() const { return fired_; }

  private:
    // Of every order of magnitude alike.
    duration span() { return duration{random_() >> (22 + random_() % 42)}; }

    void forget(std::size_t which) {
        for (auto at = sorted_.begin(); at != sorted_.end(); ++at) {
            if (at->second != which) continue;
            sorted_.erase(at);
            return;
        }
    }
    void arm(std::size_t which, time_point when) {
        forget(which);
        wheel_.arm(notes_[which], when);
        sorted_.emplace(when, which);
        due_[which] = when;
    }
    void pass(duration time) {
        now_ += time;
        wheel_.advance(now_);
        for (std::size_t which = 0; which < notes_.size(); ++which) {
            if (notes_[which].count == 0) continue;
            EXPECT_EQ(notes_[which].count, 1);
            EXPECT_GE(now_, due_[which]);
            notes_[which].count = 0;
            fired_ += 1;
            forget(which);
        }
        // What was due a tick ago has fired.
        const bool late = !sorted_.empty() && sorted_.begin()->first + tick <= now_;
        EXPECT_FALSE(late);
    }
    void check_next() {
        if (sorted_.empty()) return;
        EXPECT_LE(wheel_.next(), sorted_.begin()->first + tick);
    }

    std::mt19937_64 random_;
    time_point now_ = start;
    timer_wheel wheel_{start};
    std::vector<note> notes_;
    std::vector<time_point> due_;
    std::multimap<time_point, std::size_t> sorted_;
    std::uint64_t fired_ = 0;
};

TEST_F(timers, agree_with_a_sorted_list_whatever_is_armed_moved_and_dropped) {
    std::uint64_t fired = 0;
    for (std::uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        model both{seed};
        for (int step = 0; step < 3000 && !HasFailure(); ++step) both.step();
        fired += both.fired();
    }
    EXPECT_GT(fired, 10'000U);
}

}  // namespace
}  // namespace tunnel_uring
