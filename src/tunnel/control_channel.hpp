// control_channel: messages of a session that are not bytes of a visitor, in order, both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coro/event.hpp"
#include "net/stream.hpp"
#include "wire/handshake.hpp"

namespace tunnel_uring {

class control_channel {
  public:
    explicit control_channel(stream connection) noexcept : connection_{std::move(connection)} {}

    // Queued; write_loop() sends it. A peer that reads nothing ends the session (its heartbeat),
    // so what queues here is bounded by what one session can have to say meanwhile.
    void send(const control_message& what);
    // Sends what is queued now; for the handshake, before write_loop().
    task<result<void>> flush(cancel_token stop);
    // Sends what is queued until `stop`; then what is left, if the peer takes it, and a FIN.
    task<> write_loop(cancel_token stop);
    // The next message. EPROTO with a sentence when it is not one, ECONNRESET at the end of stream.
    task<result<control_message>> receive(cancel_token stop);
    // The peer has proven who it is: its messages may be longer from now on.
    void trust() noexcept { bytes_limit_ = session_bytes_limit; }
    void shutdown() noexcept { static_cast<void>(connection_.shutdown_send()); }
    void close() noexcept { connection_.close(); }
    std::optional<duration> round_trip_time() const noexcept {
        return connection_.round_trip_time();
    }

  private:
    stream connection_;
    std::size_t bytes_limit_ = control_bytes_limit;
    std::vector<std::byte> queued_;
    std::vector<std::byte> sending_;
    std::vector<std::byte> received_;
    event write_wake_;
};

}  // namespace tunnel_uring
