#include "base/backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tunnel_uring {
namespace {

constexpr int seeds_count = 2000;

// The delay after `skipped` others, for many seeds.
std::vector<duration> delays(duration initial, duration limit, double multiplier, int skipped) {
    std::vector<duration> all;
    for (std::uint64_t seed = 0; seed < seeds_count; ++seed) {
        backoff retry{initial, limit, multiplier, seed};
        for (int i = 0; i < skipped; ++i) retry.next();
        all.push_back(retry.next());
    }
    return all;
}

duration most(const std::vector<duration>& all) { return *std::ranges::max_element(all); }
duration least(const std::vector<duration>& all) { return *std::ranges::min_element(all); }

TEST(backoff, no_delay_is_negative_or_above_the_bound_of_its_attempt) {
    duration bound = 100ms;
    for (int attempt = 0; attempt < 6; ++attempt) {
        const std::vector<duration> all = delays(100ms, 1s, 2.0, attempt);
        EXPECT_GE(least(all), 0ns) << attempt;
        EXPECT_LE(most(all), bound) << attempt;
        bound = std::min<duration>(1s, bound * 2);
    }
}

TEST(backoff, jitter_is_full_from_zero_to_the_bound) {
    const std::vector<duration> all = delays(100ms, 1s, 2.0, 2);  // The bound is 400 ms.
    EXPECT_LT(least(all), 4ms);
    EXPECT_GT(most(all), 396ms);
    const auto below_half = std::ranges::count_if(all, [](duration one) { return one < 200ms; });
    EXPECT_NEAR(static_cast<double>(below_half), seeds_count / 2.0, seeds_count * 0.05);
}

TEST(backoff, the_bound_grows_by_the_multiplier) {
    EXPECT_GT(most(delays(100ms, 1h, 3.0, 1)), 290ms);
    EXPECT_LE(most(delays(100ms, 1h, 3.0, 1)), 300ms);
    EXPECT_GT(most(delays(100ms, 1h, 3.0, 2)), 870ms);
    EXPECT_LE(most(delays(100ms, 1h, 3.0, 2)), 900ms);
}

TEST(backoff, the_bound_stays_at_its_limit_for_ever) {
    backoff retry{200ms, 30s, 2.0, 1};
    duration longest{0};
    for (int i = 0; i < 10'000; ++i) longest = std::max(longest, retry.next());
    EXPECT_LE(longest, 30s);
    EXPECT_GT(longest, 29s);
}

TEST(backoff, reset_begins_again_with_the_first_bound) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        backoff retry{100ms, 30s, 2.0, seed};
        for (int i = 0; i < 20; ++i) retry.next();
        retry.reset();
        EXPECT_LE(retry.next(), 100ms) << seed;
    }
}

TEST(backoff, attempts_are_counted_since_the_last_reset) {
    backoff retry{100ms, 1s, 2.0, 1};
    EXPECT_EQ(retry.attempts(), 0U);
    retry.next();
    retry.next();
    EXPECT_EQ(retry.attempts(), 2U);
    retry.reset();
    EXPECT_EQ(retry.attempts(), 0U);
}

TEST(backoff, one_seed_draws_the_same_delays_and_another_does_not) {
    backoff one{100ms, 1s, 2.0, 7};
    backoff same{100ms, 1s, 2.0, 7};
    backoff other{100ms, 1s, 2.0, 8};
    bool differs = false;
    for (int i = 0; i < 10; ++i) {
        const duration drawn = one.next();
        EXPECT_EQ(drawn, same.next());
        differs = differs || drawn != other.next();
    }
    EXPECT_TRUE(differs);
}

TEST(backoff, an_initial_delay_of_zero_is_no_delay) {
    backoff retry{0ns, 1s, 2.0, 1};
    for (int i = 0; i < 10; ++i) EXPECT_EQ(retry.next(), 0ns);
}

TEST(backoff, an_initial_delay_above_the_limit_is_cut_to_it) {
    EXPECT_LE(most(delays(10s, 1s, 2.0, 0)), 1s);
}

}  // namespace
}  // namespace tunnel_uring
