// exchange: one visitor's two byte streams at one end of the tunnel, as its shared lane has them:
// credit, marks, bulk runs. What stands at its local end is its user's: a byte_pump (a socket's
// bytes as they are), an http_visitor or an upstream_request.
//
// Outgoing: the user asks for room() and gives what it has read; a window that closes with bytes
// waiting claims a bulk lane, and the user writes into that run. Incoming: the user waits for what
// arrived() and takes it; the window bounds what can wait.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/fifo.hpp"
#include "base/intrusive_list.hpp"
#include "coro/cancel.hpp"
#include "coro/event.hpp"
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
// A head of 32 KiB with what stands before its text, and something to spare; trailers too.
inline constexpr std::size_t head_bytes_limit = 40 * 1024;
// Heads of one answer, interim ones included, of which all may wait at the relay.
inline constexpr std::size_t most_heads = 16;
// A piece of a bulk run.
inline constexpr std::size_t run_piece_bytes = 256 * 1024;

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

// The local end of an exchange, as the exchange meets it.
class local_end {
  public:
    // The socket that the outgoing direction's bytes come from.
    virtual stream& source() noexcept = 0;
    // The source has bytes, or may get some, and is not read for now: whoever is behind it can be
    // gone meanwhile, which must be heard (exchange::cut).
    virtual void left_unread() = 0;
    // Bytes have come and none wait before them: takes what it can without waiting from the front
    // of `fragment`, and tells by took().
    virtual void offer(bytes_view& fragment) { static_cast<void>(fragment); }

  protected:
    ~local_end() = default;
};

class exchange final : public list_link<on_control_list>,
                       public list_link<on_data_list>,
                       public list_link<on_lane>,
                       private bulk_waiter,
                       private timer {
  public:
    // Registers with its lane, which delivers to it from now on. `send_limit` is the first limit
    // the peer gave; `receive_limit` the one it was given, 0 when `open` is to give it window().
    exchange(shared_lane& lane, std::uint32_t id, exchange_kind kind, std::uint64_t send_limit,
             std::uint64_t receive_limit);
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;
    // Has settled.
    ~exchange();

    std::uint32_t id() const noexcept { return id_; }
    std::uint64_t window() const noexcept { return window_; }
    byte_path& path() noexcept { return path_; }

    // Queues the `open` that begins it, before anything else; `head` is the text of an http
    // request's. Relay only.
    void open(const open_frame& what, std::string head = {});
    // Both directions are over, by our doing; the peer hears why.
    void cut(reset_reason reason);
    // Why it is to be cut when its local socket breaks.
    reset_reason local_reset() const noexcept;
    // True once it was cut by either side, or the lane is gone.
    bool over() const noexcept { return over_; }
    // Why, once it is over.
    std::optional<reset_reason> why_over() const noexcept { return end_.reason; }
    // Requested when over() becomes true.
    cancel_token ended_token() noexcept { return ended_.token(); }
    // Both directions ended, nothing was cut or dropped. To be asked when its user has ended both.
    bool complete() const noexcept {
        return !over_ && ending_ && !out_.stopped() && in_.complete();
    }
    // Its user is done with both directions. Ends when both have their mark and ours has reached
    // the kernel, or the lane is gone. Awaited once, before destruction, always.
    task<exchange_end> settle();

    // ── outgoing; by one coroutine ──
    // Waits until bytes may be sent and says how many: within credit while the lane's queue is
    // short, or run_piece_bytes once a bulk lane is claimed, which happens when the window is
    // closed and bytes wait: in `from`'s socket, or with the caller (`has_bytes`). 0: no more are
    // taken, it is over or stopped.
    task<std::size_t> room(local_end& from, bool has_bytes = false);
    // Whether what room() gave is for send_run() instead of send().
    bool in_run() const noexcept { return run_out_ != nullptr; }
    // Queues bytes that lie in `keep`, within what room() gave.
    void send(bytes_view bytes, buffer keep);
    // Queues text of its own: a head, data or trailers. Not in a run, and not bounded by credit.
    void send_text(frame_type type, std::string text);
    // Writes into the run. Many small pieces end it: in_run() tells.
    task<> send_run(std::span<iovec> pieces);
    // The run's connection, for who splices into it; sent_run() then counts the bytes.
    stream& run_target() noexcept { return run_out_->connection(); }
    void sent_run(std::size_t bytes);
    // It takes no more: room() is 0 from now on, and the exchange is cut unless the peer does it.
    void lose_run_target() noexcept;
    // Frames follow again once the peer has taken the run's last byte. Only in a run.
    void leave_run();
    // All has been said: `end` follows what is queued. Once.
    void end_sending();
    bool ended_sending() const noexcept { return ending_; }
    // The peer wants no more; end_sending() answers.
    bool stopped() const noexcept { return out_.stopped(); }
    // Cancels waits for bytes that nobody wants any more: it is over, or stopped.
    cancel_token unwanted_token() noexcept { return reading_over_.token(); }

    // ── incoming; by one coroutine ──
    enum class arrival : std::uint8_t {
        head,      // take_head(); of http only.
        bytes,     // gather() and took().
        run,       // read_run() and took().
        trailers,  // take_head() again; of http only.
        end,       // All has been taken (see received()), or it is over.
    };
    // What is next. ECANCELED when the token was requested before anything came.
    task<result<arrival>> arrived(cancel_token stop = {});
    // The same without waiting; nothing when nothing has come.
    std::optional<arrival> next_arrival() const noexcept;
    std::string take_head();
    // The first bytes, in order; they stay valid until took(). Tells how many vectors it filled.
    std::size_t gather(std::span<iovec> vectors) const noexcept {
        return incoming_.gather(vectors);
    }
    std::size_t held_bytes() const noexcept { return incoming_.size(); }
    // What follows held_bytes() is the end: nothing more will come.
    bool ends_with_held() const noexcept;
    // `count` bytes were written on (of gather(), of read_run(), of offer()).
    void took(std::size_t count);
    // A piece of the run; 0 when it is over (ask arrived() again).
    task<std::size_t> read_run(bytes_span memory);
    // Whether the run is next: nothing waits that came before it.
    bool receives_run() const noexcept { return next_arrival() == arrival::run; }
    // For who splices: the run's connection; waits until it has something, false when the run is
    // over; counts what came (0: the connection's end), false when nothing more will.
    stream& run_source() noexcept { return run_in_->connection(); }
    task<bool> run_readable();
    bool came_by_run(std::size_t bytes);
    // Nothing more is wanted: the peer is asked to stop, what still comes is dropped as it comes.
    void stop_receiving();
    bool dropping() const noexcept { return dropping_; }
    // All bytes up to the mark have been taken, and none was cut or dropped.
    bool received() const noexcept { return !over_ && in_.complete(); }
    // Drops what comes until the end.
    task<> drain();
    // Offered what comes from now on; nullptr for none.
    void offer_to(local_end* who) noexcept { taker_ = who; }

    // ── what the lane brings; an answer other than nothing is a protocol error of the peer ──
    std::optional<protocol_error> on_text(frame_type type, bytes_view fragment, bool last);
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
    // Adds one frame of data or text, or the end. True when more is waiting.
    bool gather_data(frame_batch& batch);
    // The batch that carried our mark has reached the kernel.
    void mark_sent() noexcept;

  private:
    // Queued and not framed yet: bytes in a buffer, or text.
    struct segment {
        frame_type type = frame_type::data;
        bytes_view bytes;  // In `keep`.
        buffer keep;
        std::string text;  // Instead of them.
        std::size_t framed = 0;
        bytes_view left() const noexcept {
            return (text.empty() ? bytes : as_bytes(text)).subspan(framed);
        }
    };

    task<> outgrow_window(local_end& from, bool has_bytes);
    void drop_queued() noexcept;
    void bulk_lane_ready() noexcept override { sender_wake_.notify(); }
    void bulk_lane_died() noexcept override { lose_run_target(); }
    void expired() noexcept override { cut(reset_reason::lane_lost); }
    bool takes_more() const noexcept { return !over_ && !out_.stopped() && !run_target_lost_; }
    std::uint64_t credit_left() const noexcept;
    void end_exchange() noexcept;
    void close_run();
    void lose_run();
    void grant();
    bool settled() const noexcept;

    shared_lane& lane_;
    byte_path& path_;
    const std::uint32_t id_;
    const exchange_kind kind_;
    const std::uint64_t window_;

    // Outgoing.
    send_direction out_;
    fifo<segment> queued_;
    std::size_t queued_bytes_ = 0;
    bool ending_ = false;  // `end` follows what is queued.
    bool mark_framed_ = false;
    bool mark_reached_kernel_ = false;
    bulk_lane* run_out_ = nullptr;
    bool run_target_lost_ = false;
    int small_pieces_ = 0;
    event sender_wake_;
    cancel_source reading_over_;  // The local socket need not be read any more.
    cancel_source* waiting_for_credit_ = nullptr;

    // Incoming.
    receive_direction in_;
    fifo<std::string> heads_;  // Whole ones that nobody took.
    std::string head_part_;
    std::string trailers_;
    bool head_seen_ = false;
    bool body_seen_ = false;
    byte_queue incoming_;
    local_end* taker_ = nullptr;
    bool dropping_ = false;
    bulk_lane* run_in_ = nullptr;
    bool run_missing_ = false;  // A run was claimed on a lane that is gone: its bytes never come.
    cancel_source* reading_run_ = nullptr;
    event receiver_wake_;

    // Control frames that wait for the lane: at most one of each.
    std::optional<open_frame> open_pending_;
    std::string open_text_;
    bool open_goes_on_ = false;
    bool credit_pending_ = false;
    bool stop_pending_ = false;
    bool release_pending_ = false;
    std::optional<reset_reason> reset_pending_;
    std::optional<std::uint32_t> claim_pending_;

    bool over_ = false;  // Cut by either side, or the lane lost.
    bool lane_lost_ = false;
    exchange_end end_;
    cancel_source ended_;  // Requested with over_.
    event settled_wake_;
};

}  // namespace tunnel_uring
