#include "ring/busy_poll.hpp"

#include <algorithm>

namespace tunnel_uring {

duration busy_poll::budget(time_point now) const noexcept {
    if (mode_ != mode::automatic) return budget_;
    const bool pays = score_ >= full_score / 2 && now >= rests_until_;
    return pays ? budget_ : duration{0};
}

// A loop that finds many completions at once is busy with many exchanges: the core has better to
// do.
void busy_poll::waited(duration time, std::size_t completions) noexcept {
    const bool hit = time <= budget_ && completions < busy_batch;
    score_ += ((hit ? full_score : 0) - score_) / 8;
}

// One such gap may be an interrupt; when they go on, the rests grow.
void busy_poll::paused(time_point now, duration gap) noexcept {
    if (gap < preempted_gap) return;
    const bool again = now - rests_until_ < rest_;
    rest_ = again ? std::min(rest_ * 2, longest_rest) : first_rest;
    rests_until_ = now + rest_;
}

}  // namespace tunnel_uring
