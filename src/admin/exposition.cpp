#include "admin/exposition.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>

namespace tunnel_uring {

namespace {

constexpr std::array<std::string_view, 3> kinds{"counter", "gauge", "histogram"};
// Of the bounds 64 ns · 2^k, at which a histogram counts exactly: from 1 µs to 17 s.
constexpr int first_bound = 4;
constexpr int last_bound = 28;

}  // namespace

double seconds(duration time) noexcept { return std::chrono::duration<double>(time).count(); }

std::string metric_label(std::string_view name, std::string_view value) {
    std::string text = fmt::format("{}=\"", name);
    for (const char character : value) {
        if (character == '\n') text += "\\n";
        else if (character == '\\' || character == '"') (text += '\\') += character;
        else text += character;
    }
    return text += '"';
}

void exposition::begin(const metric_family& family) {
    name_ = family.name;
    fmt::format_to(std::back_inserter(text_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name_,
                   family.help, kinds[static_cast<std::size_t>(family.kind)]);
}

void exposition::sample(std::string_view labels, double value) {
    if (labels.empty()) fmt::format_to(std::back_inserter(text_), "{} {}\n", name_, value);
    else fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name_, labels, value);
}

void exposition::samples(std::string_view labels, const histogram& spread) {
    const auto out = std::back_inserter(text_);
    const std::string_view comma = labels.empty() ? "" : ",";
    for (int power = first_bound; power <= last_bound; ++power) {
        const duration bound = 64ns * (std::int64_t{1} << power);
        fmt::format_to(out, "{}_bucket{{{}{}le=\"{}\"}} {}\n", name_, labels, comma, seconds(bound),
                       spread.count_below(bound));
    }
    fmt::format_to(out, "{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name_, labels, comma, spread.count());
    const std::string braced = labels.empty() ? std::string{} : fmt::format("{{{}}}", labels);
    fmt::format_to(out, "{}_sum{} {}\n", name_, braced, seconds(spread.sum()));
    fmt::format_to(out, "{}_count{} {}\n", name_, braced, spread.count());
}

}  // namespace tunnel_uring
