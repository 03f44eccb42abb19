// stream: a connected byte stream, TCP or unix.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "ring/io_context.hpp"
#include "ring/socket_address.hpp"

namespace tunnel_uring {

// Owns its descriptor. Every operation must be over before it is closed, moved or destroyed.
// Destruction closes: with a FIN, unless linger_reset was set.
class stream {
  public:
    stream() noexcept = default;
    stream(io_context& io, direct_fd socket) noexcept : io_{&io}, socket_{std::move(socket)} {}

    // Connects a new socket; the options that every socket of ours has are set before. Errors are
    // those of connect(2); EADDRNOTAVAIL, EMFILE and ENFILE are conditions of this host.
    static task<result<stream>> connect(io_context& io, socket_address to, cancel_token stop);
    // Takes over an accepted descriptor.
    static result<stream> adopt(io_context& io, int fd);

    bool valid() const noexcept { return socket_.valid(); }
    io_context& io() const noexcept { return *io_; }
    const descriptor& get() const noexcept { return socket_.get(); }

    // ── operations; memory stays the caller's, and untouched until they are over ──
    // 0 is the end of the stream.
    count_op receive(bytes_span memory, cancel_token stop) {
        return io_->receive(get(), memory, stop);
    }
    // Into a buffer of `group`, at most `limit` bytes; waits while the group is empty. An empty
    // buffer is the end of the stream.
    task<result<buffer>> receive(buffer_group& group, std::size_t limit, cancel_token stop);
    // The same without a frame of its own: ENOBUFS while the group is empty.
    buffer_op receive_now(buffer_group& group, std::size_t limit, cancel_token stop) {
        return io_->receive(get(), group, limit, stop);
    }
    // May be short, and waits for room.
    task<result<std::size_t>> send(std::span<const iovec> vectors, cancel_token stop);
    task<result<void>> send_all(bytes_view bytes, cancel_token stop);
    // `vectors` is used up on the way.
    task<result<void>> send_all(std::span<iovec> vectors, cancel_token stop);
    // ECONNRESET when the stream ends before.
    task<result<void>> read_exactly(bytes_span memory, cancel_token stop);
    count_op poll(std::uint32_t events, cancel_token stop) {
        return io_->poll(get(), events, stop);
    }
    // Until it takes something, or would say why not.
    task<result<void>> wait_for_room(cancel_token stop);

    // ── at once ──
    result<std::size_t> try_send(std::span<const iovec> vectors);
    // Into an empty pipe, and out of one; as receive and try_send, but EAGAIN when nothing is
    // there, or nothing is taken.
    result<std::size_t> splice_into(const pipe_ends& pipe, std::size_t most);
    result<std::size_t> splice_from(const pipe_ends& pipe, std::size_t bytes);
    // Whether any operation was told that the connection broke: an end that is received then is
    // none.
    bool was_broken() const noexcept { return io_->was_broken(get()); }
    result<void> shutdown_send() { return io_->kernel().shutdown(get().fd, shutdown_side::send); }
    // Ends both ways without closing: whoever receives on it sees the end.
    void end() noexcept {
        static_cast<void>(io_->kernel().shutdown(get().fd, shutdown_side::both));
    }
    // While set, closing (also by the end of the process) sends a RST; TCP only.
    void set_linger_reset(bool on) noexcept;
    void set_option(socket_option option, int value) noexcept;
    socket_address local_address() const noexcept;
    socket_address peer_address() const noexcept;
    bool is_tcp() const noexcept;
    std::optional<duration> round_trip_time() const noexcept;
    void close() noexcept { socket_.reset(); }
    // The peer sees a reset (TCP), whatever is still under way.
    void abort() noexcept;

  private:
    void set_common_options(const socket_address& peer) noexcept;

    io_context* io_ = nullptr;
    direct_fd socket_;
};

}  // namespace tunnel_uring
