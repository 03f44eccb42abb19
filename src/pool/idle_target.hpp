// idle_target: how many sockets should stand ready, from how they are used up.
//
// While one socket is connected in a time T, at a rate λ of sockets used up, λ·T more are asked for
// on average. Visitors who come by themselves come as a Poisson process, whose standard deviation
// is √(λT): with
//
//     need = λT + 3·√(λT), rounded up
//
// standing ready, 999 of 1000 times none is missing. Used up is what no returned socket could
// serve: every socket of a byte stream, and of http those that were never used before.
//
// λ is counted in seconds. It rises at once, within the second, and halves every `half_life`. The
// target rises with the need at once; each age() it comes half of its way back.
#pragma once

#include <cstdint>

#include "base/clock.hpp"

namespace tunnel_uring {

class idle_target {
  public:
    struct limits {
        std::uint32_t least = 0;
        std::uint32_t start = 0;  // At first, and after raise().
        std::uint32_t most = 0;
        duration half_life{30s};
    };
    idle_target(const limits& bounds, time_point now) noexcept;

    std::uint32_t value() const noexcept { return value_; }
    // A socket was used up.
    void used(time_point now) noexcept;
    // One was connected in this time: smoothed as a round-trip time is (RFC 6298, section 2).
    void connected(duration took) noexcept;
    // The upstream is back: as many as at the start.
    void raise() noexcept;
    // Once every cleanup_interval.
    void age(time_point now) noexcept;

    // For people: sockets used up in a second, and what that needs.
    double rate() const noexcept { return rate_; }
    std::uint32_t need() const noexcept;

  private:
    void move_to(time_point now) noexcept;
    std::uint32_t bounded(std::uint32_t wanted) const noexcept;

    limits bounds_;
    std::uint32_t value_;
    time_point second_;        // When the one being counted began.
    double count_ = 0;         // In it.
    double rate_ = 0;          // λ, of the seconds before.
    double connect_time_ = 0;  // T, in seconds.
};

}  // namespace tunnel_uring
