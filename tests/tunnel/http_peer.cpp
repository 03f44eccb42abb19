#include "tunnel/http_peer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace tunnel_uring::sim {

namespace {

constexpr std::size_t piece_bytes = 24 * 1024;
constexpr std::size_t text_limit = 1024;

std::byte* append(std::vector<std::byte>& out, std::size_t count) {
    out.resize(out.size() + count);
    return out.data() + out.size() - count;
}

void append(std::vector<std::byte>& out, std::string_view text) {
    std::copy_n(as_bytes(text).begin(), text.size(), append(out, text.size()));
}

}  // namespace

std::string framing_of(const http_content& what) {
    std::string lines;
    append_framing(lines, {what.framing, what.bytes});
    if (what.trailers) lines += "Trailer: X-Sum, X-Last\r\n";
    return lines;
}

std::string_view field_of(std::string_view text, std::string_view name) {
    const std::string line = "\r\n" + std::string{name} + ": ";
    const std::size_t found = text.find(line);
    if (found == std::string_view::npos) return {};
    const std::string_view value = text.substr(found + line.size());
    return value.substr(0, value.find("\r\n"));
}

std::uint64_t number_of(std::string_view digits) {
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

http_peer::http_peer(stream socket, http_reader::kind reads)
    : connection{std::move(socket)}, reader{reads, http_limits{}}, memory_(piece_bytes) {}

task<http_peer::got> http_peer::receive(cancel_token stop) {
    const result<std::size_t> count = co_await connection.receive(memory_, stop);
    if (!count || (*count == 0 && connection.was_broken())) co_return got::broken;
    unread_ = bytes_view{memory_}.first(*count);
    co_return *count == 0 ? got::end : got::bytes;
}

task<http_peer::head> http_peer::hear_head(cancel_token stop) {
    for (;;) {
        const http_reader::event event =
            unread_.empty() ? http_reader::event::more : reader.read(unread_, pieces_);
        EXPECT_NE(event, http_reader::event::failed) << reader.fault().sentence;
        if (event == http_reader::event::failed) co_return head::cut;
        if (event == http_reader::event::head) co_return head::whole;
        const got what = co_await receive(stop);
        if (what == got::broken) co_return head::cut;
        if (what == got::bytes) continue;
        co_return reader.end() == http_reader::event::more ? head::none : head::cut;
    }
}

task<std::string_view> http_peer::peek(cancel_token stop) {
    if (unread_.empty()) co_await receive(stop);
    co_return as_text(unread_);
}

task<heard_body> http_peer::hear_body(std::uint64_t key, duration pause, cancel_token stop) {
    heard_body out;
    for (;;) {
        pieces_.clear();
        http_reader::event event = reader.read(unread_, pieces_);
        EXPECT_NE(event, http_reader::event::failed) << reader.fault().sentence;
        for (const bytes_view piece : pieces_) {
            for (const std::byte each : piece)
                out.wrong = out.wrong || each != pattern(key, out.bytes++);
            if (out.text.size() < text_limit) out.text += as_text(piece);
        }
        if (event == http_reader::event::more && unread_.empty()) {
            if (pause != duration{}) {
                const result<void> slept = co_await connection.io().sleep(pause, stop);
                static_cast<void>(slept);
            }
            const got what = co_await receive(stop);
            if (what == got::broken) co_return out;
            if (what == got::bytes) continue;
            event = reader.end();
        }
        out.whole = event == http_reader::event::complete;
        if (out.whole) out.trailers = reader.trailers();
        co_return out;
    }
}

task<heard> http_peer::hear_bytes(std::uint64_t key, cancel_token stop) {
    heard out;
    for (;;) {
        for (const std::byte each : std::exchange(unread_, {}))
            out.wrong = out.wrong || each != pattern(key, out.bytes++);
        const got what = co_await receive(stop);
        out.clean = what == got::end;
        if (what != got::bytes) co_return out;
    }
}

task<bool> http_peer::hears_nothing(duration time, cancel_token stop) {
    if (!unread_.empty()) co_return false;
    deadline limit{connection.io(), time, stop};
    const got what = co_await receive(limit.token());
    co_return what != got::bytes;
}

task<bool> http_peer::say(std::string text, cancel_token stop) {
    const bytes_view bytes = as_bytes(text);
    const result<void> sent = co_await connection.send_all(bytes, stop);
    co_return sent.has_value();
}

task<bool> http_peer::say_body(std::uint64_t key, http_content what, std::uint64_t most,
                               cancel_token stop) {
    const bool chunked = what.framing == body_framing::chunked;
    const std::uint64_t bytes = std::min(most, what.bytes);
    std::vector<std::byte> memory;
    for (std::uint64_t at = 0; at < bytes;) {
        const std::uint64_t count = std::min({what.piece, bytes - at, std::uint64_t{piece_bytes}});
        std::array<char, 18> line{};
        if (chunked) append(memory, {line.data(), chunk_header(line.data(), count)});
        std::byte* const body = append(memory, count);
        for (std::uint64_t i = 0; i < count; ++i) body[i] = pattern(key, at + i);
        if (chunked) append(memory, chunk_end);
        at += count;
        const bool rests = what.pause != duration{};
        if (!rests && memory.size() < piece_bytes && at < bytes) continue;
        const result<void> sent = co_await connection.send_all(memory, stop);
        if (!sent) co_return false;
        memory.clear();
        if (!rests) continue;
        const result<void> slept = co_await connection.io().sleep(what.pause, stop);
        static_cast<void>(slept);
    }
    if (!chunked || bytes < what.bytes) co_return true;
    std::string end{last_chunk};
    if (what.trailers) end += trailer_lines;
    end += "\r\n";
    co_return co_await say(std::move(end), stop);
}

}  // namespace tunnel_uring::sim
