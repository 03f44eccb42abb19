#include "histogram.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <utility>

namespace load {

namespace {

constexpr std::size_t exact = 256;  // Nanoseconds with a bucket each; half as many a power of two.
constexpr std::size_t cuts = exact / 2;

std::size_t bucket_of(std::uint64_t value) {
    if (value < exact) return value;
    const auto shift = static_cast<std::size_t>(std::bit_width(value)) - 8;
    return exact + (shift - 1) * cuts + ((value >> shift) - cuts);
}

// The middle of a bucket, in nanoseconds.
double middle(std::size_t bucket) {
    if (bucket < exact) return static_cast<double>(bucket);
    const std::size_t shift = (bucket - exact) / cuts + 1;
    const std::size_t low = (bucket - exact) % cuts + cuts;
    return std::ldexp(static_cast<double>(low) + 0.5, static_cast<int>(shift));
}

}  // namespace

void histogram::add(std::chrono::nanoseconds took) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
    const std::size_t bucket = bucket_of(value);
    if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
    ++buckets_[bucket];
    ++count_;
    sum_ += value;
    most_ = std::max(most_, value);
}

double histogram::at(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        passed += buckets_[i];
        if (passed >= wanted && passed > 0)
            return std::min(middle(i), static_cast<double>(most_)) / 1e3;
    }
    return static_cast<double>(most_) / 1e3;
}

void histogram::print(std::chrono::nanoseconds whole) const {
    const double seconds = std::chrono::duration<double>(whole).count();
    const double count = static_cast<double>(count_);
    std::printf("{\"count\": %zu, \"seconds\": %.6f, \"per_s\": %.1f, \"mean_us\": %.2f",
                static_cast<std::size_t>(count_), seconds, count / seconds,
                static_cast<double>(sum_) / std::max(count, 1.0) / 1e3);
    constexpr std::array<std::pair<const char*, double>, 6> told{{{"p50", 0.5},
                                                                  {"p90", 0.9},
                                                                  {"p95", 0.95},
                                                                  {"p99", 0.99},
                                                                  {"p99_9", 0.999},
                                                                  {"p99_99", 0.9999}}};
    for (const auto& [name, share] : told) std::printf(", \"%s_us\": %.2f", name, at(share));
    std::printf(", \"max_us\": %.2f, \"buckets\": [", static_cast<double>(most_) / 1e3);
    const char* between = "";
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        if (buckets_[i] == 0) continue;
        std::printf("%s[%zu, %zu]", between, i, static_cast<std::size_t>(buckets_[i]));
        between = ", ";
    }
    std::printf("]}\n");
}

}  // namespace load
