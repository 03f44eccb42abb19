#include "ring/op.hpp"

#include "base/check.hpp"
#include "ring/io_context.hpp"

namespace tunnel_uring {

op::~op() { TU_ASSERT(!in_flight()); }

void op::submit(const request& what) {
    TU_ASSERT(!in_flight());
    cancelling_ = false;
    slot_ = what.target.slot;
    user_data_ = io_.enter(*this, what.target);
    io_.kernel().submit(what, user_data_);
}

void op::request_cancel() noexcept {
    if (!in_flight()) return;
    cancelling_ = true;
    io_.kernel().cancel(user_data_);
}

void one_shot::completed(const completion& what) noexcept {
    done_ = what;
    list_link<cancel_listener>::unlink();
    run_queue::current().push(handle_);
}

result<buffer> buffer_op::await_resume() const noexcept {
    if (done_.has_buffer) {
        // A failure never carries bytes, but a buffer that was picked must come home all the same.
        const auto size = static_cast<std::uint32_t>(done_.result < 0 ? 0 : done_.result);
        return group_.take(done_.buffer, size);
    }
    if (done_.result < 0) return error{-done_.result};
    return buffer{};
}

multishot::~multishot() { TU_ASSERT(queue_.empty()); }

void multishot::start(const request& what) {
    request armed = what;
    armed.multishot = true;
    submit(armed);
}

task<result<completion>> multishot::next(cancel_token token) {
    while (queue_.empty()) {
        const result<void> woken = co_await arrived_.wait(token);
        if (!woken) co_return woken.error();
    }
    co_return queue_.pop_front();
}

void multishot::completed(const completion& what) noexcept {
    queue_.push_back(what);
    arrived_.notify();
}

}  // namespace tunnel_uring
