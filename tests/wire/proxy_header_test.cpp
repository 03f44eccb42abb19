#include "wire/proxy_protocol.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace tunnel_uring {
namespace {

using verdict = proxy_header::verdict;
using namespace std::string_literals;

ip_endpoint endpoint(const std::string& text, std::uint16_t port) {
    ip_endpoint where;
    where.port = port;
    const bool v6 = text.find(':') != std::string::npos;
    where.family = v6 ? ip_family::v6 : ip_family::v4;
    EXPECT_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), where.bytes.data()), 1) << text;
    return where;
}

proxy_header parse(std::string_view text, proxy_versions versions = {}) {
    return parse_proxy_header(as_bytes(text), versions);
}

std::string v2(const std::string& command_and_transport, const std::string& rest) {
    return "\r\n\r\n\0\r\nQUIT\n"s + command_and_transport + static_cast<char>(rest.size() / 256) +
           static_cast<char>(rest.size() % 256) + rest;
}

const std::string addresses_v4 = "\1\2\3\4\5\6\7\x08\x01\x02\x03\x04"s;

TEST(proxy_protocol, reads_what_it_writes_however_much_has_come) {
    const ip_endpoint v4 = endpoint("192.0.2.1", 1);
    const ip_endpoint v6 = endpoint("2001:db8::1", 65535);
    for (const auto& [source, destination] :
         {std::pair{v4, endpoint("198.51.100.7", 443)}, std::pair{v6, endpoint("::2", 0)},
          std::pair{v4, v6}, std::pair{ip_endpoint{}, v4}}) {
        const bool known = source.family != ip_family::none && source.family == destination.family;
        for (std::vector<std::byte> bytes :
             {proxy_header_v1(source, destination), proxy_header_v2(source, destination)}) {
            const std::size_t length = bytes.size();
            bytes.resize(length + 10);  // The visitor's bytes.
            for (std::size_t count = 0; count < length; ++count)
                EXPECT_EQ(parse_proxy_header(bytes_view{bytes}.first(count), {}).what,
                          verdict::more);
            const proxy_header read = parse_proxy_header(bytes, {});
            EXPECT_EQ(read.what, verdict::whole);
            EXPECT_EQ(read.length, length);
            EXPECT_EQ(read.source, known ? source : ip_endpoint{});
            EXPECT_EQ(read.destination, known ? destination : ip_endpoint{});
        }
    }
}

TEST(proxy_protocol, knows_what_begins_otherwise) {
    for (const std::string_view text : {"GET / HTTP/1.1", "POST /", "PROXY\r\n", "PR0", "\r\n\r\nG",
                                        "\x16\x03\x01", "proxy TCP4"})
        EXPECT_EQ(parse(text).what, verdict::none) << text;
}

TEST(proxy_protocol, reads_only_the_versions_asked_for) {
    const std::string one = "PROXY UNKNOWN\r\n";
    const std::string two = v2("\x20\0"s, "");
    EXPECT_EQ(parse(one, {.v1 = true, .v2 = false}).what, verdict::whole);
    EXPECT_EQ(parse(one, {.v1 = false, .v2 = true}).what, verdict::none);
    EXPECT_EQ(parse(two, {.v1 = true, .v2 = false}).what, verdict::none);
    EXPECT_EQ(parse(two, {.v1 = false, .v2 = true}).what, verdict::whole);
}

TEST(proxy_protocol_v1, may_leave_the_addresses_of_unknown_unread) {
    const proxy_header read = parse("PROXY UNKNOWN ffff::1 whatever 1 2\r\nX");
    EXPECT_EQ(read.what, verdict::whole);
    EXPECT_EQ(read.length, 36U);
    EXPECT_EQ(read.source, ip_endpoint{});
}

TEST(proxy_protocol_v1, may_be_107_bytes_long) {
    const std::string start = "PROXY UNKNOWN ";
    EXPECT_EQ(parse(start + std::string(91, 'x') + "\r\n").what, verdict::whole);
    EXPECT_EQ(parse(start + std::string(92, 'x') + "\r\n").what, verdict::malformed);
    EXPECT_EQ(parse(start + std::string(92, 'x')).what, verdict::more);
    EXPECT_EQ(parse(start + std::string(93, 'x')).what, verdict::malformed);
}

TEST(proxy_protocol_v1, is_refused_when_malformed) {
    for (const std::string& line :
         {"PROXY \r\n"s, "PROXY TCP4\r\n"s, "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"s,
          "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
          "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"s,
          "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"s, "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
          "PROXY TCP4 ::1 ::1 1 2\r\n"s, "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"s,
          "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"s,
          "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"s,
          "PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n"s, "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"s,
          "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"s}) {
        const proxy_header read = parse(line);
        EXPECT_EQ(read.what, verdict::malformed) << line;
        EXPECT_FALSE(read.sentence.empty());
    }
}

TEST(proxy_protocol_v2, passes_over_what_follows_the_addresses) {
    const std::string tlvs = "\x03\x00\x04\x01\x02\x03\x04"s;
    const proxy_header read = parse(v2("\x21\x11", addresses_v4 + tlvs) + "GET");
    EXPECT_EQ(read.what, verdict::whole);
    EXPECT_EQ(read.length, 16U + 12U + 7U);
    EXPECT_EQ(read.source, endpoint("1.2.3.4", 0x102));
    EXPECT_EQ(read.destination, endpoint("5.6.7.8", 0x304));
}

TEST(proxy_protocol_v2, tells_no_addresses_of_local_or_other_families) {
    for (const std::string& kind : {"\x20\x11"s, "\x21\0"s, "\x21\x12"s, "\x21\x31"s, "\x20\0"s}) {
        const proxy_header read = parse(v2(kind, addresses_v4));
        EXPECT_EQ(read.what, verdict::whole);
        EXPECT_EQ(read.length, 28U);
        EXPECT_EQ(read.source, ip_endpoint{});
    }
}

TEST(proxy_protocol_v2, is_refused_when_malformed) {
    for (const std::string& bytes :
         {v2("\x11\x11", addresses_v4), v2("\x22\x11", addresses_v4), v2("\x31\x11", addresses_v4),
          v2("\x21\x41", addresses_v4), v2("\x21\x13", addresses_v4),
          v2("\x21\x11", addresses_v4.substr(1)), v2("\x21\x21", std::string(35, 'x')),
          v2("\x21\x11", std::string(521, 'x')), v2("\x20\0"s, std::string(521, 'x'))})
        EXPECT_EQ(parse(bytes).what, verdict::malformed);
    EXPECT_EQ(parse(v2("\x21\x11", std::string(520, 'x'))).what, verdict::whole);
}

TEST(proxy_protocol_v2, is_refused_before_it_is_whole) {
    EXPECT_EQ(parse(v2("\x21\x11", std::string(2000, 'x')).substr(0, 16)).what, verdict::malformed);
}

}  // namespace
}  // namespace tunnel_uring
