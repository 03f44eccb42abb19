#include "net/pipe_pool.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace tunnel_uring {

pipe_pool::~pipe_pool() { TU_ASSERT(out_ == 0 && kept_.empty()); }

std::optional<pipe_ends> pipe_pool::take() {
    if (!enabled_ || out_ == limit) return {};
    std::optional<pipe_ends> taken;
    if (!kept_.empty()) {
        taken = kept_.back();
        kept_.pop_back();
    } else {
        const result<pipe_ends> made = kernel_.open_pipe(wanted_bytes);
        if (!made) return {};
        if (made->room < least_bytes) {
            kernel_.close_pipe(*made);
            return {};
        }
        taken = *made;
    }
    out_ += 1;
    return taken;
}

void pipe_pool::give_back(const pipe_ends& which, bool is_empty) noexcept {
    out_ -= 1;
    if (is_empty) kept_.push_back(which);
    else kernel_.close_pipe(which);
    if (out_ != 0) return;
    for (const pipe_ends& one : kept_) kernel_.close_pipe(one);
    kept_.clear();
}

result<std::size_t> splice_pipe::fill(stream& from, std::size_t most) {
    TU_ASSERT(held_ == 0);
    const result<std::size_t> got = from.splice_into(*ends_, std::min(most, ends_->room));
    if (got) held_ = *got;
    return got;
}

task<result<void>> splice_pipe::drain(stream& to, cancel_token stop) {
    while (held_ > 0) {
        const result<std::size_t> sent = to.splice_from(*ends_, held_);
        if (sent) {
            held_ -= *sent;
            continue;
        }
        if (sent.error().code() != EAGAIN) co_return sent.error();
        const result<void> room = co_await to.wait_for_room(stop);
        if (!room) co_return room.error();
    }
    co_return result<void>{};
}

}  // namespace tunnel_uring
