#include <gtest/gtest.h>

#include "sim/sim_kernel.hpp"
#include "tunnel/http_body.hpp"

namespace tunnel_uring {
namespace {

class body_pace_of : public testing::Test {
  protected:
    io_context io_{std::make_unique<sim::kernel>(sim::options{})};
};

TEST_F(body_pace_of, nothing_moved_yet_waits_for_ten_seconds) {
    const body_pace pace{io_, 256};
    EXPECT_EQ(pace.patience(), 10s);
}

TEST_F(body_pace_of, what_has_moved_earns_time) {
    body_pace pace{io_, 256};
    pace.moved(256 * 5);
    EXPECT_EQ(pace.patience(), 15s);
    EXPECT_EQ(pace.moved(), 256U * 5U);
}

TEST_F(body_pace_of, what_was_waited_is_used_up_and_some_patience_stays) {
    body_pace pace{io_, 100};
    pace.waited_since(io_.now() - 4s);
    EXPECT_EQ(pace.patience(), 6s);
    pace.moved(200);
    EXPECT_EQ(pace.patience(), 8s);
    pace.waited_since(io_.now() - 1h);
    EXPECT_EQ(pace.patience(), 1ms);
}

TEST_F(body_pace_of, a_rate_of_none_has_no_end) {
    body_pace pace{io_, 0};
    pace.waited_since(io_.now() - 1h);
    EXPECT_GE(pace.patience(), 24h * 300);
}

TEST_F(body_pace_of, more_than_any_body_has_does_not_turn_around) {
    body_pace pace{io_, 1};
    pace.moved(UINT64_MAX / 4);
    EXPECT_GT(pace.patience(), 24h * 300);
}

}  // namespace
}  // namespace tunnel_uring
