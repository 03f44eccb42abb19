// Bulk lanes: connections that carry the raw bytes of one exchange at a time, one way, again and
// again. Their claims, releases and ends travel on shared lanes (docs/protocol.md, "Bulk runs").
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/intrusive_list.hpp"
#include "coro/event.hpp"
#include "coro/nursery.hpp"
#include "net/stream.hpp"

namespace tunnel_uring {

// TCP_NOTSENT_LOWAT of sockets that a run is written to: they are writable again when there is room
// for a big piece, not for a small one.
inline constexpr int run_notsent_bytes = 16 * 1024;

// One bulk lane as its sender or its receiver sees it.
//
//   sender:   starting ─byte back→ idle ─claim→ claimed ─finish→ returning ─byte back→ idle
//   receiver: idle ─claim→ claimed ─give_back→ idle; its first byte back says that it is there
//
// Any of them goes to dead on a reset, an end of stream or an error; a lane that dies while it is
// claimed stays until its exchange lets go.
class bulk_lane : public list_link<bulk_lane> {
  public:
    bulk_lane(stream connection, std::uint32_t number) noexcept
        : connection_{std::move(connection)}, number_{number} {}

    std::uint32_t number() const noexcept { return number_; }
    stream& connection() noexcept { return connection_; }
    bool dead() const noexcept { return state_ == state::dead; }

    // The sender's run is over: its end or release is queued on the shared lane.
    void finish() noexcept;
    // The receiver took exactly what was promised: one byte back lets the sender claim it again.
    void give_back() noexcept;
    // The run was cut: the lane is closed, its exchange lets go of it.
    void abandon() noexcept;

  private:
    friend class bulk_senders;
    friend class bulk_receivers;
    enum class state { starting, idle, claimed, returning, dead };

    void say_idle() noexcept;

    stream connection_;
    std::uint32_t number_;
    state state_ = state::starting;
    bool held_ = false;  // By an exchange.
    event let_go_;
    cancel_source closing_;
};

// Told when a bulk lane may be had, or how many are wanted.
class bulk_waiter : public list_link<bulk_waiter> {
  public:
    virtual void bulk_lane_ready() noexcept = 0;

  protected:
    ~bulk_waiter() = default;
};

// The lanes that this end sends on: of several idle ones the most recently used goes first, because
// its congestion window is open.
class bulk_senders {
  public:
    // The life of one lane, until it dies or `stop`.
    task<> tend(stream connection, std::uint32_t number, cancel_token stop);

    // The lane is the caller's until finish() or abandon(); nullptr when none is idle: then wait().
    bulk_lane* claim() noexcept;
    // `who` hears when a lane may be idle; unlink it to give up.
    void wait(bulk_waiter& who) noexcept;

    // Lanes this end wants to have: those at work, those waited for, and some to spare.
    std::uint32_t demand() const noexcept { return standing_idle + busy_ + waiting_; }
    std::uint32_t standing() const noexcept { return standing_; }
    std::uint32_t busy() const noexcept { return busy_; }
    // Notified when the demand or the number of lanes may have changed.
    event& changed() noexcept { return changed_; }
    // Closes the longest unused lane when more are idle than the demand wants; only their sender
    // may. One at a time: the next big transfer may be near.
    void shrink() noexcept;
    void give_up_waiting(bulk_waiter& who) noexcept;

  private:
    static constexpr std::uint32_t standing_idle = 2;

    intrusive_list<bulk_lane> idle_;  // Most recently used in front.
    intrusive_list<bulk_waiter> waiters_;
    std::uint32_t standing_ = 0;
    std::uint32_t busy_ = 0;  // Claimed or on their way back.
    std::uint32_t waiting_ = 0;
    event changed_;
};

// The lanes that this end receives on, by number.
class bulk_receivers {
  public:
    task<> tend(stream connection, std::uint32_t number, cancel_token stop);

    enum class claim_refusal { gone, never_owned, busy };
    struct claim_result {
        bulk_lane* lane = nullptr;
        claim_refusal why = claim_refusal::gone;
    };
    claim_result claim(std::uint32_t number) noexcept;
    std::uint32_t standing() const noexcept { return static_cast<std::uint32_t>(lanes_.size()); }

  private:
    std::unordered_map<std::uint32_t, bulk_lane*> lanes_;
    std::uint32_t highest_ = 0;
};

}  // namespace tunnel_uring
