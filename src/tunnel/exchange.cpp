#include "tunnel/exchange.hpp"

#include <poll.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.hpp"
#include "tunnel/frame_batch.hpp"
#include "tunnel/shared_lane.hpp"

namespace tunnel_uring {

namespace {

constexpr std::size_t run_buffer_bytes = 256 * 1024;
// A run that moves this little, this often, is as well off in frames.
constexpr std::size_t small_read_bytes = 16 * 1024;
constexpr int small_reads_limit = 8;

std::uint64_t choose_window(memory_budget& budget) {
    return budget.reserve(full_window - first_window) ? full_window : first_window;
}

}  // namespace

exchange::exchange(shared_lane& lane, std::uint32_t id, std::uint64_t send_limit,
                   std::uint64_t receive_limit)
    : lane_{lane},
      path_{lane.path()},
      id_{id},
      window_{choose_window(lane.path().budget)},
      out_{send_limit},
      in_{receive_limit == 0 ? window_ : receive_limit},
      incoming_{lane.path().blocks} {
    path_.counters.exchanges_opened += 1;
    lane_.add(*this);
}

exchange::~exchange() {
    TU_ASSERT(settled());
    lane_.remove(*this);
    if (window_ > first_window) path_.budget.release(window_ - first_window);
    ++(end_.clean ? path_.counters.exchanges_clean : path_.counters.exchanges_reset);
}

void exchange::open(const open_frame& what) {
    open_pending_ = what;
    lane_.queue_control(*this);
}

task<exchange_end> exchange::run(stream local) {
    local_ = std::move(local);
    // Whatever ends this process or this exchange early, the peer of `local` sees a reset.
    local_.set_linger_reset(true);
    running_ = true;
    sides_left_ = 2;
    sides_.start(send_side());
    sides_.start(receive_side());
    co_await sides_.join();
    running_ = false;
    end_.clean = !over_ && ending_ && !out_.stopped() && in_.complete();
    if (end_.clean) {
        local_.set_linger_reset(false);
        local_.close();
    } else {
        local_.abort();
    }
    co_await settle();
    co_return end_;
}

task<> exchange::refuse(reset_reason reason) {
    cut(reason);
    abandon_run();
    co_await settle();
}

task<> exchange::settle() {
    while (!settled()) {
        const result<void> woken = co_await settled_wake_.wait();
        TU_ASSERT(woken);
    }
}

// Nothing of it can arrive or leave any more.
bool exchange::settled() const noexcept {
    if (running_) return false;
    return lane_lost_ || (mark_reached_kernel_ && (over_ || in_.marked()));
}

// ── ends ──

void exchange::cut(reset_reason reason) {
    if (over_) return;
    if (!end_.reason) end_.reason = reason;
    end_exchange();
    if (open_pending_) {
        // The peer has never heard of it.
        open_pending_.reset();
        mark_reached_kernel_ = true;
    } else if (!lane_lost_) {
        reset_pending_ = reason;
        lane_.queue_control(*this);
    }
}

void exchange::on_reset(reset_reason reason) {
    if (over_) return;
    if (!end_.reason) end_.reason = reason;
    end_.reset_by_peer = true;
    mark_reached_kernel_ = true;  // A reset ends both directions: ours needs no frame.
    end_exchange();
}

void exchange::lane_lost() {
    lane_lost_ = true;
    list_link<on_control_list>::unlink();
    list_link<on_data_list>::unlink();
    // What both sides had finished before stays whole.
    const bool whole = mark_reached_kernel_ && in_.marked();
    if (!over_ && !whole) {
        if (!end_.reason) end_.reason = reset_reason::lane_lost;
        end_exchange();
    }
    settled_wake_.notify();
}

// Both sides see `over_` and leave. What the kernel may still read stays until they have.
void exchange::end_exchange() noexcept {
    over_ = true;
    lane_.unqueued(std::exchange(queued_bytes_, 0));
    queued_.clear();
    list_link<on_data_list>::unlink();
    credit_pending_ = stop_pending_ = release_pending_ = false;
    claim_pending_.reset();
    ended_.request();
    reading_over_.request();
    sender_wake_.notify();
    receiver_wake_.notify();
    settled_wake_.notify();
}

void exchange::mark_sent() noexcept {
    mark_reached_kernel_ = true;
    settled_wake_.notify();
}

// ── outgoing: local socket → lane ──

task<> exchange::send_side() {
    while (!over_ && !ending_) {
        const std::uint64_t room = credit_left();
        if (out_.stopped()) {
            ending_ = true;
        } else if (room > 0 && !lane_.full()) {
            co_await read_local(std::min<std::size_t>(room, path_.local_buffers.buffer_size()));
        } else if (room > 0) {
            watch_for_reset();
            const result<void> woken = co_await lane_.room().wait(reading_over_.token());
            static_cast<void>(woken);
        } else if (queued_bytes_ > 0) {
            watch_for_reset();
            const result<void> woken = co_await sender_wake_.wait();
            static_cast<void>(woken);
        } else {
            co_await outgrow_window();
        }
    }
    if (!over_) lane_.queue_data(*this);
    side_over();
}

void exchange::side_over() noexcept {
    sides_left_ -= 1;
    if (sides_left_ == 0) sides_over_.request();
}

// From the first time that the local socket has to wait unread: a visitor that leaves then must not
// keep its exchange until somebody reads it.
void exchange::watch_for_reset() {
    if (!std::exchange(watching_, true)) sides_.start(watch());
}

task<> exchange::watch() {
    multishot broken{path_.io};
    request what;
    what.code = opcode::poll;
    what.target = local_.get();
    what.poll_events = 0;  // Errors and hang-ups come unasked; a FIN does too, and is no news here.
    while (!over_) {
        if (!broken.armed() && !broken.waiting_completions()) broken.start(what);
        const result<completion> edge = co_await broken.next(sides_over_.token());
        if (!edge || edge->result < 0) break;
        if ((edge->result & POLLERR) != 0) cut(lane_.local_reset());
    }
    const auto discard = [](const completion&) {};
    co_await broken.stop(discard);
}

task<> exchange::read_local(std::size_t most) {
    result<buffer> got = co_await local_.receive(path_.local_buffers, most, reading_over_.token());
    if (over_) co_return;
    if (!got) {
        if (!got.error().cancelled()) cut(lane_.local_reset());
        co_return;
    }
    if (got->empty()) {
        end_of_local();
        co_return;
    }
    path_.counters.bytes_from_local += got->size();
    queued_bytes_ += got->size();
    lane_.queued(got->size());
    queued_.push_back(std::move(*got));
    lane_.queue_data(*this);
}

// A socket tells of its reset once: when a write was told, the read that follows sees an end.
void exchange::end_of_local() {
    if (local_.was_broken()) cut(lane_.local_reset());
    else ending_ = true;
}

// The window is closed. When bytes are waiting they get a bulk lane, or go on with new credit,
// whichever comes first.
task<> exchange::outgrow_window() {
    cancel_source waiting{reading_over_.token()};
    waiting_for_credit_ = &waiting;
    const result<std::size_t> readable = co_await local_.poll(POLLIN, waiting.token());
    waiting_for_credit_ = nullptr;
    if (over_ || out_.stopped() || credit_left() > 0) co_return;
    if (!readable) {
        if (!readable.error().cancelled()) cut(lane_.local_reset());
        co_return;
    }
    if ((*readable & POLLERR) != 0) {
        cut(lane_.local_reset());
        co_return;
    }
    watch_for_reset();
    if (!out_.may_claim()) {
        const result<void> woken = co_await sender_wake_.wait(reading_over_.token());
        static_cast<void>(woken);
        co_return;
    }
    bulk_lane* const lane = lane_.bulk_out().claim();
    if (lane != nullptr) {
        co_await send_run(*lane);
        co_return;
    }
    lane_.bulk_out().wait(*this);
    const result<void> woken = co_await sender_wake_.wait(reading_over_.token());
    static_cast<void>(woken);
    lane_.bulk_out().give_up_waiting(*this);
}

task<> exchange::send_run(bulk_lane& lane) {
    out_.claim();
    claim_pending_ = lane.number();
    lane_.queue_control(*this);
    path_.counters.bulk_runs += 1;
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(run_buffer_bytes);
    for (int small_reads = 0; small_reads < small_reads_limit;) {
        const bytes_span room{memory.get(), run_buffer_bytes};
        const result<std::size_t> got = co_await local_.receive(room, reading_over_.token());
        if (over_) break;
        if (!got && !out_.stopped()) {
            cut(lane_.local_reset());
            break;
        }
        if (out_.stopped()) ending_ = true;
        else if (*got == 0) end_of_local();
        if (over_) break;
        if (ending_) {
            lane.finish();
            co_return;
        }
        const bytes_view bytes{memory.get(), *got};
        const result<void> sent = co_await lane.connection().send_all(bytes, ended_.token());
        if (over_) break;
        if (!sent) {
            cut(reset_reason::lane_lost);
            break;
        }
        out_.sent(bytes.size());
        path_.counters.bytes_from_local += bytes.size();
        small_reads = bytes.size() < small_read_bytes ? small_reads + 1 : 0;
    }
    if (over_) {
        lane.abandon();
        co_return;
    }
    out_.release();
    release_pending_ = true;
    lane_.queue_control(*this);
    lane.finish();
}

// ── incoming: lane → local socket ──

task<> exchange::receive_side() {
    while (!over_ && !in_.finished()) {
        if (!incoming_.empty()) {
            co_await write_queue();
        } else if (run_lane_ != nullptr) {
            co_await receive_run(*run_lane_);
        } else {
            const result<void> woken = co_await receiver_wake_.wait();
            static_cast<void>(woken);
        }
    }
    abandon_run();
    if (in_.complete() && !over_) {
        const result<void> told = local_.shutdown_send();
        if (!told) cut(lane_.local_reset());
    }
    side_over();
}

task<> exchange::write_queue() {
    const std::size_t count = incoming_.gather(vectors_);
    const result<std::size_t> sent = co_await local_.send({vectors_.data(), count}, ended_.token());
    if (over_) co_return;
    if (!sent) {
        stop_receiving(sent.error());
        co_return;
    }
    incoming_.consume(*sent);
    took(*sent);
}

task<> exchange::receive_run(bulk_lane& lane) {
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(run_buffer_bytes);
    while (!over_ && !in_.run_over()) {
        cancel_source reading{ended_.token()};
        reading_run_ = &reading;
        const bytes_span room{memory.get(), run_buffer_bytes};
        const result<std::size_t> got = co_await lane.connection().receive(room, reading.token());
        reading_run_ = nullptr;
        if (over_) break;
        if (!got && got.error().cancelled()) continue;  // Its end has been told meanwhile.
        if (!got || *got == 0) {
            cut(reset_reason::lane_lost);
            break;
        }
        if (in_.on_run_bytes(*got)) {
            cut(reset_reason::protocol_error);
            break;
        }
        if (!write_failed_) {
            const bytes_view bytes{memory.get(), *got};
            const result<void> sent = co_await local_.send_all(bytes, ended_.token());
            if (over_) break;
            if (!sent) stop_receiving(sent.error());
        }
        took(*got);
    }
    if (over_) co_return;
    run_lane_ = nullptr;
    in_.run_closed();
    lane.give_back();
    took(0);
}

void exchange::abandon_run() noexcept {
    if (run_lane_ != nullptr) std::exchange(run_lane_, nullptr)->abandon();
}

// The local socket takes no more: the peer is asked to stop, what still comes is dropped, and what
// the socket says is read to its end all the same.
void exchange::stop_receiving(const error& why) {
    // A dead socket is read to its end: what it said before counts. One that merely cannot be
    // written has no end in sight.
    if (!local_.was_broken() && why.code() != EPIPE) return cut(lane_.local_reset());
    write_failed_ = true;
    const std::size_t dropped = incoming_.size();
    incoming_.clear();
    took(dropped);
    if (in_.marked()) return;
    in_.stop();
    stop_pending_ = true;
    lane_.queue_control(*this);
}

void exchange::write_at_once(bytes_view& fragment) {
    const iovec vector{.iov_base = const_cast<std::byte*>(fragment.data()),
                       .iov_len = fragment.size()};
    const result<std::size_t> sent = local_.try_send({&vector, 1});
    if (!sent) {
        if (sent.error().code() != EAGAIN) stop_receiving(sent.error());
        return;
    }
    fragment = fragment.subspan(*sent);
    took(*sent);
}

void exchange::took(std::size_t count) {
    in_.took(count);
    if (!write_failed_) path_.counters.bytes_to_local += count;
    if (in_.grant_due(window_)) {
        credit_pending_ = true;
        lane_.queue_control(*this);
    }
}

// ── what the lane brings ──

std::optional<protocol_error> exchange::on_data(bytes_view fragment) {
    if (over_) return {};
    if (const auto wrong = in_.on_data(fragment.size())) return wrong;
    if (running_ && incoming_.empty() && !write_failed_) write_at_once(fragment);
    if (write_failed_) {
        took(fragment.size());
    } else if (!fragment.empty()) {
        incoming_.append(fragment);
        receiver_wake_.notify();
    }
    return {};
}

std::optional<protocol_error> exchange::on_end(std::uint64_t total, bool cut_short) {
    if (over_) return {};
    if (const auto wrong = in_.on_end(total, cut_short)) return wrong;
    if (reading_run_ != nullptr && in_.run_over()) reading_run_->request();
    receiver_wake_.notify();
    settled_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_stop() {
    if (over_) return {};
    if (const auto wrong = out_.on_stop()) return wrong;
    lane_.unqueued(std::exchange(queued_bytes_, 0));
    queued_.clear();
    front_used_ = 0;
    reading_over_.request();
    sender_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_credit(std::uint64_t limit, bool resume) {
    if (over_) return {};
    if (const auto wrong = out_.on_credit(limit, resume)) return wrong;
    if (waiting_for_credit_ != nullptr) waiting_for_credit_->request();
    sender_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_claim(std::uint32_t number, std::uint64_t offset) {
    const bulk_receivers::claim_result claimed = lane_.bulk_in().claim(number);
    if (claimed.lane == nullptr) {
        if (claimed.why != bulk_receivers::claim_refusal::gone) return protocol_error::bad_claim;
        cut(reset_reason::lane_lost);
        return {};
    }
    if (over_) {
        claimed.lane->abandon();
        return {};
    }
    if (const auto wrong = in_.on_claim(offset)) {
        claimed.lane->abandon();
        return wrong;
    }
    run_lane_ = claimed.lane;
    receiver_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_release(std::uint64_t offset) {
    if (over_) return {};
    if (const auto wrong = in_.on_release(offset)) return wrong;
    if (reading_run_ != nullptr && in_.run_over()) reading_run_->request();
    receiver_wake_.notify();
    return {};
}

// ── what the lane takes ──

void exchange::gather_control(frame_batch& batch) {
    if (reset_pending_) {
        batch.add_reset(id_, *reset_pending_);
        batch.carry_mark(*this);
        reset_pending_.reset();
        return;
    }
    if (open_pending_) {
        batch.add_open(id_, *open_pending_);
        open_pending_.reset();
    }
    if (std::exchange(credit_pending_, false) && !in_.marked()) {
        const bool resume = in_.resumes();
        batch.add_credit(id_, in_.grant(window_), resume);
    }
    if (std::exchange(stop_pending_, false)) batch.add_stop(id_);
    if (claim_pending_) {
        batch.add_claim(id_, *claim_pending_, out_.claimed_at());
        claim_pending_.reset();
    }
    if (std::exchange(release_pending_, false)) batch.add_release(id_, out_.offset());
}

bool exchange::gather_data(frame_batch& batch) {
    if (!queued_.empty()) {
        buffer& front = queued_.front();
        const std::size_t count = std::min(front.size() - front_used_, max_payload);
        batch.add_data(id_, front.bytes().subspan(front_used_, count), front.share());
        out_.sent(count);
        queued_bytes_ -= count;
        lane_.unqueued(count);
        front_used_ += count;
        if (front_used_ == front.size()) {
            queued_.pop_front();
            front_used_ = 0;
        }
        if (!queued_.empty()) return true;
        sender_wake_.notify();
    }
    if (!ending_ || std::exchange(mark_framed_, true)) return false;
    out_.end();
    batch.add_end(id_, out_.offset(), out_.stopped());
    batch.carry_mark(*this);
    return false;
}

}  // namespace tunnel_uring
