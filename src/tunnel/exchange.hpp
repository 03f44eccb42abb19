// exchange: one visitor's two byte streams at one end of the tunnel, between a shared lane and a
// local socket (the visitor's at the relay, the upstream's at the agent; the code is the same).
//
// Outgoing: read from the local socket while there is credit, framed onto the lane; a window that
// closes with bytes waiting claims a bulk lane. Incoming: what the lane brings goes into the local
// socket at once if it takes it, else is copied and follows; the window bounds the copies.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/intrusive_list.hpp"
#include "coro/cancel.hpp"
#include "coro/event.hpp"
#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/bulk_lane.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/byte_queue.hpp"
#include "wire/direction.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

class frame_batch;
class shared_lane;

// Credit beyond the first limit, while the process has memory for it.
inline constexpr std::uint64_t full_window = 64 * 1024;

struct on_control_list {};
struct on_data_list {};
struct on_lane {};

// How an exchange ended, for the log and for what becomes of the local socket.
struct exchange_end {
    bool clean = false;  // Both directions complete: all bytes taken, nothing cut.
    std::optional<reset_reason> reason;
    bool reset_by_peer = false;
    std::string sentence;  // What a person may do about it, where that is known.
};

class exchange final : public list_link<on_control_list>,
                       public list_link<on_data_list>,
                       public list_link<on_lane>,
                       private bulk_waiter {
  public:
    // Registers with its lane, which delivers to it from now on. `send_limit` is the first limit
    // the peer gave; `receive_limit` the one it was given, 0 when `open` is to give it window().
    exchange(shared_lane& lane, std::uint32_t id, std::uint64_t send_limit,
             std::uint64_t receive_limit);
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;
    // Both directions have their mark, ours has reached the kernel; or the lane is gone.
    ~exchange();

    std::uint32_t id() const noexcept { return id_; }
    std::uint64_t window() const noexcept { return window_; }

    // Queues the `open` that begins it, before anything else. Relay only.
    void open(const open_frame& what);
    // Moves bytes until both directions are over; `local` is then closed: with a FIN when both
    // ended clean, else with a RST, so that a cut stream never looks whole. The loss of the lane
    // ends it.
    task<exchange_end> run(stream local);
    // Instead of run(): there is no local socket, and this is why.
    task<> refuse(reset_reason reason);
    // True once the peer has ended the exchange by a reset or the lane is gone.
    bool over() const noexcept { return over_; }
    // Requested when over() becomes true: for what is done before run().
    cancel_token ended_token() noexcept { return ended_.token(); }

    // ── what the lane brings; an answer other than nothing is a protocol error of the peer ──
    std::optional<protocol_error> on_data(bytes_view fragment);
    std::optional<protocol_error> on_end(std::uint64_t total, bool cut);
    void on_reset(reset_reason reason);
    std::optional<protocol_error> on_stop();
    std::optional<protocol_error> on_credit(std::uint64_t limit, bool resume);
    std::optional<protocol_error> on_claim(std::uint32_t number, std::uint64_t offset);
    std::optional<protocol_error> on_release(std::uint64_t offset);
    void lane_lost();

    // ── what the lane takes ──
    // Adds its pending open, credit, stop, reset, claim or release.
    void gather_control(frame_batch& batch);
    // Adds one frame of data, or the end. True when more is waiting.
    bool gather_data(frame_batch& batch);
    // The batch that carried our mark has reached the kernel.
    void mark_sent() noexcept;

  private:
    task<> send_side();
    void side_over() noexcept;
    void watch_for_reset();
    task<> watch();
    task<> read_local(std::size_t most);
    task<> outgrow_window();
    task<> send_run(bulk_lane& lane);
    task<> receive_side();
    task<> write_queue();
    task<> receive_run(bulk_lane& lane);
    task<> settle();

    void bulk_lane_ready() noexcept override { sender_wake_.notify(); }
    std::uint64_t credit_left() const noexcept { return out_.available() - queued_bytes_; }
    void cut(reset_reason reason);
    void end_exchange() noexcept;
    void end_of_local();
    void stop_receiving(const error& why);
    void write_at_once(bytes_view& fragment);
    void took(std::size_t count);
    void abandon_run() noexcept;
    bool settled() const noexcept;

    shared_lane& lane_;
    byte_path& path_;
    const std::uint32_t id_;
    const std::uint64_t window_;
    stream local_;
    bool running_ = false;
    nursery sides_;
    int sides_left_ = 0;
    cancel_source sides_over_;
    bool watching_ = false;

    // Outgoing.
    send_direction out_;
    std::deque<buffer> queued_;  // Read from the local socket, not framed yet.
    std::size_t queued_bytes_ = 0;
    std::size_t front_used_ = 0;  // Bytes of the first that are framed.
    bool ending_ = false;         // `end` follows what is queued.
    bool mark_framed_ = false;
    bool mark_reached_kernel_ = false;
    event sender_wake_;
    cancel_source reading_over_;  // The local socket need not be read any more.
    cancel_source* waiting_for_credit_ = nullptr;

    // Incoming.
    receive_direction in_;
    byte_queue incoming_;
    std::array<iovec, full_window / block_pool::block_bytes + 1> vectors_;
    bool write_failed_ = false;
    bulk_lane* run_lane_ = nullptr;
    cancel_source* reading_run_ = nullptr;
    event receiver_wake_;

    // Control frames that wait for the lane: at most one of each.
    std::optional<open_frame> open_pending_;
    bool credit_pending_ = false;
    bool stop_pending_ = false;
    bool release_pending_ = false;
    std::optional<reset_reason> reset_pending_;
    std::optional<std::uint32_t> claim_pending_;

    bool over_ = false;  // Reset by either side, or the lane lost.
    bool lane_lost_ = false;
    exchange_end end_;
    cancel_source ended_;  // Requested with over_.
    event settled_wake_;
};

}  // namespace tunnel_uring
