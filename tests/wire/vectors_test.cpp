// The test vectors of docs/protocol.md, in bytes: what is written encodes to them, and they decode
// to what is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "wire/names.hpp"
#include "wire/protocol_document.hpp"
#include "wire/proxy_protocol.hpp"
#include "wire/token.hpp"
#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

class protocol_vectors : public testing::Test {
  protected:
    // Calls `check` for every vector of this kind, of which there is at least one.
    template <class Check>
    static void each(std::string_view kind, Check check) {
        const auto found = protocol_document::get().vectors(kind);
        EXPECT_FALSE(found.empty()) << kind;
        for (const test_vector& one : found) {
            SCOPED_TRACE("docs/protocol.md, line " + std::to_string(one.line) + ": " + one.text);
            check(one);
        }
    }
    // The sentence that a vector of what is refused expects: its text within the quotes.
    static std::string sentence(const test_vector& one) {
        std::string text = one.words().at(0);
        std::erase(text, '"');
        for (std::size_t at = text.find("''"); at != std::string::npos; at = text.find("''"))
            text.replace(at, 2, "\"");
        return text;
    }
    static connection_kind kind_of(const test_vector& one) {
        const auto kinds = all_values<connection_kind>();
        const auto named = std::find_if(kinds.begin(), kinds.end(), [&one](connection_kind kind) {
            return name_of(kind) == one.words().at(0);
        });
        EXPECT_NE(named, kinds.end());
        return named == kinds.end() ? connection_kind::control : *named;
    }
    static lane_secret secret_of(const test_vector& one) {
        return array_of<lane_secret>(bytes_of_hex(one.value("secret")));
    }
    static token token_of(std::string_view text) {
        const result<token> parsed = token::parse(text);
        EXPECT_TRUE(parsed) << text;
        return parsed ? *parsed : token::generate();
    }
    template <class Message>
    static Message first_of(std::string_view text) {
        for (const test_vector& one : protocol_document::get().vectors("control")) {
            if (!one.text.starts_with(text)) continue;
            const auto decoded = decode_control(one.bytes());
            if (decoded) return std::get<Message>(*decoded);
        }
        ADD_FAILURE() << text;
        return {};
    }
};

TEST_F(protocol_vectors, know_no_kind_that_nobody_checks) {
    const std::set<std::string_view> known{
        "preamble",   "bad_preamble",   "lane_hello", "bad_lane_hello", "token",       "bad_token",
        "public_key", "bad_public_key", "signature",  "control",        "bad_control", "transcript",
        "frame",      "bad_frame",      "send",       "receive",        "proxy_v1",    "proxy_v2"};
    for (const test_vector& one : protocol_document::get().vectors())
        EXPECT_TRUE(known.contains(one.kind())) << one.line << ": " << one.text;
}

// ── beginnings ──

TEST_F(protocol_vectors, of_preambles_are_what_is_sent_and_understood) {
    each("preamble", [](const test_vector& one) {
        const connection_kind kind = kind_of(one);
        EXPECT_EQ(hex(encode_preamble(kind)), hex(one.bytes()));
        const auto decoded = decode_preamble(array_of<preamble>(one.bytes()));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(*decoded, kind);
    });
}

TEST_F(protocol_vectors, of_wrong_preambles_are_refused_with_their_sentence) {
    each("bad_preamble", [](const test_vector& one) {
        ASSERT_EQ(one.bytes().size(), preamble_bytes);
        const auto decoded = decode_preamble(array_of<preamble>(one.bytes()));
        ASSERT_FALSE(decoded);
        EXPECT_EQ(decoded.error().code(), EPROTO);
        EXPECT_EQ(decoded.error().sentence(), sentence(one));
    });
}

TEST_F(protocol_vectors, of_lane_hellos_prove_their_secret_and_say_what_they_say) {
    each("lane_hello", [](const test_vector& one) {
        const auto block = array_of<lane_hello_block>(one.bytes());
        ASSERT_EQ(one.bytes().size(), lane_hello_bytes);
        EXPECT_TRUE(proven(block, kind_of(one), secret_of(one)));
        const lane_hello hello = decode_lane_hello(kind_of(one), block);
        EXPECT_EQ(text_of(hello) + " secret=" + hex(secret_of(one)), one.text);
        EXPECT_EQ(hex(encode_lane_hello(hello, secret_of(one))), hex(block));
    });
}

TEST_F(protocol_vectors, of_wrong_lane_hellos_prove_nothing) {
    each("bad_lane_hello", [](const test_vector& one) {
        ASSERT_EQ(one.bytes().size(), lane_hello_bytes);
        const auto block = array_of<lane_hello_block>(one.bytes());
        EXPECT_FALSE(proven(block, kind_of(one), secret_of(one)));
    });
}

// ── control channel ──

TEST_F(protocol_vectors, of_control_messages_are_what_is_sent_and_understood) {
    each("control", [](const test_vector& one) {
        const auto decoded = decode_control(one.bytes());
        ASSERT_TRUE(decoded) << decoded.error().message();
        EXPECT_EQ(text_of(*decoded), one.text);
        EXPECT_EQ(hex(encode(*decoded)), hex(one.bytes()));
        EXPECT_EQ(control_length(one.bytes()) + control_header_bytes, one.bytes().size());
    });
}

TEST_F(protocol_vectors, of_control_messages_leave_none_out) {
    std::set<std::string_view> missing;
    for (const control_message& one : all_control_messages()) missing.insert(name_of(one));
    each("control", [&missing](const test_vector& one) {
        const auto decoded = decode_control(one.bytes());
        if (decoded) missing.erase(name_of(*decoded));
    });
    EXPECT_TRUE(missing.empty()) << *missing.begin();
}

TEST_F(protocol_vectors, of_wrong_control_messages_are_refused_with_their_sentence) {
    each("bad_control", [](const test_vector& one) {
        ASSERT_GE(one.bytes().size(), control_header_bytes);
        const auto decoded = decode_control(one.bytes());
        ASSERT_FALSE(decoded);
        EXPECT_EQ(decoded.error().code(), EPROTO);
        EXPECT_EQ(decoded.error().sentence(), sentence(one));
    });
}

TEST_F(protocol_vectors, of_the_transcript_are_what_the_proof_signs) {
    const auto hello = first_of<hello_message>("control hello");
    const auto challenge = first_of<challenge_message>("control challenge");
    const auto proof = first_of<proof_message>("control proof");
    each("transcript", [&](const test_vector& one) {
        EXPECT_EQ(hex(proof_transcript(hello, challenge)), hex(one.bytes()));
        EXPECT_TRUE(verify(hello.key, one.bytes(), proof.signature));
    });
    const token first = token_of(protocol_document::get().vectors("token").at(0).result);
    EXPECT_EQ(hex(first.key()), hex(hello.key));
    EXPECT_EQ(hex(first.sign(proof_transcript(hello, challenge))), hex(proof.signature));
}

// ── tokens ──

TEST_F(protocol_vectors, of_tokens_hold_their_seed) {
    each("token", [](const test_vector& one) {
        EXPECT_EQ(token_of(one.result).text(), one.result);
        const std::vector<std::byte> seed = bytes_of_hex(one.value("seed"));
        // RFC 8032, section 5.1.5: the seed alone makes the key; the text is seed and checksum.
        const std::string_view alphabet =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        std::vector<std::byte> bytes;
        for (std::size_t at = 4; at + 3 < one.result.size(); at += 4) {
            std::size_t bits = 0;
            for (const char each : one.result.substr(at, 4)) bits = bits << 6 | alphabet.find(each);
            for (const unsigned shift : {16U, 8U, 0U})
                bytes.push_back(static_cast<std::byte>((bits >> shift) & 0xFFU));
        }
        ASSERT_EQ(bytes.size(), 36U);
        EXPECT_EQ(hex(bytes_view{bytes}.first(32)), hex(seed));
        EXPECT_EQ(hex(bytes_view{bytes}.last(4)), hex(bytes_view{sha256(seed)}.first(4)));
    });
}

TEST_F(protocol_vectors, of_public_keys_are_what_tokens_have) {
    each("public_key", [](const test_vector& one) {
        const public_key key = token_of(one.value("token")).key();
        EXPECT_EQ(format_public_key(key), one.result);
        const auto parsed = parse_public_key(one.result);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(*parsed, key);
    });
}

TEST_F(protocol_vectors, of_signatures_are_what_tokens_sign) {
    each("signature", [](const test_vector& one) {
        const token by = token_of(one.value("token"));
        const std::vector<std::byte> message = bytes_of_hex(one.value("message"));
        EXPECT_EQ(hex(by.sign(message)), hex(one.bytes()));
        EXPECT_TRUE(verify(by.key(), message, array_of<signature>(one.bytes())));
    });
}

TEST_F(protocol_vectors, of_wrong_tokens_are_refused_with_their_sentence) {
    each("bad_token", [](const test_vector& one) {
        const auto parsed = token::parse(one.result);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().sentence(), sentence(one));
    });
}

TEST_F(protocol_vectors, of_wrong_public_keys_are_refused_with_their_sentence) {
    each("bad_public_key", [](const test_vector& one) {
        const auto parsed = parse_public_key(one.result);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().sentence(), sentence(one));
    });
}

// ── frames ──

TEST_F(protocol_vectors, of_frames_are_what_is_sent_and_understood) {
    each("frame", [](const test_vector& one) {
        const std::vector<std::byte> bytes = one.bytes();
        bytes_view input = bytes;
        frame_decoder decoder;
        const auto event = decoder.next(input);
        ASSERT_TRUE(event);
        EXPECT_EQ(text_of(*event), one.text);
        EXPECT_EQ(hex(encode(*event)), hex(bytes));
        // Nothing stands in the address that its text does not show.
        for (const ip_endpoint& where : {event->open.visitor, event->open.reached})
            EXPECT_EQ(endpoint(text_of(where)), where);
        EXPECT_TRUE(input.empty());
        EXPECT_FALSE(decoder.next(input) || decoder.failure());
    });
}

TEST_F(protocol_vectors, of_frames_leave_out_no_type_no_flag_and_no_reason) {
    std::set<std::string> missing{
        "end cut",        "credit resume",      "open more",        "head more",
        "trailers more",  "open upgrade",       "open http",        "open expects_continue",
        "open body=none", "open body=length:1", "open body=chunked"};
    for (const frame_type type : all_values<frame_type>()) missing.emplace(name_of(type));
    for (const reset_reason reason : all_values<reset_reason>()) missing.emplace(name_of(reason));
    each("frame", [&missing](const test_vector& one) {
        const std::vector<std::string> words = one.words();
        missing.erase(words.front());
        for (const std::string& word : words) missing.erase(words.front() + " " + word);
        missing.erase(one.value("reason"));
    });
    EXPECT_TRUE(missing.empty()) << *missing.begin();
}

TEST_F(protocol_vectors, of_wrong_frames_are_refused_with_their_error) {
    each("bad_frame", [](const test_vector& one) {
        const std::vector<std::byte> bytes = one.bytes();
        bytes_view input = bytes;
        frame_decoder decoder;
        EXPECT_FALSE(decoder.next(input));
        ASSERT_TRUE(decoder.failure());
        EXPECT_EQ(name_of(*decoder.failure()), one.words().at(0));
    });
}

TEST_F(protocol_vectors, of_wrong_frames_leave_out_no_error_that_the_decoder_finds) {
    std::set<std::string> shown;
    each("bad_frame", [&shown](const test_vector& one) { shown.insert(one.words().at(0)); });
    std::set<std::string> listed;
    for (const auto& row : protocol_document::get().rows("name", "found by"))
        if (row[1] == "decoder") listed.insert(row[0]);
    EXPECT_EQ(shown, listed);
}

// ── the PROXY protocol ──

TEST_F(protocol_vectors, of_proxy_headers_are_what_an_upstream_gets) {
    each("proxy_v1", [](const test_vector& one) {
        EXPECT_EQ(
            hex(proxy_header_v1(endpoint(one.value("source")), endpoint(one.value("destination")))),
            hex(one.bytes()));
    });
    each("proxy_v2", [](const test_vector& one) {
        EXPECT_EQ(
            hex(proxy_header_v2(endpoint(one.value("source")), endpoint(one.value("destination")))),
            hex(one.bytes()));
    });
}

}  // namespace
}  // namespace tunnel_uring
