#include "tunnel/shared_lane.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace tunnel_uring {

shared_lane::shared_lane(lane_owner& owner, byte_path& path, bulk_senders& bulk_out,
                         bulk_receivers& bulk_in, end_role role, stream connection,
                         std::uint32_t number)
    : owner_{owner},
      path_{path},
      bulk_out_{bulk_out},
      bulk_in_{bulk_in},
      role_{role},
      connection_{std::move(connection)},
      number_{number} {}

shared_lane::~shared_lane() { TU_ASSERT(by_id_.empty()); }

task<std::string> shared_lane::run(cancel_token stop) {
    {
        const on_cancel stopping{stop, [this]() noexcept { stopping_.request(); }};
        nursery loops;
        loops.start(read_loop());
        loops.start(write_loop());
        co_await loops.join();
    }
    lose("closed");
    // Only now it is known which marks the kernel has taken. Told one by one: none leaves the map
    // before its own task runs again.
    for (const auto& [id, who] : by_id_) who->lane_lost();
    room_.notify_all();
    co_await exchange_tasks_.join();
    if (why_lost_.empty()) connection_.close();
    else connection_.abort();
    co_return why_lost_;
}

void shared_lane::retire() noexcept {
    if (retiring_) return;
    retiring_ = true;
    retire_pending_ = true;
    write_wake_.notify();
}

void shared_lane::ping() noexcept {
    ping_pending_ = true;
    write_wake_.notify();
}

std::uint32_t shared_lane::next_id() noexcept {
    TU_ASSERT(role_ == end_role::relay && usable());
    last_id_ += 1;
    if (last_id_ == last_exchange_id) retire();
    return last_id_;
}

// Retired by both ends, with nothing under way: what is left is the FIN.
bool shared_lane::finished() const noexcept {
    return retiring_ && peer_retired_ && by_id_.empty() && !retire_pending_;
}

void shared_lane::lose(std::string why) {
    if (std::exchange(lost_, true)) return;
    if (!finished()) why_lost_ = std::move(why);
    stopping_.request();
    control_ready_.for_each([](exchange& who) { who.list_link<on_control_list>::unlink(); });
    data_ready_.for_each([](exchange& who) { who.list_link<on_data_list>::unlink(); });
    write_wake_.notify();
}

// ── its exchanges ──

void shared_lane::add(exchange& who) {
    by_id_.emplace(who.id(), &who);
    exchanges_count_ += 1;
}

void shared_lane::remove(exchange& who) {
    batch_.forget(who);
    by_id_.erase(who.id());
    exchanges_count_ -= 1;
    if (finished()) write_wake_.notify();
}

void shared_lane::queue_control(exchange& who) noexcept {
    if (lost_ || who.list_link<on_control_list>::linked()) return;
    control_ready_.push_back(who);
    write_wake_.notify();
}

void shared_lane::queue_data(exchange& who) noexcept {
    if (lost_ || who.list_link<on_data_list>::linked()) return;
    data_ready_.push_back(who);
    write_wake_.notify();
}

void shared_lane::unqueued(std::size_t bytes) noexcept {
    const bool was_full = full();
    queued_bytes_ -= bytes;
    if (was_full && !full()) room_.notify_all();
}

// ── receiving ──

task<> shared_lane::read_loop() {
    multishot incoming{path_.io};
    request what;
    what.code = opcode::recv;
    what.target = connection_.get();
    what.buffer_group = path_.lane_buffers.id();
    std::string why;
    while (why.empty()) {
        if (!incoming.armed() && !incoming.waiting_completions()) incoming.start(what);
        const result<completion> got = co_await incoming.next(stopping_.token());
        if (!got) break;
        if (got->result == -ENOBUFS) {
            const result<void> home =
                co_await path_.lane_buffers.wait_for_buffer(stopping_.token());
            static_cast<void>(home);
        } else if (got->has_buffer) {
            const auto size = static_cast<std::uint32_t>(std::max(got->result, 0));
            const buffer received = path_.lane_buffers.take(got->buffer, size);
            why = take(received.bytes());
        } else {
            why = got->result == 0 ? "the peer closed it" : error{-got->result}.message();
        }
    }
    const auto discard = [this](const completion& left) {
        if (left.has_buffer) path_.lane_buffers.take(left.buffer, 0);
    };
    co_await incoming.stop(discard);
    lose(std::move(why));
}

// The frames in `received`; what is wrong with them, or nothing.
std::string shared_lane::take(bytes_view received) {
    owner_.heard();
    std::optional<protocol_error> wrong;
    while (!wrong) {
        const std::optional<frame_event> frame = decoder_.next(received);
        if (!frame) {
            wrong = decoder_.failure();
            break;
        }
        wrong = dispatch(*frame);
    }
    return wrong ? std::string{describe(*wrong)} : std::string{};
}

std::optional<protocol_error> shared_lane::dispatch(const frame_event& frame) {
    switch (frame.type) {
        case frame_type::ping:
            pong_pending_ = true;
            write_wake_.notify();
            return {};
        case frame_type::pong: return {};
        case frame_type::retire: peer_retired(); return {};
        case frame_type::open: return open(frame);
        default: break;
    }
    const auto found = by_id_.find(frame.id);
    if (found != by_id_.end()) return deliver(*found->second, frame);
    if (frame.id > last_id_) return protocol_error::id_never_opened;
    // Of an exchange that is over. A claim still takes its bulk lane, whose bytes nobody will read.
    if (frame.type == frame_type::claim) {
        const bulk_receivers::claim_result claimed = bulk_in_.claim(frame.lane);
        if (claimed.lane != nullptr) claimed.lane->abandon();
    }
    return {};
}

std::optional<protocol_error> shared_lane::deliver(exchange& who, const frame_event& frame) {
    switch (frame.type) {
        case frame_type::data: return who.on_data(frame.payload);
        case frame_type::head:
        case frame_type::trailers: return who.on_text(frame.type, frame.payload, frame.last);
        case frame_type::end: return who.on_end(frame.offset, frame.cut);
        case frame_type::stop: return who.on_stop();
        case frame_type::credit: return who.on_credit(frame.offset, frame.resume);
        case frame_type::claim: return who.on_claim(frame.lane, frame.offset);
        case frame_type::release: return who.on_release(frame.offset);
        case frame_type::reset: who.on_reset(frame.reason); return {};
        default: return protocol_error::unknown_frame_type;
    }
}

std::optional<protocol_error> shared_lane::open(const frame_event& frame) {
    if (role_ == end_role::relay) return protocol_error::open_from_agent;
    if (peer_retired_) return protocol_error::open_after_retire;
    if (frame.id <= last_id_) return protocol_error::id_not_rising;
    last_id_ = frame.id;
    owner_.opened(*this, frame.id, frame.open);
    if (frame.open.kind != exchange_kind::http) return {};
    const auto opened = by_id_.find(frame.id);
    if (opened == by_id_.end()) return {};
    return opened->second->on_text(frame_type::head, frame.payload, frame.last);
}

void shared_lane::peer_retired() noexcept {
    peer_retired_ = true;
    retire();
    write_wake_.notify();
}

// ── sending ──

task<> shared_lane::write_loop() {
    while (!lost_) {
        gather();
        if (batch_.empty()) {
            if (finished()) {
                // The peer's own FIN ends the read loop.
                static_cast<void>(connection_.shutdown_send());
                co_return;
            }
            const result<void> woken = co_await write_wake_.wait(stopping_.token());
            if (!woken) break;
            continue;
        }
        path_.counters.lane_sends += 1;
        path_.counters.frames_sent += batch_.frames();
        while (!batch_.vectors().empty()) {
            const result<std::size_t> sent =
                co_await connection_.send(batch_.vectors(), stopping_.token());
            if (!sent) {
                batch_.clear();
                lose(sent.error().cancelled() ? "stopped" : sent.error().message());
                co_return;
            }
            path_.counters.lane_bytes += *sent;
            batch_.consume(*sent);
        }
        for (exchange* const who : batch_.marks()) {
            if (who != nullptr) who->mark_sent();
        }
        batch_.clear();
    }
    lose("stopped");
}

// One round over the exchanges per batch and frame, so none waits for another's whole queue.
void shared_lane::gather() {
    if (std::exchange(ping_pending_, false)) batch_.add_lane_frame(frame_type::ping);
    if (std::exchange(pong_pending_, false)) batch_.add_lane_frame(frame_type::pong);
    while (!control_ready_.empty() && !batch_.full())
        control_ready_.pop_front().gather_control(batch_);
    while (!data_ready_.empty() && !batch_.full()) {
        exchange& who = data_ready_.pop_front();
        if (who.gather_data(batch_)) data_ready_.push_back(who);
    }
    // After the last `open`.
    if (retire_pending_ && control_ready_.empty() && !batch_.full()) {
        retire_pending_ = false;
        batch_.add_lane_frame(frame_type::retire);
    }
}

}  // namespace tunnel_uring
