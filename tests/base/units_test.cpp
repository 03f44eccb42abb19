#include "base/units.hpp"

#include <gtest/gtest.h>

namespace tunnel_uring {
namespace {

TEST(parse_duration, knows_every_unit_and_their_sums) {
    EXPECT_EQ(parse_duration("250ms"), 250ms);
    EXPECT_EQ(parse_duration("10s"), 10s);
    EXPECT_EQ(parse_duration("1h30m"), 90min);
    EXPECT_EQ(parse_duration("1.5h"), 90min);
    EXPECT_EQ(parse_duration("50us"), 50us);
    EXPECT_EQ(parse_duration("7ns"), 7ns);
    EXPECT_EQ(parse_duration("2d"), 48h);
    EXPECT_EQ(parse_duration("0"), 0s);
}

TEST(parse_duration, takes_a_bare_number_for_seconds) {
    EXPECT_EQ(parse_duration("30"), 30s);
    EXPECT_EQ(parse_duration("0.5"), 500ms);
}

TEST(parse_duration, refuses_what_is_none) {
    for (const char* text : {"", "s", "-1s", "soon", "1 s", "1s ", "1x", "1..5s", "1e9s", "1h30",
                             "101000d", "0x10", "nan", "inf", "1sm"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(format_duration, is_read_back_exactly) {
    for (const duration one :
         {duration{0}, duration{1ns}, duration{250ms}, duration{10s}, duration{300s},
          duration{90min}, duration{24h}, duration{25h}, duration{1'500'000'001ns}}) {
        EXPECT_EQ(parse_duration(format_duration(one)), one) << format_duration(one);
    }
    EXPECT_EQ(format_duration(300s), "5m");
    EXPECT_EQ(format_duration(24h), "1d");
    EXPECT_EQ(format_duration(25h), "25h");
    EXPECT_EQ(format_duration(1500ms), "1s500ms");
}

TEST(approximate_duration, has_three_digits_and_one_unit) {
    EXPECT_EQ(approximate_duration(380ns), "380ns");
    EXPECT_EQ(approximate_duration(412'345ns), "412us");
    EXPECT_EQ(approximate_duration(1'234'567ns), "1.23ms");
    EXPECT_EQ(approximate_duration(3s), "3s");
    EXPECT_EQ(approximate_duration(125s), "2m5s");
}

TEST(parse_size, knows_binary_and_decimal_units) {
    EXPECT_EQ(parse_size("65536"), 65536U);
    EXPECT_EQ(parse_size("64KiB"), 65536U);
    EXPECT_EQ(parse_size("50MiB"), 50U << 20U);
    EXPECT_EQ(parse_size("1GB"), 1'000'000'000U);
    EXPECT_EQ(parse_size("1.5KiB"), 1536U);
    EXPECT_EQ(parse_size("10B"), 10U);
}

TEST(parse_size, refuses_what_is_none) {
    for (const char* text : {"", "KiB", "-1", "1 KiB", "1kib", "1Ki", "9000000TB", "64K"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(format_size, is_read_back_exactly) {
    for (const std::uint64_t one : {0ULL, 1ULL, 1000ULL, 16384ULL, 1ULL << 40U})
        EXPECT_EQ(parse_size(format_size(one)), one);
    EXPECT_EQ(format_size(16384), "16KiB");
}

}  // namespace
}  // namespace tunnel_uring
