#include "wire/token.hpp"

#include <gtest/gtest.h>

#include <string>

#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

// RFC 8032, section 7.1, test 1: the seed 9d61b19d… as a token, its key, its signature of nothing.
constexpr std::string_view known_token = "tut_nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2BkTVCr";
constexpr std::string_view known_key =
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr std::string_view known_signature =
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

std::string refusal_of(std::string_view text) {
    const auto parsed = token::parse(text);
    EXPECT_FALSE(parsed) << text;
    if (parsed) return {};
    EXPECT_EQ(parsed.error().code(), EINVAL);
    return parsed.error().sentence();
}

bool contains(std::string_view text, std::string_view what) {
    return text.find(what) != std::string_view::npos;
}

// ── parsing ──

TEST(token, is_read_back_from_its_text) {
    const token made = token::generate();
    const auto parsed = token::parse(made.text());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->text(), made.text());
    EXPECT_EQ(parsed->key(), made.key());
}

TEST(token, has_a_prefix_and_48_characters) {
    const std::string text = token::generate().text();
    EXPECT_TRUE(text.starts_with("tut_"));
    EXPECT_EQ(text.size(), 52U);
}

TEST(token, is_another_each_time_it_is_made) {
    EXPECT_NE(token::generate().text(), token::generate().text());
}

TEST(token, may_be_followed_by_the_end_of_its_line) {
    for (const char* after : {"\n", "\r\n", " ", " \n"}) {
        const auto parsed = token::parse(std::string{known_token} + after);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->text(), known_token);
    }
}

TEST(token, is_refused_without_its_prefix) {
    for (const std::string text : {"", "tut", "TUT_", " tut_"})
        EXPECT_TRUE(contains(refusal_of(text + std::string{known_token.substr(4)}), "begin with"));
    EXPECT_TRUE(contains(refusal_of(""), "begin with"));
}

TEST(token, is_refused_with_the_number_of_its_characters_when_some_are_missing_or_left_over) {
    const std::string text{known_token};
    EXPECT_TRUE(contains(refusal_of(text.substr(0, 51)), "has 47 characters"));
    EXPECT_TRUE(contains(refusal_of(text + "A"), "has 49 characters"));
    EXPECT_TRUE(contains(refusal_of("tut_"), "has 0 characters"));
}

TEST(token, is_refused_with_a_character_that_is_not_base64url) {
    for (const char wrong : {'+', '/', '=', ' ', '\0', '\x80'}) {
        std::string text{known_token};
        text[20] = wrong;
        EXPECT_TRUE(contains(refusal_of(text), "character that is not in")) << int{wrong};
    }
}

TEST(token, is_refused_by_its_checksum_when_any_one_character_is_another) {
    for (std::size_t at = 4; at < known_token.size(); ++at) {
        std::string text{known_token};
        text[at] = text[at] == 'A' ? 'B' : 'A';
        EXPECT_TRUE(contains(refusal_of(text), "checksum")) << at;
    }
}

TEST(token, is_not_told_in_any_sentence_about_it) {
    std::string text{known_token};
    const std::string secret = text.substr(24, 12);
    EXPECT_FALSE(contains(refusal_of(text.substr(4)), secret));
    EXPECT_FALSE(contains(refusal_of(text + "A"), secret));
    text.back() = text.back() == 'A' ? 'B' : 'A';
    EXPECT_FALSE(contains(refusal_of(text), secret));
    text.back() = '+';
    EXPECT_FALSE(contains(refusal_of(text), secret));
}

// ── signatures ──

TEST(token, has_the_key_and_makes_the_signature_of_rfc_8032) {
    const auto parsed = token::parse(known_token);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(hex(parsed->key()), known_key);
    EXPECT_EQ(hex(parsed->sign({})), known_signature);
}

TEST(verify, believes_what_the_key_has_signed) {
    const token made = token::generate();
    const bytes_view message = as_bytes("a message");
    EXPECT_TRUE(verify(made.key(), message, made.sign(message)));
}

TEST(verify, does_not_believe_another_message) {
    const token made = token::generate();
    EXPECT_FALSE(verify(made.key(), as_bytes("a messagf"), made.sign(as_bytes("a message"))));
    EXPECT_FALSE(verify(made.key(), {}, made.sign(as_bytes("a message"))));
}

TEST(verify, does_not_believe_another_key) {
    const bytes_view message = as_bytes("a message");
    const token other = token::generate();
    EXPECT_FALSE(verify(other.key(), message, token::generate().sign(message)));
}

TEST(verify, does_not_believe_a_signature_with_any_byte_changed) {
    const token made = token::generate();
    const bytes_view message = as_bytes("a message");
    const signature right = made.sign(message);
    for (std::size_t at = 0; at < right.size(); ++at) {
        signature wrong = right;
        wrong[at] ^= std::byte{1};
        EXPECT_FALSE(verify(made.key(), message, wrong)) << at;
    }
}

TEST(verify, does_not_believe_the_zeros_of_an_agent_without_a_token) {
    EXPECT_FALSE(verify(public_key{}, as_bytes("a message"), signature{}));
}

// ── public keys ──

TEST(public_key_text, is_read_back_exactly) {
    const public_key key = token::generate().key();
    const std::string text = format_public_key(key);
    EXPECT_TRUE(text.starts_with("ed25519:"));
    EXPECT_EQ(text.size(), 51U);
    const auto parsed = parse_public_key(text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, key);
}

TEST(public_key_text, is_refused_without_its_prefix) {
    const std::string text = format_public_key(token::generate().key());
    for (const std::string& wrong : {text.substr(8), "Ed25519:" + text.substr(8), std::string{}}) {
        const auto parsed = parse_public_key(wrong);
        ASSERT_FALSE(parsed);
        EXPECT_TRUE(contains(parsed.error().sentence(), "begins with")) << wrong;
    }
}

TEST(public_key_text, is_refused_when_it_is_not_43_characters_of_base64url) {
    const std::string text = format_public_key(token::generate().key());
    for (const std::string& wrong : {text.substr(0, 50), text + "A", text + "=",
                                     text.substr(0, 50) + "=", text.substr(0, 50) + "+"})
        EXPECT_FALSE(parse_public_key(wrong)) << wrong;
}

// One key has one text: the two bits that 43 characters have too many are zero.
TEST(public_key_text, is_refused_when_the_bits_left_over_are_not_zero) {
    const std::string text = format_public_key(public_key{});
    ASSERT_EQ(text.back(), 'A');
    for (const char last : {'B', 'C', 'D'})
        EXPECT_FALSE(parse_public_key(text.substr(0, text.size() - 1) + last)) << last;
    EXPECT_TRUE(parse_public_key(text.substr(0, text.size() - 1) + 'E'));
}

// ── digests ──

// FIPS 180-2, appendix B.1.
TEST(sha256, is_that_of_the_standard) {
    EXPECT_EQ(hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(hasher, gives_the_digest_of_its_pieces_joined) {
    hasher pieces;
    pieces.add(as_bytes("a"));
    pieces.add({});
    pieces.add(as_bytes("bc"));
    EXPECT_EQ(pieces.finish(), sha256(as_bytes("abc")));
}

// RFC 4231, section 4.3.
TEST(hmac_sha256, is_that_of_the_standard) {
    EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(equal_in_constant_time, tells_equal_bytes_from_others) {
    EXPECT_TRUE(equal_in_constant_time(as_bytes("same"), as_bytes("same")));
    EXPECT_TRUE(equal_in_constant_time({}, {}));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("samf")));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("tame")));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("sam")));
}

}  // namespace
}  // namespace tunnel_uring
