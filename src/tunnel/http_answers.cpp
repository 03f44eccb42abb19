#include "tunnel/http_answers.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "wire/http1.hpp"

namespace tunnel_uring {

namespace {

constexpr std::uint32_t soon = 1;

}  // namespace

http_answer answer_to(reset_reason why, std::string_view service) {
    http_answer out;
    out.status = 502;  // Of a reason that is not known too.
    out.sentence = describe(why);
    switch (why) {
        case reset_reason::upstream_timeout:
            out.status = 504;
            out.advice = fmt::format(
                "See what keeps the service {} busy, or raise its response_timeout.", service);
            break;
        case reset_reason::no_room:
        case reset_reason::agent_away:
        case reset_reason::lane_lost:
        case reset_reason::shutting_down:
            out.status = 503;
            out.retry_after = soon;
            out.advice = "Try again.";
            break;
        case reset_reason::upstream_refused:
        case reset_reason::upstream_unreachable:
            out.advice =
                fmt::format("Start the service {}, or check its address at the agent.", service);
            break;
        case reset_reason::visitor_reset:
        case reset_reason::upstream_reset:
        case reset_reason::upstream_garbage:
        case reset_reason::no_such_service:
        case reset_reason::protocol_error: break;
    }
    return out;
}

std::string compose(const http_answer& what, bool to_head, bool stays) {
    std::string body = what.sentence;
    if (!what.advice.empty()) body += "\n" + what.advice;
    body += "\n";
    // RFC 9110, section 5.6.7
    const std::tm now = fmt::gmtime(std::time(nullptr));
    std::string out = fmt::format(
        "HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
        "Content-Length: {}\r\n",
        what.status, reason_phrase(what.status), now, body.size());
    if (what.retry_after != 0) out += fmt::format("Retry-After: {}\r\n", what.retry_after);
    if (!stays) out += "Connection: close\r\n";
    out += "\r\n";
    if (!to_head) out += body;
    return out;
}

}  // namespace tunnel_uring
