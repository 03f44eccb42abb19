#include "pool/idle_target.hpp"

#include <gtest/gtest.h>

#include "pool/learned_idle_limit.hpp"

namespace tunnel_uring {
namespace {

constexpr time_point start{1h};

idle_target::limits from_5_to_50() {
    idle_target::limits bounds;
    bounds.least = 5;
    bounds.start = 10;
    bounds.most = 50;
    return bounds;
}

// `rate` sockets in each of `seconds` seconds from `from` on; the last one's time.
time_point use(idle_target& target, int rate, int seconds, time_point from) {
    for (int i = 0; i < rate * seconds; ++i) target.used(from + 1s * i / rate);
    return from + 1s * seconds;
}

TEST(idle_target, begins_with_the_warm_up_and_comes_down_to_its_least) {
    idle_target target{from_5_to_50(), start};
    EXPECT_EQ(target.value(), 10U);
    time_point now = start;
    for (int i = 0; i < 10; ++i) target.age(now += 30s);
    EXPECT_EQ(target.value(), 5U);
}

TEST(idle_target, is_the_mean_and_three_deviations_of_what_a_connect_time_asks_for) {
    idle_target target{from_5_to_50(), start};
    target.connected(100ms);
    use(target, 100, 3, start);
    // λT = 100/s · 0.1 s = 10; 10 + 3·√10 = 19.49
    EXPECT_EQ(target.need(), 20U);
    EXPECT_EQ(target.value(), 20U);
}

TEST(idle_target, rises_within_the_second_and_never_passes_its_most) {
    idle_target target{from_5_to_50(), start};
    target.connected(100ms);
    for (int i = 0; i < 100; ++i) target.used(start);
    EXPECT_EQ(target.value(), 20U);
    for (int i = 0; i < 100'000; ++i) target.used(start);
    EXPECT_EQ(target.value(), 50U);
}

TEST(idle_target, comes_down_half_of_its_way_at_each_age_and_its_rate_halves_meanwhile) {
    idle_target target{from_5_to_50(), start};
    target.connected(100ms);
    const time_point busy_until = use(target, 300, 5, start);
    EXPECT_EQ(target.value(), 47U);  // 30 + 3·√30 = 46.4
    target.age(busy_until + 30s);
    EXPECT_NEAR(target.rate(), 150, 8);
    const std::uint32_t first = target.value();
    EXPECT_LT(first, 47U);
    EXPECT_GT(first, 27U);  // 15 + 3·√15 = 26.6 is where it goes.
    time_point now = busy_until + 30s;
    for (int i = 0; i < 20; ++i) target.age(now += 30s);
    EXPECT_EQ(target.value(), 5U);
}

TEST(idle_target, follows_a_slower_upstream) {
    idle_target target{from_5_to_50(), start};
    target.connected(1ms);
    const time_point now = use(target, 100, 2, start);
    EXPECT_EQ(target.value(), 10U);
    for (int i = 0; i < 100; ++i) target.connected(200ms);
    target.used(now);
    EXPECT_GE(target.value(), 33U);  // 20 + 3·√20 = 33.4, less what a second's decay takes.
}

TEST(idle_target, is_raised_to_the_warm_up_when_the_upstream_is_back) {
    idle_target target{from_5_to_50(), start};
    time_point now = start;
    for (int i = 0; i < 10; ++i) target.age(now += 30s);
    target.raise();
    EXPECT_EQ(target.value(), 10U);
}

TEST(learned_idle_limit, is_taught_by_three_closes_that_agree) {
    learned_idle_limit known{300s, 1s};
    known.closed_at(60s, start);
    known.closed_at(61s, start + 10s);
    EXPECT_FALSE(known.known());
    EXPECT_EQ(known.retire_after(), duration::max());
    known.closed_at(62s, start + 20s);
    EXPECT_EQ(known.limit(), 60s);
    EXPECT_EQ(known.retire_after(), 48s);
}

TEST(learned_idle_limit, is_not_taught_by_a_restart_that_closes_all_at_once) {
    learned_idle_limit known{300s, 1s};
    for (int i = 0; i < 50; ++i) known.closed_at(60s, start + 10ms * i);
    EXPECT_FALSE(known.known());
}

TEST(learned_idle_limit, is_not_taught_by_closes_of_any_age) {
    learned_idle_limit known{300s, 1s};
    time_point now = start;
    for (const duration age : {10s, 60s, 12s, 200s, 15s, 40s, 13s, 90s})
        known.closed_at(age, now += 5s);
    EXPECT_FALSE(known.known());
}

TEST(learned_idle_limit, is_not_taught_by_sockets_that_die_young) {
    learned_idle_limit known{300s, 1s};
    for (int i = 0; i < 50; ++i) known.closed_at(900ms, start + 2s * i);
    EXPECT_FALSE(known.known());
}

TEST(learned_idle_limit, is_forgotten_slowly_when_nobody_confirms_it) {
    learned_idle_limit known{300s, 1s};
    for (int i = 0; i < 3; ++i) known.closed_at(60s, start + 2s * i);
    for (int i = 0; i < 12; ++i) known.age();
    EXPECT_GT(known.retire_after(), 60s) << "long enough to meet the close again";
    EXPECT_LT(known.retire_after(), 62s);
    for (int i = 0; i < 200; ++i) known.age();
    EXPECT_FALSE(known.known());
}

TEST(learned_idle_limit, follows_an_upstream_that_got_less_patient) {
    learned_idle_limit known{300s, 1s};
    for (int i = 0; i < 3; ++i) known.closed_at(60s, start + 2s * i);
    for (int i = 3; i < 6; ++i) known.closed_at(5s, start + 2s * i);
    EXPECT_EQ(known.retire_after(), 4s);
}

}  // namespace
}  // namespace tunnel_uring
