#include "base/ip_address.hpp"

#include <gtest/gtest.h>

namespace tunnel_uring {
namespace {

constexpr ip_endpoint loopback{.family = ip_family::v4,
                               .port = 443,
                               .bytes = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}}};

TEST(ip_endpoint, is_nowhere_at_first) {
    const ip_endpoint none;
    EXPECT_EQ(none.family, ip_family::none);
    EXPECT_EQ(none.port, 0U);
    EXPECT_EQ(none, ip_endpoint{});
}

TEST(ip_endpoint, is_the_same_when_family_port_and_every_byte_are) {
    ip_endpoint other = loopback;
    EXPECT_EQ(other, loopback);
    other.bytes[3] = std::byte{2};
    EXPECT_NE(other, loopback);
}

TEST(ip_endpoint, differs_by_its_port) {
    ip_endpoint other = loopback;
    other.port = 444;
    EXPECT_NE(other, loopback);
}

TEST(ip_endpoint, differs_by_its_family) {
    ip_endpoint other = loopback;
    other.family = ip_family::v6;
    EXPECT_NE(other, loopback);
}

TEST(ip_family, is_numbered_by_its_version) {
    EXPECT_EQ(static_cast<int>(ip_family::v4), 4);
    EXPECT_EQ(static_cast<int>(ip_family::v6), 6);
}

}  // namespace
}  // namespace tunnel_uring
