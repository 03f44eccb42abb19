#include "tunnel/http_visitor.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/log.hpp"
#include "net/address.hpp"
#include "tunnel/http_carriage.hpp"
#include "tunnel/session.hpp"
#include "tunnel/shared_lane.hpp"
#include "wire/proxy_protocol.hpp"

namespace tunnel_uring {

namespace {

// What a visitor still sends after its last answer is read and dropped, so that no reset overtakes
// the answer (RFC 9112, section 9.6).
constexpr duration linger_limit = 30s;
constexpr duration linger_silence = 2s;
constexpr duration answer_limit = 10s;
constexpr std::uint64_t discard_limit = 64 * 1024 * 1024;
constexpr duration introduction_limit = 5s;
constexpr duration for_ever = 24h * 365;

duration limit_of(duration configured) { return configured == duration{0} ? for_ever : configured; }

http_limits limits_of(const http_front_config& config) {
    return {config.max_head_bytes, config.max_fields};
}

}  // namespace

http_visitor::http_visitor(http_front& front, stream connection)
    : front_{front},
      connection_{std::move(connection)},
      address_{to_ip_endpoint(connection_.peer_address())},
      trusted_{front.is_trusted(address_)},
      input_{connection_, front.path().local_buffers},
      reader_{http_reader::kind::request, limits_of(front.config())},
      ahead_{input_} {}

task<> http_visitor::run() {
    // Until an answer has ended whole, whatever becomes of us is a reset for the visitor.
    connection_.set_linger_reset(true);
    bool open = co_await introduce();
    while (open) {
        open = co_await read_head();
        if (!open) break;
        co_await answer();
        open = stays_ && !cut_;
    }
    co_await ahead_.end();
    if (cut_) {
        connection_.abort();
        co_return;
    }
    connection_.set_linger_reset(false);
    if (said_last_) co_await linger();
    static_cast<void>(connection_.shutdown_send());
    connection_.close();
}

// A balancer before the relay says first who the visitor is.
task<bool> http_visitor::introduce() {
    const proxy_protocol_in wanted = front_.config().proxy_protocol_in;
    if (wanted == proxy_protocol_in::off) co_return true;
    const bool any = wanted == proxy_protocol_in::automatic;
    const proxy_versions versions{any || wanted == proxy_protocol_in::v1,
                                  any || wanted == proxy_protocol_in::v2};
    cut_ = true;
    std::string_view wrong;
    if (!trusted_) wrong = "it is none of relay.trusted_proxies, and a PROXY header is wanted";
    deadline limit{front_.io(), introduction_limit, front_.stop_token()};
    while (wrong.empty()) {
        const proxy_header header = parse_proxy_header(input_.unread(), versions);
        using verdict = proxy_header::verdict;
        if (header.what == verdict::whole) {
            input_.consume(header.length);
            if (header.source.family != ip_family::none) {
                // Who stands behind the balancer is not believed as the balancer is.
                address_ = header.source;
                trusted_ = front_.is_trusted(address_);
            }
            cut_ = false;
            co_return true;
        }
        if (header.what == verdict::none && any) {
            cut_ = false;
            co_return true;
        }
        if (header.what == verdict::malformed) wrong = header.sentence;
        if (header.what == verdict::none) wrong = "it began without a PROXY header";
        if (!wrong.empty()) break;
        std::array<std::byte, proxy_header_v2_limit> memory{};
        const result<std::size_t> got = co_await connection_.receive(memory, limit.token());
        if (!got || *got == 0) co_return false;
        const bytes_view bytes = bytes_view{memory}.first(*got);
        input_.put(bytes);
    }
    front_.watcher().connection_refused(format(connection_.peer_address()), wrong);
    co_return false;
}

// ── requests ──

// One frame, and a small one: this is where idle visitors are.
task<bool> http_visitor::read_head() {
    head_begun_ = false;
    for (;;) {
        const http_reader::event event = read_unread();
        if (event == http_reader::event::head) co_return true;
        if (event == http_reader::event::failed) {
            co_await turn_away(reader_.fault().status, reader_.fault().sentence);
            co_return false;
        }
        // An idle visitor is let go when the relay drains; one that has begun to ask gets its
        // answer.
        const duration patience = head_patience();
        const cancel_token stop = head_begun_ ? front_.stop_token() : front_.drain_token();
        deadline limit{front_.io(), patience, stop};
        while (!ahead_.ready() && !limit.token().requested()) {
            const result<void> news = co_await ahead_.news(limit.token());
            static_cast<void>(news);
        }
        if (!ahead_.ready() && head_begun_ && limit.expired_first()) {
            co_await turn_away(408, "the request's head did not come in time");
            co_return false;
        }
        if (!ahead_.ready()) {
            cut_ = head_begun_;
            co_return false;
        }
        const result<bool> got = ahead_.take();
        // The end is fine between two requests.
        cut_ = !got;
        if (!got || !*got) co_return false;
    }
}

http_reader::event http_visitor::read_unread() {
    if (input_.empty()) return http_reader::event::more;
    bytes_view bytes = input_.unread();
    const std::size_t offered = bytes.size();
    const http_reader::event event = reader_.read(bytes, pieces_);
    input_.consume(offered - bytes.size());
    return event;
}

// How long what comes next may take.
duration http_visitor::head_patience() {
    if (!reader_.idle() && !std::exchange(head_begun_, true)) head_began_ = front_.io().now();
    if (!head_begun_) reader_.forget();
    const http_front_config& config = front_.config();
    const duration passed = head_begun_ ? front_.io().now() - head_began_ : duration{0};
    const duration whole = limit_of(head_begun_ ? config.header_timeout : config.idle_timeout);
    return std::max<duration>(whole - passed, 1ms);
}

task<> http_visitor::answer() {
    const request_head& head = reader_.request();
    const std::string name = host_name(head.host.in(head.text));
    http_service* service = nullptr;
    shared_lane* lane = nullptr;
    const http_front::admission admitted{front_, address_};
    std::optional<http_answer> own = route(name, service, lane);
    using verdict = http_front::admission::verdict;
    if (!own && admitted.outcome() == verdict::relay_full)
        own = http_answer{503, "the relay has no room for another request", "Try again.", 1};
    if (!own && admitted.outcome() == verdict::address_full)
        own = http_answer{429, "too many requests at once from your address", "Try again.", 1};
    if (own) co_await say(std::move(*own));
    else co_await carry(*service, *lane);
}

std::optional<http_answer> http_visitor::route(std::string_view name, http_service*& service,
                                               shared_lane*& lane) {
    const request_head& head = reader_.request();
    service = front_.names().find(name);
    if (service != nullptr) {
        lane = service->lanes.least_busy();
        if (lane == nullptr)
            return http_answer{503, fmt::format("the agent of {} is away", printable(name)),
                               "Try again.", 1};
        if (service->lanes.exchanges() >= service->max_exchanges)
            return http_answer{503, fmt::format("the agent of {} has no room", printable(name)),
                               "Try again.", 1};
        return {};
    }
    const std::string_view target = head.target.in(head.text);
    const std::string& health = front_.config().health_path;
    if (!health.empty() && target.substr(0, target.find('?')) == health) {
        if (front_.draining()) return http_answer{503, "shutting down", {}, 0};
        return http_answer{200, "ok", {}, 0};
    }
    if (front_.names().was_here(name, front_.io().now()))
        return http_answer{503, fmt::format("the agent of {} is away", printable(name)),
                           "Try again in a moment.", 1};
    return http_answer{404, fmt::format("no service has the name {}", printable(name)),
                       "Look at the URL that `tunnel-uring http` printed; the name is its host.",
                       0};
}

task<> http_visitor::carry(const http_service& service, shared_lane& lane) {
    const http_carriage::visitor_view me{front_, connection_, input_,  reader_,
                                         ahead_, address_,    trusted_};
    http_carriage carriage{me, service};
    lane.exchanges().start(carriage.run(lane));
    const result<void> over = co_await carriage.over().wait();
    static_cast<void>(over);
    stays_ = carriage.stays();
    cut_ = carriage.cut();
    if (stays_ && !cut_ && !carriage.body_done()) stays_ = co_await discard_body();
    said_last_ = !stays_ && !cut_;
}

// The answer came before the request was through, and nobody wants what is left of it. True when it
// has come to its end, and the next request may be read.
task<bool> http_visitor::discard_body() {
    body_pace pace{front_.io(), front_.config().min_body_rate};
    while (pace.moved() < discard_limit) {
        if (input_.empty()) {
            deadline limit{front_.io(), pace.patience(), front_.stop_token()};
            const time_point began = front_.io().now();
            const result<bool> got = co_await input_.receive(0, limit.token());
            pace.waited_since(began);
            if (!got || !*got) co_return false;
        }
        bytes_view bytes = input_.unread();
        const std::size_t offered = bytes.size();
        pieces_.clear();
        const http_reader::event event = reader_.read(bytes, pieces_);
        pace.moved(offered - bytes.size());
        input_.consume(offered - bytes.size());
        if (event == http_reader::event::complete) co_return true;
        if (event == http_reader::event::failed) co_return false;
    }
    co_return false;
}

// Answers a request that no service gets.
task<> http_visitor::say(http_answer what) {
    const request_head& head = reader_.request();
    const bool to_head = head.method.in(head.text) == "HEAD";
    // A body that nobody reads stands before the next request.
    stays_ = head.keep_alive && head.body.framing == body_framing::none && !front_.draining();
    if (what.status != 200) {
        request_report out;
        const std::string from = format(to_socket_address(address_));
        out.visitor = from;
        out.method = head.method.in(head.text);
        out.host = head.host.in(head.text);
        out.target = head.target.in(head.text);
        out.status = what.status;
        out.sentence = what.sentence;
        out.advice = what.advice;
        front_.watcher().request_ended(out);
    }
    std::string message = compose(what, to_head, stays_);
    if (stays_) {
        bytes_view nothing;
        reader_.read(nothing, pieces_);
    }
    co_await write(std::move(message));
}

// Answers what cannot be read, or did not come.
task<> http_visitor::turn_away(std::uint16_t status, std::string_view sentence) {
    front_.watcher().connection_refused(format(to_socket_address(address_)), sentence);
    stays_ = false;
    const http_answer what{status, std::string{sentence}, {}, 0};
    std::string message = compose(what, false, false);
    co_await write(std::move(message));
}

task<> http_visitor::write(std::string message) {
    said_last_ = !stays_;
    deadline limit{front_.io(), answer_limit, front_.stop_token()};
    const bytes_view bytes = as_bytes(message);
    const result<void> sent = co_await connection_.send_all(bytes, limit.token());
    if (!sent) cut_ = true;
}

task<> http_visitor::linger() {
    const result<void> told = connection_.shutdown_send();
    deadline whole{front_.io(), linger_limit, front_.stop_token()};
    std::vector<std::byte> memory(16 * 1024);
    while (told) {
        deadline silence{front_.io(), linger_silence, whole.token()};
        const result<std::size_t> got = co_await connection_.receive(memory, silence.token());
        if (!got || *got == 0) break;
    }
}

}  // namespace tunnel_uring
