// The state machine of one direction of an exchange, without I/O: docs/protocol.md, "A direction".
//
// Offsets count the bytes of the direction from 0. A sender never passes the limit it was given; a
// receiver never promises room it has not got. A direction ends with exactly one mark: `end` here,
// or a reset, which ends both directions and needs no state.
#pragma once

#include <cstdint>
#include <optional>

#include "wire/protocol_error.hpp"

namespace tunnel_uring {

class send_direction {
  public:
    explicit send_direction(std::uint64_t limit) noexcept : limit_{limit} {}

    std::uint64_t offset() const noexcept { return offset_; }
    // Bytes that may be framed now; 0 during a bulk run and until its release has been answered.
    std::uint64_t available() const noexcept {
        return in_run_ || awaits_credit_ || offset_ >= limit_ ? 0 : limit_ - offset_;
    }
    bool in_run() const noexcept { return in_run_; }
    // After a release no run begins before the credit that answers it has come.
    bool may_claim() const noexcept { return !awaits_credit_; }
    bool stopped() const noexcept { return stopped_; }
    bool ended() const noexcept { return ended_; }
    // Ended, and not because the peer wanted no more.
    bool complete() const noexcept { return ended_ && !stopped_; }
    std::uint64_t claimed_at() const noexcept { return claimed_at_; }

    // `count` bytes were framed, or written to the bulk lane of the run.
    void sent(std::uint64_t count) noexcept;
    // A run begins at offset(): all before it is framed.
    void claim() noexcept;
    // The run is over at offset(); nothing is framed before the credit that answers this comes.
    void release() noexcept;
    void end() noexcept;

    // `resume`: it answers our release. Credit that had been on its way before does not: the
    // receiver still waits for the run's last bytes. A limit that goes back, an answer to no
    // release, or a second stop is a protocol error.
    std::optional<protocol_error> on_credit(std::uint64_t limit, bool resume) noexcept;
    std::optional<protocol_error> on_stop() noexcept;

  private:
    std::uint64_t offset_ = 0;
    std::uint64_t limit_;
    std::uint64_t claimed_at_ = 0;
    bool in_run_ = false;
    bool awaits_credit_ = false;
    bool stopped_ = false;
    bool ended_ = false;
};

class receive_direction {
  public:
    explicit receive_direction(std::uint64_t limit) noexcept : granted_{limit} {}

    // ── what arrives; anything but nothing is a protocol error of the peer ──
    std::optional<protocol_error> on_data(std::uint64_t count) noexcept;
    std::optional<protocol_error> on_claim(std::uint64_t offset) noexcept;
    std::optional<protocol_error> on_run_bytes(std::uint64_t count) noexcept;
    std::optional<protocol_error> on_release(std::uint64_t offset) noexcept;
    std::optional<protocol_error> on_end(std::uint64_t total, bool cut) noexcept;

    // `count` of the arrived bytes have been taken (written on, or dropped after stop()).
    void took(std::uint64_t count) noexcept;
    // We take no more: the peer answers with an end that may be cut.
    void stop() noexcept { stopping_ = true; }

    // Arrived and not taken.
    std::uint64_t held() const noexcept { return arrived_ - taken_; }
    bool marked() const noexcept { return total_.has_value(); }
    // All bytes up to the mark have been taken.
    bool finished() const noexcept { return total_ && taken_ == *total_; }
    // Will be, when `count` more have been taken.
    bool finished_after(std::uint64_t count) const noexcept {
        return total_ && taken_ + count == *total_;
    }
    // finished, and nothing was cut or dropped.
    bool complete() const noexcept { return finished() && !cut_ && !stopping_; }
    bool in_run() const noexcept { return in_run_; }
    // Where the run ends is known.
    bool run_end_told() const noexcept { return run_end_.has_value(); }
    // The run's last byte is known and has been taken: the lane goes back.
    bool run_over() const noexcept { return run_end_ && taken_ == *run_end_; }
    // The lane has gone back.
    void run_closed() noexcept;

    // True when a new limit is worth a frame: half of `window` has been taken, or a run was
    // released, which the sender waits for.
    bool grant_due(std::uint64_t window) const noexcept;
    // The next grant answers a release.
    bool resumes() const noexcept { return released_ && !in_run_; }
    // The new limit: what has been taken, and `window` beyond.
    std::uint64_t grant(std::uint64_t window) noexcept;

  private:
    std::uint64_t arrived_ = 0;
    std::uint64_t taken_ = 0;
    std::uint64_t granted_;
    std::optional<std::uint64_t> total_;
    std::optional<std::uint64_t> run_end_;
    bool in_run_ = false;
    bool released_ = false;
    bool stopping_ = false;
    bool cut_ = false;
};

}  // namespace tunnel_uring
