#include "app/demo_traffic.hpp"

#include <fmt/format.h>

#include <random>

#include "app/demo_services.hpp"
#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t chunk_bytes = 64 * 1024;

task<bool> ask_once(io_context& io, tcp_shape& what, bytes_view question, cancel_token stop) {
    const auto began = clock::now();
    result<stream> visitor = co_await stream::connect(io, what.to, stop);
    if (!visitor) co_return false;
    const auto connected = clock::now();
    const result<void> sent = co_await visitor->send_all(question, stop);
    if (!sent) co_return false;
    static_cast<void>(visitor->shutdown_send());
    std::vector<std::byte> answer(question.size() + 1);
    std::size_t size = 0;
    for (;;) {
        const bytes_span room = bytes_span{answer}.subspan(size);
        const result<std::size_t> got = co_await visitor->receive(room, stop);
        if (!got) co_return false;
        if (size == 0) {
            what.connect.push_back(connected - began);
            what.first_byte.push_back(clock::now() - connected);
        }
        if (*got == 0) break;
        size += *got;
        if (size == answer.size()) co_return false;
    }
    co_return sha256(bytes_view{answer}.first(size)) == sha256(question);
}

task<> ask_in_turn(io_context& io, tcp_shape& what, std::uint64_t seed, cancel_token stop) {
    std::mt19937_64 random{seed};
    std::vector<std::byte> question(demo_request_bytes);
    while (what.left > 0) {
        what.left -= 1;
        for (std::byte& byte : question) byte = static_cast<std::byte>(random());
        const bool right = co_await ask_once(io, what, question, stop);
        ++(right ? what.right : what.wrong);
    }
}

// One request and its answer; false when that is not what it should be.
task<bool> ask_plain(stream& visitor, plain_reader& reader, std::string request,
                     std::string_view expected, cancel_token stop) {
    const result<void> sent = co_await visitor.send_all(as_bytes(request), stop);
    if (!sent) co_return false;
    plain_message answer;
    const bool whole = co_await reader.read(answer, stop);
    if (!whole) co_return false;
    co_return answer.start.starts_with("HTTP/1.1 200 ") &&
        sha256(as_bytes(answer.body)) == sha256(as_bytes(expected));
}

std::string get_hello(std::string_view host) {
    return fmt::format("GET /hello HTTP/1.1\r\nHost: {}\r\n\r\n", host);
}

std::string post_echo(std::string_view host, std::string_view body) {
    return fmt::format("POST /echo HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{}", host,
                       body.size(), body);
}

// On one connection, until nothing is left to ask or something was wrong.
task<> ask_on(stream& visitor, http_shape& what, std::mt19937_64& random, cancel_token stop) {
    plain_reader reader{visitor};
    std::string body(demo_request_bytes, '\0');
    bool right = true;
    while (right && what.left > 0) {
        const bool post = what.left % 2 == 0;
        what.left -= 1;
        for (char& byte : body) byte = static_cast<char>(random());
        std::string request = post ? post_echo(what.host, body) : get_hello(what.host);
        const std::string_view expected = post ? std::string_view{body} : hello_text;
        const auto began = clock::now();
        right = co_await ask_plain(visitor, reader, std::move(request), expected, stop);
        what.took.push_back(clock::now() - began);
        ++(right ? what.right : what.wrong);
    }
}

task<> ask_http_in_turn(io_context& io, http_shape& what, std::uint64_t seed, cancel_token stop) {
    std::mt19937_64 random{seed};
    while (what.left > 0) {
        result<stream> visitor = co_await stream::connect(io, what.to, stop);
        if (visitor) {
            co_await ask_on(*visitor, what, random, stop);
        } else {
            what.left -= 1;
            what.wrong += 1;
        }
    }
}

// The bytes of a position are the same whoever asks: both ends of the check make them anew.
void fill_pattern(bytes_span out, std::mt19937_64& random) {
    for (std::size_t i = 0; i + 8 <= out.size(); i += 8)
        store_big_endian(out.data() + i, static_cast<std::uint64_t>(random()));
}

task<> send_pattern(stream& visitor, std::uint64_t bytes, cancel_token stop) {
    std::mt19937_64 random{7};
    std::vector<std::byte> chunk(chunk_bytes);
    for (std::uint64_t sent = 0; sent < bytes; sent += chunk.size()) {
        fill_pattern(chunk, random);
        const result<void> done = co_await visitor.send_all(chunk, stop);
        if (!done) co_return;
    }
    static_cast<void>(visitor.shutdown_send());
}

}  // namespace

task<> ask_tcp(io_context& io, tcp_shape& what, demo_load load, cancel_token stop) {
    what.left = load.requests;
    nursery visitors;
    for (std::uint32_t i = 0; i < load.concurrency; ++i)
        visitors.start(ask_in_turn(io, what, i + 1, stop));
    co_await visitors.join();
}

task<> ask_http(io_context& io, http_shape& what, demo_load load, cancel_token stop) {
    what.left = load.requests;
    const auto began = clock::now();
    nursery visitors;
    for (std::uint32_t i = 0; i < load.concurrency; ++i)
        visitors.start(ask_http_in_turn(io, what, i + 1, stop));
    co_await visitors.join();
    what.whole = clock::now() - began;
}

task<> check_bulk(io_context& io, socket_address to, bulk_check& check, cancel_token stop) {
    const auto began = std::chrono::steady_clock::now();
    result<stream> visitor = co_await stream::connect(io, to, stop);
    if (!visitor) co_return;
    nursery sending;
    sending.start(send_pattern(*visitor, check.bytes, stop));
    std::mt19937_64 random{7};
    std::vector<std::byte> expected(chunk_bytes);
    std::vector<std::byte> got_bytes(chunk_bytes);
    hasher sent_sum;
    hasher got_sum;
    std::uint64_t total = 0;
    for (;;) {
        const result<std::size_t> got = co_await visitor->receive(got_bytes, stop);
        if (!got || *got == 0) break;
        total += *got;
        got_sum.add(bytes_view{got_bytes}.first(*got));
    }
    for (std::uint64_t at = 0; at < check.bytes; at += expected.size()) {
        fill_pattern(expected, random);
        sent_sum.add(expected);
    }
    co_await sending.join();
    check.right = total == check.bytes && sent_sum.finish() == got_sum.finish();
    check.took = std::chrono::steady_clock::now() - began;
}

task<> say_hello(io_context& io, socket_address to, std::string host, hello_check& check,
                 cancel_token stop) {
    result<stream> visitor = co_await stream::connect(io, to, stop);
    if (!visitor) co_return;
    plain_reader reader{*visitor};
    plain_message answer;
    const std::string request = get_hello(host);
    const auto began = clock::now();
    const result<void> sent = co_await visitor->send_all(as_bytes(request), stop);
    if (!sent) co_return;
    const bool whole = co_await reader.read(answer, stop);
    if (!whole) co_return;
    check.took = clock::now() - began;
    if (answer.start.size() > 12) check.status = answer.start.substr(9, 3);
    check.body = answer.body;
}

}  // namespace tunnel_uring
