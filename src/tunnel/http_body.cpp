#include "tunnel/http_body.hpp"

#include <poll.h>

#include <algorithm>

#include "base/check.hpp"

namespace tunnel_uring {

namespace {

// Anybody may be waited for so long.
constexpr duration first_patience = 10s;
constexpr std::chrono::seconds longest_patience = 24h * 365;
// Chunks as small as these are joined: each piece would be a frame, and a send takes 1024 vectors.
constexpr std::size_t most_pieces = 16;

iovec vector_of(std::string_view text) {
    return {.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
}

std::uint64_t size_of(std::span<const iovec> pieces) {
    std::uint64_t bytes = 0;
    for (const iovec& piece : pieces) bytes += piece.iov_len;
    return bytes;
}

}  // namespace

duration body_pace::patience() const noexcept {
    if (rate_ == 0) return longest_patience;
    const std::chrono::seconds earned{moved_ / rate_};
    const duration limit =
        first_patience + std::min<std::chrono::seconds>(earned, longest_patience);
    return std::max<duration>(limit - waited_, 1ms);
}

// ── connection → exchange ──

task<body_end> body_sender::run() {
    if (reader_.framing() == body_framing::none) {
        bytes_view nothing;
        reader_.read(nothing, pieces_);
        co_return body_end::complete;
    }
    for (;;) {
        const std::size_t room = co_await to_.room(end_, !input_.empty());
        if (!to_.in_run()) end_run();
        std::optional<body_end> end;
        if (room == 0) co_return body_end::unwanted;
        if (!input_.empty()) end = co_await read(room);
        else if (to_.in_run() && reader_.raw_left() > 0) end = co_await splice_run_piece();
        else if (to_.in_run()) end = co_await receive_run_piece();
        else end = co_await receive(room);
        if (end) co_return *end;
    }
}

task<std::optional<body_end>> body_sender::receive(std::size_t room) {
    deadline limit{pace_.io(), pace_.patience(), to_.unwanted_token()};
    const time_point began = pace_.io().now();
    const result<bool> got = co_await input_.receive(room, limit.token());
    pace_.waited_since(began);
    if (to_.over()) co_return body_end::unwanted;
    if (got) {
        if (!*got) co_return end_of_connection();
        co_return std::nullopt;
    }
    if (!got.error().cancelled()) co_return body_end::broken;
    co_return limit.expired_first() ? body_end::too_slow : body_end::unwanted;
}

void body_sender::end_run() noexcept {
    memory_.reset();
    pipe_.reset();
}

task<std::optional<body_end>> body_sender::splice_run_piece() {
    if (!may_splice_) may_splice_ = end_.source().is_tcp();
    if (*may_splice_ && !pipe_) {
        pipe_.emplace(to_.path().pipes);
        may_splice_ = pipe_->usable();
    }
    if (!*may_splice_) co_return co_await receive_run_piece();
    const std::size_t most = std::min<std::uint64_t>(reader_.raw_left(), pipe_pool::wanted_bytes);
    const result<std::size_t> got = pipe_->fill(end_.source(), most);
    if (!got && got.error().code() == EAGAIN) {
        deadline limit{pace_.io(), pace_.patience(), to_.unwanted_token()};
        const time_point began = pace_.io().now();
        const result<std::size_t> ready = co_await end_.source().poll(POLLIN, limit.token());
        pace_.waited_since(began);
        if (ready) co_return std::nullopt;
        if (!ready.error().cancelled()) co_return body_end::broken;
        co_return limit.expired_first() ? body_end::too_slow : body_end::unwanted;
    }
    if (!got) co_return body_end::broken;
    if (*got == 0) co_return end_.source().was_broken() ? body_end::broken : end_of_connection();
    const result<void> sent = co_await pipe_->drain(to_.run_target(), to_.ended_token());
    if (!sent) to_.lose_run_target();
    if (!sent || to_.over()) co_return body_end::unwanted;
    to_.path().counters.count_splice(*got);
    to_.sent_run(*got);
    pace_.moved(*got);
    const http_reader::event event = reader_.skip(*got);
    // Two fast sockets must not keep the loop from all others.
    co_await next_turn{};
    co_return after(event);
}

// Into memory of its own: a run is worth its lane with large pieces only.
task<std::optional<body_end>> body_sender::receive_run_piece() {
    if (!memory_) memory_ = std::make_unique_for_overwrite<std::byte[]>(run_piece_bytes);
    const std::uint64_t raw = reader_.raw_left();
    const bytes_span memory{
        memory_.get(), raw == 0 ? run_piece_bytes : std::min<std::uint64_t>(raw, run_piece_bytes)};
    deadline limit{pace_.io(), pace_.patience(), to_.unwanted_token()};
    const time_point began = pace_.io().now();
    const result<std::size_t> got = co_await end_.source().receive(memory, limit.token());
    pace_.waited_since(began);
    if (to_.over()) co_return body_end::unwanted;
    if (!got) {
        if (!got.error().cancelled()) co_return body_end::broken;
        co_return limit.expired_first() ? body_end::too_slow : body_end::unwanted;
    }
    if (*got == 0) co_return end_.source().was_broken() ? body_end::broken : end_of_connection();
    bytes_view bytes = memory.first(*got);
    pieces_.clear();
    http_reader::event event = http_reader::event::more;
    if (raw > 0) {
        pieces_.push_back(bytes);
        event = reader_.skip(*got);
    } else {
        event = reader_.read(bytes, pieces_);
        input_.put(bytes);
    }
    co_await put();
    co_return after(event);
}

task<std::optional<body_end>> body_sender::read(std::size_t room) {
    bytes_view bytes = input_.unread();
    bytes = bytes.first(std::min(bytes.size(), room));
    const std::size_t offered = bytes.size();
    pieces_.clear();
    const http_reader::event event = reader_.read(bytes, pieces_);
    co_await put();
    input_.consume(offered - bytes.size());
    co_return after(event);
}

task<> body_sender::put() {
    for (const bytes_view piece : pieces_) pace_.moved(piece.size());
    if (pieces_.empty()) co_return;
    std::string joined;
    if (pieces_.size() > most_pieces) {
        for (const bytes_view piece : pieces_) joined += as_text(piece);
        pieces_ = {as_bytes(joined)};
    }
    if (to_.in_run()) {
        vectors_.clear();
        for (const bytes_view piece : pieces_) vectors_.push_back(vector_of(as_text(piece)));
        co_await to_.send_run(vectors_);
        co_return;
    }
    if (!joined.empty()) {
        to_.send_text(frame_type::data, std::move(joined));
        co_return;
    }
    for (const bytes_view piece : pieces_) {
        buffer keep = input_.share();
        if (keep.empty()) to_.send_text(frame_type::data, std::string{as_text(piece)});
        else to_.send(piece, std::move(keep));
    }
}

std::optional<body_end> body_sender::after(http_reader::event event) {
    if (to_.over()) return body_end::unwanted;
    if (event == http_reader::event::failed) return body_end::failed;
    if (event != http_reader::event::complete) return {};
    if (!reader_.trailers().empty()) {
        if (to_.in_run()) to_.leave_run();
        to_.send_text(frame_type::trailers, reader_.trailers());
    }
    return body_end::complete;
}

body_end body_sender::end_of_connection() {
    return reader_.end() == http_reader::event::complete ? body_end::complete : body_end::broken;
}

// ── exchange → connection ──

task<body_end> body_writer::run() {
    for (;;) {
        std::optional<arrival> what = from_.next_arrival();
        if (!what) {
            // Nothing is held back: what is there goes out before the next is waited for.
            if (!head_.empty()) {
                const std::span<const iovec> nothing;
                const std::optional<body_end> end = co_await write(nothing, false);
                if (end) co_return *end;
            }
            const result<arrival> came = co_await from_.arrived(stop_);
            if (!came) co_return body_end::unwanted;
            what = *came;
        }
        const std::optional<body_end> end = co_await take(*what);
        if (end) co_return *end;
    }
}

task<std::optional<body_end>> body_writer::take(arrival what) {
    if (what == arrival::bytes) co_return co_await write_queued();
    if (what == arrival::run) co_return co_await write_run();
    if (what == arrival::head) co_return body_end::failed;
    std::string trailers;
    if (what == arrival::trailers) {
        trailers = from_.take_head();
        if (listener_ != nullptr) listener_->took_unseen();
    } else if (!from_.received()) {
        co_return body_end::unwanted;
    }
    co_return co_await write_end(std::move(trailers));
}

bool body_writer::written() const noexcept {
    if (!head_.empty()) return false;
    if (body_.framing == body_framing::length) return bytes_ == body_.length;
    return body_.framing == body_framing::none || ended_;
}

bool body_writer::fits(std::uint64_t bytes) const noexcept {
    if (body_.framing == body_framing::none) return bytes == 0;
    return body_.framing != body_framing::length || bytes <= body_.length - bytes_;
}

void body_writer::took(std::span<const iovec> body) {
    if (listener_ != nullptr) listener_->took(body);
    from_.took(size_of(body));
}

task<std::optional<body_end>> body_writer::write_queued() {
    const std::span<const iovec> body{pieces_.data(), from_.gather(pieces_)};
    const std::uint64_t bytes = size_of(body);
    if (!fits(bytes)) co_return body_end::failed;
    const bool last = from_.ends_with_held() && bytes == from_.held_bytes();
    std::optional<body_end> end = co_await write(body, last);
    if (!end) took(body);
    co_return end;
}

// What was read of a run is out of the exchange, whether it can be written or not. While it is
// written another run may begin, with frames before it.
task<std::optional<body_end>> body_writer::write_run() {
    const bool kept = listener_ != nullptr && listener_->keeps();
    if (!kept && to_.is_tcp()) {
        splice_pipe pipe{from_.path().pipes};
        if (pipe.usable()) co_return co_await splice_run(pipe);
    }
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(run_piece_bytes);
    while (!kept || listener_->keeps()) {
        const bytes_span room{memory.get(), run_piece_bytes};
        const std::size_t got = co_await from_.read_run(room);
        if (got == 0) co_return std::nullopt;
        if (!fits(got)) co_return body_end::failed;
        pieces_[0] = {.iov_base = memory.get(), .iov_len = got};
        const std::span<const iovec> body{pieces_.data(), 1};
        took(body);
        std::optional<body_end> end = co_await write(body, false);
        if (end) co_return end;
    }
    // It need not be seen any more.
    co_return std::nullopt;
}

task<std::optional<body_end>> body_writer::splice_run(splice_pipe& pipe) {
    to_.set_option(socket_option::notsent_lowat_bytes, run_notsent_bytes);
    while (from_.receives_run()) {
        const result<std::size_t> got = pipe.fill(from_.run_source(), pipe_pool::wanted_bytes);
        if (!got && got.error().code() == EAGAIN) {
            const bool ready = co_await from_.run_readable();
            if (!ready) break;
            continue;
        }
        const bool came = from_.came_by_run(got ? *got : 0);
        if (!came) break;
        if (!fits(*got)) co_return body_end::failed;
        if (listener_ != nullptr) listener_->took_unseen();
        std::optional<body_end> end = co_await drain(pipe, *got);
        // It has left the exchange, written or not.
        from_.path().counters.count_splice(*got);
        from_.took(*got);
        if (end) co_return end;
        co_await next_turn{};
    }
    co_return std::nullopt;
}

// As a chunk where the body is chunked; the line after it goes out with what comes next.
task<std::optional<body_end>> body_writer::drain(splice_pipe& pipe, std::size_t bytes) {
    const bool chunked = body_.framing == body_framing::chunked;
    if (chunked) head_.append(chunk_.data(), chunk_header(chunk_.data(), bytes));
    if (!head_.empty()) {
        const std::span<const iovec> nothing;
        std::optional<body_end> end = co_await write(nothing, false);
        if (end) co_return end;
    }
    deadline limit{pace_.io(), pace_.patience(), stop_};
    const time_point began = pace_.io().now();
    const result<void> sent = co_await pipe.drain(to_, limit.token());
    pace_.waited_since(began);
    if (!sent) {
        if (limit.expired_first()) co_return body_end::too_slow;
        co_return stop_.requested() ? body_end::unwanted : body_end::broken;
    }
    if (chunked) head_ += chunk_end;
    bytes_ += bytes;
    pace_.moved(bytes);
    if (listener_ != nullptr) listener_->wrote();
    co_return std::nullopt;
}

task<std::optional<body_end>> body_writer::write_end(std::string trailers) {
    const bool whole = body_.framing != body_framing::length || bytes_ == body_.length;
    if (!whole || !are_fields(trailers, false)) co_return body_end::failed;
    const bool chunks_end = body_.framing == body_framing::chunked && !ended_;
    if (chunks_end) {
        head_ += last_chunk;
        head_ += trailers;
        head_ += "\r\n";
    }
    if (!head_.empty()) {
        const std::span<const iovec> nothing;
        std::optional<body_end> end = co_await write(nothing, chunks_end);
        if (end) co_return end;
    }
    if (from_.next_arrival() == arrival::end) co_return body_end::complete;
    co_return std::nullopt;
}

// The head, where it is not written yet, and the body's pieces as a chunk where it is chunked. The
// message ends with them when they are the `last`.
task<std::optional<body_end>> body_writer::write(std::span<const iovec> body, bool last) {
    const std::uint64_t bytes = size_of(body);
    std::string_view chunk_line;
    std::string_view after;
    if (body_.framing == body_framing::chunked && bytes > 0) {
        chunk_line = {chunk_.data(), chunk_header(chunk_.data(), bytes)};
        after = last ? "\r\n0\r\n\r\n" : chunk_end;
    }
    vectors_[0] = vector_of(head_);
    vectors_[1] = vector_of(chunk_line);
    std::copy(body.begin(), body.end(), vectors_.begin() + 2);
    vectors_[2 + body.size()] = vector_of(after);
    deadline limit{pace_.io(), pace_.patience(), stop_};
    const time_point began = pace_.io().now();
    const std::span<iovec> all{vectors_.data(), 2 + body.size() + 1};
    const result<void> sent = co_await to_.send_all(all, limit.token());
    pace_.waited_since(began);
    if (!sent) {
        if (limit.expired_first()) co_return body_end::too_slow;
        co_return stop_.requested() ? body_end::unwanted : body_end::broken;
    }
    head_.clear();
    bytes_ += bytes;
    ended_ = ended_ || last;
    pace_.moved(bytes);
    if (listener_ != nullptr) listener_->wrote();
    co_return std::nullopt;
}

}  // namespace tunnel_uring
