#include "tunnel/http_read_ahead.hpp"

namespace tunnel_uring {

void http_read_ahead::begin() {
    if (receiving_ || got_ || !input_.empty()) return;
    receiving_ = true;
    task_.start(receive());
}

task<> http_read_ahead::receive() {
    while (receiving_) {
        result<buffer> got = co_await input_.receive_now(over_.token());
        if (!got && got.error().code() == ENOBUFS) {
            const result<void> home = co_await input_.wait_for_buffer(over_.token());
            if (home) continue;
        }
        got_ = input_.take(std::move(got));
        receiving_ = false;
    }
    came_.notify();
    if (watch_ == nullptr) co_return;
    // It may wait for long: until the answer before it is over.
    input_.keep();
    if (broken()) watch_->cut();
    else watch_->begin();
}

bool http_read_ahead::ready() {
    begin();
    return got_ || !input_.empty();
}

result<bool> http_read_ahead::take() {
    const result<bool> got = got_.value_or(true);
    // The end stays the end.
    if (got && *got) got_.reset();
    return got;
}

task<> http_read_ahead::end() {
    over_.request();
    co_await task_.join();
}

}  // namespace tunnel_uring
