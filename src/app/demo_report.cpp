#include "app/demo_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/demo_services.hpp"
#include "base/log.hpp"

namespace tunnel_uring {

namespace {

double milliseconds(duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

double quantile(std::vector<duration> values, double fraction) {
    if (values.empty()) return 0;
    const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                     values.end());
    return milliseconds(values[rank]);
}

double per_second(const http_shape& what) {
    const double seconds = milliseconds(what.whole) / 1000;
    return seconds > 0 ? static_cast<double>(what.took.size()) / seconds : 0;
}

template <class Shape>
bool is_right(const Shape& one) {
    return one.wrong == 0 && one.right > 0;
}

std::string checked_lines(const demo_report& what) {
    std::string text;
    for (const tcp_shape& one : what.tcp) {
        text +=
            fmt::format("checked  {:<13}  {} connections of {} bytes, {} right, {} wrong\n",
                        one.name, one.right + one.wrong, demo_request_bytes, one.right, one.wrong);
    }
    for (const http_shape& one : what.http) {
        text += fmt::format(
            "checked  {:<13}  {} requests on connections that stay, {} right, {} wrong\n", one.name,
            one.right + one.wrong, one.right, one.wrong);
    }
    return text;
}

std::string latency_tables(const demo_report& what) {
    std::string text =
        fmt::format("{:<14}{:>22}{:>34}\n", "", "connect, ms", "first byte after that, ms");
    text += fmt::format("{:<14}{:>10}{:>8}{:>8}{:>14}{:>10}{:>10}\n", "", "p50", "p90", "p99",
                        "p50", "p90", "p99");
    for (const tcp_shape& one : what.tcp) {
        text += fmt::format("{:<14}{:>10.3f}{:>8.3f}{:>8.3f}{:>14.3f}{:>10.3f}{:>10.3f}\n",
                            one.name, quantile(one.connect, 0.5), quantile(one.connect, 0.9),
                            quantile(one.connect, 0.99), quantile(one.first_byte, 0.5),
                            quantile(one.first_byte, 0.9), quantile(one.first_byte, 0.99));
    }
    text += fmt::format("{:<14}{:>32}\n", "", "request to whole answer, ms");
    text += fmt::format("{:<14}{:>10}{:>8}{:>8}{:>8}{:>12}\n", "", "p50", "p90", "p99", "p99.9",
                        "req/s");
    for (const http_shape& one : what.http) {
        text += fmt::format("{:<14}{:>10.3f}{:>8.3f}{:>8.3f}{:>8.3f}{:>12.0f}\n", one.name,
                            quantile(one.took, 0.5), quantile(one.took, 0.9),
                            quantile(one.took, 0.99), quantile(one.took, 0.999), per_second(one));
    }
    return text;
}

}  // namespace

bool demo_report::ok() const {
    return trouble.empty() && bulk.right && hello.status == "200" && hello.body == hello_text &&
           std::all_of(tcp.begin(), tcp.end(), is_right<tcp_shape>) &&
           std::all_of(http.begin(), http.end(), is_right<http_shape>);
}

std::string report_text(const demo_report& what) {
    std::string text = fmt::format(
        "relay    {}   visitors http {}\n"
        "agent    connected; warm-up took {:.1f} ms\n",
        what.relay_address, what.http_address, milliseconds(what.warm_up));
    if (!what.hello.url.empty())
        text += fmt::format("request  GET {} -> {} \"{}\"   {:.2f} ms\n", what.hello.url,
                            what.hello.status.empty() ? "no answer" : what.hello.status,
                            printable(what.hello.body, 80), milliseconds(what.hello.took));
    text += checked_lines(what);
    const double seconds = milliseconds(what.bulk.took) / 1000;
    text += fmt::format("bulk     {} MiB there and back on one TCP connection: {} ({:.0f} MB/s)\n",
                        what.bulk.bytes >> 20U, what.bulk.right ? "sha256 match" : "WRONG",
                        seconds > 0 ? static_cast<double>(what.bulk.bytes) / 1e6 / seconds : 0.0);
    text += latency_tables(what);
    if (!what.trouble.empty()) text += fmt::format("trouble  {}\n", what.trouble);
    return text + fmt::format("{} in {:.1f} s\n", what.ok() ? "PASS" : "FAIL",
                              milliseconds(what.took) / 1000);
}

std::string report_json(const demo_report& what) {
    nlohmann::json out{{"ok", what.ok()},
                       {"relay", what.relay_address},
                       {"http", what.http_address},
                       {"seconds", milliseconds(what.took) / 1000},
                       {"warm_up_ms", milliseconds(what.warm_up)},
                       {"hello",
                        {{"url", what.hello.url},
                         {"status", what.hello.status},
                         {"body", what.hello.body},
                         {"ms", milliseconds(what.hello.took)}}},
                       {"bulk",
                        {{"bytes", what.bulk.bytes},
                         {"right", what.bulk.right},
                         {"seconds", milliseconds(what.bulk.took) / 1000}}}};
    if (!what.trouble.empty()) out["trouble"] = what.trouble;
    for (const tcp_shape& one : what.tcp) {
        out["shapes"].push_back({{"name", one.name},
                                 {"right", one.right},
                                 {"wrong", one.wrong},
                                 {"connect_ms_p50", quantile(one.connect, 0.5)},
                                 {"connect_ms_p99", quantile(one.connect, 0.99)},
                                 {"first_byte_ms_p50", quantile(one.first_byte, 0.5)},
                                 {"first_byte_ms_p99", quantile(one.first_byte, 0.99)}});
    }
    for (const http_shape& one : what.http) {
        out["shapes"].push_back({{"name", one.name},
                                 {"right", one.right},
                                 {"wrong", one.wrong},
                                 {"request_ms_p50", quantile(one.took, 0.5)},
                                 {"request_ms_p90", quantile(one.took, 0.9)},
                                 {"request_ms_p99", quantile(one.took, 0.99)},
                                 {"requests_per_second", per_second(one)}});
    }
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace tunnel_uring
