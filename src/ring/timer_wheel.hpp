// Timers in a hierarchical wheel: arming, disarming and expiry are O(1); time is an input.
//
// Four levels of 256 slots, a tick of 1 ms: delays up to 2^32 ms (49 days) keep their place, longer
// ones are clamped to it. A timer never fires early and at most one tick late.
// (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987.)
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.hpp"
#include "base/intrusive_list.hpp"

namespace tunnel_uring {

class timer : public list_link<timer> {
  public:
    timer() noexcept = default;
    // Must not resume a coroutine inline. The timer is disarmed when called, and may be armed
    // again.
    virtual void expired() noexcept = 0;

  protected:
    ~timer() = default;

  private:
    friend class timer_wheel;
    std::uint64_t due_ = 0;
};

class timer_wheel {
  public:
    explicit timer_wheel(time_point start) noexcept : start_{start} {}

    // `when` in the past fires at the next advance. An armed timer is moved. Disarming is
    // timer.unlink(), or its destruction.
    void arm(timer& what, time_point when) noexcept;
    // Fires all that is due at `now`.
    void advance(time_point now) noexcept;
    // No timer fires before this; it may be early (a slot must be sorted then, or what was in it
    // was disarmed), never late. time_point::max() when nothing is armed and no such slot is left.
    time_point next() noexcept;

  private:
    static constexpr unsigned level_bits = 8;
    static constexpr unsigned slots_count = 1U << level_bits;
    static constexpr unsigned levels_count = 4;
    using slot = intrusive_list<timer, timer>;

    void place(timer& what) noexcept;
    std::uint64_t ticks(time_point when) const noexcept;
    std::uint64_t find_soonest() const noexcept;

    time_point start_;
    std::uint64_t current_ = 0;           // Everything due at or before this tick has fired.
    std::uint64_t soonest_ = UINT64_MAX;  // No slot needs a look before this tick.
    std::array<std::array<slot, slots_count>, levels_count> levels_;
};

}  // namespace tunnel_uring
