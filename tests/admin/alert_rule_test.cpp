#include "admin/alert_rule.hpp"

#include <gtest/gtest.h>

#include "admin/alert_state.hpp"

namespace tunnel_uring {
namespace {

pool_stats busy_pool() {
    pool_stats pool;
    pool.size_current = pool.size_max = 50;
    pool.idle_current = 0;
    pool.acquire_time_p99 = 400ms;
    pool.reuse_rate = 0.55;
    pool.preconnects = true;
    return pool;
}

bool holds(std::string_view text, const pool_stats& pool = busy_pool()) {
    const auto parsed = alert_rule::parse(text);
    const auto* const rule = std::get_if<alert_rule>(&parsed);
    EXPECT_NE(rule, nullptr) << text << ": " << std::get<alert_fault>(parsed).sentence;
    return rule != nullptr && rule->holds(pool);
}

// "column: sentence", or nothing.
std::string fault(std::string_view text) {
    const auto parsed = alert_rule::parse(text);
    const auto* const wrong = std::get_if<alert_fault>(&parsed);
    return wrong == nullptr ? "" : std::to_string(wrong->column) + ": " + wrong->sentence;
}

TEST(alert_rule, compares_in_every_way) {
    EXPECT_TRUE(holds("connection_pool_size_current == 50"));
    EXPECT_TRUE(holds("connection_pool_size_current >= 50"));
    EXPECT_TRUE(holds("connection_pool_size_current <= 50"));
    EXPECT_FALSE(holds("connection_pool_size_current != 50"));
    EXPECT_FALSE(holds("connection_pool_size_current < 50"));
    EXPECT_FALSE(holds("connection_pool_size_current > 50"));
    EXPECT_TRUE(holds("49.5<connection_pool_size_current"));
}

TEST(alert_rule, knows_times_shares_and_other_metrics) {
    EXPECT_FALSE(holds("connection_acquire_time_p99 > 500ms"));
    EXPECT_TRUE(holds("connection_acquire_time_p99 > 0.3s"));
    EXPECT_TRUE(holds("connection_reuse_rate < 60%"));
    EXPECT_TRUE(holds("connection_reuse_rate < 0.6"));
    EXPECT_FALSE(holds("connection_reuse_rate < 50%"));
    EXPECT_TRUE(holds("connection_pool_size_current >= connection_pool_size_max"));
}

TEST(alert_rule, binds_and_closer_than_or_and_parentheses_closest) {
    constexpr std::string_view yes = "connection_pool_idle_current == 0";
    constexpr std::string_view no = "connection_pool_idle_current != 0";
    const auto both = [](std::string_view a, std::string_view word, std::string_view b) {
        return std::string{a} + " " + std::string{word} + " " + std::string{b};
    };
    EXPECT_TRUE(holds(both(yes, "or", both(no, "and", no))));
    EXPECT_TRUE(holds(both(both(no, "and", no), "or", yes)));
    EXPECT_FALSE(holds(both("(" + both(yes, "or", no) + ")", "and", no)));
    EXPECT_TRUE(holds(both(yes, "and", yes)));
    EXPECT_FALSE(holds(both(yes, "and", no)));
}

TEST(alert_rule, is_false_about_what_has_not_happened) {
    const pool_stats idle;
    EXPECT_FALSE(holds("connection_reuse_rate < 60%", idle));
    EXPECT_FALSE(holds("connection_acquire_time_p99 != 1s", idle));
    EXPECT_TRUE(holds("connection_reuse_rate < 60% or connection_pool_size_max == 0", idle));
}

TEST(alert_rule, misses_no_reuse_where_no_connection_stands_ready) {
    pool_stats pool = busy_pool();
    pool.preconnects = false;
    EXPECT_FALSE(holds("connection_reuse_rate < 60%", pool));
}

TEST(alert_rule, tells_the_value_of_its_first_metric) {
    const auto parsed =
        alert_rule::parse("500ms < connection_acquire_time_p99 or connection_pool_size_max == 0");
    ASSERT_TRUE(std::holds_alternative<alert_rule>(parsed));
    EXPECT_EQ(std::get<alert_rule>(parsed).value(busy_pool()), 0.4);
    EXPECT_EQ(std::get<alert_rule>(parsed).value({}), std::nullopt);
}

TEST(alert_rule, says_where_it_is_wrong) {
    EXPECT_EQ(fault(""), "1: a metric or a number is missing here");
    EXPECT_EQ(fault("connection_reuse_rate"),
              "22: a comparison is missing here: <, <=, >, >=, == or !=");
    EXPECT_EQ(fault("connection_reuse_rate =< 3"),
              "23: a comparison is missing here: <, <=, >, >=, == or !=");
    EXPECT_EQ(fault("connection_reuse_rate <"), "24: a metric or a number is missing here");
    EXPECT_EQ(fault("connection_reuse_rat < 3"), "1: there is no metric \"connection_reuse_rat\"");
    EXPECT_EQ(fault("connection_reuse_rate < 3x"),
              "25: \"3x\" is no metric, number, duration or share");
    EXPECT_EQ(fault("connection_reuse_rate < -3"),
              "25: \"-3\" is no metric, number, duration or share");
    EXPECT_EQ(fault("connection_reuse_rate < nan"), "25: there is no metric \"nan\"");
    EXPECT_EQ(fault("3 < 4"), "1: this compares no metric with anything");
    EXPECT_EQ(fault("connection_reuse_rate < 0.6 connection_reuse_rate"),
              "29: \"and\" or \"or\" is missing before this");
    EXPECT_EQ(fault("(connection_reuse_rate < 0.6"), "29: \")\" is missing");
    EXPECT_EQ(fault("connection_reuse_rate < 0.6)"),
              "28: \"and\" or \"or\" is missing before this");
    EXPECT_EQ(fault("connection_reuse_rate < 0.6 and"), "32: a metric or a number is missing here");
    EXPECT_EQ(fault(std::string(17, '(')), "17: there are too many parentheses");
}

TEST(alert_rule, compares_only_what_is_alike) {
    EXPECT_EQ(fault("connection_acquire_time_p99 > 500"),
              "31: connection_acquire_time_p99 is compared with a duration, such as 500ms, or a "
              "metric like it");
    EXPECT_EQ(fault("connection_pool_size_max > 60%"),
              "28: connection_pool_size_max is compared with a number, such as 3, or a metric like "
              "it");
    EXPECT_EQ(fault("connection_reuse_rate > 1s"),
              "25: connection_reuse_rate is compared with a share, such as 60% or 0.6, or a metric "
              "like it");
    EXPECT_EQ(fault("connection_reuse_rate > connection_pool_size_max"),
              "25: connection_reuse_rate is compared with a share, such as 60% or 0.6, or a metric "
              "like it");
}

using phase = alert_state::phase;
using change = alert_state::change;

TEST(alert_state, fires_when_its_condition_has_held_long_enough) {
    alert_state state;
    const time_point start{};
    EXPECT_EQ(state.look(false, 3s, start), change::none);
    EXPECT_EQ(state.now(), phase::inactive);
    EXPECT_EQ(state.look(true, 3s, start + 1s), change::none);
    EXPECT_EQ(state.now(), phase::pending);
    EXPECT_EQ(state.look(true, 3s, start + 3s), change::none);
    EXPECT_EQ(state.look(true, 3s, start + 4s), change::fired);
    EXPECT_EQ(state.now(), phase::firing);
    EXPECT_EQ(state.look(true, 3s, start + 5s), change::none);
    EXPECT_EQ(state.look(false, 3s, start + 6s), change::resolved);
    EXPECT_EQ(state.now(), phase::inactive);
    EXPECT_EQ(state.look(false, 3s, start + 7s), change::none);
}

TEST(alert_state, begins_again_when_its_condition_did_not_last) {
    alert_state state;
    const time_point start{};
    EXPECT_EQ(state.look(true, 3s, start), change::none);
    EXPECT_EQ(state.look(false, 3s, start + 2s), change::none);
    EXPECT_EQ(state.look(true, 3s, start + 3s), change::none);
    EXPECT_EQ(state.look(true, 3s, start + 5s), change::none);
    EXPECT_EQ(state.look(true, 3s, start + 6s), change::fired);
}

TEST(alert_state, fires_at_once_where_nothing_is_to_last) {
    alert_state state;
    EXPECT_EQ(state.look(true, 0s, time_point{}), change::fired);
}

}  // namespace
}  // namespace tunnel_uring
