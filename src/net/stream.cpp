#include "net/stream.hpp"

#include <algorithm>

#include <poll.h>

#include "net/address.hpp"

namespace tunnel_uring {

namespace {
constexpr int keepalive_seconds = 20;
}

task<result<stream>> stream::connect(io_context& io, socket_address to, cancel_token stop) {
    const result<int> fd = io.kernel().open_socket(to.family());
    if (!fd) co_return fd.error();
    result<stream> made = adopt(io, *fd);
    if (!made) co_return made.error();
    made->set_common_options(to);
    const result<std::size_t> connected = co_await io.connect(made->get(), to, stop);
    if (!connected) co_return connected.error();
    co_return std::move(*made);
}

result<stream> stream::adopt(io_context& io, int fd) {
    result<direct_fd> socket = direct_fd::adopt(io, fd);
    if (!socket) return socket.error();
    stream made{io, std::move(*socket)};
    made.set_common_options(made.peer_address());
    return made;
}

void stream::set_common_options(const socket_address& peer) noexcept {
    if (peer.family() != AF_INET && peer.family() != AF_INET6) return;
    set_option(socket_option::no_delay, 1);
    set_option(socket_option::keepalive_seconds, keepalive_seconds);
    // A pacing congestion control (bbr) costs half the speed of a leg that cannot lose packets.
    if (is_private(peer)) set_option(socket_option::local_congestion_control, 1);
}

task<result<buffer>> stream::receive(buffer_group& group, std::size_t limit, cancel_token stop) {
    for (;;) {
        result<buffer> got = co_await receive_now(group, limit, stop);
        if (got || got.error().code() != ENOBUFS) co_return std::move(got);
        const result<void> home = co_await group.wait_for_buffer(stop);
        if (!home) co_return home.error();
    }
}

result<std::size_t> stream::splice_into(const pipe_ends& pipe, std::size_t most) {
    result<std::size_t> got = io_->kernel().splice_in(get().fd, pipe, most);
    if (!got) io_->note_error(get(), got.error().code());
    return got;
}

result<std::size_t> stream::splice_from(const pipe_ends& pipe, std::size_t bytes) {
    result<std::size_t> sent = io_->kernel().splice_out(pipe, get().fd, bytes);
    if (!sent) io_->note_error(get(), sent.error().code());
    return sent;
}

result<std::size_t> stream::try_send(std::span<const iovec> vectors) {
    result<std::size_t> sent = io_->kernel().try_send(get().fd, vectors);
    if (!sent) io_->note_error(get(), sent.error().code());
    return sent;
}

task<result<std::size_t>> stream::send(std::span<const iovec> vectors, cancel_token stop) {
    for (;;) {
        const result<std::size_t> sent = co_await io_->send(get(), vectors, stop);
        if (sent || sent.error().code() != EAGAIN) co_return sent;
        const result<void> room = co_await wait_for_room(stop);
        if (!room) co_return room.error();
    }
}

// A multishot poll tells of edges: one for what is so when it is armed, then one for each change.
// So a peer that has half-closed (always "ready") does not make it spin, as a one-shot poll would.
task<result<void>> stream::wait_for_room(cancel_token stop) {
    multishot writable{*io_};
    request what;
    what.code = opcode::poll;
    what.target = get();
    what.poll_events = POLLOUT;
    result<void> outcome;
    for (bool waiting = true; waiting;) {
        if (!writable.armed() && !writable.waiting_completions()) writable.start(what);
        const result<completion> edge = co_await writable.next(stop);
        if (!edge) outcome = edge.error();
        else if (edge->result < 0) outcome = error{-edge->result};
        constexpr std::int32_t news = POLLOUT | POLLERR | POLLHUP;
        waiting = outcome && (edge->result & news) == 0;
    }
    const auto discard = [](const completion&) {};
    co_await writable.stop(discard);
    co_return outcome;
}

task<result<void>> stream::send_all(bytes_view bytes, cancel_token stop) {
    while (!bytes.empty()) {
        const iovec vector{.iov_base = const_cast<std::byte*>(bytes.data()),
                           .iov_len = bytes.size()};
        const std::span<const iovec> vectors{&vector, 1};
        const result<std::size_t> sent = co_await send(vectors, stop);
        if (!sent) co_return sent.error();
        bytes = bytes.subspan(*sent);
    }
    co_return result<void>{};
}

task<result<void>> stream::send_all(std::span<iovec> vectors, cancel_token stop) {
    while (!vectors.empty()) {
        if (vectors.front().iov_len == 0) {
            vectors = vectors.subspan(1);
            continue;
        }
        const result<std::size_t> sent = co_await send(vectors, stop);
        if (!sent) co_return sent.error();
        std::size_t left = *sent;
        for (iovec& vector : vectors) {
            const std::size_t count = std::min(left, vector.iov_len);
            vector.iov_base = static_cast<std::byte*>(vector.iov_base) + count;
            vector.iov_len -= count;
            left -= count;
        }
    }
    co_return result<void>{};
}

task<result<void>> stream::read_exactly(bytes_span memory, cancel_token stop) {
    while (!memory.empty()) {
        const result<std::size_t> got = co_await io_->receive(get(), memory, stop);
        if (!got) co_return got.error();
        if (*got == 0) co_return error{ECONNRESET};
        memory = memory.subspan(*got);
    }
    co_return result<void>{};
}

// An option that a socket does not know (unix sockets know none of them) is no failure: the stream
// works without it.
void stream::set_option(socket_option option, int value) noexcept {
    static_cast<void>(io_->kernel().set_option(get().fd, option, value));
}

void stream::set_linger_reset(bool on) noexcept { set_option(socket_option::linger_reset, on); }

socket_address stream::local_address() const noexcept {
    const result<socket_address> address = io_->kernel().local_address(get().fd);
    return address ? *address : socket_address{};
}

socket_address stream::peer_address() const noexcept {
    const result<socket_address> address = io_->kernel().peer_address(get().fd);
    return address ? *address : socket_address{};
}

std::optional<duration> stream::round_trip_time() const noexcept {
    const result<duration> time = io_->kernel().round_trip_time(get().fd);
    return time ? std::optional{*time} : std::nullopt;
}

bool stream::is_tcp() const noexcept {
    const sa_family_t family = local_address().family();
    return family == AF_INET || family == AF_INET6;
}

void stream::abort() noexcept {
    if (!valid()) return;
    io_->kernel().abort(get().fd);
    socket_.reset();
}

}  // namespace tunnel_uring
