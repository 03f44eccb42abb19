#include "base/ip_network.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace tunnel_uring {
namespace {

ip_endpoint endpoint(const std::string& text) {
    ip_endpoint where;
    where.port = 1234;
    const bool v6 = text.find(':') != std::string::npos;
    where.family = v6 ? ip_family::v6 : ip_family::v4;
    EXPECT_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), where.bytes.data()), 1) << text;
    return where;
}

bool contains(std::string_view network, const std::string& address) {
    const auto parsed = ip_network::parse(network);
    EXPECT_TRUE(parsed) << network;
    return parsed && parsed->contains(endpoint(address));
}

TEST(ip_network, contains_the_addresses_that_share_its_prefix) {
    EXPECT_TRUE(contains("10.0.0.0/8", "10.255.1.2"));
    EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
    EXPECT_TRUE(contains("192.168.1.128/25", "192.168.1.200"));
    EXPECT_FALSE(contains("192.168.1.128/25", "192.168.1.127"));
    EXPECT_TRUE(contains("172.16.0.0/12", "172.31.255.255"));
    EXPECT_FALSE(contains("172.16.0.0/12", "172.32.0.0"));
    EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
    EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(ip_network, without_a_prefix_is_one_address) {
    EXPECT_TRUE(contains("192.168.1.7", "192.168.1.7"));
    EXPECT_FALSE(contains("192.168.1.7", "192.168.1.6"));
    EXPECT_TRUE(contains("::1", "::1"));
    EXPECT_FALSE(contains("::1", "::2"));
}

TEST(ip_network, of_no_bits_contains_its_family) {
    EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4"));
    EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
    EXPECT_TRUE(contains("::/0", "2001:db8::1"));
    EXPECT_FALSE(contains("::/0", "1.2.3.4"));
}

TEST(ip_network, takes_a_mapped_address_for_ipv4) {
    EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    EXPECT_FALSE(contains("10.0.0.0/8", "::ffff:11.1.2.3"));
    EXPECT_FALSE(contains("::/0", "::ffff:10.1.2.3"));
    EXPECT_TRUE(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    EXPECT_TRUE(contains("::ffff:10.1.2.3", "10.1.2.3"));
}

TEST(ip_network, does_not_count_bits_behind_the_prefix) {
    EXPECT_EQ(ip_network::parse("10.1.2.3/8"), ip_network::parse("10.0.0.0/8"));
    EXPECT_NE(ip_network::parse("10.0.0.0/9"), ip_network::parse("10.0.0.0/8"));
}

TEST(ip_network, contains_nothing_that_is_no_address) {
    EXPECT_FALSE(ip_network::parse("0.0.0.0/0")->contains(ip_endpoint{}));
}

TEST(ip_network, refuses_what_is_none) {
    for (const char* text :
         {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08",
          "10.0.0.0/8/8", "10.0.0/8", "10.0.0.0.0", "::1/129", "::1/ 8", " ::1", "[::1]", "host",
          "10.0.0.0:80", "fe80::1%eth0", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"})
        EXPECT_FALSE(ip_network::parse(text)) << text;
    EXPECT_FALSE(ip_network::parse(std::string_view{"::1\0", 4}));
}

}  // namespace
}  // namespace tunnel_uring
