// circuit_breaker: whether it makes sense to ask an upstream for a connection.
//
//   closed ── failure_threshold failures in a row, or trip() ──► open
//   open ── its time is over, and somebody asks ──► half-open: one probe, for who asked
//   half-open ── the probe failed ──► open, twice as long, at most open_max
//   any ── a success ──► closed
//
// Pure: time is an input. What only this host could not do is undecided: it counts for nothing.
#pragma once

#include <tunnel_uring/config.hpp>

#include <cstdint>

#include "base/clock.hpp"

namespace tunnel_uring {

enum class breaker_state : std::uint8_t { closed, open, half_open };

// Who was let through, to be handed back with what became of it.
enum class breaker_permit : std::uint8_t {
    none,    // Not to be asked.
    normal,  // As always; also of those who pass the breaker by.
    probe,   // The one that decides.
};

class circuit_breaker {
  public:
    // failure_threshold 0: only trip() opens it.
    explicit circuit_breaker(const circuit_breaker_config& limits) noexcept
        : limits_{limits}, open_time_{limits.open_for} {}

    // Asks to connect. A permit is handed back by exactly one of the three below it.
    breaker_permit ask(time_point now) noexcept;
    void succeeded(breaker_permit how) noexcept;
    void failed(breaker_permit how, time_point now) noexcept;
    void undecided(breaker_permit how) noexcept;

    // Something else has proved that the upstream does not serve: open at once, and where it is
    // open already, as after a probe that failed.
    void trip(time_point now) noexcept;

    breaker_state state() const noexcept { return state_; }
    // Whether ask() would let somebody through.
    bool lets_through(time_point now) const noexcept {
        return state_ == breaker_state::closed ||
               (state_ == breaker_state::open && now >= opens_until_);
    }
    // While open: when a probe may go.
    time_point opens_until() const noexcept { return opens_until_; }
    std::uint64_t times_opened() const noexcept { return times_opened_; }

  private:
    void open(time_point now) noexcept;

    circuit_breaker_config limits_;
    breaker_state state_ = breaker_state::closed;
    std::uint32_t failures_ = 0;  // In a row, while closed.
    duration open_time_;          // Of the next time it opens.
    time_point opens_until_{};
    std::uint64_t times_opened_ = 0;
};

}  // namespace tunnel_uring
