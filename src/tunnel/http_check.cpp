#include "tunnel/http_check.hpp"

#include <fmt/format.h>

#include <vector>

#include "wire/http1.hpp"

namespace tunnel_uring {

namespace {

constexpr std::size_t read_bytes = 4096;

result<void> judge(const health_check_config& how, std::uint16_t status) {
    const bool good =
        how.expected_status == 0 ? status >= 200 && status < 400 : status == how.expected_status;
    if (good) return {};
    return error{EPROTO, fmt::format("GET {} is answered with {}", how.path, status)};
}

}  // namespace

task<result<void>> check_http(stream& connection, std::string authority,
                              const health_check_config& how, cancel_token stop) {
    const std::string request = fmt::format(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tunnel-uring-health\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n",
        how.path.empty() ? "/" : how.path, authority);
    const result<void> sent = co_await connection.send_all(as_bytes(request), stop);
    if (!sent) co_return sent.error();
    const http_limits limits;
    http_reader reader{http_reader::kind::response, limits};
    reader.expect(false, false);
    std::vector<std::byte> memory(read_bytes);
    std::vector<bytes_view> body;
    for (;;) {
        const result<std::size_t> got = co_await connection.receive(memory, stop);
        if (!got) co_return got.error();
        if (*got == 0) co_return error{ECONNRESET, "a health check got no answer"};
        bytes_view unread{memory.data(), *got};
        while (!unread.empty()) {
            const http_reader::event event = reader.read(unread, body);
            if (event == http_reader::event::failed)
                co_return error{EPROTO, std::string{reader.fault().sentence}};
            if (event != http_reader::event::head) continue;
            if (!reader.response().interim()) co_return judge(how, reader.response().status);
            bytes_view nothing;
            reader.read(nothing, body);
        }
    }
}

}  // namespace tunnel_uring
