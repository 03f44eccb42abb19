// Counts of durations in log-linear buckets, as HdrHistogram keeps them: each power of two is cut
// into 128, so that a value is off by less than 0.8 %, at any size and with any count.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace load {

class histogram {
  public:
    void add(std::chrono::nanoseconds took);
    std::uint64_t count() const { return count_; }
    // The duration in microseconds that `share` (0 to 1) of all do not exceed.
    double at(double share) const;

    // One JSON object: count, seconds, per_s, mean_us, p50_us … p99_99_us, max_us, and `buckets`,
    // pairs of a bucket's number and its count. benchmarks/figures.py reads them.
    void print(std::chrono::nanoseconds whole) const;

  private:
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t most_ = 0;
};

}  // namespace load
