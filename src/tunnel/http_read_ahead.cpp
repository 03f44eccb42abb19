#include "tunnel/http_read_ahead.hpp"

namespace tunnel_uring {

void http_read_ahead::begin() {
    if (receiving_ || got_ || !input_.empty()) return;
    receiving_ = true;
    task_.start(receive());
}

task<> http_read_ahead::receive() {
    result<buffer> got = co_await input_.next_buffer(0, over_.token());
    got_ = input_.take(std::move(got));
    receiving_ = false;
    came_.notify();
    if (watch_ == nullptr) co_return;
    // It may wait for long: until the answer before it is over.
    input_.keep();
    if (broken()) watch_->cut();
    else watch_->begin();
}

task<result<bool>> http_read_ahead::wait(cancel_token stop) {
    if (!input_.empty()) {
        got_.reset();
        co_return true;
    }
    begin();
    while (!got_) {
        const result<void> woken = co_await came_.wait(stop);
        if (!woken) co_return woken.error();
    }
    const result<bool> got = *got_;
    // The end stays the end.
    if (got && *got) got_.reset();
    co_return got;
}

task<> http_read_ahead::end() {
    over_.request();
    co_await task_.join();
}

}  // namespace tunnel_uring
