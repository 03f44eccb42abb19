#include "tunnel/byte_pump.hpp"

#include <poll.h>

namespace tunnel_uring {

task<> carry_stream(exchange& both, stream local) {
    // Whatever ends this process or this exchange early, the peer of `local` sees a reset.
    local.set_linger_reset(true);
    {
        byte_pump pump{both, local};
        co_await pump.run();
    }
    if (both.complete()) {
        local.set_linger_reset(false);
        local.close();
    } else {
        local.abort();
    }
}

task<> byte_pump::run() {
    both_.offer_to(this);
    sides_.start(send_side());
    sides_.start(receive_side());
    co_await sides_.join();
    both_.offer_to(nullptr);
    co_await watch_.end();
}

// ── outgoing: local socket → exchange ──

task<> byte_pump::send_side() {
    while (!local_ended_) {
        const std::size_t room = co_await both_.room(*this);
        if (room == 0) break;
        if (both_.in_run()) {
            co_await read_into_run();
        } else {
            end_run();
            co_await read_local(room);
        }
    }
    end_run();
    both_.end_sending();
}

task<> byte_pump::read_local(std::size_t most) {
    buffer_group& group = both_.path().local_buffers;
    result<buffer> got = co_await local_.receive(group, most, both_.unwanted_token());
    if (both_.over()) co_return;
    if (!got) {
        if (!got.error().cancelled()) both_.cut(both_.local_reset());
    } else if (got->empty()) {
        end_of_local();
    } else {
        const bytes_view bytes = got->bytes();
        both_.send(bytes, std::move(*got));
    }
}

void byte_pump::end_run() noexcept {
    out_pipe_.reset();
    out_memory_.reset();
}

bool byte_pump::may_splice() noexcept {
    if (!is_tcp_) is_tcp_ = local_.is_tcp();
    return *is_tcp_;
}

task<> byte_pump::read_into_run() {
    if (!out_pipe_ && !out_memory_ && may_splice()) {
        out_pipe_.emplace(both_.path().pipes);
        if (!out_pipe_->usable()) out_pipe_.reset();
    }
    if (out_pipe_) co_return co_await splice_into_run();
    if (!out_memory_) out_memory_ = std::make_unique_for_overwrite<std::byte[]>(run_piece_bytes);
    const bytes_span memory{out_memory_.get(), run_piece_bytes};
    const result<std::size_t> got = co_await local_.receive(memory, both_.unwanted_token());
    if (both_.over()) co_return;
    if (!got) {
        if (!got.error().cancelled()) both_.cut(both_.local_reset());
    } else if (*got == 0) {
        end_of_local();
    } else {
        iovec piece{.iov_base = out_memory_.get(), .iov_len = *got};
        const std::span<iovec> pieces{&piece, 1};
        co_await both_.send_run(pieces);
    }
}

task<> byte_pump::splice_into_run() {
    const result<std::size_t> got = out_pipe_->fill(local_, pipe_pool::wanted_bytes);
    if (!got && got.error().code() == EAGAIN) {
        const result<std::size_t> ready = co_await local_.poll(POLLIN, both_.unwanted_token());
        if (!ready && !ready.error().cancelled()) both_.cut(both_.local_reset());
    } else if (!got) {
        both_.cut(both_.local_reset());
    } else if (*got == 0) {
        end_of_local();
    } else {
        const result<void> sent =
            co_await out_pipe_->drain(both_.run_target(), both_.ended_token());
        if (both_.over()) co_return;
        if (!sent) co_return both_.lose_run_target();
        both_.path().counters.count_splice(*got);
        both_.sent_run(*got);
        // Two fast sockets must not keep the loop from all others.
        co_await next_turn{};
    }
}

// A socket tells of its reset once: when a write was told, the read that follows sees an end.
void byte_pump::end_of_local() {
    if (local_.was_broken()) both_.cut(both_.local_reset());
    else local_ended_ = true;
}

// ── incoming: exchange → local socket ──

task<> byte_pump::receive_side() {
    for (;;) {
        const result<exchange::arrival> what = co_await both_.arrived();
        if (*what == exchange::arrival::end) break;
        if (both_.dropping()) co_await both_.drain();
        else if (*what == exchange::arrival::run) co_await receive_run();
        else if (*what == exchange::arrival::bytes) co_await write_queue();
        else both_.cut(reset_reason::protocol_error);  // Text, where there are bytes only.
    }
    if (!both_.received()) co_return;
    const result<void> told = local_.shutdown_send();
    if (!told) both_.cut(both_.local_reset());
}

task<> byte_pump::write_queue() {
    const std::size_t count = both_.gather(vectors_);
    const std::span<const iovec> queued{vectors_.data(), count};
    const result<std::size_t> sent = co_await local_.send(queued, both_.ended_token());
    if (both_.over()) co_return;
    if (sent) both_.took(*sent);
    else write_failed(sent.error());
}

task<> byte_pump::receive_run() {
    if (may_splice()) {
        local_.set_option(socket_option::notsent_lowat_bytes, run_notsent_bytes);
        splice_pipe pipe{both_.path().pipes};
        if (pipe.usable()) co_return co_await splice_run(pipe);
    }
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(run_piece_bytes);
    while (!both_.dropping()) {
        const bytes_span room{memory.get(), run_piece_bytes};
        const std::size_t got = co_await both_.read_run(room);
        if (got == 0) co_return;
        const bytes_view bytes{memory.get(), got};
        const result<void> sent = co_await local_.send_all(bytes, both_.ended_token());
        if (both_.over()) co_return;
        if (!sent) write_failed(sent.error());
        both_.took(got);
    }
}

task<> byte_pump::splice_run(splice_pipe& pipe) {
    while (both_.receives_run() && !both_.dropping()) {
        const result<std::size_t> got = pipe.fill(both_.run_source(), pipe_pool::wanted_bytes);
        if (!got && got.error().code() == EAGAIN) {
            const bool ready = co_await both_.run_readable();
            if (!ready) co_return;
            continue;
        }
        const bool came = both_.came_by_run(got ? *got : 0);
        if (!came) co_return;
        const result<void> sent = co_await pipe.drain(local_, both_.ended_token());
        if (both_.over()) co_return;
        if (!sent) write_failed(sent.error());
        both_.path().counters.count_splice(*got);
        both_.took(*got);
        co_await next_turn{};
    }
}

// The local socket takes no more: the peer is asked to stop, and what the socket says is read to
// its end all the same: what it said before counts. One that merely cannot be written has no end in
// sight.
void byte_pump::write_failed(const error& why) {
    if (local_.was_broken() || why.code() == EPIPE) both_.stop_receiving();
    else both_.cut(both_.local_reset());
}

void byte_pump::offer(bytes_view& fragment) {
    const iovec vector{.iov_base = const_cast<std::byte*>(fragment.data()),
                       .iov_len = fragment.size()};
    const result<std::size_t> sent = local_.try_send({&vector, 1});
    if (!sent) {
        if (sent.error().code() != EAGAIN) write_failed(sent.error());
        return;
    }
    fragment = fragment.subspan(*sent);
    both_.took(*sent);
}

}  // namespace tunnel_uring
