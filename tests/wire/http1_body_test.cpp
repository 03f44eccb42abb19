// Bodies, the events around them, and what a reader costs.
#include <gtest/gtest.h>
#include <malloc.h>

#include <limits>
#include <memory>

#include "wire/http1_play.hpp"

namespace tunnel_uring {
namespace {

using kind = http_reader::kind;
using event = http_reader::event;

const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";

struct reading {
    explicit reading(std::string what, kind of = kind::request, const http_limits& limits = {})
        : all{std::move(what)}, input{as_bytes(all)}, reader{of, limits} {}
    event read() {
        body.clear();
        return reader.read(input, body);
    }
    std::string text() const {
        std::string joined;
        for (const bytes_view one : body) joined += as_text(one);
        return joined;
    }
    const std::string all;
    bytes_view input;
    std::vector<bytes_view> body;
    http_reader reader;
};

TEST(http1_body, stops_at_the_end_of_each_head_and_message) {
    reading r{post + "Content-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: a\r\n\r\nX"};
    EXPECT_TRUE(r.reader.idle());
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(as_text(r.input.first(3)), "hiG");
    EXPECT_FALSE(r.reader.idle());
    EXPECT_EQ(r.read(), event::complete);
    EXPECT_EQ(r.text(), "hi");
    EXPECT_EQ(r.input.front(), std::byte{'G'});
    EXPECT_TRUE(r.reader.idle());
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.read(), event::complete);
    EXPECT_EQ(as_text(r.input), "X");
    EXPECT_EQ(r.read(), event::more);
    EXPECT_FALSE(r.reader.idle());
}

TEST(http1_body, is_a_view_into_the_input) {
    reading r{chunked + "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"};
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.reader.framing(), body_framing::chunked);
    EXPECT_EQ(r.reader.raw_left(), 0U);
    EXPECT_EQ(r.read(), event::complete);
    ASSERT_EQ(r.body.size(), 2U);
    EXPECT_EQ(as_text(r.body[0]), "abc");
    EXPECT_EQ(static_cast<const void*>(r.body[1].data()),
              static_cast<const void*>(r.all.data() + r.all.find("defg")));
}

TEST(http1_body, of_a_length_may_be_read_by_other_means) {
    reading r{post + "Content-Length: 10\r\n\r\nabc"};
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.reader.framing(), body_framing::length);
    EXPECT_EQ(r.reader.raw_left(), 10U);
    EXPECT_EQ(r.read(), event::more);
    EXPECT_EQ(r.reader.raw_left(), 7U);
    EXPECT_EQ(r.reader.skip(6), event::more);
    EXPECT_EQ(r.reader.skip(1), event::complete);
    EXPECT_EQ(r.reader.raw_left(), 0U);
    EXPECT_EQ(r.reader.framing(), body_framing::none);
    EXPECT_TRUE(r.reader.idle());
}

TEST(http1_body, until_the_end_may_be_read_by_other_means_and_ends_complete) {
    reading r{"HTTP/1.1 200 OK\r\n\r\nabc", kind::response};
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.reader.raw_left(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(r.read(), event::more);
    EXPECT_EQ(r.text(), "abc");
    EXPECT_EQ(r.reader.skip(1U << 30U), event::more);
    EXPECT_EQ(r.reader.raw_left(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(r.reader.framing(), body_framing::until_close);
    EXPECT_EQ(r.reader.end(), event::complete);
    EXPECT_TRUE(r.reader.idle());
}

TEST(http1_body, cut_short_is_a_failure) {
    for (const std::string& all :
         {post, post + "Content-Length: 5\r\n\r\nhell", chunked, chunked + "5\r\nhello\r\n",
          chunked + "0\r\n", chunked + "0\r\n\r"}) {
        reading r{all};
        while (r.read() != event::more) {
        }
        EXPECT_EQ(r.reader.end(), event::failed) << all;
        EXPECT_EQ(r.reader.fault().status, 400);
        EXPECT_EQ(r.read(), event::failed);
    }
    reading answer{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", kind::response};
    EXPECT_EQ(answer.read(), event::head);
    EXPECT_EQ(answer.reader.end(), event::failed);
    EXPECT_EQ(answer.reader.fault().status, 502);
}

TEST(http1_body, that_there_is_not_may_end_with_the_connection) {
    reading r{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"};
    EXPECT_EQ(r.reader.end(), event::more);
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.reader.end(), event::complete);
    EXPECT_EQ(r.reader.end(), event::more);
}

TEST(http1_body, has_trailers_but_those_that_mean_something_in_a_head) {
    reading r{
        chunked +
        "1\r\na\r\n0\r\nX-Sum:1\r\nHost: b\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
        "Authorization: c\r\nSet-Cookie: d\r\nCookie: d\r\nContent-Type: e\r\nTrailer: f\r\n"
        "X-Forwarded-For: g\r\nForwarded: h\r\nConnection: i\r\nContent_Length: 3\r\n"
        "Cache-Control: j\r\nX_Forwarded_For: k\r\nX-Forwarded-Port: l\r\nTE: trailers\r\n"
        "Upgrade: m\r\nLocation: n\r\nContent-Digest:  o \r\n\r\n"};
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.read(), event::complete);
    EXPECT_EQ(r.reader.trailers(), "X-Sum: 1\r\nContent-Digest: o\r\n");
    EXPECT_TRUE(are_fields(r.reader.trailers(), false));
}

TEST(http1_body, has_no_more_trailers_than_a_head_has_fields) {
    const http_limits limits{.head_bytes = 100, .fields = 3};
    const auto fails = [&](const std::string& trailers) {
        http_player player{kind::request, limits};
        player.play(chunked + "0\r\n" + trailers + "\r\n", 1);
        return player.failed ? player.reader().fault().status : 0;
    };
    EXPECT_EQ(fails("A: \r\nB: \r\nC: \r\n"), 0);
    EXPECT_EQ(fails("A: \r\nB: \r\nC: \r\nD: \r\n"), 431);
    EXPECT_EQ(fails("A: " + std::string(93, 'x') + "\r\n"), 0);
    EXPECT_EQ(fails("A: " + std::string(94, 'x') + "\r\n"), 431);
}

TEST(http1_body, has_no_more_chunk_extensions_in_all_than_a_head_has_bytes) {
    const http_limits limits{.head_bytes = 100, .fields = 3};
    std::string body;
    for (int i = 0; i < 20; ++i) body += "1;ext=1\r\na\r\n";
    http_player player{kind::request, limits};
    player.play(chunked + body, body.size());
    EXPECT_TRUE(player.failed);
    EXPECT_EQ(player.reader().fault().status, 400);
}

TEST(http1_body, in_chunks_is_the_same_at_every_size) {
    std::string body;
    std::string wanted;
    for (std::uint64_t size : {1U, 15U, 16U, 255U, 4096U, 70000U}) {
        std::string header(18, ' ');
        header.resize(chunk_header(header.data(), size));
        const std::string data(size, static_cast<char>('a' + size % 26));
        body += header + data;
        body += chunk_end;
        wanted += data;
    }
    body += last_chunk;
    body += "\r\n";
    for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, body.size() * 2}) {
        http_player player{kind::request};
        player.play(chunked + body, step);
        ASSERT_EQ(player.messages.size(), 1U);
        EXPECT_TRUE(player.messages[0].complete);
        EXPECT_EQ(player.messages[0].body, wanted);
    }
}

TEST(http1_reader, keeps_head_and_trailers_until_the_next_message_begins) {
    reading r{chunked + "0\r\nX: y\r\n\r\n"};
    EXPECT_EQ(r.read(), event::head);
    EXPECT_EQ(r.read(), event::complete);
    EXPECT_EQ(r.reader.request().text, "POST /\r\nHost: a\r\n");
    EXPECT_EQ(r.reader.trailers(), "X: y\r\n");
    r.reader.forget();
    EXPECT_EQ(r.reader.trailers(), "");
    EXPECT_EQ(r.read(), event::more);
}

TEST(http1_reader, is_idle_through_empty_lines) {
    reading r{"\r\n\r"};
    EXPECT_EQ(r.read(), event::more);
    EXPECT_FALSE(r.reader.idle());
    const std::string rest = "\n";
    bytes_view input = as_bytes(rest);
    EXPECT_EQ(r.reader.read(input, r.body), event::more);
    EXPECT_TRUE(r.reader.idle());
}

TEST(http1_reader, costs_little_while_idle) {
    constexpr std::size_t count = 1000;
    std::vector<std::unique_ptr<http_reader>> readers;
    readers.reserve(count);
    const std::size_t before = mallinfo2().uordblks;
    for (std::size_t i = 0; i < count; ++i) {
        readers.push_back(std::make_unique<http_reader>(kind::request, http_limits{}));
        const std::string all =
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(500, 'x') + "\r\n\r\n";
        bytes_view input = as_bytes(all);
        std::vector<bytes_view> body;
        EXPECT_EQ(readers.back()->read(input, body), event::head);
        EXPECT_EQ(readers.back()->read(input, body), event::complete);
        EXPECT_EQ(readers.back()->read(input, body), event::more);
    }
    // mallinfo knows nothing below sanitizers: 0 then. What is recycled is in it, once.
    EXPECT_LE((mallinfo2().uordblks - before) / count, 200U);
}

}  // namespace
}  // namespace tunnel_uring
