#include "app/demo_services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "coro/nursery.hpp"

namespace tunnel_uring {

namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr std::size_t message_limit = std::size_t{1} << 20U;

task<> echo(stream connection, cancel_token stop) {
    std::vector<std::byte> memory(chunk_bytes);
    for (;;) {
        const result<std::size_t> got = co_await connection.receive(memory, stop);
        if (!got || *got == 0) break;
        const bytes_view bytes = bytes_view{memory}.first(*got);
        const result<void> sent = co_await connection.send_all(bytes, stop);
        if (!sent) break;
    }
    static_cast<void>(connection.shutdown_send());
}

std::string answer_to(const plain_message& asked) {
    std::string_view status = "200 OK";
    std::string_view body = asked.body;
    if (asked.start.starts_with("GET /hello ")) {
        body = hello_text;
    } else if (!asked.start.starts_with("POST /echo ")) {
        status = "404 Not Found";
        body = "this sample service has /hello and /echo";
    }
    return fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}",
                       status, body.size(), body);
}

task<> answer(stream connection, cancel_token stop) {
    plain_reader reader{connection};
    plain_message asked;
    for (;;) {
        const bool whole = co_await reader.read(asked, stop);
        if (!whole) break;
        const std::string said = answer_to(asked);
        const result<void> sent = co_await connection.send_all(as_bytes(said), stop);
        if (!sent) break;
    }
    static_cast<void>(connection.shutdown_send());
}

task<> serve(listener& source, task<> (*one)(stream, cancel_token), cancel_token stop) {
    acceptor incoming{source};
    nursery connections{stop};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        connections.start(one(std::move(*accepted), connections.token()));
    }
    co_await incoming.stop();
    co_await connections.join();
}

// Of a head with "\r\n" behind each line; 0 where there is none, nothing where it is no number.
std::optional<std::size_t> content_length(std::string_view head) {
    constexpr std::string_view name = "\r\ncontent-length:";
    const auto same = [](char left, char right) {
        return std::tolower(static_cast<unsigned char>(left)) == right;
    };
    const auto found = std::search(head.begin(), head.end(), name.begin(), name.end(), same);
    if (found == head.end()) return 0;
    std::string_view value =
        head.substr(static_cast<std::size_t>(found - head.begin()) + name.size());
    while (value.starts_with(' ')) value.remove_prefix(1);
    std::size_t length = 0;
    const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (failure != std::errc{} || length > message_limit) return {};
    return length;
}

}  // namespace

task<> serve_echo(listener& source, cancel_token stop) { return serve(source, echo, stop); }

task<> serve_http_sample(listener& source, cancel_token stop) {
    return serve(source, answer, stop);
}

task<bool> plain_reader::receive_to(std::size_t size, cancel_token stop) {
    while (pending_.size() < size) {
        const result<std::size_t> got = co_await from_.receive(memory_, stop);
        if (!got || *got == 0) co_return false;
        pending_.append(as_text(bytes_view{memory_}.first(*got)));
    }
    co_return true;
}

task<bool> plain_reader::read(plain_message& out, cancel_token stop) {
    std::size_t end = pending_.find("\r\n\r\n");
    while (end == std::string::npos) {
        if (pending_.size() > message_limit) co_return false;
        const bool more = co_await receive_to(pending_.size() + 1, stop);
        if (!more) co_return false;
        end = pending_.find("\r\n\r\n");
    }
    const std::size_t body = end + 4;
    const std::string_view head = std::string_view{pending_}.substr(0, body);
    const std::optional<std::size_t> length = content_length(head);
    if (!length) co_return false;
    out.start = head.substr(0, head.find("\r\n"));
    const bool whole = co_await receive_to(body + *length, stop);
    if (!whole) co_return false;
    out.body.assign(pending_, body, *length);
    pending_.erase(0, body + *length);
    co_return true;
}

}  // namespace tunnel_uring
