#include "tunnel/http_answers.hpp"

#include <gtest/gtest.h>

#include <map>

#include "wire/http1.hpp"
#include "wire/names.hpp"

namespace tunnel_uring {
namespace {

TEST(http_answers, have_a_status_for_every_reason_of_a_reset) {
    const std::map<reset_reason, int> statuses{
        {reset_reason::visitor_reset, 502},
        {reset_reason::upstream_reset, 502},
        {reset_reason::upstream_refused, 502},
        {reset_reason::upstream_timeout, 504},
        {reset_reason::upstream_unreachable, 502},
        {reset_reason::no_such_service, 502},
        {reset_reason::no_room, 503},
        {reset_reason::agent_away, 503},
        {reset_reason::lane_lost, 503},
        {reset_reason::protocol_error, 502},
        {reset_reason::shutting_down, 503},
        {reset_reason::upstream_garbage, 502},
    };
    for (const reset_reason reason : all_values<reset_reason>()) {
        const http_answer what = answer_to(reason, "web");
        ASSERT_TRUE(statuses.contains(reason)) << name_of(reason);
        EXPECT_EQ(what.status, statuses.at(reason)) << name_of(reason);
        EXPECT_EQ(what.sentence, describe(reason));
        EXPECT_EQ(what.retry_after != 0, what.status == 503) << name_of(reason);
    }
}

TEST(http_answers, have_a_status_for_a_reason_that_nobody_knows) {
    EXPECT_EQ(answer_to(static_cast<reset_reason>(999), "web").status, 502);
}

TEST(http_answers, name_the_service_in_what_can_be_done_about_it) {
    EXPECT_NE(answer_to(reset_reason::upstream_refused, "web").advice.find("web"),
              std::string::npos);
    EXPECT_NE(answer_to(reset_reason::upstream_timeout, "web").advice.find("web"),
              std::string::npos);
}

// What a strict reader makes of a composed answer.
struct understood {
    response_head head;
    std::string body;
    bool whole = false;
};

understood read(const std::string& message, bool to_head) {
    http_reader reader{http_reader::kind::response, {}};
    reader.expect(to_head, false);
    bytes_view input = as_bytes(message);
    std::vector<bytes_view> pieces;
    understood out;
    if (reader.read(input, pieces) != http_reader::event::head) return out;
    out.head = reader.response();
    out.whole = reader.read(input, pieces) == http_reader::event::complete && input.empty();
    for (const bytes_view piece : pieces) out.body += as_text(piece);
    return out;
}

TEST(http_answers, are_whole_messages_that_say_what_and_the_remedy) {
    const http_answer what{503, "the agent is away", "Try again.", 7};
    const understood got = read(compose(what, false, true), false);
    EXPECT_TRUE(got.whole);
    EXPECT_EQ(got.head.status, 503);
    EXPECT_TRUE(got.head.keep_alive);
    EXPECT_EQ(got.body, "the agent is away\nTry again.\n");
    EXPECT_NE(got.head.text.find("Retry-After: 7\r\n"), std::string::npos);
    EXPECT_NE(got.head.text.find("Cache-Control: no-store\r\n"), std::string::npos);
    EXPECT_NE(got.head.text.find("Date: "), std::string::npos);
}

TEST(http_answers, leave_out_what_they_have_not) {
    const understood got = read(compose({200, "ok", {}, 0}, false, true), false);
    EXPECT_EQ(got.body, "ok\n");
    EXPECT_EQ(got.head.text.find("Retry-After"), std::string::npos);
}

TEST(http_answers, to_head_declare_their_body_and_have_none) {
    const http_answer what{404, "no such name", {}, 0};
    const understood got = read(compose(what, true, true), true);
    EXPECT_TRUE(got.whole);
    EXPECT_EQ(got.body, "");
    EXPECT_EQ(got.head.declared, (http_body{body_framing::length, 13}));
}

TEST(http_answers, say_when_the_connection_ends_with_them) {
    const http_answer what{400, "no", {}, 0};
    EXPECT_FALSE(read(compose(what, false, false), false).head.keep_alive);
}

}  // namespace
}  // namespace tunnel_uring
