#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

namespace tunnel_uring {
namespace {

constexpr std::array<std::byte, 8> one_to_eight{
    std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
    std::byte{5}, std::byte{6}, std::byte{7}, std::byte{8},
};

TEST(big_endian, the_first_byte_weighs_most) {
    EXPECT_EQ(load_big_endian<std::uint8_t>(one_to_eight.data()), 0x01U);
    EXPECT_EQ(load_big_endian<std::uint16_t>(one_to_eight.data()), 0x0102U);
    EXPECT_EQ(load_big_endian<std::uint32_t>(one_to_eight.data()), 0x01020304U);
    EXPECT_EQ(load_big_endian<std::uint64_t>(one_to_eight.data()), 0x0102030405060708U);
}

TEST(big_endian, an_integer_is_stored_in_the_order_in_which_it_is_loaded) {
    std::array<std::byte, 8> stored{};
    store_big_endian<std::uint64_t>(stored.data(), 0x0102030405060708U);
    EXPECT_EQ(stored, one_to_eight);
}

template <class Integer>
void expect_round_trip(Integer value) {
    std::array<std::byte, sizeof(Integer)> stored{};
    store_big_endian(stored.data(), value);
    EXPECT_EQ(load_big_endian<Integer>(stored.data()), value);
}

TEST(big_endian, extremes_are_loaded_as_they_were_stored) {
    expect_round_trip<std::uint8_t>(0xff);
    expect_round_trip<std::uint16_t>(0x80ff);
    expect_round_trip<std::uint32_t>(0x80000001U);
    expect_round_trip<std::uint64_t>(0);
    expect_round_trip(std::numeric_limits<std::uint64_t>::max());
    expect_round_trip<std::uint64_t>(1ULL << 63U);
}

TEST(big_endian, only_the_bytes_of_the_integer_are_written) {
    std::array<std::byte, 4> stored{};
    stored.fill(std::byte{0xee});
    store_big_endian<std::uint16_t>(&stored[1], 0x0102U);
    EXPECT_EQ(stored, (std::array{std::byte{0xee}, std::byte{1}, std::byte{2}, std::byte{0xee}}));
}

TEST(big_endian, any_address_will_do) {
    EXPECT_EQ(load_big_endian<std::uint32_t>(&one_to_eight[1]), 0x02030405U);
    EXPECT_EQ(load_big_endian<std::uint32_t>(&one_to_eight[3]), 0x04050607U);
}

TEST(bytes, text_is_bytes_and_back_in_place) {
    const std::string_view text{"a\0b\xff", 4};
    const bytes_view bytes = as_bytes(text);
    ASSERT_EQ(bytes.size(), 4U);
    EXPECT_EQ(bytes[1], std::byte{0});
    EXPECT_EQ(bytes[3], std::byte{0xff});
    EXPECT_EQ(as_text(bytes), text);
    EXPECT_EQ(as_text(bytes).data(), text.data());
}

TEST(bytes, no_text_is_no_bytes) {
    EXPECT_TRUE(as_bytes({}).empty());
    EXPECT_EQ(as_text({}), "");
}

}  // namespace
}  // namespace tunnel_uring
