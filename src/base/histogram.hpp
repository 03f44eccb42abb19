// histogram: how durations are spread, in fixed log-linear buckets: no allocation, O(1) to add.
//
// Durations are counted in units of 64 ns. Below 8 units each has a bucket of its own; above, each
// power of two is divided into 8, so a bucket is at most 12.5 % wide. From 18 minutes on all are in
// the last one. (As in HdrHistogram, G. Tene, with 3 bits a power of two.)
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace tunnel_uring {

class histogram {
  public:
    static constexpr std::size_t buckets_count = 256;

    void add(duration value) noexcept {
        const duration positive = std::max(value, duration{0});
        counts_[bucket_of(positive)] += 1;
        count_ += 1;
        sum_ += positive;
    }
    void add(const histogram& other) noexcept {
        for (std::size_t i = 0; i < buckets_count; ++i) counts_[i] += other.counts_[i];
        count_ += other.count_;
        sum_ += other.sum_;
    }
    void clear() noexcept { *this = histogram{}; }

    std::uint64_t count() const noexcept { return count_; }
    duration sum() const noexcept { return sum_; }
    // Zero when there is none.
    duration average() const noexcept {
        return count_ == 0 ? duration{0} : sum_ / static_cast<std::int64_t>(count_);
    }
    // The least bound that a share `q` of all, from 0 to 1, stays below: never less than the exact
    // quantile, and at most 12.5 % or 64 ns above it. Zero when there is none.
    duration quantile(double q) const noexcept {
        const double exact = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
        auto rank = static_cast<std::uint64_t>(exact);
        if (static_cast<double>(rank) < exact || rank == 0) rank += 1;
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_count && count_ != 0; ++i) {
            seen += counts_[i];
            if (seen >= rank) return end_of(i);
        }
        return duration{0};
    }
    // How many are below `limit`: exact for the bounds that end_of() gives, 64 ns · 2^k among them.
    std::uint64_t count_below(duration limit) const noexcept {
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_count && end_of(i) <= limit; ++i) seen += counts_[i];
        return seen;
    }
    std::uint64_t count_in(std::size_t bucket) const noexcept { return counts_[bucket]; }

    static std::size_t bucket_of(duration value) noexcept {
        const std::uint64_t units = static_cast<std::uint64_t>(value.count()) >> unit_bits;
        if (units < parts) return static_cast<std::size_t>(units);
        const auto shift = static_cast<unsigned>(std::bit_width(units)) - part_bits - 1;
        return std::min<std::size_t>(shift * parts + (units >> shift), buckets_count - 1);
    }
    // The first duration that belongs to a later bucket.
    static duration end_of(std::size_t bucket) noexcept {
        if (bucket < parts) return duration{static_cast<std::int64_t>((bucket + 1) << unit_bits)};
        const std::size_t shift = bucket / parts - 1;
        const std::size_t part = bucket % parts + parts;
        return duration{static_cast<std::int64_t>((part + 1) << (shift + unit_bits))};
    }

  private:
    static constexpr unsigned unit_bits = 6;
    static constexpr unsigned part_bits = 3;
    static constexpr std::size_t parts = std::size_t{1} << part_bits;

    std::array<std::uint64_t, buckets_count> counts_{};
    std::uint64_t count_ = 0;
    duration sum_{0};
};

}  // namespace tunnel_uring
