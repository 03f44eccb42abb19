// What the tables of docs/protocol.md do not show: numbers, and what depends on more than the state
// (direction_document_test.cpp plays the tables).
#include "wire/direction.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace tunnel_uring {
namespace {

constexpr std::uint64_t window = 64;
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();

// Its run is over and its credit is not granted: `count` bytes came and were taken.
receive_direction released_after(std::uint64_t count) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_claim(0));
    EXPECT_FALSE(receiver.on_release(count));
    EXPECT_FALSE(receiver.on_run_bytes(count));
    receiver.took(count);
    receiver.run_closed();
    return receiver;
}

// ── the sender ──

TEST(send_direction, may_frame_what_its_limit_leaves) {
    send_direction sender{window};
    EXPECT_EQ(sender.available(), window);
    sender.sent(40);
    EXPECT_EQ(sender.available(), 24U);
    sender.sent(24);
    EXPECT_EQ(sender.available(), 0U);
    EXPECT_EQ(sender.offset(), window);
}

TEST(send_direction, may_frame_more_when_credit_comes) {
    send_direction sender{window};
    sender.sent(window);
    EXPECT_FALSE(sender.on_credit(window + 10, false));
    EXPECT_EQ(sender.available(), 10U);
}

TEST(send_direction, may_have_the_highest_limit_there_is) {
    send_direction sender{0};
    EXPECT_FALSE(sender.on_credit(highest, false));
    EXPECT_EQ(sender.available(), highest);
}

TEST(send_direction, passes_its_limit_in_a_run) {
    send_direction sender{window};
    sender.sent(10);
    sender.claim();
    EXPECT_EQ(sender.claimed_at(), 10U);
    sender.sent(1000);
    EXPECT_EQ(sender.offset(), 1010U);
    EXPECT_EQ(sender.available(), 0U);
}

TEST(send_direction, frames_nothing_and_claims_nothing_until_its_release_is_answered) {
    send_direction sender{window};
    sender.claim();
    sender.release();
    EXPECT_FALSE(sender.on_credit(window + 1, false));
    EXPECT_EQ(sender.available(), 0U);
    EXPECT_FALSE(sender.may_claim());
    EXPECT_FALSE(sender.on_credit(window + 1, true));
    EXPECT_EQ(sender.available(), window + 1);
    EXPECT_TRUE(sender.may_claim());
}

TEST(send_direction, may_frame_nothing_after_a_run_that_passed_the_limit) {
    send_direction sender{window};
    sender.claim();
    sender.sent(1000);
    sender.release();
    EXPECT_FALSE(sender.on_credit(window, true));
    EXPECT_EQ(sender.available(), 0U);
}

TEST(send_direction, hears_once_that_its_release_is_answered) {
    send_direction sender{window};
    sender.claim();
    sender.release();
    EXPECT_FALSE(sender.on_credit(window, true));
    EXPECT_EQ(sender.on_credit(window, true), protocol_error::resume_without_release);
}

TEST(send_direction, keeps_its_limit_when_credit_is_refused) {
    send_direction sender{window};
    EXPECT_EQ(sender.on_credit(window - 1, false), protocol_error::credit_goes_back);
    EXPECT_EQ(sender.on_credit(window + 100, true), protocol_error::resume_without_release);
    EXPECT_EQ(sender.available(), window);
}

TEST(send_direction, may_be_told_to_resume_after_an_end_that_crossed_it) {
    send_direction sender{window};
    sender.claim();
    sender.release();
    sender.end();
    EXPECT_FALSE(sender.on_credit(window, true));
}

TEST(send_direction, is_complete_when_it_ends_and_nobody_stopped_it) {
    send_direction sender{window};
    EXPECT_FALSE(sender.complete());
    sender.end();
    EXPECT_TRUE(sender.complete());
}

TEST(send_direction, is_not_complete_when_it_was_stopped) {
    send_direction sender{window};
    EXPECT_FALSE(sender.on_stop());
    EXPECT_TRUE(sender.stopped());
    sender.end();
    EXPECT_FALSE(sender.complete());
}

TEST(send_direction, stays_complete_when_a_stop_crosses_its_end) {
    send_direction sender{window};
    sender.end();
    EXPECT_FALSE(sender.on_stop());
    EXPECT_FALSE(sender.stopped());
    EXPECT_TRUE(sender.complete());
}

TEST(send_direction, knows_a_second_stop_even_after_its_end) {
    send_direction sender{window};
    EXPECT_FALSE(sender.on_stop());
    sender.end();
    EXPECT_EQ(sender.on_stop(), protocol_error::stop_twice);
}

// ── the receiver ──

TEST(receive_direction, takes_data_to_the_last_byte_of_its_limit) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(window));
    EXPECT_EQ(receiver.held(), window);
    EXPECT_EQ(receiver.on_data(1), protocol_error::data_beyond_credit);
}

TEST(receive_direction, is_not_fooled_by_a_length_that_would_wrap_around) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(10));
    EXPECT_EQ(receiver.on_data(highest - 5), protocol_error::data_beyond_credit);
}

TEST(receive_direction, counts_no_byte_of_data_that_it_refuses) {
    receive_direction receiver{window};
    EXPECT_TRUE(receiver.on_data(window + 1));
    EXPECT_EQ(receiver.held(), 0U);
}

TEST(receive_direction, grants_when_half_a_window_has_been_taken) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(window));
    receiver.took(window / 2 - 1);
    EXPECT_FALSE(receiver.grant_due(window));
    receiver.took(1);
    EXPECT_TRUE(receiver.grant_due(window));
    EXPECT_EQ(receiver.grant(window), window + window / 2);
    EXPECT_FALSE(receiver.grant_due(window));
}

TEST(receive_direction, grants_at_once_what_a_larger_window_adds) {
    const receive_direction receiver{window};
    EXPECT_TRUE(receiver.grant_due(4 * window));
}

TEST(receive_direction, never_takes_back_what_it_granted) {
    receive_direction receiver{4 * window};
    EXPECT_EQ(receiver.grant(window), 4 * window);
    EXPECT_FALSE(receiver.on_data(4 * window));
}

TEST(receive_direction, grants_nothing_in_a_run) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_claim(0));
    EXPECT_FALSE(receiver.on_run_bytes(1000));
    receiver.took(1000);
    EXPECT_FALSE(receiver.grant_due(window));
}

TEST(receive_direction, grants_nothing_after_an_end) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(window));
    receiver.took(window);
    EXPECT_FALSE(receiver.on_end(window, false));
    EXPECT_FALSE(receiver.grant_due(window));
}

TEST(receive_direction, grants_nothing_after_a_stop) {
    receive_direction receiver = released_after(8);
    EXPECT_TRUE(receiver.grant_due(window));
    receiver.stop();
    EXPECT_FALSE(receiver.grant_due(window));
}

TEST(receive_direction, owes_credit_for_a_release_however_little_the_run_carried) {
    receive_direction receiver = released_after(0);
    EXPECT_TRUE(receiver.grant_due(window));
    EXPECT_TRUE(receiver.resumes());
    receiver.grant(window);
    EXPECT_FALSE(receiver.resumes());
    EXPECT_FALSE(receiver.grant_due(window));
}

TEST(receive_direction, refuses_a_claim_before_it_has_answered_the_release) {
    receive_direction receiver = released_after(8);
    EXPECT_EQ(receiver.on_claim(8), protocol_error::claim_in_run);
    receiver = released_after(8);
    receiver.grant(window);
    EXPECT_FALSE(receiver.on_claim(8));
}

TEST(receive_direction, refuses_data_after_a_release_though_credit_is_left) {
    receive_direction receiver = released_after(8);
    EXPECT_EQ(receiver.on_data(1), protocol_error::data_beyond_credit);
}

TEST(receive_direction, does_not_answer_a_release_with_credit_that_it_grants_before) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_claim(0));
    EXPECT_FALSE(receiver.on_release(8));
    EXPECT_FALSE(receiver.resumes());
    receiver.grant(window);
    EXPECT_FALSE(receiver.on_run_bytes(8));
    receiver.took(8);
    receiver.run_closed();
    EXPECT_TRUE(receiver.resumes());
}

TEST(receive_direction, is_done_with_a_run_when_its_last_byte_has_been_taken) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_claim(0));
    EXPECT_FALSE(receiver.on_run_bytes(8));
    receiver.took(8);
    EXPECT_FALSE(receiver.run_over());
    EXPECT_FALSE(receiver.on_release(9));
    EXPECT_FALSE(receiver.run_over());
    EXPECT_FALSE(receiver.on_run_bytes(1));
    EXPECT_FALSE(receiver.run_over());
    receiver.took(1);
    EXPECT_TRUE(receiver.run_over());
}

TEST(receive_direction, is_finished_when_the_last_byte_before_its_end_has_been_taken) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(8));
    receiver.took(7);
    EXPECT_FALSE(receiver.on_end(8, false));
    EXPECT_FALSE(receiver.finished());
    receiver.took(1);
    EXPECT_TRUE(receiver.finished());
    EXPECT_TRUE(receiver.complete());
}

TEST(receive_direction, is_not_complete_when_its_end_was_cut) {
    receive_direction receiver{window};
    receiver.stop();
    EXPECT_FALSE(receiver.on_end(0, true));
    EXPECT_TRUE(receiver.finished());
    EXPECT_FALSE(receiver.complete());
}

TEST(receive_direction, is_not_complete_when_it_stopped_though_the_end_is_whole) {
    receive_direction receiver{window};
    receiver.stop();
    EXPECT_FALSE(receiver.on_end(0, false));
    EXPECT_TRUE(receiver.finished());
    EXPECT_FALSE(receiver.complete());
}

TEST(receive_direction, keeps_no_mark_of_an_end_that_it_refuses) {
    receive_direction receiver{window};
    EXPECT_FALSE(receiver.on_data(8));
    EXPECT_EQ(receiver.on_end(9, false), protocol_error::end_total_mismatch);
    EXPECT_FALSE(receiver.marked());
}

}  // namespace
}  // namespace tunnel_uring
