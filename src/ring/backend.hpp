// The seam under everything: what we ask of a kernel. `uring_backend` is Linux, `sim_backend`
// (tests) a simulated kernel with virtual time, a seeded schedule and faults. One file of
// conformance tests (tests/ring/conformance_test.cpp) runs on both and is the written contract.
//
// Two kinds of request: asynchronous ones, values that become one SQE each and end with
// completions; and immediate ones, system calls that never block. Errors are positive errno(3)
// codes in result<>, negative ones in a completion's `result`, as in io_uring.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <tunnel_uring/result.hpp>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "ring/socket_address.hpp"

namespace tunnel_uring {

// A descriptor: the number that system calls take and the slot of the ring's file table that ring
// operations take (shutdown(2) and close(2) act at once on the one, the other is cheap). The
// generation tells a slot's tenants apart: io_context refuses an operation on a former one.
struct descriptor {
    int fd = -1;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
};

enum class opcode : std::uint8_t {
    accept,   // multishot; each completion's result is a new fd (not yet attached), non-blocking
    connect,  // `address`
    recv,     // into `memory`; or into a buffer of `buffer_group`: then multishot is allowed, and
              // one-shot takes at most memory.size() bytes (0: the whole buffer; no pointer)
    send,     // gathers `vectors`; may be short; never raises SIGPIPE and never waits: EAGAIN
    poll,     // `poll_events` (poll(2) bits); the result is the mask; edges, not levels
};

// What lies behind the pointers belongs to the kernel until the operation's last completion.
struct request {
    static constexpr std::uint16_t no_buffer_group = 0xFFFF;

    opcode code = opcode::poll;
    bool multishot = false;
    std::uint16_t buffer_group = no_buffer_group;
    std::uint32_t poll_events = 0;
    descriptor target;
    bytes_span memory;
    std::span<const iovec> vectors;
    const socket_address* address = nullptr;
};

struct completion {
    std::uint64_t user_data = 0;
    std::int32_t result = 0;
    bool more = false;        // IORING_CQE_F_MORE: the operation lives on
    bool has_buffer = false;  // IORING_CQE_F_BUFFER: `buffer` names the provided buffer used
    std::uint16_t buffer = 0;
};

struct pipe_ends {
    int in = -1;   // Written to.
    int out = -1;  // Read from.
    std::size_t room = 0;
};

enum class shutdown_side { receive, send, both };

enum class socket_option {
    no_delay,                   // TCP_NODELAY, 0 or 1
    keepalive_seconds,          // SO_KEEPALIVE with TCP_KEEPIDLE = TCP_KEEPINTVL = value
    user_timeout_milliseconds,  // TCP_USER_TIMEOUT
    notsent_lowat_bytes,        // TCP_NOTSENT_LOWAT
    linger_reset,               // SO_LINGER {1, 0} when 1: close(2) sends RST; {0, 0} when 0
    reuse_address,              // SO_REUSEADDR
    v6_only,                    // IPV6_V6ONLY
    local_congestion_control,   // 1: cubic, else reno, for private and loopback legs
};

class backend {
  public:
    virtual ~backend() = default;

    // ── asynchronous ──
    // Takes the request; its completions carry `user_data` (never 0). What the kernel refuses comes
    // back as a completion too. A full submission queue is flushed, nothing is dropped.
    virtual void submit(const request& what, std::uint64_t user_data) = 0;
    // Asks the kernel to end the operation; the operation's own last completion is the answer, and
    // may still be a success. Its effect on a multishot can be lost once: ask again while it says
    // `more`.
    virtual void cancel(std::uint64_t user_data) = 0;
    // Hands over all that was submitted, waits until at least one completion or `deadline`
    // (time_point::max(): no limit; a past one: does not wait), and writes completions to `out`.
    virtual std::size_t wait(time_point deadline, std::span<completion> out) = 0;
    virtual time_point now() = 0;

    // ── provided buffers ──
    // A group of `count` (a power of two, at most 32768) buffers of `size` bytes at `memory`, all
    // provided. The memory outlives the backend's use of it: remove_buffers first.
    virtual result<void> add_buffers(std::uint16_t group, bytes_span memory, std::uint32_t count,
                                     std::uint32_t size) = 0;
    virtual void provide_buffer(std::uint16_t group, std::uint16_t buffer) = 0;
    virtual void remove_buffers(std::uint16_t group) = 0;

    // ── immediate ──
    virtual result<int> open_socket(int family) = 0;   // stream, non-blocking, close-on-exec
    virtual result<std::uint32_t> attach(int fd) = 0;  // into the file table; ENFILE when full
    virtual void detach(std::uint32_t slot) = 0;
    // A unix socket is its owner's alone (mode 0600), from before anybody can connect.
    virtual result<void> bind(int fd, const socket_address& address) = 0;
    virtual result<void> listen(int fd, int backlog) = 0;
    virtual result<socket_address> local_address(int fd) = 0;
    virtual result<socket_address> peer_address(int fd) = 0;
    virtual result<void> set_option(int fd, socket_option option, int value) = 0;
    // Of a TCP connection, smoothed (TCP_INFO).
    virtual result<duration> round_trip_time(int fd) = 0;
    // EAGAIN when the socket takes nothing now; may be short.
    virtual result<std::size_t> try_send(int fd, std::span<const iovec> vectors) = 0;
    // 0 is the end of the stream; EAGAIN when nothing is there.
    virtual result<std::size_t> try_receive(int fd, bytes_span memory) = 0;
    // A pipe(7) that never blocks, with room for as much of `wanted` bytes as the kernel grants.
    virtual result<pipe_ends> open_pipe(std::size_t wanted) = 0;
    virtual void close_pipe(const pipe_ends& which) = 0;
    // splice(2), without waiting: from a socket into an empty pipe, and out of one into a socket.
    // 0 is the end of the socket's stream; EAGAIN when nothing is there, or nothing is taken, now.
    virtual result<std::size_t> splice_in(int fd, const pipe_ends& to, std::size_t most) = 0;
    virtual result<std::size_t> splice_out(const pipe_ends& from, int fd, std::size_t bytes) = 0;
    virtual result<void> shutdown(int fd, shutdown_side side) = 0;
    // Ends a connection so that the peer sees a reset, never a clean end (connect(2) to AF_UNSPEC).
    virtual void abort(int fd) = 0;
    virtual void close(int fd) = 0;
};

// What this kernel was seen to do, probed by behaviour, once.
struct kernel_features {
    std::string release;             // uname -r
    bool multishot_accept = false;   // 5.19
    bool multishot_receive = false;  // 6.0
    bool buffer_ring = false;        // 5.19
    bool defer_taskrun = false;      // 6.1
    bool receive_bundles = false;    // 6.10
    bool send_zero_copy = false;     // 6.0
};

struct uring_limits {
    std::uint32_t entries = 4096;
    // Slots of the file table: every socket takes one. Capped by RLIMIT_NOFILE (fact 15).
    std::uint32_t files = 20000;
};

// The real one, for the calling thread only. The error is a sentence that names the kernel, the
// sysctl or the seccomp profile in the way, and the remedy.
result<std::unique_ptr<backend>> make_uring_backend(const uring_limits& limits);

// Errors as make_uring_backend.
result<kernel_features> probe_kernel();

}  // namespace tunnel_uring
