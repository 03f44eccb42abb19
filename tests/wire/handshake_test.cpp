#include "wire/handshake.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/names.hpp"
#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

using bytes = std::vector<std::byte>;

lane_secret a_secret() {
    lane_secret secret{};
    secret.fill(std::byte{0x5a});
    return secret;
}

// A message of each kind with something in every field.
std::vector<control_message> filled_messages() {
    hello_message hello;
    hello.features = 0x01020304;
    hello.instance.fill(std::byte{1});
    hello.max_exchanges = 0x05060708;
    hello.key.fill(std::byte{2});
    hello.nonce.fill(std::byte{3});
    hello.name = "a name, ünïcode";
    challenge_message challenge{.features = 0x090a0b0c, .nonce = {}};
    challenge.nonce.fill(std::byte{4});
    proof_message proof;
    proof.signature.fill(std::byte{5});
    return {hello,
            challenge,
            proof,
            welcome_message{.session = 0x0102030405060708, .secret = a_secret()},
            refused_message{.code = refusal::draining, .sentence = "a sentence"},
            register_message{.service = 0x01020304, .port = 65535, .name = "web"},
            registered_message{.service = 0x01020304, .port = 15080, .host = "192.0.2.1"},
            register_refused_message{
                .service = 9, .code = refusal::cannot_listen, .sentence = "a sentence"},
            bulk_demand_message{.sequence = 0x01020304, .target = 0x05060708},
            drain_message{},
            register_names_message{.service = 0x01020304,
                                   .forwarded = true,
                                   .name = "web",
                                   .names = {".app", "*.example.com"}},
            names_registered_message{.service = 0x01020304,
                                     .urls = {"http://app.localhost:8080", "https://example.com"}}};
}

std::string refusal_of(const bytes& message) {
    const auto decoded = decode_control(message);
    EXPECT_FALSE(decoded);
    if (decoded) return {};
    EXPECT_EQ(decoded.error().code(), EPROTO);
    return decoded.error().sentence();
}

// ── preamble ──

TEST(preamble, says_its_kind) {
    for (const connection_kind kind : all_values<connection_kind>()) {
        const auto decoded = decode_preamble(encode_preamble(kind));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(*decoded, kind);
    }
}

TEST(preamble, of_every_other_version_is_refused_with_both_versions) {
    for (unsigned version = 0; version < 256; ++version) {
        preamble start = encode_preamble(connection_kind::control);
        start[4] = static_cast<std::byte>(version);
        const auto decoded = decode_preamble(start);
        EXPECT_EQ(decoded.has_value(), version == protocol_version) << version;
        if (decoded) continue;
        EXPECT_EQ(decoded.error().sentence(),
                  "it speaks version " + std::to_string(version) +
                      " of the protocol and we version 1: update the older end");
    }
}

TEST(preamble, is_refused_with_any_other_bit) {
    for (const connection_kind kind : all_values<connection_kind>()) {
        for (std::size_t bit = 0; bit < 8 * preamble_bytes; ++bit) {
            preamble start = encode_preamble(kind);
            start[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
            const auto decoded = decode_preamble(start);
            // One bit lies between some kinds.
            EXPECT_TRUE(!decoded || (bit / 8 == 5 && *decoded != kind)) << bit;
        }
    }
}

// ── lane hello ──

TEST(lane_hello, is_proven_by_its_secret_and_says_what_was_said) {
    const std::vector<lane_hello> hellos{
        {connection_kind::shared_lane, 0x0102030405060708, 0x090a0b0c, bulk_direction::none},
        {connection_kind::bulk_lane, ~0ULL, ~0U, bulk_direction::agent_sends},
        {connection_kind::bulk_lane, 0, 0, bulk_direction::relay_sends}};
    for (const lane_hello& one : hellos) {
        const lane_hello_block block = encode_lane_hello(one, a_secret());
        EXPECT_TRUE(proven(block, one.kind, a_secret())) << text_of(one);
        EXPECT_EQ(text_of(decode_lane_hello(one.kind, block)), text_of(one));
    }
}

TEST(lane_hello, proves_nothing_with_any_bit_changed) {
    const lane_hello_block right = encode_lane_hello({.session = 1, .number = 2}, a_secret());
    for (std::size_t bit = 0; bit < 8 * lane_hello_bytes; ++bit) {
        lane_hello_block wrong = right;
        wrong[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        EXPECT_FALSE(proven(wrong, connection_kind::shared_lane, a_secret())) << bit;
    }
}

TEST(lane_hello, proves_nothing_with_any_bit_of_the_secret_changed) {
    const lane_hello_block block = encode_lane_hello({.session = 1, .number = 2}, a_secret());
    for (std::size_t bit = 0; bit < 8 * sizeof(lane_secret); ++bit) {
        lane_secret other = a_secret();
        other[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        EXPECT_FALSE(proven(block, connection_kind::shared_lane, other)) << bit;
    }
}

TEST(lane_hello, proves_nothing_for_another_kind_of_connection) {
    const lane_hello shared{.session = 1, .number = 2};
    const lane_hello bulk{.kind = connection_kind::bulk_lane,
                          .session = 1,
                          .number = 2,
                          .direction = bulk_direction::agent_sends};
    EXPECT_FALSE(
        proven(encode_lane_hello(shared, a_secret()), connection_kind::bulk_lane, a_secret()));
    EXPECT_FALSE(
        proven(encode_lane_hello(bulk, a_secret()), connection_kind::shared_lane, a_secret()));
}

TEST(lane_hello, is_not_believed_with_a_direction_that_its_kind_cannot_have) {
    for (const auto kind : {connection_kind::shared_lane, connection_kind::bulk_lane}) {
        for (unsigned direction = 0; direction < 256; ++direction) {
            const lane_hello hello{.kind = kind,
                                   .session = 1,
                                   .number = 2,
                                   .direction = static_cast<bulk_direction>(direction)};
            const bool fits = kind == connection_kind::bulk_lane ? direction == 1 || direction == 2
                                                                 : direction == 0;
            EXPECT_EQ(proven(encode_lane_hello(hello, a_secret()), kind, a_secret()), fits)
                << name_of(kind) << ", direction " << direction;
        }
    }
}

// ── control messages ──

TEST(control_message, says_what_was_said) {
    ASSERT_EQ(filled_messages().size(), all_control_messages().size());
    for (const control_message& one : filled_messages()) {
        const auto decoded = decode_control(encode(one));
        ASSERT_TRUE(decoded) << name_of(one);
        EXPECT_EQ(text_of(*decoded), text_of(one));
    }
}

TEST(control_message, may_be_empty_in_every_text) {
    for (const control_message& one : all_control_messages()) {
        const auto decoded = decode_control(encode(one));
        ASSERT_TRUE(decoded) << name_of(one);
        EXPECT_EQ(text_of(*decoded), text_of(one));
    }
}

TEST(control_message, tells_the_length_of_its_body) {
    for (const control_message& one : filled_messages()) {
        const bytes message = encode(one);
        EXPECT_EQ(control_length(message), message.size() - control_header_bytes) << name_of(one);
    }
}

TEST(control_message, is_written_behind_what_is_there) {
    bytes out{std::byte{0xff}};
    encode(drain_message{}, out);
    EXPECT_EQ(hex(out), "ff" + hex(encode(drain_message{})));
}

TEST(control_message, is_malformed_wherever_it_is_cut_short) {
    for (const control_message& one : filled_messages()) {
        const bytes whole = encode(one);
        for (std::size_t size = control_header_bytes; size < whole.size(); ++size) {
            const bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
            EXPECT_TRUE(refusal_of(cut).ends_with("is malformed")) << name_of(one) << " " << size;
        }
    }
}

TEST(control_message, is_malformed_with_a_byte_left_over) {
    for (const control_message& one : filled_messages()) {
        bytes longer = encode(one);
        longer.push_back(std::byte{0});
        EXPECT_TRUE(refusal_of(longer).ends_with("is malformed")) << name_of(one);
    }
}

TEST(control_message, is_refused_with_every_type_that_there_is_not) {
    for (unsigned type = 0; type < 256; ++type) {
        if (type >= 1 && type <= all_control_messages().size()) continue;
        EXPECT_EQ(refusal_of({std::byte{0}, std::byte{0}, static_cast<std::byte>(type), {}}),
                  "a control message has the unknown type " + std::to_string(type));
    }
}

TEST(control_message, is_refused_with_its_zero_byte_set) {
    for (const control_message& one : filled_messages()) {
        bytes message = encode(one);
        message[3] = std::byte{0x80};
        EXPECT_EQ(refusal_of(message), "a control message has reserved bits set");
    }
}

TEST(control_message, keeps_a_code_that_is_not_known_here) {
    const auto decoded =
        decode_control(encode(refused_message{.code = refusal{777}, .sentence = "why"}));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<refused_message>(*decoded).code, refusal{777});
}

// ── texts ──

TEST(control_text, is_cut_to_its_limit_when_written) {
    const std::string longest(control_text_limit, 'n');
    for (const std::string& name : {longest, longest + "n", std::string(100'000, 'n')}) {
        const auto decoded = decode_control(encode(register_message{.name = name}));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(std::get<register_message>(*decoded).name, longest);
    }
}

TEST(control_text, leaves_every_message_within_the_limit_of_its_channel) {
    const std::string endless(100'000, 'n');
    for (const control_message& one : std::vector<control_message>{
             hello_message{.name = endless}, refused_message{.sentence = endless},
             register_message{.name = endless}, registered_message{.host = endless},
             register_refused_message{.sentence = endless}})
        EXPECT_LE(control_length(encode(one)), control_bytes_limit) << name_of(one);
}

// What is longer would not be written again as it came, and so not be what an agent signed.
TEST(control_text, is_malformed_beyond_its_limit) {
    bytes message = encode(register_message{.name = std::string(control_text_limit, 'n')});
    message.push_back(std::byte{'n'});
    store_big_endian(message.data(), static_cast<std::uint16_t>(message.size() - 4));
    store_big_endian(message.data() + 10, static_cast<std::uint16_t>(control_text_limit + 1));
    EXPECT_EQ(refusal_of(message), "a control message of type 6 is malformed");
}

TEST(control_text, may_hold_any_bytes) {
    const std::string odd{"\0\xff\n\"", 4};
    const auto decoded = decode_control(encode(register_message{.name = odd}));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<register_message>(*decoded).name, odd);
}

// ── transcript ──

TEST(proof_transcript, is_its_context_and_both_messages_as_sent) {
    const hello_message hello{.max_exchanges = 7, .name = "laptop"};
    const challenge_message challenge{.features = 3, .nonce = {}};
    EXPECT_EQ(hex(proof_transcript(hello, challenge)),
              hex(as_bytes("tunnel_uring agent proof 1\n")) + hex(encode(hello)) +
                  hex(encode(challenge)));
}

TEST(proof_transcript, is_another_for_anything_else_that_is_claimed) {
    const hello_message hello;
    const challenge_message challenge;
    const bytes plain = proof_transcript(hello, challenge);
    std::vector<hello_message> others(6, hello);
    others[0].features = 1;
    others[1].instance[15] = std::byte{1};
    others[2].max_exchanges = 1;
    others[3].key[31] = std::byte{1};
    others[4].nonce[31] = std::byte{1};
    others[5].name = "x";
    for (const hello_message& one : others) EXPECT_NE(proof_transcript(one, challenge), plain);
    challenge_message other = challenge;
    other.nonce[31] = std::byte{1};
    EXPECT_NE(proof_transcript(hello, other), plain);
}

}  // namespace
}  // namespace tunnel_uring
