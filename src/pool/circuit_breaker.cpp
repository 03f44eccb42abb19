#include "pool/circuit_breaker.hpp"

#include <algorithm>

namespace tunnel_uring {

breaker_permit circuit_breaker::ask(time_point now) noexcept {
    if (!lets_through(now)) return breaker_permit::none;
    if (state_ == breaker_state::closed) return breaker_permit::normal;
    state_ = breaker_state::half_open;
    return breaker_permit::probe;
}

void circuit_breaker::succeeded(breaker_permit how) noexcept {
    if (how == breaker_permit::none) return;
    state_ = breaker_state::closed;
    failures_ = 0;
    open_time_ = limits_.open_for;
}

void circuit_breaker::failed(breaker_permit how, time_point now) noexcept {
    if (how == breaker_permit::probe && state_ == breaker_state::half_open) return open(now);
    // One that set out before the breaker opened says nothing new.
    if (how != breaker_permit::normal || state_ != breaker_state::closed) return;
    failures_ += 1;
    if (limits_.failure_threshold != 0 && failures_ >= limits_.failure_threshold) open(now);
}

// The next who asks is the probe.
void circuit_breaker::undecided(breaker_permit how) noexcept {
    if (how == breaker_permit::probe && state_ == breaker_state::half_open)
        state_ = breaker_state::open;
}

void circuit_breaker::trip(time_point now) noexcept { open(now); }

void circuit_breaker::open(time_point now) noexcept {
    if (state_ == breaker_state::closed) times_opened_ += 1;
    state_ = breaker_state::open;
    failures_ = 0;
    opens_until_ = now + open_time_;
    open_time_ = std::max(open_time_, std::min(open_time_ * 2, duration{limits_.open_max}));
}

}  // namespace tunnel_uring
