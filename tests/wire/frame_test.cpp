#include "wire/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "wire/names.hpp"
#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

using bytes = std::vector<std::byte>;

struct decoded {
    std::vector<std::string> frames;  // In words, without text and data; and where a text is whole.
    bytes payload;
    std::optional<protocol_error> failure;
    bool operator==(const decoded&) const = default;
};

bool is_text(frame_type type) { return type == frame_type::head || type == frame_type::trailers; }

std::uint32_t id_of(frame_type type, std::uint32_t id) {
    const bool of_lane =
        type == frame_type::retire || type == frame_type::ping || type == frame_type::pong;
    return of_lane ? 0 : id;
}

// Data and text come in as many pieces as their input, so the pieces are joined.
void feed(frame_decoder& decoder, bytes_view input, decoded& into) {
    while (const auto event = decoder.next(input)) {
        into.payload.insert(into.payload.end(), event->payload.begin(), event->payload.end());
        frame_event words = *event;
        words.payload = {};
        words.last = true;
        if (words.type != frame_type::data && !is_text(words.type))
            into.frames.push_back(text_of(words));
        if (event->last) into.frames.emplace_back("text ends");
    }
    into.failure = decoder.failure();
}

decoded decode(bytes_view input) {
    decoded all;
    frame_decoder decoder;
    feed(decoder, input, all);
    return all;
}

bytes one_header(std::uint32_t length, std::uint32_t id, unsigned type, unsigned flags = 0) {
    bytes out(frame_header_bytes);
    store_big_endian(out.data(), length);
    store_big_endian(out.data() + 4, id);
    out[8] = static_cast<std::byte>(type);
    out[9] = static_cast<std::byte>(flags);
    return out;
}

bytes data_frame(std::uint32_t id, std::size_t size) {
    const bytes payload(size, std::byte{0x61});
    frame_event event;
    event.type = frame_type::data;
    event.id = id;
    event.payload = payload;
    return encode(event);
}

// A frame of each type, one after another; every number is another. The last is an `open` of http.
bytes one_of_each() {
    bytes all;
    std::uint64_t number = 0x1020304050607080;
    std::vector<frame_type> types = all_values<frame_type>();
    types.push_back(frame_type::open);
    for (const frame_type type : types) {
        const bytes payload{std::byte{1}, std::byte{2}, std::byte{3}};
        frame_event event;
        event.type = type;
        event.id = id_of(type, 0x01020304);
        event.last = true;
        event.offset = number++;
        event.lane = 0x0a0b0c0d;
        event.cut = event.resume = true;
        event.reason = reset_reason::shutting_down;
        event.open.service = 0x11121314;
        event.open.credit = number++;
        event.open.visitor = endpoint("[2001:db8::1]:1");
        event.open.reached = endpoint("192.0.2.1:65535");
        const bool http = type == frame_type::open && !all.empty();
        if (http) event.open.kind = exchange_kind::http;
        event.open.request = {{body_framing::length, number++}, {0x3132, 0x3334}, true, false};
        if (type == frame_type::data || is_text(type) || http) event.payload = payload;
        const bytes frame = encode(event);
        all.insert(all.end(), frame.begin(), frame.end());
    }
    return all;
}

// ── pieces ──

TEST(frame_decoder, says_the_same_wherever_its_input_is_cut_in_two) {
    const bytes input = one_of_each();
    const decoded whole = decode(input);
    // Not data; and the `open` of http with its text.
    ASSERT_EQ(whole.frames.size(), all_values<frame_type>().size() - 1 + 2);
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
        decoded pieces;
        frame_decoder decoder;
        feed(decoder, bytes_view{input}.first(cut), pieces);
        feed(decoder, bytes_view{input}.subspan(cut), pieces);
        EXPECT_EQ(pieces, whole) << "cut at " << cut;
    }
}

TEST(frame_decoder, says_the_same_when_bytes_come_one_by_one) {
    const bytes input = one_of_each();
    decoded pieces;
    frame_decoder decoder;
    for (const std::byte& byte : input) feed(decoder, {&byte, 1}, pieces);
    EXPECT_EQ(pieces, decode(input));
}

TEST(frame_decoder, says_nothing_of_a_frame_before_its_last_byte) {
    frame_event event;
    event.type = frame_type::open;
    event.id = 1;
    const bytes frame = encode(event);
    EXPECT_TRUE(decode(bytes_view{frame}.first(frame.size() - 1)).frames.empty());
    EXPECT_EQ(decode(frame).frames.size(), 1U);
}

TEST(frame_decoder, hands_out_payload_as_views_into_its_input) {
    const bytes frame = data_frame(1, 100);
    frame_decoder decoder;
    bytes_view input = bytes_view{frame}.first(50);
    const auto event = decoder.next(input);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->payload.data(), frame.data() + frame_header_bytes);
    EXPECT_EQ(event->payload.size(), 50 - frame_header_bytes);
    EXPECT_TRUE(input.empty());
}

TEST(frame_decoder, ends_a_payload_where_the_next_frame_begins) {
    bytes input = data_frame(1, 3);
    const bytes next = data_frame(2, 5);
    input.insert(input.end(), next.begin(), next.end());
    frame_decoder decoder;
    bytes_view left = input;
    const auto first = decoder.next(left);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->payload.size(), 3U);
    EXPECT_EQ(left.size(), next.size());
    const auto second = decoder.next(left);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->id, 2U);
    EXPECT_EQ(second->payload.size(), 5U);
}

TEST(frame_decoder, passes_over_data_without_payload) {
    bytes input = data_frame(1, 0);
    const bytes next = data_frame(2, 1);
    input.insert(input.end(), next.begin(), next.end());
    frame_decoder decoder;
    bytes_view left = input;
    const auto event = decoder.next(left);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->id, 2U);
}

TEST(frame_decoder, does_not_carry_flags_from_one_frame_into_the_next) {
    control_frame frame{};
    bytes input;
    for (const bool flag : {true, false}) {
        const std::size_t length = encode_end(frame, 1, 9, flag);
        input.insert(input.end(), frame.begin(),
                     frame.begin() + static_cast<std::ptrdiff_t>(length));
    }
    const std::vector<std::string> expected{"frame end id=1 total=9 cut", "frame end id=1 total=9"};
    EXPECT_EQ(decode(input).frames, expected);
}

frame_event http_open(bytes_view text, bool last) {
    frame_event event;
    event.type = frame_type::open;
    event.id = 1;
    event.open.kind = exchange_kind::http;
    event.payload = text;
    event.last = last;
    return event;
}

TEST(frame_decoder, tells_what_an_open_says_with_the_first_piece_of_its_text) {
    const bytes text(100, std::byte{0x61});
    const bytes frame = encode(http_open(text, true));
    frame_decoder decoder;
    bytes_view first = bytes_view{frame}.first(control_frame_limit + 40);
    const auto begun = decoder.next(first);
    ASSERT_TRUE(begun);
    EXPECT_EQ(begun->type, frame_type::open);
    EXPECT_EQ(begun->open.kind, exchange_kind::http);
    EXPECT_EQ(begun->payload.size(), 40U);
    EXPECT_FALSE(begun->last);
    bytes_view second = bytes_view{frame}.subspan(control_frame_limit + 40);
    const auto ended = decoder.next(second);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->type, frame_type::head);
    EXPECT_EQ(ended->payload.size(), 60U);
    EXPECT_TRUE(ended->last);
}

TEST(frame_decoder, says_that_a_text_is_whole_only_at_the_end_of_a_frame_without_more) {
    const bytes text(10, std::byte{0x61});
    frame_decoder decoder;
    for (const bool last : {false, true}) {
        const bytes frame = encode(http_open(text, last));
        bytes_view all = frame;
        const auto event = decoder.next(all);
        ASSERT_TRUE(event);
        EXPECT_EQ(event->last, last);
    }
}

TEST(frame_decoder, never_calls_data_whole) {
    const bytes frame = data_frame(1, 5);
    frame_decoder decoder;
    bytes_view input = frame;
    const auto event = decoder.next(input);
    ASSERT_TRUE(event);
    EXPECT_FALSE(event->last);
}

// ── limits ──

TEST(frame_decoder, takes_the_longest_payload_there_is) {
    EXPECT_EQ(decode(data_frame(1, max_payload)).payload.size(), max_payload);
}

TEST(frame_decoder, refuses_a_payload_that_is_a_byte_longer) {
    const decoded got = decode(data_frame(1, max_payload + 1));
    EXPECT_EQ(got.failure, protocol_error::frame_too_long);
    EXPECT_TRUE(got.payload.empty());
}

TEST(frame_decoder, takes_the_highest_id_of_an_exchange) {
    control_frame frame{};
    const std::size_t length = encode_stop(frame, last_exchange_id);
    const decoded got = decode(bytes_view{frame}.first(length));
    EXPECT_EQ(got.frames, std::vector<std::string>{"frame stop id=4294967294"});
}

TEST(frame_decoder, has_room_for_all_of_a_frame_that_is_not_data_or_text) {
    std::size_t longest = 0;
    for (const frame_type type : all_values<frame_type>()) {
        frame_event event;
        event.type = type;
        event.open.kind = exchange_kind::http;
        longest = std::max(longest, encode(event).size());
    }
    EXPECT_EQ(longest, control_frame_limit);
}

// ── what is wrong ──

TEST(frame_decoder, refuses_every_type_that_there_is_not) {
    for (unsigned type = 0; type < 256; ++type) {
        const bool is_known = !name_of(static_cast<frame_type>(type)).empty();
        const decoded got = decode(one_header(0, 1, type));
        EXPECT_EQ(got.failure == protocol_error::unknown_frame_type, !is_known) << type;
    }
}

TEST(frame_decoder, refuses_every_flag_that_its_type_has_not) {
    for (const frame_type type : all_values<frame_type>()) {
        const bool has_one = type == frame_type::end || type == frame_type::credit || is_text(type);
        const bytes text{std::byte{1}};
        frame_event event;
        event.type = type;
        event.id = id_of(type, 1);
        if (is_text(type)) event.payload = text;
        for (unsigned bit = 0; bit < 8; ++bit) {
            bytes frame = encode(event);
            frame[9] = static_cast<std::byte>(1U << bit);
            const bool is_refused = decode(frame).failure == protocol_error::reserved_bits_set;
            EXPECT_EQ(is_refused, !(has_one && bit == 0)) << name_of(type) << ", bit " << bit;
        }
    }
}

TEST(frame_decoder, refuses_every_bit_of_what_is_zero) {
    for (unsigned bit = 0; bit < 16; ++bit) {
        bytes frame = one_header(0, 0, static_cast<unsigned>(frame_type::ping));
        store_big_endian(frame.data() + 10, static_cast<std::uint16_t>(1U << bit));
        EXPECT_EQ(decode(frame).failure, protocol_error::reserved_bits_set) << bit;
    }
}

TEST(frame_decoder, says_nothing_more_once_it_has_failed) {
    frame_decoder decoder;
    const bytes wrong = one_header(0, 1, 0);
    bytes_view input = wrong;
    EXPECT_FALSE(decoder.next(input));
    const bytes right = data_frame(1, 5);
    input = right;
    EXPECT_FALSE(decoder.next(input));
    EXPECT_EQ(decoder.failure(), protocol_error::unknown_frame_type);
}

TEST(frame_decoder, delivers_what_came_before_an_error) {
    bytes input = data_frame(1, 5);
    const bytes wrong = one_header(0, 1, 0);
    input.insert(input.end(), wrong.begin(), wrong.end());
    const decoded got = decode(input);
    EXPECT_EQ(got.payload.size(), 5U);
    EXPECT_EQ(got.failure, protocol_error::unknown_frame_type);
}

TEST(frame_decoder, takes_a_reset_for_a_reason_that_it_does_not_know) {
    bytes frame = one_header(2, 1, static_cast<unsigned>(frame_type::reset));
    frame.insert(frame.end(), {std::byte{0x7f}, std::byte{0xff}});
    frame_decoder decoder;
    bytes_view input = frame;
    const auto event = decoder.next(input);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->type, frame_type::reset);
    EXPECT_EQ(describe(event->reason), "an unknown reason");
}

}  // namespace
}  // namespace tunnel_uring
