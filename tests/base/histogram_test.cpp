#include "base/histogram.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/rolling.hpp"

namespace tunnel_uring {
namespace {

TEST(histogram, of_nothing_says_nothing) {
    const histogram empty;
    EXPECT_EQ(empty.count(), 0U);
    EXPECT_EQ(empty.quantile(0.99), duration{0});
    EXPECT_EQ(empty.average(), duration{0});
}

TEST(histogram, has_buckets_that_follow_each_other_without_a_gap) {
    for (std::size_t i = 0; i + 1 < histogram::buckets_count; ++i) {
        const duration end = histogram::end_of(i);
        EXPECT_EQ(histogram::bucket_of(end - 1ns), i);
        EXPECT_EQ(histogram::bucket_of(end), i + 1);
    }
    EXPECT_GT(histogram::end_of(histogram::buckets_count - 1), 18min);
    EXPECT_EQ(histogram::bucket_of(1000h), histogram::buckets_count - 1);
}

TEST(histogram, tells_quantiles_that_are_never_low_and_an_eighth_high_at_most) {
    std::mt19937_64 random{1};
    std::exponential_distribution<double> spread{1.0 / 3e6};
    std::vector<duration> all;
    histogram counted;
    for (int i = 0; i < 20'000; ++i) {
        all.emplace_back(static_cast<std::int64_t>(spread(random)));
        counted.add(all.back());
    }
    std::sort(all.begin(), all.end());
    for (const double q : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto rank = static_cast<std::size_t>(q * static_cast<double>(all.size()));
        const duration exact = all[rank == 0 ? 0 : rank - 1];
        EXPECT_GE(counted.quantile(q), exact) << q;
        EXPECT_LE(counted.quantile(q), exact + exact / 8 + 64ns) << q;
    }
    EXPECT_EQ(counted.count(), 20'000U);
}

TEST(histogram, counts_below_its_bounds_exactly) {
    histogram counted;
    for (int i = 0; i < 100; ++i) counted.add(std::chrono::microseconds{i});
    const duration bound = 64ns * 512;  // 32.768 µs
    EXPECT_EQ(counted.count_below(bound), 33U);
    EXPECT_EQ(counted.sum(), 4950us);
    EXPECT_EQ(counted.average(), 49'500ns);
}

TEST(histogram, takes_a_duration_below_zero_for_none) {
    histogram counted;
    counted.add(-5ns);
    EXPECT_EQ(counted.count_in(0), 1U);
    EXPECT_EQ(counted.sum(), duration{0});
}

TEST(histogram, adds_up) {
    histogram one;
    histogram other;
    one.add(1ms);
    other.add(2s);
    other.add(3s);
    one.add(other);
    EXPECT_EQ(one.count(), 3U);
    EXPECT_EQ(one.sum(), 5001ms);
    EXPECT_GE(one.quantile(1), 3s);
    one.clear();
    EXPECT_EQ(one.count(), 0U);
}

struct sum {
    int value = 0;
    void add(const sum& other) { value += other.value; }
};

TEST(rolling, forgets_what_is_older_than_its_window_slice_by_slice) {
    const time_point start{1h};
    rolling<sum> window{60s, start};
    for (int second = 0; second < 60; ++second)
        window.at(start + std::chrono::seconds{second}).value += 1;
    EXPECT_EQ(window.total(start + 59s).value, 60);
    EXPECT_EQ(window.total(start + 60s).value, 50);
    EXPECT_EQ(window.total(start + 65s).value, 50);
    EXPECT_EQ(window.total(start + 110s).value, 0);
}

TEST(rolling, forgets_all_after_a_long_silence_and_counts_again) {
    const time_point start{1h};
    rolling<sum> window{60s, start};
    window.at(start).value += 7;
    window.at(start + 10h).value += 1;
    EXPECT_EQ(window.total(start + 10h + 30s).value, 1);
    EXPECT_EQ(window.total(start + 10h + 61s).value, 0);
}

}  // namespace
}  // namespace tunnel_uring
