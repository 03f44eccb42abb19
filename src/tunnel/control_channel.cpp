#include "tunnel/control_channel.hpp"

namespace tunnel_uring {

void control_channel::send(const control_message& what) {
    encode(what, queued_);
    write_wake_.notify();
}

task<result<void>> control_channel::flush(cancel_token stop) {
    sending_.swap(queued_);
    result<void> sent = co_await connection_.send_all(sending_, stop);
    sending_.clear();
    co_return sent;
}

task<> control_channel::write_loop(cancel_token stop) {
    while (!stop.requested()) {
        if (queued_.empty()) {
            const result<void> woken = co_await write_wake_.wait(stop);
            static_cast<void>(woken);
            continue;
        }
        const result<void> sent = co_await flush(stop);
        if (sent) continue;
        // What was to be said is lost, so the channel is: its reader sees the end.
        if (!stop.requested()) connection_.end();
        co_return;
    }
    // A last word (drain) that the socket takes at once; a peer that reads nothing does not get it.
    const iovec left{.iov_base = queued_.data(), .iov_len = queued_.size()};
    if (!queued_.empty()) static_cast<void>(connection_.try_send({&left, 1}));
    queued_.clear();
    shutdown();
}

task<result<control_message>> control_channel::receive(cancel_token stop) {
    received_.resize(control_header_bytes);
    result<void> got = co_await connection_.read_exactly(received_, stop);
    if (!got) co_return got.error();
    const std::size_t length = control_length(received_);
    if (length > bytes_limit_)
        co_return error{EPROTO, "a control message is longer than the protocol allows"};
    received_.resize(control_header_bytes + length);
    const bytes_span body = bytes_span{received_}.subspan(control_header_bytes);
    got = co_await connection_.read_exactly(body, stop);
    if (!got) co_return got.error();
    co_return decode_control(received_);
}

}  // namespace tunnel_uring
