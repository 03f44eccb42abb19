// What it costs to read the head of a message, as small as curl's and as big as a browser's.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "wire/http1.hpp"

namespace tunnel_uring {
namespace {

const std::string small_request =
    "GET /api/items HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\n\r\n";

const std::string browser_request =
    "GET /app/dashboard?tab=overview&range=7d HTTP/1.1\r\n"
    "Host: app.localhost:8080\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: http://app.localhost:8080/login\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=5f0c1d2e3b4a5968778695a4b3c2d1e0; theme=dark; consent=1\r\n\r\n";

const std::string response =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    "Date: Wed, 25 Nov 2026 00:00:00 GMT\r\nServer: app\r\nCache-Control: no-store\r\n\r\nok";

// One message after another on one connection, each in one piece.
void read_messages(benchmark::State& state, http_reader::kind kind, const std::string& message) {
    http_reader reader{kind, http_limits{}};
    std::vector<bytes_view> body;
    for (auto _ : state) {
        bytes_view input = as_bytes(message);
        body.clear();
        http_reader::event event = http_reader::event::more;
        while (event != http_reader::event::complete) {
            event = reader.read(input, body);
            if (event == http_reader::event::failed) return state.SkipWithError("refused");
        }
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(message.size()));
}

BENCHMARK_CAPTURE(read_messages, a_small_request, http_reader::kind::request, small_request);
BENCHMARK_CAPTURE(read_messages, a_request_of_a_browser, http_reader::kind::request,
                  browser_request);
BENCHMARK_CAPTURE(read_messages, a_response, http_reader::kind::response, response);

}  // namespace
}  // namespace tunnel_uring
