#include "base/log.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace tunnel_uring {
namespace {

using std::chrono::system_clock;

constexpr system_clock::time_point noon{std::chrono::milliseconds{1'795'435'331'204}};

std::string line(log_format format, log_fields fields) {
    setenv("TZ", "UTC", 1);
    tzset();
    return log_line(format, noon, log_level::info, "agent.connected", "agent \"a\" is here",
                    fields);
}

TEST(log, text_is_for_people) {
    EXPECT_EQ(line(log_format::text, {{"lanes", 4}}),
              "12:02:11.204 info  agent \"a\" is here  lanes=4\n");
    EXPECT_EQ(line(log_format::text, {}), "12:02:11.204 info  agent \"a\" is here\n");
}

TEST(log, logfmt_quotes_what_needs_it) {
    EXPECT_EQ(line(log_format::logfmt, {{"from", "a b"}, {"to", "c"}, {"none", ""}, {"ok", true}}),
              "ts=2026-11-23T12:02:11.204Z level=info event=agent.connected "
              "msg=\"agent \\\"a\\\" is here\" from=\"a b\" to=c none=\"\" ok=true\n");
}

TEST(log, json_is_one_object_a_line) {
    EXPECT_EQ(line(log_format::json, {{"from", "a\"b"}, {"n", -1}, {"time", duration{1'234'567}}}),
              "{\"ts\":\"2026-11-23T12:02:11.204Z\",\"level\":\"info\","
              "\"event\":\"agent.connected\",\"msg\":\"agent \\\"a\\\" is here\","
              "\"from\":\"a\\\"b\",\"n\":-1,\"time\":\"1.23ms\"}\n");
}

TEST(log, a_value_from_outside_cannot_forge_a_line) {
    for (const log_format format : {log_format::text, log_format::logfmt, log_format::json}) {
        const std::string text = line(format, {{"name", "x\nts=1 level=error\x1b[2J"}});
        EXPECT_EQ(text.find('\n'), text.size() - 1);
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
    }
}

TEST(log, a_long_value_is_capped) {
    const std::string text = line(log_format::text, {{"name", std::string(100'000, 'x')}});
    EXPECT_LT(text.size(), 2 * log_value_limit);
    EXPECT_NE(text.find("…"), std::string::npos);
}

TEST(log, only_levels_of_enough_weight_are_shown) {
    log_config config;
    config.level = log_level::warn;
    configure_log(config);
    EXPECT_FALSE(log_shows(log_level::info));
    EXPECT_TRUE(log_shows(log_level::warn));
    EXPECT_TRUE(log_shows(log_level::error));
}

TEST(log, a_line_goes_to_stderr_whole) {
    log_config config;
    config.format = log_format::logfmt;
    configure_log(config);
    testing::internal::CaptureStderr();
    log_info("a.b", "it works", {{"n", 1}});
    log_debug("a.c", "not shown");
    const std::string shown = testing::internal::GetCapturedStderr();
    EXPECT_NE(shown.find("event=a.b msg=\"it works\" n=1\n"), std::string::npos);
    EXPECT_EQ(shown.find("a.c"), std::string::npos);
}

TEST(printable, valid_utf8_stays_and_the_rest_is_escaped) {
    EXPECT_EQ(printable("größe €𝄞"), "größe €𝄞");
    EXPECT_EQ(printable("a\xff\tb\x7f"), "a\\xff\\x09b\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // CSI in one character of C1
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
    EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");           // cut short
}

TEST(json_string, is_always_valid_json) {
    EXPECT_EQ(json_string("a\"\\\n\t\x01€\xff"), "\"a\\\"\\\\\\n\\t\\u0001€\\ufffd\"");
}

}  // namespace
}  // namespace tunnel_uring
