// alert_state: from a condition that comes and goes to an alert that fires and is resolved.
#pragma once

#include <cstdint>

#include "base/clock.hpp"

namespace tunnel_uring {

//   inactive ─holds→ pending ─has held for `hold`→ firing ─holds no more→ inactive
//                    pending ─holds no more→ inactive
class alert_state {
  public:
    enum class phase : std::uint8_t { inactive, pending, firing };
    enum class change : std::uint8_t { none, fired, resolved };

    // What is seen at `now`; time never goes back.
    change look(bool holds, duration hold, time_point now) noexcept {
        if (!holds) {
            const bool fired = phase_ == phase::firing;
            phase_ = phase::inactive;
            return fired ? change::resolved : change::none;
        }
        if (phase_ == phase::inactive) {
            phase_ = phase::pending;
            since_ = now;
        }
        if (phase_ == phase::firing || now - since_ < hold) return change::none;
        phase_ = phase::firing;
        return change::fired;
    }
    phase now() const noexcept { return phase_; }

  private:
    phase phase_ = phase::inactive;
    time_point since_{};
};

}  // namespace tunnel_uring
