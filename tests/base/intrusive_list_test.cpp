#include "base/intrusive_list.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>
#include <vector>

namespace tunnel_uring {
namespace {

struct by_age;
struct item : list_link<item>, list_link<by_age> {
    explicit item(int value) : number{value} {}
    int number;
};
using items = intrusive_list<item>;
using link = list_link<item>;

template <class List>
std::vector<int> numbers(List& list) {
    std::vector<int> all;
    list.for_each([&all](const item& one) { all.push_back(one.number); });
    return all;
}

// The items go before the list, and unlink themselves: a list must be empty when it goes.
class intrusive : public testing::Test {
  protected:
    items list_;
    item one_{1};
    item two_{2};
    item three_{3};
};

TEST_F(intrusive, items_keep_their_order) {
    list_.push_back(two_);
    list_.push_back(three_);
    list_.push_front(one_);
    EXPECT_EQ(numbers(list_), (std::vector{1, 2, 3}));
    EXPECT_EQ(&list_.front(), &one_);
    EXPECT_EQ(&list_.back(), &three_);
}

TEST_F(intrusive, items_are_popped_at_both_ends) {
    for (item* each : {&one_, &two_, &three_}) list_.push_back(*each);
    EXPECT_EQ(&list_.pop_front(), &one_);
    EXPECT_EQ(&list_.pop_back(), &three_);
    EXPECT_EQ(numbers(list_), std::vector{2});
    EXPECT_FALSE(one_.link::linked());
    EXPECT_TRUE(two_.link::linked());
}

TEST_F(intrusive, a_list_is_empty_without_items_only) {
    EXPECT_TRUE(list_.empty());
    list_.push_back(one_);
    EXPECT_FALSE(list_.empty());
    list_.pop_back();
    EXPECT_TRUE(list_.empty());
}

TEST_F(intrusive, an_item_unlinks_from_the_middle) {
    for (item* each : {&one_, &two_, &three_}) list_.push_back(*each);
    two_.link::unlink();
    EXPECT_EQ(numbers(list_), (std::vector{1, 3}));
    EXPECT_FALSE(two_.link::linked());
}

TEST_F(intrusive, unlinking_what_is_on_no_list_does_nothing) {
    list_.push_back(one_);
    two_.link::unlink();
    one_.link::unlink();
    one_.link::unlink();
    EXPECT_TRUE(list_.empty());
}

TEST_F(intrusive, an_item_that_was_unlinked_may_come_back) {
    list_.push_back(one_);
    list_.push_back(two_);
    one_.link::unlink();
    list_.push_back(one_);
    EXPECT_EQ(numbers(list_), (std::vector{2, 1}));
}

TEST_F(intrusive, an_item_that_is_destroyed_is_on_no_list) {
    auto gone = std::make_unique<item>(9);
    list_.push_back(one_);
    list_.push_back(*gone);
    list_.push_back(two_);
    gone.reset();
    EXPECT_EQ(numbers(list_), (std::vector{1, 2}));
}

TEST_F(intrusive, a_visit_may_unlink_the_item_that_it_is_given) {
    for (item* each : {&one_, &two_, &three_}) list_.push_back(*each);
    std::vector<int> visited;
    list_.for_each([&visited](item& each) {
        visited.push_back(each.number);
        if (each.number != 2) each.link::unlink();
    });
    EXPECT_EQ(visited, (std::vector{1, 2, 3}));
    EXPECT_EQ(numbers(list_), std::vector{2});
}

TEST_F(intrusive, a_visit_may_move_the_item_that_it_is_given_to_another_list) {
    items other;
    list_.push_back(one_);
    list_.push_back(two_);
    list_.for_each([&other](item& each) {
        each.link::unlink();
        other.push_front(each);
    });
    EXPECT_TRUE(list_.empty());
    EXPECT_EQ(numbers(other), (std::vector{2, 1}));
    while (!other.empty()) other.pop_front();
}

TEST_F(intrusive, one_item_is_on_one_list_for_each_of_its_tags) {
    intrusive_list<item, by_age> by_age_list;
    list_.push_back(one_);
    list_.push_back(two_);
    by_age_list.push_back(two_);
    by_age_list.push_back(one_);
    list_.pop_front();
    EXPECT_EQ(numbers(list_), std::vector{2});
    EXPECT_EQ(numbers(by_age_list), (std::vector{2, 1}));
    while (!by_age_list.empty()) by_age_list.pop_front();
}

TEST_F(intrusive, a_linked_item_does_not_move) {
    EXPECT_FALSE(std::is_move_constructible_v<item>);
    EXPECT_FALSE(std::is_copy_assignable_v<item>);
}

void link_twice() {
    items list;
    items other;
    item one{1};
    list.push_back(one);
    other.push_back(one);
}

void pop_from_nothing() {
    items list;
    list.pop_front();
}

void destroy_list_with_item() {
    item one{1};
    items list;
    list.push_back(one);
}

TEST(intrusive_death, an_item_that_is_linked_twice_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(link_twice(), "!added.linked\\(\\) does not hold");
}

TEST(intrusive_death, popping_from_an_empty_list_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(pop_from_nothing(), "!empty\\(\\) does not hold");
}

TEST(intrusive_death, a_list_that_goes_before_its_items_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_list_with_item(), "empty\\(\\) does not hold");
}

}  // namespace
}  // namespace tunnel_uring
