// alert_rule: the condition of an alert, as its `when` says it (docs/metrics.md, "Alerts").
//
//   condition  = all { "or" all }
//   all        = term { "and" term }
//   term       = "(" condition ")" | value ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) value
//   value      = metric | number | duration ("500ms") | share ("60%")
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pool/pool_stats.hpp"

namespace tunnel_uring {

struct alert_fault {
    std::size_t column = 0;      // From 1, in the text.
    std::string sentence;        // What is wrong there.
    std::string unknown_metric;  // Where it is a name that nothing has.
};

// Those that a condition may speak of.
std::vector<std::string_view> alert_metric_names();

class alert_rule {
  public:
    static std::variant<alert_rule, alert_fault> parse(std::string_view text);

    // A comparison with a metric that is not there, because nothing happened, is false.
    bool holds(const pool_stats& pool) const;
    // Of the first metric in the text.
    std::optional<double> value(const pool_stats& pool) const;

  private:
    friend class alert_parser;
    static constexpr std::size_t no_metric = SIZE_MAX;
    struct operand {
        std::size_t metric = no_metric;
        double number = 0;
    };
    enum class relation : std::uint8_t { less, at_most, more, at_least, equal, unequal };
    struct comparison {
        operand left;
        relation how = relation::less;
        operand right;
    };
    enum class joint : std::uint8_t { both, either };
    using step = std::variant<comparison, joint>;  // In postfix order.

    static std::optional<double> read(const operand& what, const pool_stats& pool);
    static bool holds(const comparison& what, const pool_stats& pool);

    std::vector<step> steps_;
    std::size_t first_metric_ = 0;
};

}  // namespace tunnel_uring
