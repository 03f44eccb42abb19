// busy_poll: whether a loop with nothing to do asks the kernel again and again for a while before
// it sleeps. Waking costs some 50 µs a hop where the system is idle; spinning saves them when the
// next completion is near, and takes a core from others when it is not.
#pragma once

#include "base/clock.hpp"

namespace tunnel_uring {

class busy_poll {
  public:
    // Longest; what `automatic` uses. (Shorter and most answers come too late; measured on
    // loopback.)
    static constexpr duration usual_budget = 50us;

    enum class mode : std::uint8_t {
        off,
        fixed,      // Always, for the budget.
        automatic,  // While it has paid off lately and nobody else wants the core.
    };

    constexpr busy_poll() noexcept = default;
    static constexpr busy_poll always(duration budget) noexcept { return {mode::fixed, budget}; }
    static constexpr busy_poll when_it_pays() noexcept { return {mode::automatic, usual_budget}; }

    bool off() const noexcept { return mode_ == mode::off; }
    // How long to spin from `now` on; zero: sleep at once.
    duration budget(time_point now) const noexcept;
    // A wait is over that began with nothing to do, and ended with completions.
    void waited(duration time, std::size_t completions) noexcept;
    // Spinning asked the kernel twice with so much time between: much of it went to somebody else.
    void paused(time_point now, duration gap) noexcept;

  private:
    constexpr busy_poll(mode how, duration budget) noexcept : mode_{how}, budget_{budget} {}

    static constexpr int full_score = 256;
    static constexpr std::size_t busy_batch = 4;
    static constexpr duration preempted_gap = 30us;
    static constexpr duration first_rest = 20ms;
    static constexpr duration longest_rest = 2s;

    mode mode_ = mode::off;
    duration budget_{0};
    int score_ = 0;  // Of waits that end within the budget, lately; up to full_score.
    duration rest_ = first_rest;
    time_point rests_until_{};
};

}  // namespace tunnel_uring
