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

// A run that moves this little, this often, is as well off in frames.
constexpr std::size_t small_piece_bytes = 16 * 1024;
constexpr int small_pieces_limit = 8;

// How long the peer may take to say why it gave a run's lane up.
constexpr duration word_limit = 1s;

std::uint64_t choose_window(memory_budget& budget) {
    return budget.reserve(full_window - first_window) ? full_window : first_window;
}

}  // namespace

exchange::exchange(shared_lane& lane, std::uint32_t id, exchange_kind kind,
                   std::uint64_t send_limit, std::uint64_t receive_limit)
    : lane_{lane},
      path_{lane.path()},
      id_{id},
      kind_{kind},
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
    if (end_.clean) path_.counters.exchanges_clean += 1;
    else path_.counters.count_reset(end_.reason);
}

void exchange::open(const open_frame& what, std::string head) {
    open_pending_ = what;
    open_text_ = std::move(head);
    open_goes_on_ = open_text_.size() > max_open_text;
    if (open_goes_on_) {
        send_text(frame_type::head, open_text_.substr(max_open_text));
        open_text_.resize(max_open_text);
    }
    lane_.queue_control(*this);
}

task<exchange_end> exchange::settle() {
    end_.clean = complete();
    if (run_out_ != nullptr) std::exchange(run_out_, nullptr)->abandon();
    if (run_in_ != nullptr) std::exchange(run_in_, nullptr)->abandon();
    taker_ = nullptr;
    while (!settled()) {
        const result<void> woken = co_await settled_wake_.wait();
        TU_ASSERT(woken);
    }
    co_return end_;
}

// Nothing of it can arrive or leave any more.
bool exchange::settled() const noexcept {
    return lane_lost_ || (mark_reached_kernel_ && (over_ || in_.marked()));
}

// ── ends ──

reset_reason exchange::local_reset() const noexcept { return lane_.local_reset(); }

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

// Its user sees `over_` and leaves. What the kernel may still read stays until it has.
void exchange::end_exchange() noexcept {
    over_ = true;
    drop_queued();
    list_link<on_data_list>::unlink();
    credit_pending_ = stop_pending_ = release_pending_ = false;
    claim_pending_.reset();
    timer::unlink();
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

// ── outgoing ──

std::uint64_t exchange::credit_left() const noexcept {
    const std::uint64_t available = out_.available();
    return available - std::min<std::uint64_t>(available, queued_bytes_);
}

task<std::size_t> exchange::room(local_end& from, bool has_bytes) {
    while (takes_more()) {
        if (run_out_ != nullptr) co_return run_piece_bytes;
        const std::uint64_t room = credit_left();
        if (room > 0 && !lane_.full())
            co_return std::min<std::size_t>(room, path_.local_buffers.buffer_size());
        if (room > 0) {
            from.left_unread();
            const result<void> woken = co_await lane_.room().wait(reading_over_.token());
            static_cast<void>(woken);
        } else if (queued_bytes_ > 0) {
            from.left_unread();
            const result<void> woken = co_await sender_wake_.wait();
            static_cast<void>(woken);
        } else {
            co_await outgrow_window(from, has_bytes);
        }
    }
    co_return 0;
}

// The window is closed. When bytes are waiting they get a bulk lane, or go on with new credit,
// whichever comes first.
task<> exchange::outgrow_window(local_end& from, bool has_bytes) {
    if (!has_bytes) {
        cancel_source waiting{reading_over_.token()};
        waiting_for_credit_ = &waiting;
        const result<std::size_t> readable = co_await from.source().poll(POLLIN, waiting.token());
        waiting_for_credit_ = nullptr;
        if (over_ || out_.stopped() || credit_left() > 0) co_return;
        const bool broken = readable ? (*readable & POLLERR) != 0 : !readable.error().cancelled();
        if (broken) cut(local_reset());
        if (!readable || broken) co_return;
    }
    from.left_unread();
    if (!out_.may_claim()) {
        const result<void> woken = co_await sender_wake_.wait(reading_over_.token());
        static_cast<void>(woken);
        co_return;
    }
    run_out_ = lane_.bulk_out().claim(*this);
    if (run_out_ != nullptr) {
        out_.claim();
        claim_pending_ = run_out_->number();
        small_pieces_ = 0;
        lane_.queue_control(*this);
        path_.counters.bulk_runs += 1;
        co_return;
    }
    lane_.bulk_out().wait(*this);
    const result<void> woken = co_await sender_wake_.wait(reading_over_.token());
    static_cast<void>(woken);
    lane_.bulk_out().give_up_waiting(*this);
}

void exchange::send(bytes_view bytes, buffer keep) {
    TU_ASSERT(run_out_ == nullptr);
    segment& last = queued_.emplace_back();
    last.bytes = bytes;
    last.keep = std::move(keep);
    queued_bytes_ += bytes.size();
    lane_.queued(bytes.size());
    path_.counters.bytes_from_local += bytes.size();
    lane_.queue_data(*this);
}

void exchange::send_text(frame_type type, std::string text) {
    if (!takes_more()) return;
    TU_ASSERT(!text.empty() && run_out_ == nullptr);
    segment& last = queued_.emplace_back();
    last.type = type;
    last.text = std::move(text);
    queued_bytes_ += last.text.size();
    lane_.queued(last.text.size());
    lane_.queue_data(*this);
}

void exchange::drop_queued() noexcept {
    lane_.unqueued(std::exchange(queued_bytes_, 0));
    queued_.clear();
}

task<> exchange::send_run(std::span<iovec> pieces) {
    std::size_t bytes = 0;
    for (const iovec& piece : pieces) bytes += piece.iov_len;
    const result<void> sent = co_await run_out_->connection().send_all(pieces, ended_.token());
    if (over_) co_return;
    if (sent) sent_run(bytes);
    else lose_run_target();
}

// Mostly its receiver has given the run up, and says on the shared lane in a moment why.
void exchange::lose_run_target() noexcept {
    if (over_ || std::exchange(run_target_lost_, true)) return;
    reading_over_.request();
    path_.io.timers().arm(*this, path_.io.now() + word_limit);
}

void exchange::sent_run(std::size_t bytes) {
    out_.sent(bytes);
    path_.counters.bytes_from_local += bytes;
    small_pieces_ = bytes < small_piece_bytes ? small_pieces_ + 1 : 0;
    if (small_pieces_ == small_pieces_limit) leave_run();
}

void exchange::leave_run() {
    if (run_target_lost_) return;
    out_.release();
    release_pending_ = true;
    lane_.queue_control(*this);
    std::exchange(run_out_, nullptr)->finish();
}

void exchange::end_sending() {
    ending_ = true;
    if (over_ || run_target_lost_) return;
    if (run_out_ != nullptr) std::exchange(run_out_, nullptr)->finish();
    lane_.queue_data(*this);
}

// ── incoming ──

std::optional<exchange::arrival> exchange::next_arrival() const noexcept {
    if (over_) return arrival::end;
    if (!heads_.empty()) return arrival::head;
    if (!incoming_.empty()) return arrival::bytes;
    if (run_in_ != nullptr) return arrival::run;
    if (!in_.finished()) return {};
    return trailers_.empty() ? arrival::end : arrival::trailers;
}

task<result<exchange::arrival>> exchange::arrived(cancel_token stop) {
    for (;;) {
        if (const std::optional<arrival> what = next_arrival()) co_return *what;
        const result<void> woken = co_await receiver_wake_.wait(stop);
        if (!woken && !next_arrival()) co_return woken.error();
    }
}

bool exchange::ends_with_held() const noexcept {
    return !over_ && run_in_ == nullptr && in_.marked() && in_.finished_after(incoming_.size()) &&
           trailers_.empty();
}

std::string exchange::take_head() {
    if (heads_.empty()) return std::exchange(trailers_, {});
    return heads_.pop_front();
}

void exchange::took(std::size_t count) {
    incoming_.consume(std::min(count, incoming_.size()));
    in_.took(count);
    if (!dropping_) path_.counters.bytes_to_local += count;
    if (run_in_ != nullptr && in_.run_over()) return close_run();
    grant();
}

void exchange::grant() {
    if (!in_.grant_due(window_)) return;
    credit_pending_ = true;
    lane_.queue_control(*this);
}

task<std::size_t> exchange::read_run(bytes_span memory) {
    while (receives_run()) {
        if (in_.run_over()) {
            close_run();
            break;
        }
        cancel_source reading{ended_.token()};
        reading_run_ = &reading;
        const result<std::size_t> got = co_await run_source().receive(memory, reading.token());
        reading_run_ = nullptr;
        if (over_) break;
        if (!got && got.error().cancelled()) continue;  // Its end has been told meanwhile.
        const bool came = came_by_run(got ? *got : 0);
        co_return came ? *got : 0;
    }
    co_return 0;
}

task<bool> exchange::run_readable() {
    while (receives_run()) {
        if (in_.run_over()) {
            close_run();
            break;
        }
        cancel_source reading{ended_.token()};
        reading_run_ = &reading;
        const result<std::size_t> ready = co_await run_source().poll(POLLIN, reading.token());
        reading_run_ = nullptr;
        if (over_) break;
        if (ready) co_return true;
        if (!ready.error().cancelled()) lose_run();
    }
    co_return false;
}

bool exchange::came_by_run(std::size_t bytes) {
    if (bytes == 0) {
        lose_run();
        return false;
    }
    if (in_.on_run_bytes(bytes)) cut(reset_reason::protocol_error);
    return !over_;
}

// The lane of a run is gone before its last byte has come. Mostly its sender has given the run up,
// and says on the shared lane in a moment why; if it says that all was sent, that is not what came.
void exchange::lose_run() {
    if (run_in_ != nullptr) std::exchange(run_in_, nullptr)->abandon();
    run_missing_ = true;
    if (in_.run_end_told()) cut(reset_reason::lane_lost);
}

// The run's last byte has been taken: its lane goes back.
void exchange::close_run() {
    bulk_lane& lane = *std::exchange(run_in_, nullptr);
    in_.run_closed();
    lane.give_back();
    grant();
}

void exchange::stop_receiving() {
    if (over_ || std::exchange(dropping_, true)) return;
    const std::size_t dropped = incoming_.size();
    incoming_.clear();
    heads_.clear();
    trailers_.clear();
    took(dropped);
    if (in_.marked()) return;
    in_.stop();
    stop_pending_ = true;
    lane_.queue_control(*this);
}

task<> exchange::drain() {
    stop_receiving();
    std::unique_ptr<std::byte[]> memory;
    for (;;) {
        const result<arrival> what = co_await arrived();
        if (!what || *what == arrival::end) co_return;
        if (*what != arrival::run) continue;
        if (!memory) memory = std::make_unique_for_overwrite<std::byte[]>(run_piece_bytes);
        const bytes_span room{memory.get(), run_piece_bytes};
        const std::size_t got = co_await read_run(room);
        if (got != 0) took(got);
    }
}

// ── what the lane brings ──

std::optional<protocol_error> exchange::on_text(frame_type type, bytes_view fragment, bool last) {
    if (over_) return {};
    if (kind_ != exchange_kind::http) return protocol_error::not_http;
    if (const auto wrong = in_.on_data(fragment.size())) return wrong;
    const bool is_head = type == frame_type::head;
    if (!trailers_.empty() || (is_head && body_seen_)) return protocol_error::head_after_body;
    if (!is_head && !head_seen_) return protocol_error::data_before_head;
    in_.took(fragment.size());  // It is copied here, within a limit of its own.
    if (dropping_) return {};
    head_part_ += as_text(fragment);
    if (head_part_.size() > head_bytes_limit) return protocol_error::head_too_long;
    if (last) {
        if (heads_.size() == most_heads) return protocol_error::too_many_heads;
        if (is_head) heads_.push_back(std::exchange(head_part_, {}));
        else trailers_ = std::exchange(head_part_, {});
        head_seen_ = true;
        body_seen_ = !is_head;
        receiver_wake_.notify();
    }
    grant();
    return {};
}

std::optional<protocol_error> exchange::on_data(bytes_view fragment) {
    if (over_) return {};
    if (const auto wrong = in_.on_data(fragment.size())) return wrong;
    if (kind_ == exchange_kind::http) {
        if (!head_seen_) return protocol_error::data_before_head;
        if (!trailers_.empty()) return protocol_error::head_after_body;
        body_seen_ = true;
    }
    if (taker_ != nullptr && incoming_.empty() && !dropping_) taker_->offer(fragment);
    if (dropping_) {
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
    if (run_missing_) cut(reset_reason::lane_lost);
    if (reading_run_ != nullptr && in_.run_over()) reading_run_->request();
    receiver_wake_.notify();
    settled_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_stop() {
    if (over_) return {};
    if (const auto wrong = out_.on_stop()) return wrong;
    drop_queued();
    reading_over_.request();
    sender_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_credit(std::uint64_t limit, bool resume) {
    if (over_) return {};
    if (const auto wrong = out_.on_credit(limit, resume)) return wrong;
    if (waiting_for_credit_ != nullptr) waiting_for_credit_->request();
    if (!queued_.empty()) lane_.queue_data(*this);
    sender_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_claim(std::uint32_t number, std::uint64_t offset) {
    const bulk_receivers::claim_result claimed = lane_.bulk_in().claim(number);
    if (claimed.lane == nullptr) {
        if (claimed.why != bulk_receivers::claim_refusal::gone) return protocol_error::bad_claim;
        if (over_) return {};
        if (const auto wrong = in_.on_claim(offset)) return wrong;
        lose_run();
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
    run_in_ = claimed.lane;
    receiver_wake_.notify();
    return {};
}

std::optional<protocol_error> exchange::on_release(std::uint64_t offset) {
    if (over_) return {};
    if (const auto wrong = in_.on_release(offset)) return wrong;
    if (run_missing_) cut(reset_reason::lane_lost);
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
        out_.sent(open_text_.size());
        batch.add_open(id_, *open_pending_, std::move(open_text_), open_goes_on_);
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
        segment& front = queued_.front();
        const bytes_view left = front.left();
        const std::size_t count =
            std::min<std::uint64_t>({left.size(), max_payload, out_.available()});
        if (count == 0) return false;  // New credit queues it again.
        const bool whole = count == left.size();
        if (front.text.empty()) {
            batch.add_data(id_, left.first(count), front.keep.share());
        } else {
            std::string text = whole && count == front.text.size()
                                   ? std::move(front.text)
                                   : std::string{as_text(left.first(count))};
            batch.add_text(id_, front.type, std::move(text), !whole);
        }
        out_.sent(count);
        queued_bytes_ -= count;
        lane_.unqueued(count);
        front.framed += count;
        if (whole) queued_.pop_front();
        if (!queued_.empty()) return true;
        sender_wake_.notify();
    }
    if (!ending_ || run_target_lost_ || std::exchange(mark_framed_, true)) return false;
    out_.end();
    batch.add_end(id_, out_.offset(), out_.stopped());
    batch.carry_mark(*this);
    return false;
}

}  // namespace tunnel_uring
