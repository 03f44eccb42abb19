#include "tunnel/bulk_lane.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace tunnel_uring {

namespace {
constexpr std::byte returned{0x52};  // 'R'
}

void bulk_lane::finish() noexcept {
    TU_ASSERT(held_);
    held_ = false;
    if (state_ == state::claimed) state_ = state::returning;
    let_go_.notify();
}

void bulk_lane::give_back() noexcept {
    TU_ASSERT(held_);
    held_ = false;
    if (state_ == state::claimed) say_idle();
    let_go_.notify();
}

// The reverse direction of a bulk lane carries nothing else: one byte always fits.
void bulk_lane::say_idle() noexcept {
    const iovec byte{.iov_base = const_cast<std::byte*>(&returned), .iov_len = 1};
    const result<std::size_t> sent = connection_.try_send({&byte, 1});
    if (sent) state_ = state::idle;
    else closing_.request();
}

void bulk_lane::abandon() noexcept {
    TU_ASSERT(held_);
    held_ = false;
    state_ = state::dead;
    closing_.request();
    let_go_.notify();
}

task<> bulk_senders::tend(stream connection, std::uint32_t number, cancel_token stop) {
    bulk_lane lane{std::move(connection), number};
    const on_cancel stopping{stop, [&lane]() noexcept { lane.closing_.request(); }};
    standing_ += 1;
    lane.connection_.set_option(socket_option::notsent_lowat_bytes, run_notsent_bytes);
    while (!lane.closing_.requested()) {
        std::array<std::byte, 1> back{};
        const auto got = co_await lane.connection_.receive(back, lane.closing_.token());
        const bool awaited =
            lane.state_ == bulk_lane::state::starting || lane.state_ == bulk_lane::state::returning;
        if (lane.state_ != bulk_lane::state::starting && lane.state_ != bulk_lane::state::idle)
            busy_ -= 1;
        if (!awaited || !got || *got != 1 || back[0] != returned) break;
        lane.state_ = bulk_lane::state::idle;
        idle_.push_front(lane);
        changed_.notify();
        if (!waiters_.empty()) {
            waiting_ -= 1;
            waiters_.pop_front().bulk_lane_ready();
        }
    }
    lane.unlink();
    lane.state_ = bulk_lane::state::dead;
    while (lane.held_) {
        const result<void> let_go = co_await lane.let_go_.wait();
        TU_ASSERT(let_go);
    }
    standing_ -= 1;
    changed_.notify();
    lane.connection_.abort();
}

bulk_lane* bulk_senders::claim() noexcept {
    if (idle_.empty()) return nullptr;
    bulk_lane& lane = idle_.pop_front();
    lane.state_ = bulk_lane::state::claimed;
    lane.held_ = true;
    busy_ += 1;
    changed_.notify();
    return &lane;
}

void bulk_senders::wait(bulk_waiter& who) noexcept {
    waiters_.push_back(who);
    waiting_ += 1;
    changed_.notify();
}

void bulk_senders::give_up_waiting(bulk_waiter& who) noexcept {
    if (!who.linked()) return;
    who.unlink();
    waiting_ -= 1;
}

void bulk_senders::shrink() noexcept {
    const bool surplus = standing_ > demand() && !idle_.empty();
    if (surplus) idle_.pop_back().closing_.request();
}

task<> bulk_receivers::tend(stream connection, std::uint32_t number, cancel_token stop) {
    bulk_lane lane{std::move(connection), number};
    const on_cancel stopping{stop, [&lane]() noexcept { lane.closing_.request(); }};
    highest_ = std::max(highest_, number);
    lanes_.emplace(number, &lane);
    lane.say_idle();
    // Only a hang-up matters here: bytes are read by the exchange whose claim announces them, and
    // that claim may still be under way.
    const auto hung_up = co_await lane.connection_.poll(POLLRDHUP, lane.closing_.token());
    static_cast<void>(hung_up);
    // A run may be under way, its last bytes unread: its exchange sees the end of the stream
    // itself.
    while (lane.held_) {
        const result<void> let_go = co_await lane.let_go_.wait();
        TU_ASSERT(let_go);
    }
    lane.state_ = bulk_lane::state::dead;
    lanes_.erase(number);
    lane.connection_.abort();
}

bulk_receivers::claim_result bulk_receivers::claim(std::uint32_t number) noexcept {
    const auto found = lanes_.find(number);
    if (found == lanes_.end()) {
        return {.why = number > highest_ ? claim_refusal::never_owned : claim_refusal::gone};
    }
    bulk_lane& lane = *found->second;
    if (lane.held_ || lane.closing_.requested()) return {.why = claim_refusal::busy};
    lane.state_ = bulk_lane::state::claimed;
    lane.held_ = true;
    return {.lane = &lane};
}

}  // namespace tunnel_uring
