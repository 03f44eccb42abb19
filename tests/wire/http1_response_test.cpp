// What travels of an answer, and how it ends.
#include <gtest/gtest.h>

#include "wire/http1_play.hpp"

namespace tunnel_uring {
namespace {

using kind = http_reader::kind;
using event = http_reader::event;

struct read_response : response_head {
    http_fault fault;
    body_framing framing = body_framing::none;
};

struct asked {
    bool to_head = false;
    bool upgrade = false;
};

read_response read(const std::string& head, asked what = {}) {
    http_reader reader{kind::response, {}};
    reader.expect(what.to_head, what.upgrade);
    const std::string all = head + "\r\n";
    bytes_view input = as_bytes(all);
    std::vector<bytes_view> body;
    if (reader.read(input, body) != event::head) return {{}, reader.fault(), {}};
    return {std::move(reader.response()), {}, reader.framing()};
}

TEST(http1_response, travels_as_reason_and_fields) {
    const read_response head = read(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nServer:x\r\nConnection: close, X-Hop\r\n"
        "X-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n");
    EXPECT_EQ(head.text, "Not Found\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n");
    EXPECT_EQ(head.status, 404);
    EXPECT_FALSE(head.keep_alive);
    EXPECT_EQ(head.declared, (http_body{body_framing::length, 5}));
    EXPECT_EQ(read("HTTP/1.1 200\r\n").text, "\r\n");
}

TEST(http1_response, keeps_fields_that_mean_something_in_requests_only) {
    const std::string fields = "Host: x, y\r\nExpect: z\r\nX-Forwarded-For: a\r\nForwarded: b\r\n";
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\n" + fields).text, "OK\r\n" + fields);
}

TEST(http1_response, keeps_set_cookie_though_connection_names_it) {
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nConnection: set-cookie\r\nSet-Cookie: a\r\n").text,
              "OK\r\nSet-Cookie: a\r\n");
}

TEST(http1_response, has_a_body_by_its_framing) {
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n").framing, body_framing::length);
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n").framing,
              body_framing::chunked);
    const read_response open = read("HTTP/1.1 200 OK\r\n");
    EXPECT_EQ(open.framing, body_framing::until_close);
    EXPECT_EQ(open.declared.framing, body_framing::until_close);
    EXPECT_FALSE(open.keep_alive);
    EXPECT_FALSE(read("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n").keep_alive);
}

TEST(http1_response, to_head_declares_a_body_and_has_none) {
    for (const auto& [field, framing] :
         {std::pair{"Content-Length: 5\r\n", body_framing::length},
          std::pair{"Transfer-Encoding: chunked\r\n", body_framing::chunked},
          std::pair{"", body_framing::none}}) {
        const read_response head =
            read("HTTP/1.1 200 OK\r\n" + std::string{field}, {.to_head = true});
        EXPECT_EQ(head.framing, body_framing::none);
        EXPECT_EQ(head.declared.framing, framing);
        EXPECT_TRUE(head.keep_alive);
    }
}

TEST(http1_response, of_304_declares_a_body_and_has_none) {
    const read_response head = read("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n");
    EXPECT_EQ(head.framing, body_framing::none);
    EXPECT_EQ(head.declared, (http_body{body_framing::length, 5}));
    EXPECT_EQ(read("HTTP/1.1 304 Not Modified\r\n").declared, http_body{});
    EXPECT_EQ(read("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n").declared, http_body{});
}

TEST(http1_response, keeps_its_connection_by_its_version) {
    const std::string length = "Content-Length: 0\r\n";
    EXPECT_TRUE(read("HTTP/1.1 200 OK\r\n" + length).keep_alive);
    EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nConnection: Close\r\n" + length).keep_alive);
    EXPECT_FALSE(read("HTTP/1.0 200 OK\r\n" + length).keep_alive);
    EXPECT_TRUE(read("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + length).keep_alive);
}

TEST(http1_response, may_switch_protocols_when_asked_to) {
    const std::string switches =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    const read_response head = read(switches, {.upgrade = true});
    EXPECT_TRUE(head.switches());
    EXPECT_FALSE(head.interim());
    EXPECT_EQ(head.framing, body_framing::none);
    EXPECT_EQ(head.text, "Switching Protocols\r\nUpgrade: websocket\r\n");
    EXPECT_EQ(read(switches).fault.status, 502);
    EXPECT_EQ(read("HTTP/1.1 101 Hm\r\n", {.upgrade = true}).fault.status, 502);
    EXPECT_EQ(read("HTTP/1.1 101 Hm\r\nUpgrade: h2c\r\n", {.upgrade = true}).fault.status, 502);
    EXPECT_EQ(read("HTTP/1.0 101 Hm\r\nUpgrade: websocket\r\n", {.upgrade = true}).fault.status,
              502);
}

TEST(http1_response, leaves_what_follows_a_switch_unread) {
    http_reader reader{kind::response, {}};
    reader.expect(false, true);
    const std::string all = "HTTP/1.1 101 Hm\r\nUpgrade: websocket\r\n\r\nHTTP";
    bytes_view input = as_bytes(all);
    std::vector<bytes_view> body;
    EXPECT_EQ(reader.read(input, body), event::head);
    EXPECT_EQ(reader.read(input, body), event::complete);
    EXPECT_EQ(as_text(input), "HTTP");
}

TEST(http1_response, to_head_may_come_after_interim_ones) {
    http_reader reader{kind::response, {}};
    reader.expect(true, false);
    const std::string all =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    bytes_view input = as_bytes(all);
    std::vector<bytes_view> body;
    EXPECT_EQ(reader.read(input, body), event::head);
    EXPECT_TRUE(reader.response().interim());
    EXPECT_EQ(reader.response().text, "Early Hints\r\nLink: x\r\n");
    EXPECT_EQ(reader.read(input, body), event::complete);
    EXPECT_EQ(reader.read(input, body), event::head);
    EXPECT_FALSE(reader.response().interim());
    EXPECT_EQ(reader.read(input, body), event::complete);
    EXPECT_TRUE(input.empty());
}

TEST(http1_response, is_refused_when_larger_than_allowed) {
    const std::string field = "X: " + std::string(33000, 'x') + "\r\n";
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\n" + field).fault.status, 502);
    std::string many;
    for (int i = 0; i < 101; ++i) many += "X: y\r\n";
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\n" + many).fault.status, 502);
}

}  // namespace
}  // namespace tunnel_uring
