#include "wire/proxy_protocol.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/bytes.hpp"
#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

std::string version_1(std::string_view source, std::string_view destination) {
    return std::string{as_text(proxy_header_v1(endpoint(source), endpoint(destination)))};
}
std::string version_2(std::string_view source, std::string_view destination) {
    return hex(proxy_header_v2(endpoint(source), endpoint(destination)));
}

// "\r\n\r\n\0\r\nQUIT\n"
const std::string signature_2 = "0d0a0d0a000d0a515549540a";
// Version 2, LOCAL, of no family, and no bytes follow.
const std::string local_2 = signature_2 + "20000000";

TEST(proxy_header_v1, is_a_line_of_both_addresses_and_ports) {
    EXPECT_EQ(version_1("192.0.2.1:56324", "198.51.100.7:443"),
              "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
    EXPECT_EQ(version_1("[2001:db8::1]:1", "[::1]:65535"),
              "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
}

// "107 bytes" with the zero at its end, section 2.1: what every receiver has room for.
TEST(proxy_header_v1, is_never_longer_than_the_specification_allows) {
    const std::string longest = "[ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888]:65535";
    EXPECT_LT(version_1(longest, longest).size(), 107U);
}

TEST(proxy_header_v1, says_unknown_when_an_address_is_not_known) {
    EXPECT_EQ(version_1("none", "192.0.2.1:80"), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(version_1("192.0.2.1:80", "none"), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(version_1("none", "none"), "PROXY UNKNOWN\r\n");
}

TEST(proxy_header_v1, says_unknown_when_the_families_differ) {
    EXPECT_EQ(version_1("192.0.2.1:80", "[::1]:80"), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(version_1("[::1]:80", "192.0.2.1:80"), "PROXY UNKNOWN\r\n");
}

TEST(proxy_header_v2, has_12_bytes_of_addresses_and_ports_for_ipv4) {
    EXPECT_EQ(version_2("192.0.2.1:56324", "198.51.100.7:443"),
              signature_2 + "2111000c" + "c0000201" + "c6336407" + "dc04" + "01bb");
}

TEST(proxy_header_v2, has_36_bytes_of_addresses_and_ports_for_ipv6) {
    EXPECT_EQ(version_2("[2001:db8::1]:1", "[::1]:65535"),
              signature_2 + "21210024" + "20010db8000000000000000000000001" +
                  "00000000000000000000000000000001" + "0001" + "ffff");
}

TEST(proxy_header_v2, says_local_when_an_address_is_not_known) {
    EXPECT_EQ(version_2("none", "192.0.2.1:80"), local_2);
    EXPECT_EQ(version_2("192.0.2.1:80", "none"), local_2);
    EXPECT_EQ(version_2("none", "none"), local_2);
}

TEST(proxy_header_v2, says_local_when_the_families_differ) {
    EXPECT_EQ(version_2("192.0.2.1:80", "[::1]:80"), local_2);
    EXPECT_EQ(version_2("[::1]:80", "192.0.2.1:80"), local_2);
}

}  // namespace
}  // namespace tunnel_uring
