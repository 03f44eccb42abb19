#include "admin/alert_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "admin/exposition.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "base/units.hpp"

namespace tunnel_uring {

namespace {

enum class unit : std::uint8_t { count, time, share };
constexpr std::array<std::string_view, 3> unit_words{
    "a number, such as 3", "a duration, such as 500ms", "a share, such as 60% or 0.6"};

struct known_metric {
    std::string_view name;
    unit of;
    std::optional<double> (*value)(const pool_stats& pool);
};

std::optional<double> of_count(std::uint64_t count) { return static_cast<double>(count); }
std::optional<double> of_time(const std::optional<duration>& time) {
    return time ? std::optional{seconds(*time)} : std::nullopt;
}

constexpr std::array metrics{
    known_metric{"connection_pool_size_current", unit::count,
                 [](const pool_stats& pool) { return of_count(pool.size_current); }},
    known_metric{"connection_pool_size_max", unit::count,
                 [](const pool_stats& pool) { return of_count(pool.size_max); }},
    known_metric{"connection_pool_idle_current", unit::count,
                 [](const pool_stats& pool) { return of_count(pool.idle_current); }},
    known_metric{"connection_acquire_time_p99", unit::time,
                 [](const pool_stats& pool) { return of_time(pool.acquire_time_p99); }},
    known_metric{"connection_create_time_avg", unit::time,
                 [](const pool_stats& pool) { return of_time(pool.create_time_avg); }},
    known_metric{
        "connection_reuse_rate", unit::share,
        // Where none stands ready, as by default of tcp, nobody misses it.
        [](const pool_stats& pool) { return pool.preconnects ? pool.reuse_rate : std::nullopt; }},
    known_metric{"connection_validation_failure_rate", unit::share,
                 [](const pool_stats& pool) { return pool.validation_failure_rate; }},
    known_metric{"connection_timeout_rate", unit::share,
                 [](const pool_stats& pool) { return pool.timeout_rate; }},
    known_metric{"connection_leak_detected", unit::count,
                 [](const pool_stats& pool) { return of_count(pool.leak_detected); }},
};

constexpr std::array<std::string_view, 6> relations{"<", "<=", ">", ">=", "==", "!="};

}  // namespace

// Recursive descent over words; the first fault ends it.
class alert_parser {
  public:
    explicit alert_parser(std::string_view text) : text_{text} { advance(); }

    std::variant<alert_rule, alert_fault> parse() {
        condition();
        if (!fault_ && !word_.empty()) fail("\"and\" or \"or\" is missing before this");
        if (fault_) return std::move(*fault_);
        return std::move(rule_);
    }

  private:
    // A value as it was written, and what it can be compared with.
    struct value {
        alert_rule::operand what;
        unit of = unit::count;
        bool plain_number = false;  // A count, or a share.
        std::size_t column = 0;
    };

    void advance() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
        column_ = at_ + 1;
        const std::size_t begin = at_;
        const auto is_sign = [](char c) { return std::string_view{"<>=!"}.find(c) != npos; };
        if (at_ < text_.size() && (text_[at_] == '(' || text_[at_] == ')')) {
            ++at_;
        } else if (at_ < text_.size() && is_sign(text_[at_])) {
            while (at_ < text_.size() && is_sign(text_[at_])) ++at_;
        } else {
            while (at_ < text_.size() && text_[at_] != ' ' && text_[at_] != '(' &&
                   text_[at_] != ')' && !is_sign(text_[at_]))
                ++at_;
        }
        word_ = text_.substr(begin, at_ - begin);
    }

    void fail(std::string sentence) { fail_at(column_, std::move(sentence)); }
    void fail_at(std::size_t column, std::string sentence) {
        if (!fault_) fault_ = alert_fault{column, std::move(sentence), {}};
    }

    void condition() {
        all();
        while (!fault_ && word_ == "or") {
            advance();
            all();
            rule_.steps_.emplace_back(alert_rule::joint::either);
        }
    }
    void all() {
        term();
        while (!fault_ && word_ == "and") {
            advance();
            term();
            rule_.steps_.emplace_back(alert_rule::joint::both);
        }
    }
    void term() {
        if (fault_) return;
        if (word_ != "(") return compare();
        if (++depth_ > most_depth) return fail("there are too many parentheses");
        advance();
        condition();
        depth_ -= 1;
        if (fault_) return;
        if (word_ != ")") return fail("\")\" is missing");
        advance();
    }

    void compare() {
        const std::optional<value> left = operand();
        if (!left) return;
        const auto found = std::find(relations.begin(), relations.end(), word_);
        if (found == relations.end())
            return fail("a comparison is missing here: <, <=, >, >=, == or !=");
        advance();
        const std::optional<value> right = operand();
        if (!right) return;
        const bool named = is_metric(*left) || is_metric(*right);
        if (!named) return fail_at(left->column, "this compares no metric with anything");
        const value& metric = is_metric(*left) ? *left : *right;
        const value& other = is_metric(*left) ? *right : *left;
        const bool fits = other.of == metric.of || (other.plain_number && metric.of == unit::share);
        if (!fits)
            return fail_at(other.column,
                           fmt::format("{} is compared with {}, or a metric like it",
                                       metrics[metric.what.metric].name,
                                       unit_words[static_cast<std::size_t>(metric.of)]));
        rule_.steps_.emplace_back(alert_rule::comparison{
            left->what, static_cast<alert_rule::relation>(found - relations.begin()), right->what});
    }

    static bool is_metric(const value& one) noexcept {
        return one.what.metric != alert_rule::no_metric;
    }

    std::optional<value> operand() {
        value made;
        made.column = column_;
        if (word_.empty()) return fail("a metric or a number is missing here"), std::nullopt;
        const auto first = static_cast<unsigned char>(word_.front());
        const bool taken = std::isalpha(first) != 0 ? take_metric(made) : take_number(made);
        if (!taken) return std::nullopt;
        advance();
        return made;
    }

    bool take_metric(value& made) {
        const auto found = std::find_if(metrics.begin(), metrics.end(),
                                        [this](const auto& one) { return one.name == word_; });
        if (found == metrics.end()) {
            fail(fmt::format("there is no metric \"{}\"", printable(word_, 80)));
            fault_->unknown_metric = word_;
            return false;
        }
        made.what.metric = static_cast<std::size_t>(found - metrics.begin());
        made.of = found->of;
        if (!has_metric_) rule_.first_metric_ = made.what.metric;
        has_metric_ = true;
        return true;
    }

    bool take_number(value& made) {
        std::string_view digits = word_;
        const bool percent = digits.ends_with('%');
        if (percent) digits.remove_suffix(1);
        double& number = made.what.number;
        const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(),
                                                    number, std::chars_format::fixed);
        if (failure == std::errc{} && end == digits.data() + digits.size() && number >= 0) {
            if (percent) number /= 100;
            made.of = percent ? unit::share : unit::count;
            made.plain_number = !percent;
            return true;
        }
        const std::optional<duration> time = parse_duration(word_);
        if (!time) {
            fail(fmt::format("\"{}\" is no metric, number, duration or share",
                             printable(word_, 80)));
            return false;
        }
        number = seconds(*time);
        made.of = unit::time;
        return true;
    }

    static constexpr std::size_t npos = std::string_view::npos;
    static constexpr int most_depth = 16;

    std::string_view text_;
    std::size_t at_ = 0;
    std::string_view word_;
    std::size_t column_ = 1;  // Of the word.
    int depth_ = 0;
    bool has_metric_ = false;
    alert_rule rule_;
    std::optional<alert_fault> fault_;
};

std::vector<std::string_view> alert_metric_names() {
    std::vector<std::string_view> names;
    names.reserve(metrics.size());
    for (const known_metric& one : metrics) names.push_back(one.name);
    return names;
}

std::variant<alert_rule, alert_fault> alert_rule::parse(std::string_view text) {
    return alert_parser{text}.parse();
}

std::optional<double> alert_rule::read(const operand& what, const pool_stats& pool) {
    if (what.metric == no_metric) return what.number;
    return metrics[what.metric].value(pool);
}

bool alert_rule::holds(const comparison& what, const pool_stats& pool) {
    const std::optional<double> left = read(what.left, pool);
    const std::optional<double> right = read(what.right, pool);
    if (!left || !right) return false;
    switch (what.how) {
        case relation::less: return *left < *right;
        case relation::at_most: return *left <= *right;
        case relation::more: return *left > *right;
        case relation::at_least: return *left >= *right;
        case relation::equal: return *left == *right;
        case relation::unequal: return *left != *right;
    }
    return false;
}

bool alert_rule::holds(const pool_stats& pool) const {
    std::vector<bool> known;
    for (const step& one : steps_) {
        if (const auto* const what = std::get_if<comparison>(&one)) {
            known.push_back(holds(*what, pool));
            continue;
        }
        TU_ASSERT(known.size() >= 2);
        const bool right = known.back();
        known.pop_back();
        const bool left = known.back();
        known.back() = std::get<joint>(one) == joint::both ? left && right : left || right;
    }
    TU_ASSERT(known.size() == 1);
    return known.back();
}

std::optional<double> alert_rule::value(const pool_stats& pool) const {
    return metrics[first_metric_].value(pool);
}

}  // namespace tunnel_uring
