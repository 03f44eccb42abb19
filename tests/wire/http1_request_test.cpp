// What travels of a request, and what is known of it.
#include <gtest/gtest.h>

#include "wire/http1_play.hpp"

namespace tunnel_uring {
namespace {

using kind = http_reader::kind;
using event = http_reader::event;

// A head that was read; `fault` when it was refused.
struct read_request : request_head {
    http_fault fault;
    std::string_view part(text_range range) const { return range.in(text); }
};

read_request read(const std::string& fields, const std::string& line = "GET / HTTP/1.1",
                  const http_limits& limits = {}) {
    http_reader reader{kind::request, limits};
    const std::string all = line + "\r\nHost: a.b\r\n" + fields + "\r\n";
    bytes_view input = as_bytes(all);
    std::vector<bytes_view> body;
    if (reader.read(input, body) != event::head) return {{}, reader.fault()};
    return {std::move(reader.request()), {}};
}

// The fields that go on, without the start line and Host.
std::string fields_of(const std::string& fields, const std::string& line = "GET / HTTP/1.1") {
    const read_request head = read(fields, line);
    EXPECT_EQ(head.fault.sentence, "");
    std::string text = head.text;
    text.erase(0, text.find("\r\n") + 2);
    const std::size_t host = text.find("Host: a.b\r\n");
    EXPECT_NE(host, std::string::npos);
    if (host != std::string::npos) text.erase(host, 11);
    return text;
}

TEST(http1_request, travels_as_start_line_and_fields_without_the_version) {
    const read_request head = read("X-One:1\r\nX-Two:  2 \t\r\n", "PUT /a?b=c HTTP/1.1");
    EXPECT_EQ(head.text, "PUT /a?b=c\r\nHost: a.b\r\nX-One: 1\r\nX-Two: 2\r\n");
    EXPECT_EQ(head.part(head.method), "PUT");
    EXPECT_EQ(head.part(head.target), "/a?b=c");
    EXPECT_EQ(head.part(head.host), "a.b");
    EXPECT_TRUE(are_fields(head.text.substr(head.text.find("\r\n") + 2), false));
}

TEST(http1_request, has_its_absolute_target_in_origin_form) {
    const auto target_of = [](const std::string& line) {
        const read_request head = read("", line);
        EXPECT_EQ(head.part(head.host), "a.b");
        return std::string{head.part(head.target)};
    };
    EXPECT_EQ(target_of("GET http://a.b/c?d HTTP/1.1"), "/c?d");
    EXPECT_EQ(target_of("GET https://A.B HTTP/1.1"), "/");
    EXPECT_EQ(target_of("GET http://a.b?c=/d HTTP/1.1"), "/?c=/d");
    EXPECT_EQ(target_of("OPTIONS http://a.b HTTP/1.1"), "*");
    EXPECT_EQ(target_of("OPTIONS * HTTP/1.1"), "*");
    EXPECT_EQ(target_of("GET //a.b/c HTTP/1.1"), "//a.b/c");
}

TEST(http1_request, says_how_its_body_is_framed) {
    EXPECT_EQ(read("").body, (http_body{body_framing::none, 0}));
    EXPECT_EQ(read("Content-Length: 0\r\n").body, (http_body{body_framing::length, 0}));
    EXPECT_EQ(read("Content-Length: 9223372036854775807\r\n").body,
              (http_body{body_framing::length, 9223372036854775807U}));
    EXPECT_EQ(read("Transfer-Encoding: chunked\r\n").body, (http_body{body_framing::chunked, 0}));
}

TEST(http1_request, keeps_its_connection_unless_it_says_otherwise) {
    EXPECT_TRUE(read("").keep_alive);
    EXPECT_FALSE(read("Connection: x, CLOSE\r\n").keep_alive);
    EXPECT_FALSE(read("Connection: keep-alive\r\nConnection: close\r\n").keep_alive);
    EXPECT_FALSE(read("", "GET / HTTP/1.0").keep_alive);
    EXPECT_TRUE(read("Connection: Keep-Alive\r\n", "GET / HTTP/1.0").keep_alive);
    EXPECT_TRUE(read("", "GET / HTTP/1.0").http_1_0);
    EXPECT_FALSE(read("").http_1_0);
}

TEST(http1_request, leaves_hop_by_hop_fields_behind) {
    EXPECT_EQ(fields_of("Connection: close, X-Hop, x-other\r\nx-hop: 1\r\nX-Other: 2\r\n"
                        "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
                        "Upgrade: websocket\r\nTE: gzip\r\nTrailer: X\r\nX-End: 3\r\n"),
              "X-End: 3\r\n");
    EXPECT_EQ(fields_of("Content-Length: 5\r\n"), "");
    EXPECT_EQ(fields_of("Transfer-Encoding: chunked\r\nTrailer: X\r\n"), "Trailer: X\r\n");
}

TEST(http1_request, leaves_a_field_behind_that_a_later_connection_names) {
    EXPECT_EQ(fields_of("X-Hop: 1\r\nConnection: x-hop\r\n"), "");
}

TEST(http1_request, keeps_what_connection_must_not_strip) {
    const std::string fields =
        "Authorization: a\r\nCookie: b\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 1.2.3.4\r\n"
        "Proxy-Authorization: c\r\n";
    EXPECT_EQ(fields_of(fields + "Connection: authorization, cookie, X-Forwarded-Port, x-real-ip, "
                                 "proxy-authorization, close\r\n"),
              fields);
}

TEST(http1_request, may_name_only_so_many_fields_in_connection) {
    std::string names = "Connection: ";
    for (int i = 0; i < 33; ++i) names += "x" + std::to_string(i) + ",";
    EXPECT_EQ(read(names + "\r\n").fault.status, 400);
}

TEST(http1_request, passes_forwarding_fields_apart) {
    const std::string fields =
        "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n"
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: c.d\r\nForwarded: for=4.4.4.4\r\n";
    EXPECT_EQ(fields_of(fields), "");
    const read_request head = read(fields);
    EXPECT_EQ(head.forwarded_for, "1.1.1.1, 2.2.2.2, 3.3.3.3");
    EXPECT_EQ(head.forwarded_proto, "https");
    EXPECT_EQ(head.forwarded_host, "c.d");
}

TEST(http1_request, cannot_smuggle_forwarding_fields_to_who_reads_dashes_for_underscores) {
    const std::string fields =
        "X_Forwarded_For: 1\r\nX-Forwarded_Proto: 2\r\nX_FORWARDED-HOST: 3\r\n";
    EXPECT_EQ(fields_of(fields), "");
    EXPECT_EQ(read(fields).forwarded_for, "");
    EXPECT_EQ(fields_of("X_Other: 1\r\n"), "X_Other: 1\r\n");
}

TEST(http1_request, upgrades_only_with_both_fields_and_no_body) {
    const std::string asks = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    EXPECT_TRUE(read(asks).upgrade);
    EXPECT_EQ(fields_of(asks + "Sec-WebSocket-Key: x\r\n"),
              "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n");
    EXPECT_TRUE(read(asks + "Content-Length: 0\r\n").upgrade);
    for (const char* not_one :
         {"Connection: Upgrade\r\n", "Upgrade: websocket\r\n",
          "Connection: Upgrade\r\nUpgrade:\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n",
          "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n",
          "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
          "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"}) {
        EXPECT_FALSE(read(not_one).upgrade) << not_one;
        EXPECT_EQ(fields_of(not_one), "") << not_one;
    }
    EXPECT_FALSE(read(asks, "GET / HTTP/1.0").upgrade);
}

TEST(http1_request, expects_a_continue_only_with_a_body_in_http_1_1) {
    const std::string expects = "Expect: 100-Continue\r\n";
    EXPECT_TRUE(read(expects + "Content-Length: 1\r\n").expects_continue);
    EXPECT_TRUE(read(expects + "Transfer-Encoding: chunked\r\n").expects_continue);
    EXPECT_EQ(fields_of(expects + expects + "Content-Length: 1\r\n"), "Expect: 100-continue\r\n");
    EXPECT_FALSE(read(expects).expects_continue);
    EXPECT_FALSE(read(expects + "Content-Length: 0\r\n").expects_continue);
    EXPECT_FALSE(read(expects + "Content-Length: 1\r\n", "POST / HTTP/1.0").expects_continue);
    EXPECT_EQ(fields_of(expects), "");
    EXPECT_EQ(fields_of(expects + "Content-Length: 1\r\n", "POST / HTTP/1.0"), "");
}

TEST(http1_request, accepts_trailers_when_te_says_so) {
    EXPECT_TRUE(read("TE: gzip;q=0.5, Trailers\r\n").accepts_trailers);
    EXPECT_EQ(fields_of("TE: gzip, trailers\r\nConnection: TE\r\nX: y\r\n"),
              "X: y\r\nTE: trailers\r\n");
    EXPECT_FALSE(read("TE: trailers;q=0\r\n").accepts_trailers);
    EXPECT_FALSE(read("TE: trailers\r\n", "GET / HTTP/1.0").accepts_trailers);
}

TEST(http1_request, is_told_what_is_wrong_with_it) {
    const std::string length = "Content-Length: 5\r\n";
    const std::string encoding = "Transfer-Encoding: chunked\r\n";
    for (const auto& [fields, words] :
         {std::pair{length + encoding, "both Content-Length and Transfer-Encoding"},
          std::pair{encoding + length, "both Content-Length and Transfer-Encoding"},
          std::pair{length + length, "several Content-Length"},
          std::pair{encoding + encoding, "not exactly one `chunked`"},
          std::pair{std::string{"X: y\r\n z\r\n"}, "begins with white space"},
          std::pair{std::string{"X: y\nZ: z\r\n"}, "bare LF"},
          std::pair{std::string{"X: y\rZ: z\r\n"}, "CR without LF"},
          std::pair{std::string{"X : y\r\n"}, "name is no token"},
          std::pair{std::string{"X: \x01\r\n"}, "control byte"}})
        EXPECT_NE(read(fields).fault.sentence.find(words), std::string_view::npos)
            << fields << read(fields).fault.sentence;
}

TEST(http1_request, is_refused_when_larger_than_allowed) {
    const http_limits limits{.head_bytes = 256, .fields = 5};
    const std::string begin = "GET / HTTP/1.1\r\nHost: a.b\r\n";
    const auto x = [](std::size_t count) { return std::string(count, 'x'); };
    const std::size_t room = limits.head_bytes - begin.size() - 7;  // "X: \r\n" and the empty line.
    EXPECT_EQ(read("X: " + x(room) + "\r\n", "GET / HTTP/1.1", limits).fault.status, 0);
    EXPECT_EQ(read("X: " + x(room + 1) + "\r\n", "GET / HTTP/1.1", limits).fault.status, 431);
    EXPECT_EQ(read("", "GET /" + x(256) + " HTTP/1.1", limits).fault.status, 414);
    EXPECT_EQ(read("A: \r\nB: \r\nC: \r\nD: \r\n", "GET / HTTP/1.1", limits).fault.status, 0);
    EXPECT_EQ(read("A: \r\nB: \r\nC: \r\nD: \r\nE: \r\n", "GET / HTTP/1.1", limits).fault.status,
              431);
}

TEST(http1_request, is_refused_as_too_large_the_same_however_it_is_cut) {
    const http_limits limits{.head_bytes = 64, .fields = 100};
    const std::string exact =
        "GET /1 HTTP/1.1\r\nHost: a.b\r\nX: 123456789 123456789 123456789\r\n\r\n";
    ASSERT_EQ(exact.size(), limits.head_bytes);
    const std::string x(99, 'x');
    for (const std::string& all :
         {exact, "GET /2" + exact.substr(5), "GET /" + x, exact.substr(0, 62) + x}) {
        http_player whole{kind::request, limits};
        whole.play(all, all.size());
        EXPECT_EQ(whole.failed, all != exact);
        for (std::size_t step = 1; step < 66; ++step) {
            http_player pieces{kind::request, limits};
            pieces.play(all, step);
            EXPECT_TRUE(pieces.same_as(whole)) << all << " in pieces of " << step;
        }
    }
}

TEST(http1_request, may_have_a_host_of_each_kind) {
    for (const char* host : {"a", "a.b:1", "a.b:", "1.2.3.4:80", "[::1]",
                             "[2001:db8::1.2.3.4]:65535", "a_b-c~d.e.", "xn--bcher-kva.example"}) {
        http_player player{kind::request};
        player.play("GET / HTTP/1.1\r\nHost: " + std::string{host} + "\r\n\r\n", 99);
        EXPECT_FALSE(player.failed) << host;
    }
}

// It travels twice, the second time as X-Forwarded-Host: longer ones would pass the limit of a
// head.
TEST(http1_request, has_a_host_no_longer_than_dns_has_names) {
    for (const std::size_t length : {std::size_t{254}, std::size_t{255}, std::size_t{30'000}}) {
        http_reader reader{kind::request, {}};
        const std::string all = "GET / HTTP/1.1\r\nHost: " + std::string(length, 'a') + "\r\n\r\n";
        bytes_view input = as_bytes(all);
        std::vector<bytes_view> body;
        const event got = reader.read(input, body);
        EXPECT_EQ(got, length == 254 ? event::head : event::failed) << length;
        EXPECT_EQ(reader.fault().status, length == 254 ? 0 : 400) << length;
    }
}

TEST(host_name, is_lower_case_without_port_and_final_dot) {
    EXPECT_EQ(host_name("App.Example.COM"), "app.example.com");
    EXPECT_EQ(host_name("app:8080"), "app");
    EXPECT_EQ(host_name("app."), "app");
    EXPECT_EQ(host_name("app.:80"), "app");
    EXPECT_EQ(host_name("[2001:DB8::1]:80"), "[2001:db8::1]");
    EXPECT_EQ(host_name("[::1]"), "[::1]");
    EXPECT_EQ(host_name(""), "");
}

TEST(is_idempotent, holds_for_the_methods_of_rfc_9110) {
    for (const char* method : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
        EXPECT_TRUE(is_idempotent(method)) << method;
    for (const char* method : {"POST", "PATCH", "CONNECT", "get", ""})
        EXPECT_FALSE(is_idempotent(method)) << method;
}

}  // namespace
}  // namespace tunnel_uring
