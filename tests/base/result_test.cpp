#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <tunnel_uring/result.hpp>

namespace tunnel_uring {
namespace {

result<int> half(int value) {
    if (value % 2 != 0) return error{EINVAL, "an odd number has no half"};
    return value / 2;
}

TEST(result, a_success_has_its_value) {
    const result<int> four = half(8);
    ASSERT_TRUE(four);
    EXPECT_TRUE(four.has_value());
    EXPECT_EQ(*four, 4);
}

TEST(result, a_failure_has_its_error) {
    const result<int> none = half(7);
    ASSERT_FALSE(none);
    EXPECT_FALSE(none.has_value());
    EXPECT_EQ(none.error().code(), EINVAL);
    EXPECT_EQ(none.error().sentence(), "an odd number has no half");
}

TEST(result, a_value_that_is_false_is_a_success) {
    EXPECT_TRUE(result<int>{0});
    EXPECT_TRUE(result<bool>{false});
    EXPECT_TRUE(result<std::unique_ptr<int>>{nullptr});
}

TEST(result, a_value_that_only_moves_is_moved_out) {
    result<std::unique_ptr<int>> box{std::make_unique<int>(3)};
    const std::unique_ptr<int> taken = *std::move(box);
    ASSERT_NE(taken, nullptr);
    EXPECT_EQ(*taken, 3);
}

TEST(result, a_value_is_changed_in_place) {
    result<std::string> text{std::string{"a"}};
    text->push_back('b');
    *text += 'c';
    EXPECT_EQ(*text, "abc");
}

TEST(result, one_without_a_value_is_a_success_at_first) {
    const result<void> fine;
    EXPECT_TRUE(fine);
    EXPECT_TRUE(fine.has_value());
}

TEST(result, one_without_a_value_may_fail) {
    const result<void> cancelled = error{ECANCELED};
    EXPECT_FALSE(cancelled);
    EXPECT_FALSE(cancelled.has_value());
    EXPECT_EQ(cancelled.error().code(), ECANCELED);
}

TEST(result, an_error_is_passed_on_to_a_result_of_another_type) {
    const result<int> none = half(1);
    const result<std::string> passed_on = none.error();
    EXPECT_EQ(passed_on.error().code(), EINVAL);
    EXPECT_EQ(passed_on.error().sentence(), none.error().sentence());
}

TEST(error, a_message_is_the_sentence_or_what_the_code_means) {
    EXPECT_EQ((error{EPERM, "ask for it"}.message()), "ask for it");
    EXPECT_EQ(error{EPERM}.message(), std::strerror(EPERM));
}

TEST(error, only_ecanceled_is_a_cancellation) {
    EXPECT_TRUE(error{ECANCELED}.cancelled());
    EXPECT_FALSE(error{ETIMEDOUT}.cancelled());
}

TEST(result_death, reading_the_value_of_a_failure_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    result<std::string> none{error{EPERM}};
    EXPECT_DEATH(static_cast<void>(*none), "");
    EXPECT_DEATH(static_cast<void>(none->size()), "");
    EXPECT_DEATH(static_cast<void>(*std::move(none)), "");
}

TEST(result_death, reading_the_error_of_a_success_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(static_cast<void>(result<int>{1}.error()), "");
    EXPECT_DEATH(static_cast<void>(result<void>{}.error()), "");
}

}  // namespace
}  // namespace tunnel_uring
