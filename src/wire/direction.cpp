#include "wire/direction.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace tunnel_uring {

void send_direction::sent(std::uint64_t count) noexcept {
    TU_ASSERT(!ended_ && (in_run_ || count <= available()));
    offset_ += count;
}

void send_direction::claim() noexcept {
    TU_ASSERT(!in_run_ && !ended_ && may_claim());
    in_run_ = true;
    claimed_at_ = offset_;
}

void send_direction::release() noexcept {
    TU_ASSERT(in_run_ && !ended_);
    in_run_ = false;
    awaits_credit_ = true;
}

void send_direction::end() noexcept {
    TU_ASSERT(!ended_);
    in_run_ = false;
    ended_ = true;
}

std::optional<protocol_error> send_direction::on_credit(std::uint64_t limit, bool resume) noexcept {
    if (limit < limit_) return protocol_error::credit_goes_back;
    if (resume && !awaits_credit_) return protocol_error::resume_without_release;
    limit_ = limit;
    if (resume) awaits_credit_ = false;
    return {};
}

std::optional<protocol_error> send_direction::on_stop() noexcept {
    if (stopped_) return protocol_error::stop_twice;
    // It crossed our end: everything has been said already.
    if (!ended_) stopped_ = true;
    return {};
}

std::optional<protocol_error> receive_direction::on_data(std::uint64_t count) noexcept {
    if (marked()) return protocol_error::data_after_end;
    if (in_run_) return protocol_error::data_in_run;
    if (released_ || count > granted_ - std::min(granted_, arrived_))
        return protocol_error::data_beyond_credit;
    arrived_ += count;
    return {};
}

std::optional<protocol_error> receive_direction::on_claim(std::uint64_t offset) noexcept {
    if (marked()) return protocol_error::data_after_end;
    // A run lasts for its sender until the credit that answers the release.
    if (in_run_ || released_) return protocol_error::claim_in_run;
    if (offset != arrived_) return protocol_error::claim_wrong_offset;
    in_run_ = true;
    return {};
}

std::optional<protocol_error> receive_direction::on_run_bytes(std::uint64_t count) noexcept {
    TU_ASSERT(in_run_);
    arrived_ += count;
    if (run_end_ && arrived_ > *run_end_) return protocol_error::run_beyond_end;
    return {};
}

std::optional<protocol_error> receive_direction::on_release(std::uint64_t offset) noexcept {
    if (!in_run_ || run_end_) return protocol_error::release_without_run;
    if (offset < arrived_) return protocol_error::release_before_data;
    run_end_ = offset;
    released_ = true;
    return {};
}

std::optional<protocol_error> receive_direction::on_end(std::uint64_t total, bool cut) noexcept {
    if (marked()) return protocol_error::end_twice;
    if (cut && !stopping_) return protocol_error::cut_without_stop;
    if (total < arrived_) return protocol_error::end_before_data;
    if (in_run_ && run_end_ ? total != *run_end_ : !in_run_ && total != arrived_)
        return protocol_error::end_total_mismatch;
    total_ = total;
    cut_ = cut;
    if (in_run_) run_end_ = total;
    return {};
}

void receive_direction::took(std::uint64_t count) noexcept {
    TU_ASSERT(count <= held());
    taken_ += count;
}

void receive_direction::run_closed() noexcept {
    TU_ASSERT(run_over());
    in_run_ = false;
    run_end_.reset();
}

bool receive_direction::grant_due(std::uint64_t window) const noexcept {
    if (marked() || in_run_ || stopping_) return false;
    if (released_) return true;
    return taken_ + window - std::min(granted_, taken_ + window) >= window / 2;
}

std::uint64_t receive_direction::grant(std::uint64_t window) noexcept {
    if (!in_run_) released_ = false;
    granted_ = std::max(granted_, taken_ + window);
    return granted_;
}

}  // namespace tunnel_uring
