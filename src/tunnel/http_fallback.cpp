#include "tunnel/http_fallback.hpp"

#include <fmt/format.h>

#include "tunnel/exchange.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

void send_fallback(exchange& both, std::uint16_t status, std::string_view sentence,
                   duration retry_after, bool to_head) {
    const std::string body = fmt::format("{}\nTry again.\n", sentence);
    // RFC 9110, section 10.2.3: whole seconds.
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(retry_after).count();
    std::string head(response_info_bytes, '\0');
    const response_info info{status, {body_framing::length, body.size()}};
    encode_response_info(reinterpret_cast<std::byte*>(head.data()), info);
    head += fmt::format(
        "{}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Cache-Control: no-store\r\nRetry-After: {}\r\n",
        reason_phrase(status), seconds);
    both.send_text(frame_type::head, std::move(head));
    if (!to_head) both.send_text(frame_type::data, body);
}

}  // namespace tunnel_uring
