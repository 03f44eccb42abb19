#include "tunnel/http_carriage.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "net/address.hpp"
#include "tunnel/byte_pump.hpp"
#include "tunnel/shared_lane.hpp"

namespace tunnel_uring {

namespace {

// For the fields that are added to most heads.
constexpr std::size_t forwarded_room = 256;
constexpr std::size_t framing_room = 128;

std::string address_text(const ip_endpoint& who) {
    std::string text = format(to_socket_address(who));
    text.resize(text.rfind(':'));
    if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
    return text;
}

// The reason phrase, and the fields after it.
std::pair<std::string_view, std::string_view> split_head(std::string_view text) {
    const std::size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return {};
    return {text.substr(0, end), text.substr(end + 2)};
}

bool is_reason(std::string_view reason) {
    for (const char c : reason) {
        if (c == 0x7F || (static_cast<unsigned char>(c) < 0x20 && c != '\t')) return false;
    }
    return true;
}

}  // namespace

http_carriage::http_carriage(const visitor_view& visitor, const http_service& service)
    : visitor_{visitor},
      service_number_{service.number},
      service_name_{service.name},
      forwarded_{service.forwarded},
      request_{std::move(visitor.reader.request())},
      to_head_{request_.method.in(request_.text) == "HEAD"},
      began_{visitor.front.io().now()},
      request_pace_{visitor.front.io(), visitor.front.config().min_body_rate},
      answer_pace_{visitor.front.io(), visitor.front.config().min_body_rate},
      upgrade_open_{request_.upgrade} {}

task<> http_carriage::run(shared_lane& lane) {
    {
        exchange both{lane, lane.next_id(), exchange_kind::http, first_window, 0};
        reset_watch watch{both, visitor_.connection};
        watch_ = &watch;
        const on_cancel stopping{visitor_.front.stop_token(),
                                 [&both]() noexcept { both.cut(reset_reason::shutting_down); }};
        const open_frame open = opening(both);
        std::string text = forwarded_text();
        both.open(open, std::move(text));
        visitor_.ahead.report_to(&watch);
        nursery sides;
        sides.start(send_request(both));
        co_await bring_answer(both);
        co_await sides.join();
        visitor_.ahead.report_to(nullptr);
        co_await watch.end();
        report(both);
        const exchange_end how = co_await both.settle();
        static_cast<void>(how);
    }
    over_event_.notify();
}

open_frame http_carriage::opening(const exchange& both) const {
    open_frame open;
    open.service = service_number_;
    open.kind = exchange_kind::http;
    open.credit = both.window();
    open.visitor = visitor_.address;
    open.reached = to_ip_endpoint(visitor_.connection.local_address());
    open.request.body = request_.body;
    open.request.host = request_.host;
    open.request.upgrade = request_.upgrade;
    open.request.expects_continue = request_.expects_continue;
    return open;
}

// The head as the upstream shall get it. What a stranger says of forwarding is not believed.
std::string http_carriage::forwarded_text() {
    std::string text;
    text.reserve(request_.text.size() + forwarded_room);
    text = request_.text;
    if (!forwarded_) return text;
    const bool believed = visitor_.trusted;
    std::string chain = address_text(visitor_.address);
    if (believed && !request_.forwarded_for.empty()) chain = request_.forwarded_for + ", " + chain;
    const std::string_view proto = believed && !request_.forwarded_proto.empty()
                                       ? std::string_view{request_.forwarded_proto}
                                       : visitor_.front.scheme();
    const std::string_view host = believed && !request_.forwarded_host.empty()
                                      ? std::string_view{request_.forwarded_host}
                                      : request_.host.in(request_.text);
    fmt::format_to(std::back_inserter(text),
                   "X-Forwarded-For: {}\r\nX-Forwarded-Proto: {}\r\nX-Forwarded-Host: {}\r\n",
                   chain, proto, host);
    return text;
}

// ── the request ──

task<> http_carriage::send_request(exchange& both) {
    if (upgrade_open_) {
        // Nothing goes out after the head before the upgrade is agreed to.
        watch_->begin();
        const result<void> decided = co_await upgrade_decided_.wait();
        static_cast<void>(decided);
        if (!both.ended_sending()) both.end_sending();
        co_return;
    }
    body_sender sender{both, visitor_.reader, visitor_.input, *this, request_pace_};
    const body_end how = co_await sender.run();
    switch (how) {
        case body_end::complete:
            body_done_ = true;
            listen_on();
            break;
        case body_end::unwanted: break;
        case body_end::failed: {
            const http_fault& fault = visitor_.reader.fault();
            own_ = http_answer{fault.status, std::string{fault.sentence}, {}, 0};
            both.cut(reset_reason::visitor_reset);
            break;
        }
        case body_end::too_slow:
            own_ = http_answer{408, "the request's body came too slowly", {}, 0};
            both.cut(reset_reason::visitor_reset);
            break;
        case body_end::broken:
            cut_ = true;
            both.cut(reset_reason::visitor_reset);
            break;
    }
    both.end_sending();
}

// The request is read: what comes now is the next one, or the news that the visitor is gone.
void http_carriage::listen_on() {
    if (visitor_.input.empty()) return visitor_.ahead.begin();
    visitor_.input.keep();
    watch_->begin();
}

// ── the answer ──

task<> http_carriage::bring_answer(exchange& both) {
    while (!answered_ && !cut_) {
        const result<exchange::arrival> what = co_await both.arrived();
        if (*what != exchange::arrival::head) break;
        co_await take_head(both);
    }
    if (!answered_ && !both.over()) both.cut(reset_reason::protocol_error);
    upgrade_open_ = false;
    upgrade_decided_.notify();
    cut_ = cut_ || visitor_.ahead.broken();
    if (!answered_ && !cut_) {
        const reset_reason why = both.why_over().value_or(reset_reason::protocol_error);
        http_answer own = own_ ? *own_ : answer_to(why, service_name_);
        co_await say(std::move(own));
    }
}

task<> http_carriage::take_head(exchange& both) {
    const std::string head = both.take_head();
    const result<response_info> info = decode_response_info(as_bytes(head));
    const std::string_view text =
        std::string_view{head}.substr(std::min(head.size(), response_info_bytes));
    const auto [reason, fields] = split_head(text);
    const bool switches = info && info->status == 101;
    const bool valid = info && reason.data() != nullptr && is_reason(reason) &&
                       are_fields(fields, switches) && (!switches || upgrade_open_);
    if (!valid) {
        both.cut(reset_reason::upstream_garbage);
    } else if (switches) {
        co_await switch_protocols(both, text);
    } else if (info->status < 200) {
        std::string interim = fmt::format("HTTP/1.1 {} {}\r\n", info->status, text);
        if (!request_.http_1_0) co_await write_interim(both, std::move(interim));
    } else {
        upgrade_open_ = false;
        upgrade_decided_.notify();
        co_await write_answer(both, *info, text);
    }
}

task<> http_carriage::write_interim(exchange& both, std::string head) {
    deadline limit{visitor_.front.io(), answer_pace_.patience(), both.ended_token()};
    const bytes_view bytes = as_bytes(head);
    const result<void> sent = co_await visitor_.connection.send_all(bytes, limit.token());
    if (sent || both.over()) co_return;
    cut_ = true;
    both.cut(reset_reason::visitor_reset);
}

// How the answer's head leaves, and how its body does.
std::string http_carriage::answer_head(const response_info& info, std::string_view text,
                                       http_body& body) {
    std::string head;
    head.reserve(text.size() + framing_room);
    fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}", info.status, text);
    body = info.declared;
    const bool has_body = may_have_body(info.status, to_head_);
    if (body.framing == body_framing::until_close) body.framing = body_framing::chunked;
    if (has_body && request_.http_1_0 && body.framing == body_framing::chunked)
        body.framing = body_framing::until_close;
    if (has_body && body.framing == body_framing::none) body = {body_framing::length, 0};
    const bool tells_length = has_body || to_head_ || info.status == 304;
    if (tells_length && !(request_.http_1_0 && body.framing == body_framing::chunked))
        append_framing(head, body);
    if (!has_body) body = {};
    // Of a request that is still coming it is not known yet whether it will come to its end.
    const bool may_end = body_done_ || (info.status < 400 && !request_.upgrade);
    stays_ = request_.keep_alive && may_end && !visitor_.front.draining() &&
             body.framing != body_framing::until_close;
    if (!stays_) head += "Connection: close\r\n";
    else if (request_.http_1_0) head += "Connection: keep-alive\r\n";
    head += "\r\n";
    return head;
}

task<> http_carriage::write_answer(exchange& both, const response_info& info,
                                   std::string_view text) {
    http_body body;
    std::string head = answer_head(info, text, body);
    answered_ = true;
    status_ = info.status;
    body_writer writer{both, visitor_.connection, std::move(head),   body,
                       0,    answer_pace_,        both.ended_token()};
    const body_end how = co_await writer.run();
    answer_bytes_ = writer.body_bytes();
    if (how == body_end::complete) co_return;
    stays_ = false;
    cut_ = true;
    if (how == body_end::failed) both.cut(reset_reason::upstream_garbage);
    else if (how != body_end::unwanted) both.cut(reset_reason::visitor_reset);
}

// The connection is a byte stream from here on.
task<> http_carriage::switch_protocols(exchange& both, std::string_view text) {
    std::string head = fmt::format("HTTP/1.1 101 {}Connection: Upgrade\r\n\r\n", text);
    answered_ = true;
    status_ = 101;
    co_await write_interim(both, std::move(head));
    if (!visitor_.input.empty()) {
        both.send_text(frame_type::data, std::string{as_text(visitor_.input.unread())});
        visitor_.input.consume(visitor_.input.unread().size());
    }
    if (!both.over()) {
        byte_pump pump{both, visitor_.connection};
        co_await pump.run();
    }
    cut_ = !both.complete();
}

task<> http_carriage::say(http_answer what) {
    status_ = what.status;
    trouble_ = what.sentence;
    advice_ = what.advice;
    stays_ = request_.keep_alive && body_done_ && !visitor_.front.draining();
    const std::string message = compose(what, to_head_, stays_);
    answer_bytes_ = what.sentence.size();
    deadline limit{visitor_.front.io(), answer_pace_.patience(), visitor_.front.stop_token()};
    const bytes_view bytes = as_bytes(message);
    const result<void> sent = co_await visitor_.connection.send_all(bytes, limit.token());
    if (!sent) cut_ = true;
}

void http_carriage::report(const exchange& both) {
    request_report out;
    const std::string from = format(to_socket_address(visitor_.address));
    const std::optional<reset_reason> why = both.why_over();
    out.service = service_name_;
    out.visitor = from;
    out.method = request_.method.in(request_.text);
    out.host = request_.host.in(request_.text);
    out.target = request_.target.in(request_.text);
    out.status = status_;
    out.took = visitor_.front.io().now() - began_;
    out.body_bytes = answer_bytes_;
    out.whole = !cut_ && !why;
    if (!trouble_.empty()) out.sentence = trouble_;
    else if (why) out.sentence = describe(*why);
    else if (cut_) out.sentence = "the visitor left";
    out.advice = advice_;
    visitor_.front.watcher().request_ended(out);
}

}  // namespace tunnel_uring
