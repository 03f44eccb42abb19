// http_input: what was received on an HTTP connection and has not been read yet.
#pragma once

#include <string>

#include "net/stream.hpp"
#include "ring/buffer_group.hpp"

namespace tunnel_uring {

class http_input {
  public:
    http_input(stream& from, buffer_group& group) noexcept : from_{from}, group_{group} {}

    bool empty() const noexcept { return unread_.empty(); }
    bytes_view unread() const noexcept { return unread_; }
    // Its first bytes have been read.
    void consume(std::size_t count) noexcept;

    // Receives at most `most` bytes (0: what a buffer holds), only when empty. False: the end of
    // the stream, and it was no reset.
    task<result<bool>> receive(std::size_t most, cancel_token stop);
    // The same in steps, for who has no memory for frames while a connection is idle: what comes is
    // for take(), but for ENOBUFS, after which a buffer must be waited for.
    buffer_op receive_now(cancel_token stop) { return from_.receive_now(group_, 0, stop); }
    task<result<void>> wait_for_buffer(cancel_token stop) { return group_.wait_for_buffer(stop); }
    result<bool> take(result<buffer> got);
    // Bytes that were received by other means. They are copied.
    void put(bytes_view bytes);
    // What is unread will stay for some time: it is copied, so that it holds no buffer.
    void keep();
    // A share in the buffer in which unread() lies; empty when it lies in none.
    buffer share() const noexcept { return held_.share(); }

  private:
    stream& from_;
    buffer_group& group_;
    buffer held_;
    std::string kept_;
    bytes_view unread_;  // In held_ or in kept_.
};

}  // namespace tunnel_uring
