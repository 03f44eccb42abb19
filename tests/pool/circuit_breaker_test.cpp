#include "pool/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/clock.hpp"

namespace tunnel_uring {
namespace {

constexpr time_point start{1h};

circuit_breaker_config three_in_a_row() {
    circuit_breaker_config limits;
    limits.failure_threshold = 3;
    limits.open_for = 5s;
    limits.open_max = 20s;
    return limits;
}

void fail(circuit_breaker& breaker, int times, time_point now) {
    for (int i = 0; i < times; ++i) breaker.failed(breaker.ask(now), now);
}

TEST(circuit_breaker, opens_after_failures_in_a_row_only) {
    circuit_breaker breaker{three_in_a_row()};
    fail(breaker, 2, start);
    breaker.succeeded(breaker.ask(start));
    fail(breaker, 2, start);
    EXPECT_EQ(breaker.state(), breaker_state::closed);
    fail(breaker, 1, start);
    EXPECT_EQ(breaker.state(), breaker_state::open);
    EXPECT_EQ(breaker.ask(start + 4999ms), breaker_permit::none);
}

TEST(circuit_breaker, lets_one_probe_through_when_its_time_is_over) {
    circuit_breaker breaker{three_in_a_row()};
    fail(breaker, 3, start);
    EXPECT_EQ(breaker.ask(start + 5s), breaker_permit::probe);
    EXPECT_EQ(breaker.state(), breaker_state::half_open);
    EXPECT_EQ(breaker.ask(start + 5s), breaker_permit::none);
    EXPECT_EQ(breaker.ask(start + 1h), breaker_permit::none);
    breaker.succeeded(breaker_permit::probe);
    EXPECT_EQ(breaker.state(), breaker_state::closed);
    EXPECT_EQ(breaker.ask(start + 5s), breaker_permit::normal);
}

TEST(circuit_breaker, stays_open_twice_as_long_after_each_probe_that_failed_up_to_a_limit) {
    circuit_breaker breaker{three_in_a_row()};
    fail(breaker, 3, start);
    time_point now = start;
    for (const duration length : {5s, 10s, 20s, 20s}) {
        EXPECT_EQ(breaker.opens_until() - now, length);
        now += length;
        EXPECT_EQ(breaker.ask(now - 1ns), breaker_permit::none);
        breaker.failed(breaker.ask(now), now);
    }
    now += 20s;
    breaker.succeeded(breaker.ask(now));
    fail(breaker, 3, now);
    EXPECT_EQ(breaker.opens_until() - now, 5s);
    EXPECT_EQ(breaker.times_opened(), 2U);
}

TEST(circuit_breaker, learns_nothing_from_conditions_of_this_host) {
    circuit_breaker breaker{three_in_a_row()};
    for (int i = 0; i < 100; ++i) breaker.undecided(breaker.ask(start));
    EXPECT_EQ(breaker.state(), breaker_state::closed);
    fail(breaker, 3, start);
    breaker.undecided(breaker.ask(start + 5s));
    EXPECT_EQ(breaker.ask(start + 5s), breaker_permit::probe) << "the next one is the probe";
}

TEST(circuit_breaker, does_not_take_a_straggler_for_its_probe) {
    circuit_breaker breaker{three_in_a_row()};
    const breaker_permit early = breaker.ask(start);
    fail(breaker, 3, start);
    EXPECT_EQ(breaker.ask(start + 5s), breaker_permit::probe);
    breaker.failed(early, start + 6s);
    EXPECT_EQ(breaker.state(), breaker_state::half_open);
    breaker.succeeded(early);
    EXPECT_EQ(breaker.state(), breaker_state::closed) << "a success proves as much as the probe's";
}

TEST(circuit_breaker, without_a_threshold_opens_when_it_is_tripped_only) {
    circuit_breaker_config limits = three_in_a_row();
    limits.failure_threshold = 0;
    circuit_breaker breaker{limits};
    fail(breaker, 1000, start);
    EXPECT_EQ(breaker.state(), breaker_state::closed);
    breaker.trip(start);
    EXPECT_EQ(breaker.ask(start), breaker_permit::none);
}

// The same written another way: a list of all that has happened, looked at anew each time.
class reference {
  public:
    explicit reference(const circuit_breaker_config& limits) : limits_{limits} {}

    breaker_permit ask(time_point now) {
        if (!opened_) return breaker_permit::normal;
        if (probing_ || now < *opened_ + length()) return breaker_permit::none;
        probing_ = true;
        return breaker_permit::probe;
    }
    void tell(breaker_permit how, char outcome, time_point now) {
        if (how == breaker_permit::none) return;
        if (outcome == 's') {
            opened_.reset();
            probing_ = false;
            openings_ = 0;
            row_ = 0;
        } else if (how == breaker_permit::probe && probing_) {
            probing_ = false;
            if (outcome == 'f') open(now);
        } else if (outcome == 'f' && how == breaker_permit::normal && !opened_) {
            row_ += 1;
            if (row_ == limits_.failure_threshold) open(now);
        }
    }
    void trip(time_point now) {
        probing_ = false;
        open(now);
    }
    breaker_state state() const {
        if (!opened_) return breaker_state::closed;
        return probing_ ? breaker_state::half_open : breaker_state::open;
    }

  private:
    void open(time_point now) {
        opened_ = now;
        openings_ += 1;
        row_ = 0;
    }
    duration length() const {
        duration out = limits_.open_for;
        for (int i = 1; i < openings_; ++i) out = std::min<duration>(2 * out, limits_.open_max);
        return out;
    }
    circuit_breaker_config limits_;
    std::optional<time_point> opened_;
    bool probing_ = false;
    int openings_ = 0;  // Since it was closed.
    std::uint32_t row_ = 0;
};

TEST(circuit_breaker, equals_its_reference_model_in_any_order_of_events) {
    int opened = 0;
    int probed = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        std::mt19937_64 random{seed};
        circuit_breaker breaker{three_in_a_row()};
        reference model{three_in_a_row()};
        std::vector<breaker_permit> out;
        time_point now = start;
        for (int step = 0; step < 300; ++step) {
            now += std::chrono::milliseconds{random() % 3000};
            const std::uint64_t dice = random() % 20;
            if (dice < 9 || out.empty()) {
                const breaker_permit got = breaker.ask(now);
                ASSERT_EQ(got, model.ask(now)) << "seed " << seed << ", step " << step;
                if (got != breaker_permit::none) out.push_back(got);
                probed += got == breaker_permit::probe;
            } else if (dice == 19 && random() % 10 == 0) {
                breaker.trip(now);
                model.trip(now);
            } else {
                std::swap(out[random() % out.size()], out.back());
                const breaker_permit how = out.back();
                out.pop_back();
                const char outcome = dice < 16 ? 'f' : dice < 18 ? 'u' : 's';
                if (outcome == 's') breaker.succeeded(how);
                else if (outcome == 'f') breaker.failed(how, now);
                else breaker.undecided(how);
                model.tell(how, outcome, now);
            }
            ASSERT_EQ(breaker.state(), model.state()) << "seed " << seed << ", step " << step;
            opened += breaker.state() == breaker_state::open;
        }
    }
    EXPECT_GT(opened, 1000);
    EXPECT_GT(probed, 1000);
}

}  // namespace
}  // namespace tunnel_uring
