// Exponential backoff with full jitter: each delay is drawn from zero to a bound that grows.
// (M. Brooker, "Exponential Backoff And Jitter", 2015: it spreads a herd best.)
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "base/clock.hpp"

namespace tunnel_uring {

class backoff {
  public:
    backoff(duration initial, duration limit, double multiplier, std::uint64_t seed) noexcept
        : initial_{std::min(initial, limit)},
          limit_{limit},
          multiplier_{multiplier},
          bound_{initial_},
          random_{seed} {}

    duration next() {
        attempts_ += 1;
        const duration bound = bound_;
        bound_ = std::min(limit_, std::chrono::duration_cast<duration>(bound_ * multiplier_));
        std::uniform_int_distribution<std::int64_t> draw{0, bound.count()};
        return duration{draw(random_)};
    }
    void reset() noexcept {
        bound_ = initial_;
        attempts_ = 0;
    }
    // Delays drawn since the last reset.
    std::uint32_t attempts() const noexcept { return attempts_; }

  private:
    duration initial_;
    duration limit_;
    double multiplier_;
    duration bound_;
    std::uint32_t attempts_ = 0;
    std::mt19937_64 random_;
};

}  // namespace tunnel_uring
