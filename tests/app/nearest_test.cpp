#include "app/nearest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace tunnel_uring {
namespace {

TEST(edit_distance, counts_inserted_deleted_replaced_and_swapped_letters) {
    EXPECT_EQ(edit_distance("pool", "pool"), 0U);
    EXPECT_EQ(edit_distance("", "pool"), 4U);
    EXPECT_EQ(edit_distance("pol", "pool"), 1U);
    EXPECT_EQ(edit_distance("pooll", "pool"), 1U);
    EXPECT_EQ(edit_distance("pood", "pool"), 1U);
    EXPECT_EQ(edit_distance("opol", "pool"), 1U);
    EXPECT_EQ(edit_distance("max_pool_sice", "max_pool_size"), 1U);
}

TEST(nearest, is_what_was_probably_meant) {
    constexpr std::array<std::string_view, 3> words{"shared", "bulk_max", "heartbeat"};
    EXPECT_EQ(nearest("shraed", words), "shared");
    EXPECT_EQ(nearest("hearbeat", words), "heartbeat");
}

TEST(nearest, is_nothing_when_nothing_is_near) {
    constexpr std::array<std::string_view, 2> words{"shared", "bulk_max"};
    EXPECT_EQ(nearest("level", words), "");
    EXPECT_EQ(nearest(std::string(100'000, 'x'), words), "");
}

}  // namespace
}  // namespace tunnel_uring
