#include "coro/cancel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "coro/coro_fixture.hpp"
#include "coro/event.hpp"

namespace tunnel_uring {
namespace {

TEST(cancel, a_request_reaches_all_sources_below) {
    cancel_source parent;
    cancel_source child{parent.token()};
    cancel_source grandchild{child.token()};
    cancel_source sibling{parent.token()};
    parent.request();
    EXPECT_TRUE(child.requested());
    EXPECT_TRUE(grandchild.token().requested());
    EXPECT_TRUE(sibling.requested());
}

TEST(cancel, a_request_does_not_travel_up_or_sideways) {
    cancel_source parent;
    cancel_source child{parent.token()};
    cancel_source sibling{parent.token()};
    child.request();
    EXPECT_TRUE(child.requested());
    EXPECT_FALSE(parent.requested());
    EXPECT_FALSE(sibling.requested());
}

TEST(cancel, a_source_made_from_a_requested_token_is_requested) {
    cancel_source parent;
    parent.request();
    const cancel_source child{parent.token()};
    EXPECT_TRUE(child.requested());
}

TEST(cancel, the_empty_token_is_never_requested) {
    const cancel_token none;
    int heard = 0;
    const on_cancel hears{none, [&heard]() noexcept { heard += 1; }};
    const cancel_source child{none};
    EXPECT_FALSE(none.requested());
    EXPECT_FALSE(child.requested());
    EXPECT_EQ(heard, 0);
}

TEST(cancel, a_listener_hears_once_however_often_it_is_requested) {
    cancel_source source;
    int heard = 0;
    const on_cancel hears{source.token(), [&heard]() noexcept { heard += 1; }};
    source.request();
    source.request();
    EXPECT_EQ(heard, 1);
}

TEST(cancel, a_child_that_was_requested_before_its_parent_is_told_once) {
    cancel_source parent;
    cancel_source child{parent.token()};
    int heard = 0;
    const on_cancel hears{child.token(), [&heard]() noexcept { heard += 1; }};
    child.request();
    parent.request();
    EXPECT_EQ(heard, 1);
}

TEST(cancel, listeners_hear_in_the_order_in_which_they_came) {
    cancel_source source;
    std::vector<int> order;
    const on_cancel first{source.token(), [&order]() noexcept { order.push_back(1); }};
    const on_cancel second{source.token(), [&order]() noexcept { order.push_back(2); }};
    source.request();
    EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(cancel, the_token_is_requested_already_when_a_listener_hears) {
    cancel_source source;
    bool requested = false;
    const on_cancel hears{source.token(),
                          [&]() noexcept { requested = source.token().requested(); }};
    source.request();
    EXPECT_TRUE(requested);
}

// A listener that can go at any time.
class ear final : public cancel_listener {
  public:
    explicit ear(int& heard) : heard_{heard} {}
    void cancelled() noexcept override { heard_ += 1; }

  private:
    int& heard_;
};

TEST(cancel, a_listener_that_another_one_destroys_meanwhile_does_not_hear) {
    cancel_source source;
    int heard = 0;
    std::optional<ear> middle{std::in_place, heard};
    std::optional<ear> last{std::in_place, heard};
    const on_cancel first{source.token(), [&middle]() noexcept { middle.reset(); }};
    source.token().listen(*middle);
    source.token().listen(*last);
    source.request();
    EXPECT_EQ(heard, 1);
}

TEST(cancel, a_listener_that_comes_meanwhile_hears_at_once) {
    cancel_source source;
    int heard = 0;
    ear late{heard};
    int heard_meanwhile = 0;
    const on_cancel first{source.token(), [&]() noexcept {
                              source.token().listen(late);
                              heard_meanwhile = heard;
                          }};
    source.request();
    EXPECT_EQ(heard_meanwhile, 1);
    EXPECT_EQ(heard, 1);
}

TEST(cancel, a_source_below_may_go_before_the_one_above) {
    cancel_source parent;
    int heard = 0;
    auto child = std::make_unique<cancel_source>(parent.token());
    {
        const on_cancel hears{child->token(), [&heard]() noexcept { heard += 1; }};
    }
    child.reset();
    parent.request();
    EXPECT_EQ(heard, 0);
}

task<> wait_for_request(cancel_token token, bool& returned) {
    co_await cancelled(token);
    returned = true;
}

TEST_F(coro, cancelled_returns_when_the_token_is_requested_and_not_before) {
    const run_queue::entered here{queue_};
    cancel_source source;
    bool returned = false;
    nursery root;
    root.start(wait_for_request(source.token(), returned));
    EXPECT_TRUE(queue_.empty());
    source.request();
    EXPECT_FALSE(returned);  // A request resumes nobody inline.
    while (!queue_.empty()) queue_.run_batch();
    EXPECT_TRUE(returned);
}

TEST_F(coro, cancelled_returns_at_once_when_the_token_was_requested_before) {
    const run_queue::entered here{queue_};
    cancel_source source;
    source.request();
    bool returned = false;
    nursery root;
    root.start(wait_for_request(source.token(), returned));
    EXPECT_TRUE(returned);
}

void destroy_source_with_listener() {
    int heard = 0;
    ear orphan{heard};
    const auto source = std::make_unique<cancel_source>();
    source->token().listen(orphan);
}

TEST(coro_death, a_source_that_goes_before_its_listener_ends_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(destroy_source_with_listener(), "does not hold at .*intrusive_list.hpp");
}

}  // namespace
}  // namespace tunnel_uring
