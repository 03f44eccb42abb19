#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "wire/http1.hpp"

namespace tunnel_uring {
namespace {

TEST(are_fields, takes_whole_lines_that_may_go_on) {
    EXPECT_TRUE(are_fields("", false));
    EXPECT_TRUE(are_fields("A: b\r\n", false));
    EXPECT_TRUE(are_fields("A: b\r\nC: \r\nD: e: f\t\xc3\xa4\r\nTE: trailers\r\n", false));
    EXPECT_TRUE(are_fields("Host: a\r\nX-Forwarded-For: b\r\nExpect: 100-continue\r\n", false));
    EXPECT_TRUE(are_fields("Upgrade: websocket\r\n", true));
}

TEST(are_fields, refuses_what_would_add_or_end_a_line) {
    for (const std::string text :
         {"A", "A: b", "A: b\r", "A: b\n", "A: b\r\n\r\n", "\r\n", "A: b\r\nC", "A: b\nC: d\r\n",
          "A: b\rC: d\r\n", "A:b\r\n", "A : b\r\n", " A: b\r\n", ": b\r\n", "A: b\r\n c\r\n",
          "A B: c\r\n", "A: \x7f\r\n", "A: \x1b\r\n", "\xc3\xa4: b\r\n"})
        EXPECT_FALSE(are_fields(text, true)) << text;
    EXPECT_FALSE(are_fields(std::string{"A: \0\r\n", 6}, true));
}

TEST(are_fields, refuses_framing_and_hop_by_hop_fields) {
    for (const char* text :
         {"Content-Length: 5\r\n", "content-length: 5\r\n", "Transfer-Encoding: chunked\r\n",
          "Connection: close\r\n", "Keep-Alive: 1\r\n", "Proxy-Connection: x\r\n",
          "TE: gzip, trailers\r\n", "Content_Length: 5\r\n", "Transfer_Encoding: chunked\r\n"})
        EXPECT_FALSE(are_fields(text, true)) << text;
    EXPECT_FALSE(are_fields("Upgrade: websocket\r\n", false));
}

TEST(append_framing, says_what_the_body_is) {
    const auto framing = [](http_body body) {
        std::string out = "X: y\r\n";
        append_framing(out, body);
        return out;
    };
    EXPECT_EQ(framing({}), "X: y\r\n");
    EXPECT_EQ(framing({body_framing::until_close, 0}), "X: y\r\n");
    EXPECT_EQ(framing({body_framing::chunked, 0}), "X: y\r\nTransfer-Encoding: chunked\r\n");
    EXPECT_EQ(framing({body_framing::length, 0}), "X: y\r\nContent-Length: 0\r\n");
    EXPECT_EQ(framing({body_framing::length, std::numeric_limits<std::uint64_t>::max()}),
              "X: y\r\nContent-Length: 18446744073709551615\r\n");
}

TEST(chunk_header, is_the_size_in_hexadecimal_and_fits_18_bytes) {
    const auto header = [](std::uint64_t bytes) {
        std::string out(18, '?');
        out.resize(chunk_header(out.data(), bytes));
        return out;
    };
    EXPECT_EQ(header(1), "1\r\n");
    EXPECT_EQ(header(0x1a3f), "1a3f\r\n");
    EXPECT_EQ(header(std::numeric_limits<std::uint64_t>::max()), "ffffffffffffffff\r\n");
}

TEST(may_have_body, is_known_from_the_status_and_the_method) {
    EXPECT_TRUE(may_have_body(200, false));
    EXPECT_TRUE(may_have_body(205, false));
    EXPECT_TRUE(may_have_body(404, false));
    EXPECT_FALSE(may_have_body(200, true));
    for (const auto status : std::array<std::uint16_t, 5>{100, 101, 103, 204, 304})
        EXPECT_FALSE(may_have_body(status, false)) << status;
}

TEST(reason_phrase, is_the_standard_one) {
    EXPECT_EQ(reason_phrase(200), "OK");
    EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
    EXPECT_EQ(reason_phrase(299), "Unknown");
}

}  // namespace
}  // namespace tunnel_uring
