// learned_idle_limit: how long an upstream lets a connection be idle, from how it closes them.
//
// A server with an idle time-out of N closes every connection after N of idleness: ages at which
// idle sockets are closed agree. Three in a row that do, within 10 % of each other, teach N as the
// least of them; from then on sockets are retired at 80 % of N, before a visitor can meet the
// close. Those closed within a second of each other count once: a server that ends closes all it
// has.
//
// With sockets retired in time, N is not seen any more, so it is doubted: 2 % longer at each age().
// Where it was right it is soon passed, and taught again; where it was wrong it is forgotten.
#pragma once

#include <cstdint>

#include "base/clock.hpp"

namespace tunnel_uring {

class learned_idle_limit {
  public:
    // Nobody retires sockets later than at `most`: what is learned beyond is of no use. Closed
    // sooner than after `least`, a socket was not closed for its idleness.
    learned_idle_limit(duration most, duration least) noexcept : most_{most}, least_limit_{least} {}

    // The upstream closed a socket that had been idle for `age`.
    void closed_at(duration age, time_point now) noexcept;
    // Once every cleanup_interval.
    void age() noexcept;

    // After so long a socket is to be retired; duration::max() while nothing is known.
    duration retire_after() const noexcept { return known() ? limit_ / 5 * 4 : duration::max(); }
    bool known() const noexcept { return limit_ != duration{0}; }
    // N; 0 while unknown.
    duration limit() const noexcept { return limit_; }

  private:
    duration most_;
    duration least_limit_;
    duration limit_{0};
    duration least_{0};  // Of ages that agree.
    duration greatest_{0};
    std::uint32_t agreeing_ = 0;
    time_point last_{};
};

}  // namespace tunnel_uring
