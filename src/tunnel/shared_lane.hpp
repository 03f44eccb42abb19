// shared_lane: one connection between relay and agent that carries the frames of many exchanges.
//
// It is always read, whatever its exchanges do: that is what credit is for. All that is queued when
// a send completes leaves in the next vectored send: control frames first, then the data of one
// exchange after another.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/bulk_lane.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/frame_batch.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

enum class end_role { relay, agent };

class shared_lane;

// What a lane needs of its session.
class lane_owner {
  public:
    // Something was received on a connection of the session.
    virtual void heard() noexcept = 0;
    // The peer opened an exchange: start a task for it in `lane.exchanges()`, which constructs the
    // exchange before it first suspends. Agents only.
    virtual void opened(shared_lane& lane, std::uint32_t id, const open_frame& what) = 0;

  protected:
    ~lane_owner() = default;
};

class shared_lane : public list_link<shared_lane> {
  public:
    shared_lane(lane_owner& owner, byte_path& path, bulk_senders& bulk_out, bulk_receivers& bulk_in,
                end_role role, stream connection, std::uint32_t number);
    ~shared_lane();

    // Reads and writes until the lane has been retired by both ends, or is lost; its exchanges are
    // over then. The sentence tells why it ended; empty when it was retired.
    task<std::string> run(cancel_token stop);
    // Opens no more exchanges here, and asks the peer for the same; run() ends after the last one.
    void retire() noexcept;
    void ping() noexcept;
    // Ends it now.
    void kill() noexcept { stopping_.request(); }

    // Nothing is read or written any more.
    bool lost() const noexcept { return lost_; }
    bool usable() const noexcept { return !retiring_ && !lost_; }
    std::size_t load() const noexcept { return exchanges_count_; }
    std::uint32_t number() const noexcept { return number_; }
    end_role role() const noexcept { return role_; }
    // The next exchange's id; rises, and is never used twice on this lane. Relay only.
    std::uint32_t next_id() noexcept;
    // Tasks that hold this lane's exchanges; joined before run() ends.
    nursery& exchanges() noexcept { return exchange_tasks_; }

    // ── for its exchanges ──
    byte_path& path() noexcept { return path_; }
    bulk_senders& bulk_out() noexcept { return bulk_out_; }
    bulk_receivers& bulk_in() noexcept { return bulk_in_; }
    void add(exchange& who);
    void remove(exchange& who);
    void queue_control(exchange& who) noexcept;
    void queue_data(exchange& who) noexcept;
    void queued(std::size_t bytes) noexcept { queued_bytes_ += bytes; }
    void unqueued(std::size_t bytes) noexcept;
    // Local sockets are not read while this much waits for the lane.
    bool full() const noexcept { return queued_bytes_ >= frame_batch::bytes_limit; }
    event& room() noexcept { return room_; }
    // Why an exchange is over whose local socket broke.
    reset_reason local_reset() const noexcept {
        return role_ == end_role::relay ? reset_reason::visitor_reset
                                        : reset_reason::upstream_reset;
    }

  private:
    task<> read_loop();
    task<> write_loop();
    std::string take(bytes_view received);
    std::optional<protocol_error> dispatch(const frame_event& frame);
    std::optional<protocol_error> deliver(exchange& who, const frame_event& frame);
    std::optional<protocol_error> open(const frame_event& frame);
    void peer_retired() noexcept;
    void gather();
    void lose(std::string why);
    bool finished() const noexcept;

    lane_owner& owner_;
    byte_path& path_;
    bulk_senders& bulk_out_;
    bulk_receivers& bulk_in_;
    const end_role role_;
    stream connection_;
    const std::uint32_t number_;
    cancel_source stopping_;
    nursery exchange_tasks_;

    frame_decoder decoder_;
    std::unordered_map<std::uint32_t, exchange*> by_id_;
    std::size_t exchanges_count_ = 0;
    std::uint32_t last_id_ = 0;  // Opened by us (relay) or by the peer (agent).
    intrusive_list<exchange, on_control_list> control_ready_;
    intrusive_list<exchange, on_data_list> data_ready_;
    frame_batch batch_;
    std::size_t queued_bytes_ = 0;
    event room_;
    event write_wake_;
    bool ping_pending_ = false;
    bool pong_pending_ = false;
    bool retire_pending_ = false;
    bool retiring_ = false;  // We open, or expect, no more.
    bool peer_retired_ = false;
    bool lost_ = false;
    std::string why_lost_;
};

}  // namespace tunnel_uring
