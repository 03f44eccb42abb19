#include "admin/admin_connection.hpp"

#include <fmt/format.h>

#include "admin/admin_server.hpp"

namespace tunnel_uring {

namespace {

constexpr http_limits limits{8 * 1024, 64};
constexpr duration head_limit = 5s;
constexpr duration idle_limit = 75s;  // Scrapers come every 15 to 60 s.
constexpr duration answer_limit = 10s;
// What is still sent after the last answer is read and dropped, so that no reset overtakes it (RFC
// 9112, section 9.6).
constexpr duration linger_limit = 2s;

}  // namespace

admin_connection::admin_connection(admin_server& server, stream connection)
    : server_{server},
      connection_{std::move(connection)},
      reader_{http_reader::kind::request, limits} {}

task<> admin_connection::run(cancel_token stop) {
    while (stays_ && !stop.requested()) {
        const bool asked = co_await read_head(stop);
        if (!asked) break;
        const request_head& head = reader_.request();
        const bool to_head = head.method.in(head.text) == "HEAD";
        stays_ = head.keep_alive && head.body.framing == body_framing::none;
        admin_page page =
            answer(head.method.in(head.text), head.target.in(head.text), head.host.in(head.text));
        if (stays_) end_request();
        co_await say(std::move(page), to_head, stop);
    }
    co_await linger(stop);
    connection_.close();
}

// One without a body is over with its head.
void admin_connection::end_request() {
    bytes_view nothing;
    reader_.read(nothing, pieces_);
    head_begun_ = false;
}

// False when there is none, and what is to be said of it was said.
task<bool> admin_connection::read_head(cancel_token stop) {
    for (;;) {
        if (!unread_.empty()) {
            const http_reader::event event = reader_.read(unread_, pieces_);
            if (event == http_reader::event::head) co_return true;
            if (event == http_reader::event::failed) {
                stays_ = false;
                admin_page refusal;
                refusal.status = reader_.fault().status;
                refusal.body = fmt::format("{}\n", reader_.fault().sentence);
                co_await say(std::move(refusal), false, stop);
                co_return false;
            }
        }
        const bool more = co_await receive(stop);
        if (!more) co_return false;
    }
}

task<bool> admin_connection::receive(cancel_token stop) {
    io_context& io = server_.io();
    if (!reader_.idle() && !std::exchange(head_begun_, true)) head_began_ = io.now();
    const duration left = head_begun_ ? head_limit - (io.now() - head_began_) : idle_limit;
    deadline limit{io, std::max<duration>(left, 0s), stop};
    const result<std::size_t> got = co_await connection_.receive(memory_, limit.token());
    if (got && *got != 0) {
        unread_ = bytes_view{memory_}.first(*got);
        co_return true;
    }
    if (head_begun_ && !got && limit.expired_first()) {
        stays_ = false;
        admin_page late;
        late.status = 408;
        late.body = "the request's head did not come in time\n";
        co_await say(std::move(late), false, stop);
    }
    co_return false;
}

admin_page admin_connection::answer(std::string_view method, std::string_view target,
                                    std::string_view host) {
    admin_page refusal;
    if (!server_.knows(host)) {
        refusal.status = 403;
        refusal.body =
            "the Host of the request is no name of this host; ask for 127.0.0.1 or localhost\n";
        return refusal;
    }
    if (method != "GET" && method != "HEAD") {
        refusal.status = 405;
        refusal.body = "only GET and HEAD are answered here\n";
        return refusal;
    }
    std::optional<admin_page> page = server_.pages().get(target.substr(0, target.find('?')));
    if (page) return std::move(*page);
    refusal.status = 404;
    refusal.body = "there is no such page; there are:\n";
    for (const std::string_view path : server_.pages().paths())
        refusal.body += fmt::format("  {}\n", path);
    return refusal;
}

task<> admin_connection::say(admin_page what, bool to_head, cancel_token stop) {
    std::string message = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n{}{}\r\n",
        what.status, reason_phrase(what.status), what.type, what.body.size(),
        what.status == 405 ? "Allow: GET, HEAD\r\n" : "", stays_ ? "" : "Connection: close\r\n");
    if (!to_head) message += what.body;
    deadline limit{server_.io(), answer_limit, stop};
    const bytes_view bytes = as_bytes(message);
    const result<void> sent = co_await connection_.send_all(bytes, limit.token());
    if (!sent) stays_ = false;
}

task<> admin_connection::linger(cancel_token stop) {
    const result<void> told = connection_.shutdown_send();
    deadline limit{server_.io(), linger_limit, stop};
    while (told) {
        const result<std::size_t> got = co_await connection_.receive(memory_, limit.token());
        if (!got || *got == 0) break;
    }
}

}  // namespace tunnel_uring
