#include "admin/shared_metrics.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace tunnel_uring {

namespace {

constexpr std::array<std::string_view, 6> class_words{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

double number(std::uint64_t count) noexcept { return static_cast<double>(count); }
std::string before(std::string_view labels) {
    return labels.empty() ? std::string{} : std::string{labels} + ",";
}

}  // namespace

void expose_classes(exposition& out, std::string_view labels, const request_meter& met) {
    for (std::size_t i = 0; i < class_words.size(); ++i)
        out.sample(before(labels) + metric_label("code", class_words[i]),
                   number(met.by_class()[i]));
}

void expose_lanes(exposition& out, std::string_view labels, const lane_counts& lanes) {
    const auto one = [&](std::string_view which, std::size_t count) {
        out.sample(before(labels) + metric_label("kind", which), number(count));
    };
    one("shared", lanes.shared);
    one("bulk_sending", lanes.bulk_sending);
    one("bulk_receiving", lanes.bulk_receiving);
}

void tell_requests(json_text& out, request_meter& met, time_point now, duration uptime) {
    const request_window recent = met.recent(now);
    const duration passed = std::min(met.window(), std::max<duration>(uptime, 1s));
    out.open_object("requests");
    std::uint64_t sum = 0;
    for (const std::uint64_t count : met.by_class()) sum += count;
    out.number("total", number(sum));
    out.number("failed", number(met.by_class()[5] + met.by_class()[0]));
    out.number("rate", number(recent.took.count()) / seconds(passed));
    for (const auto& [name, share] : {std::pair{"p50_seconds", 0.5}, {"p99_seconds", 0.99}}) {
        if (recent.took.count() == 0) out.null(name);
        else out.number(name, seconds(recent.took.quantile(share)));
    }
    out.close_object();
}

void tell_lanes(json_text& out, const lane_counts& lanes) {
    out.open_object("lanes");
    out.number("shared", number(lanes.shared));
    out.number("bulk_sending", number(lanes.bulk_sending));
    out.number("bulk_receiving", number(lanes.bulk_receiving));
    out.number("bulk_busy", number(lanes.bulk_busy));
    out.number("exchanges", number(lanes.exchanges));
    out.close_object();
}

}  // namespace tunnel_uring
