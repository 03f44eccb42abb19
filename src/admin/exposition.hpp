// exposition: metrics as text that Prometheus reads (its text format, version 0.0.4).
#pragma once

#include <string>
#include <string_view>

#include "base/histogram.hpp"

namespace tunnel_uring {

enum class metric_kind { counter, gauge, histogram };

struct metric_family {
    std::string_view name;  // Of a counter with its _total.
    metric_kind kind;
    std::string_view help;  // One line, as in docs/metrics.md.
};

// `name="value"`, escaped; several are joined by commas.
std::string metric_label(std::string_view name, std::string_view value);

class exposition {
  public:
    static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

    // What follows are its samples. Each family once.
    void begin(const metric_family& family);
    void sample(std::string_view labels, double value);
    // Of durations, in seconds.
    void samples(std::string_view labels, const histogram& spread);

    std::string take() noexcept { return std::move(text_); }

  private:
    std::string text_;
    std::string_view name_;
};

double seconds(duration time) noexcept;

}  // namespace tunnel_uring
