#include "app/access_log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>

#include "base/log.hpp"

namespace tunnel_uring {

namespace {

double milliseconds(duration time) noexcept {
    return std::chrono::duration<double, std::milli>(time).count();
}

std::string approximate_time(duration time) {
    if (time >= 10s) return fmt::format("{:.1f} s", milliseconds(time) / 1000);
    return fmt::format("{:.2f} ms", milliseconds(time));
}

std::string_view sentence_of(const request_report& what) noexcept {
    if (!what.sentence.empty()) return what.sentence;
    if (what.status == 0) return "no answer";
    return what.whole ? "answered" : "cut";
}

}  // namespace

bool went_well(const request_report& what) noexcept {
    return what.whole && what.status != 0 && what.sentence.empty();
}

void log_exchange(const log_config& log, std::string_view service, std::string_view visitor,
                  const exchange_end& how) {
    if (!log.access && how.clean) return;
    const std::string_view reason = how.clean    ? "complete"
                                    : how.reason ? describe(*how.reason)
                                                 : "cut";
    const std::string_view sentence = how.sentence.empty() ? reason : how.sentence;
    if (how.clean)
        log_info("exchange.ended", sentence, {{"service", service}, {"visitor", visitor}});
    else log_warn("exchange.cut", sentence, {{"service", service}, {"visitor", visitor}});
}

void log_request(const log_config& log, const request_report& what) {
    const bool well = went_well(what);
    if (!log.access && well) return;
    const log_level level = well ? log_level::info : log_level::warn;
    const log_field service{"service", what.service};
    const log_field visitor{"visitor", what.visitor};
    const log_field method{"method", what.method};
    const log_field host{"host", what.host};
    const log_field path{"path", what.target};
    const log_field status{"status", what.status};
    const log_field took{"ms", milliseconds(what.took)};
    const log_field bytes{"bytes", what.body_bytes};
    constexpr std::string_view event = "request.ended";
    const std::string_view sentence = sentence_of(what);
    if (what.advice.empty())
        tunnel_uring::log(level, event, sentence,
                          {service, visitor, method, host, path, status, took, bytes});
    else
        tunnel_uring::log(level, event, sentence,
                          {service, visitor, method, host, path, status, took, bytes,
                           log_field{"advice", what.advice}});
}

std::string request_line(const request_report& what, std::chrono::system_clock::time_point when) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
    const auto fraction = std::chrono::duration_cast<std::chrono::milliseconds>(when - seconds);
    const std::string status = what.status == 0 ? "---" : fmt::format("{:03}", what.status);
    return fmt::format(
        "{:%H:%M:%S}.{:03}  {}  {:<5} {:<24} {:>10}  {}",
        fmt::localtime(std::chrono::system_clock::to_time_t(seconds)), fraction.count(), status,
        printable(what.method, 16), printable(what.target), approximate_time(what.took),
        went_well(what) ? approximate_size(what.body_bytes) : printable(sentence_of(what)));
}

std::string approximate_size(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 4> units{"KB", "MB", "GB", "TB"};
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes) / 1000;
    std::size_t unit = 0;
    // What would be shown as 1000.0 is 1.0 of the next.
    for (; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
    return fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace tunnel_uring
