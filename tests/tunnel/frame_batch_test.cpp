#include "tunnel/frame_batch.hpp"

#include <gtest/gtest.h>

namespace tunnel_uring {
namespace {

// All that would leave.
std::vector<std::byte> bytes_of(frame_batch& batch) {
    std::vector<std::byte> out;
    for (const iovec& vector : batch.vectors()) {
        const auto* const begin = static_cast<const std::byte*>(vector.iov_base);
        out.insert(out.end(), begin, begin + vector.iov_len);
    }
    return out;
}

struct seen_frame {
    frame_type type{};
    std::string text;
    bool last = false;
    bool operator==(const seen_frame&) const = default;
};

std::vector<seen_frame> frames_of(frame_batch& batch) {
    const std::vector<std::byte> bytes = bytes_of(batch);
    bytes_view left = bytes;
    std::vector<seen_frame> out;
    frame_decoder decoder;
    while (const auto event = decoder.next(left))
        out.push_back({event->type, std::string{as_text(event->payload)}, event->last});
    EXPECT_FALSE(decoder.failure());
    return out;
}

open_frame http_open() {
    open_frame what;
    what.kind = exchange_kind::http;
    return what;
}

TEST(frame_batch, keeps_the_texts_that_it_is_given) {
    frame_batch batch;
    batch.add_open(1, http_open(), "GET /\r\n", false);
    batch.add_text(1, frame_type::head, std::string(100, 'h'), true);
    batch.add_text(1, frame_type::data, "d", false);
    batch.add_text(1, frame_type::trailers, "A: b\r\n", false);
    const std::vector<seen_frame> expected{{frame_type::open, "GET /\r\n", true},
                                           {frame_type::head, std::string(100, 'h'), false},
                                           {frame_type::data, "d", false},
                                           {frame_type::trailers, "A: b\r\n", true}};
    EXPECT_EQ(frames_of(batch), expected);
    EXPECT_EQ(batch.frames(), 4U);
}

TEST(frame_batch, moves_no_text_while_others_are_added) {
    frame_batch batch;
    batch.add_text(1, frame_type::head, "first", false);
    const void* const where = batch.vectors()[1].iov_base;
    while (!batch.full()) batch.add_text(2, frame_type::head, "another", false);
    EXPECT_EQ(batch.vectors()[1].iov_base, where);
    EXPECT_EQ(frames_of(batch).front().text, "first");
}

TEST(frame_batch, counts_text_towards_its_limit) {
    frame_batch batch;
    std::size_t count = 0;
    for (; !batch.full(); ++count)
        batch.add_text(1, frame_type::head, std::string(max_payload, 'x'), true);
    EXPECT_EQ(count, frame_batch::bytes_limit / max_payload);
}

TEST(frame_batch, has_vectors_for_a_send_even_when_it_is_full) {
    frame_batch batch;
    while (!batch.full()) batch.add_text(1, frame_type::data, "x", false);
    for (int i = 0; i < 5; ++i) batch.add_stop(1);
    EXPECT_LE(batch.vectors().size(), 1024U);  // UIO_MAXIOV
}

TEST(frame_batch, goes_on_within_a_text_after_a_short_send) {
    frame_batch batch;
    batch.add_text(1, frame_type::head, "abc", false);
    batch.consume(frame_header_bytes + 1);
    EXPECT_EQ(as_text(bytes_of(batch)), "bc");
    batch.consume(2);
    EXPECT_TRUE(batch.vectors().empty());
    EXPECT_FALSE(batch.empty());
    batch.clear();
    EXPECT_TRUE(batch.empty());
}

TEST(frame_batch, of_tcp_opens_nothing_with_text) {
    frame_batch batch;
    batch.add_open(1, open_frame{}, {}, false);
    EXPECT_EQ(batch.vectors().size(), 1U);
    EXPECT_EQ(frames_of(batch).front(), (seen_frame{frame_type::open, "", false}));
}

}  // namespace
}  // namespace tunnel_uring
