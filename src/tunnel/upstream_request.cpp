#include "tunnel/upstream_request.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "net/address.hpp"
#include "tunnel/byte_pump.hpp"
#include "tunnel/http_fallback.hpp"

namespace tunnel_uring {

namespace {

// A request's body is kept so far for a second try.
constexpr std::size_t retained_limit = 64 * 1024;

// For the fields that frame a body, and what else is added to a head.
constexpr std::size_t framing_room = 128;

// What development servers say who do not know the name that a visitor came by.
constexpr std::array<std::string_view, 6> host_refusals{
    "Blocked request. This host",  // Vite
    "Invalid Host header",         // webpack-dev-server
    "Invalid HTTP_HOST header",    // Django
    "DisallowedHost",              // Django
    "Blocked hosts:",              // Rails
    "Blocked host:",               // Rails
};

}  // namespace

upstream_request::upstream_request(exchange& both, upstream& service, const open_frame& open,
                                   agent_observer& watcher)
    : io_{both.path().io},
      both_{both},
      service_{service},
      open_{open},
      watcher_{watcher},
      request_pace_{io_, 0},
      answer_pace_{io_, 0},
      began_{io_.now()} {}

task<> upstream_request::run() {
    const bool asked = co_await take_request();
    if (!asked) co_return;
    loan_ = co_await service_.borrow(open_, idempotent_, both_.ended_token());
    attempt how = attempt::stale;
    while (how == attempt::stale && !loan_.refused && !both_.over()) {
        how = co_await converse();
        if (how == attempt::over) break;
        co_await service_.renew(loan_, open_, both_.ended_token());
    }
    if (loan_.refused && loan_.unavailable) turn_away();
    else if (loan_.refused) fail(*loan_.refused, loan_.sentence);
    if (!both_.over() && !both_.ended_sending()) both_.end_sending();
    // What still comes of the request is not wanted.
    co_await both_.drain();
    if (clean_ && !both_.over()) loan_.held.release_clean();
    report();
}

task<bool> upstream_request::take_request() {
    const result<exchange::arrival> what = co_await both_.arrived();
    if (*what != exchange::arrival::head) {
        both_.cut(reset_reason::protocol_error);
        co_return false;
    }
    text_ = both_.take_head();
    method_ = {0, static_cast<std::uint32_t>(std::min(text_.find(' '), text_.size()))};
    to_head_ = method_.in(text_) == "HEAD";
    idempotent_ = is_idempotent(method_.in(text_));
    retains_ = idempotent_;
    const text_range host = open_.request.host;
    if (std::size_t{host.at} + host.length > text_.size()) {
        both_.cut(reset_reason::protocol_error);
        co_return false;
    }
    host_ = host.in(text_);
    rewrite_host();
    co_return true;
}

void upstream_request::rewrite_host() {
    const std::string& wanted = service_.config().http.host_header;
    if (wanted == "preserve") return;
    const std::string host = wanted == "upstream" ? service_.authority() : wanted;
    text_.replace(open_.request.host.at, open_.request.host.length, host);
}

std::string upstream_request::message_head() const {
    const std::size_t line = text_.find("\r\n");
    std::string head;
    head.reserve(text_.size() + framing_room);
    head.append(text_, 0, line);
    head += " HTTP/1.1";
    head += std::string_view{text_}.substr(line);
    append_framing(head, open_.request.body);
    if (open_.request.upgrade) head += "Connection: Upgrade\r\n";
    else if (!service_.shares_sockets()) head += "Connection: close\r\n";
    else if (text_.find("\r\nTE: ") != std::string::npos) head += "Connection: TE\r\n";
    head += "\r\n";
    return head;
}

// ── one socket ──

task<upstream_request::attempt> upstream_request::converse() {
    written_ = answer_begun_ = answer_whole_ = clean_ = false;
    stream& socket = loan_.held.socket();
    const http_limits limits;
    input_.emplace(socket, both_.path().local_buffers);
    reader_.emplace(http_reader::kind::response, limits);
    reader_->expect(to_head_, open_.request.upgrade);
    reset_watch watch{both_, socket};
    cancel_source writing{both_.ended_token()};
    cancel_source silent{both_.ended_token()};
    watch_ = &watch;
    writing_ = &writing;
    silent_ = &silent;
    guard_.emplace(io_, service_, watcher_);
    restart_clock();
    nursery sides;
    sides.start(write_request());
    attempt how = co_await read_answer();
    // An answer may come before the request is through: what is left of it is not wanted.
    if (!upgraded_) writing.request();
    co_await sides.join();
    timer::unlink();
    co_await watch.end();
    if (upgraded_) co_await switch_protocols();
    if (how == attempt::stale && !may_try_again()) {
        fail(reset_reason::upstream_reset, "the upstream closed the connection without an answer");
        how = attempt::over;
    }
    clean_ = clean_ && written_ && input_->empty();
    guard_.reset();
    input_.reset();
    reader_.reset();
    co_return how;
}

task<> upstream_request::write_request() {
    std::string head = message_head();
    if (open_.request.upgrade) {
        // Nothing goes out after the head before the upgrade is agreed to.
        const bytes_view bytes = as_bytes(head);
        const result<void> sent = co_await source().send_all(bytes, writing_->token());
        written_ = sent.has_value();
        co_return;
    }
    const std::uint64_t again = retained_.size();
    if (again != 0) {
        std::array<char, 18> line{};
        const bool chunked = open_.request.body.framing == body_framing::chunked;
        if (chunked) head.append(line.data(), chunk_header(line.data(), again));
        head += retained_;
        if (chunked) head += chunk_end;
    }
    body_writer writer{both_, source(),      std::move(head),   open_.request.body,
                       again, request_pace_, writing_->token(), this};
    const body_end how = co_await writer.run();
    // The answer may have come before the exchange told of the request's end.
    written_ = writer.written() && how != body_end::broken;
    if (how == body_end::failed)
        fail(reset_reason::protocol_error, "the relay sent another body than it announced");
}

void upstream_request::took(std::span<const iovec> body) {
    for (const iovec& piece : body) {
        if (retained_.size() + piece.iov_len > retained_limit) retain_no_more();
        if (!retains_) break;
        retained_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
}

void upstream_request::retain_no_more() noexcept {
    retains_ = false;
    retained_ = {};
}

// The clock of the answer runs while nothing moves.
void upstream_request::wrote() {
    if (!answer_begun_) restart_clock();
}

void upstream_request::restart_clock() noexcept {
    if (guard_) guard_->restart();
    const duration limit = service_.config().http.response_timeout;
    if (limit != duration{0}) io_.timers().arm(*this, io_.now() + limit);
}

void upstream_request::expired() noexcept { silent_->request(); }

// Once: a renewed socket is not warm. The request does no harm when it is said twice, and all that
// was said of it is still here.
bool upstream_request::may_try_again() const noexcept {
    return loan_.held.warm() && idempotent_ && retains_ && !open_.request.upgrade && !both_.over();
}

// ── the answer ──

task<result<bool>> upstream_request::receive() {
    const result<bool> got = co_await input_->receive(0, silent_->token());
    if (guard_ && got) guard_->answered();
    answer_begun_ = answer_begun_ || (got && *got);
    co_return got;
}

task<upstream_request::attempt> upstream_request::read_answer() {
    for (;;) {
        if (!input_->empty()) {
            bytes_view bytes = input_->unread();
            const std::size_t offered = bytes.size();
            const http_reader::event event = reader_->read(bytes, pieces_);
            input_->consume(offered - bytes.size());
            if (event == http_reader::event::failed) {
                fail(reset_reason::upstream_garbage, reader_->fault().sentence);
                co_return attempt::over;
            }
            if (event == http_reader::event::head) {
                const attempt how = co_await take_head();
                if (how == attempt::stale || answer_whole_ || both_.over() || status_ != 0)
                    co_return how;
                continue;
            }
        }
        const result<bool> got = co_await receive();
        if (both_.over()) co_return attempt::over;
        if (got && *got) continue;
        co_return no_answer(!got && got.error().cancelled());
    }
}

upstream_request::attempt upstream_request::no_answer(bool timed_out) {
    if (timed_out) {
        fail(reset_reason::upstream_timeout, "the upstream did not answer in time");
        return attempt::over;
    }
    if (!answer_begun_) return attempt::stale;
    fail(reset_reason::upstream_reset, "the upstream closed the connection within a head");
    return attempt::over;
}

task<upstream_request::attempt> upstream_request::take_head() {
    const response_head& head = reader_->response();
    // A server that tired of waiting for a request says so, too late, to the one that comes then.
    if (head.status == 408 && loan_.held.warm() && interims_ == 0) co_return attempt::stale;
    retain_no_more();
    if (head.interim()) {
        interims_ += 1;
        if (interims_ < most_heads) send_head(head);
        bytes_view nothing;
        reader_->read(nothing, pieces_);
        restart_clock();
        co_return attempt::over;
    }
    timer::unlink();
    status_ = head.status;
    upgraded_ = head.switches();
    if (upgraded_) {
        send_head(head);
        co_return attempt::over;
    }
    clean_ = head.keep_alive && reader_->framing() != body_framing::until_close;
    send_head(head);
    co_await look_for_advice(head.status);
    co_await send_body();
    co_return attempt::over;
}

void upstream_request::send_head(const response_head& head) {
    std::string whole;
    whole.reserve(response_info_bytes + head.text.size());
    whole.resize(response_info_bytes);
    const response_info info{head.status, head.declared};
    encode_response_info(reinterpret_cast<std::byte*>(whole.data()), info);
    whole += head.text;
    both_.send_text(frame_type::head, std::move(whole));
}

task<> upstream_request::send_body() {
    body_sender sender{both_, *reader_, *input_, *this, answer_pace_};
    const body_end how = co_await sender.run();
    switch (how) {
        case body_end::complete: answer_whole_ = true; break;
        case body_end::unwanted: clean_ = false; break;
        case body_end::failed:
            fail(reset_reason::upstream_garbage, reader_->fault().sentence);
            break;
        case body_end::broken:
        case body_end::too_slow:
            fail(reset_reason::upstream_reset,
                 "the upstream broke the connection in the middle of an answer");
            break;
    }
    if (!both_.over()) both_.end_sending();
}

// The connection is a byte stream from here on, and leaves the pool.
task<> upstream_request::switch_protocols() {
    if (!written_) {
        fail(reset_reason::upstream_reset, "the upstream broke the connection within a head");
        co_return;
    }
    result<stream> detached = co_await loan_.held.detach();
    if (!detached) {
        fail(reset_reason::no_room, detached.error().message());
        co_return;
    }
    stream socket = std::move(*detached);
    socket.set_linger_reset(true);
    if (!input_->empty()) {
        both_.send_text(frame_type::data, std::string{as_text(input_->unread())});
        input_->consume(input_->unread().size());
    }
    {
        byte_pump pump{both_, socket};
        co_await pump.run();
    }
    answer_whole_ = both_.complete();
    if (answer_whole_) socket.set_linger_reset(false);
    if (answer_whole_) socket.close();
    else socket.abort();
}

// A development server that refuses the visitor's Host can be told another.
task<> upstream_request::look_for_advice(std::uint16_t status) {
    const bool may_be = status == 400 || status == 403 ||
                        (status == 200 && reader_->raw_left() < 64 && reader_->raw_left() > 0);
    if (!may_be || service_.config().http.host_header != "preserve") co_return;
    if (input_->empty() && reader_->framing() != body_framing::none) {
        const result<bool> got = co_await receive();
        static_cast<void>(got);
    }
    const std::string_view begin = as_text(input_->unread());
    for (const std::string_view words : host_refusals) {
        if (begin.find(words) == std::string_view::npos) continue;
        advice_ =
            "the service refuses this host name: say --host-header upstream, or allow the name in "
            "the service's own settings";
    }
}

// ── ends ──

// The service's pool has no socket for it, and none may be made.
void upstream_request::turn_away() {
    if (both_.over()) return;
    sentence_ = loan_.sentence;
    status_ = static_cast<std::uint16_t>(service_.config().pool.degrade.http_fallback_status);
    send_fallback(both_, status_, sentence_, loan_.retry_after, to_head_);
}

void upstream_request::fail(reset_reason why, std::string_view sentence) {
    if (sentence_.empty()) sentence_ = sentence;
    both_.cut(why);
}

void upstream_request::report() {
    request_report out;
    const std::string visitor = format(to_socket_address(open_.visitor));
    const std::optional<reset_reason> why = both_.why_over();
    out.service = service_.config().name;
    out.visitor = visitor;
    out.method = method_.in(text_);
    out.host = host_;
    const std::size_t target = std::min(text_.size(), std::size_t{method_.length} + 1);
    const std::size_t line = std::min(text_.find("\r\n"), text_.size());
    out.target = std::string_view{text_}.substr(target, line - std::min(line, target));
    out.status = status_;
    out.took = io_.now() - began_;
    out.body_bytes = answer_pace_.moved();
    out.whole = answer_whole_ && !why;
    if (!sentence_.empty()) out.sentence = sentence_;
    else if (why) out.sentence = describe(*why);
    out.advice = advice_;
    watcher_.request_ended(out);
}

}  // namespace tunnel_uring
