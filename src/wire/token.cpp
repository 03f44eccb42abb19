#include "wire/token.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.hpp"

namespace tunnel_uring {

namespace {

constexpr std::string_view token_prefix = "tut_";
constexpr std::string_view key_prefix = "ed25519:";
constexpr std::size_t seed_bytes = 32;
constexpr std::size_t checksum_bytes = 4;
constexpr std::size_t token_characters = 48;  // base64 of 36 bytes
constexpr std::size_t key_characters = 43;    // base64 of 32 bytes, without padding

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct free_key {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct free_digest {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using key_handle = std::unique_ptr<EVP_PKEY, free_key>;
using digest_handle = std::unique_ptr<EVP_MD_CTX, free_digest>;

const unsigned char* octets(bytes_view bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* octets(bytes_span bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

key_handle private_key(bytes_view seed) {
    key_handle key{
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, octets(seed), seed.size())};
    TU_ASSERT(key != nullptr);
    return key;
}

// base64url without padding (RFC 4648, section 5).
std::string encode_base64(bytes_view bytes) {
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const std::byte byte : bytes) {
        bits = (bits << 8U) | std::to_integer<std::uint32_t>(byte);
        for (count += 8; count >= 6; count -= 6) text += alphabet[(bits >> (count - 6)) & 63U];
    }
    if (count > 0) text += alphabet[(bits << (6 - count)) & 63U];
    return text;
}

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
    std::vector<std::byte> bytes;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char character : text) {
        const std::size_t value = alphabet.find(character);
        if (value == std::string_view::npos) return {};
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<std::byte>((bits >> count) & 0xFFU));
    }
    const bool stray_bits = (bits & ((1U << count) - 1U)) != 0;
    if (stray_bits) return {};
    return bytes;
}

}  // namespace

token token::generate() {
    token made;
    fill_random(made.seed_);
    return made;
}

result<token> token::parse(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.remove_suffix(1);
    if (!text.starts_with(token_prefix))
        return error{EINVAL,
                     "the token does not begin with \"tut_\": make one with `tunnel-uring token`"};
    text.remove_prefix(token_prefix.size());
    if (text.size() != token_characters)
        return error{EINVAL, "the token has " + std::to_string(text.size()) +
                                 " characters after \"tut_\", not 48: copy the whole of it"};
    const auto bytes = decode_base64(text);
    if (!bytes)
        return error{EINVAL,
                     "the token holds a character that is not in A-Z a-z 0-9 - _: copy it "
                     "again as `tunnel-uring token` printed it"};
    const bytes_view seed = bytes_view{*bytes}.first(seed_bytes);
    const digest sum = sha256(seed);
    if (!std::equal(sum.begin(), sum.begin() + checksum_bytes, bytes->begin() + seed_bytes))
        return error{EINVAL,
                     "the token's checksum is wrong: a character was changed or lost; copy "
                     "it again"};
    token parsed;
    std::copy(seed.begin(), seed.end(), parsed.seed_.begin());
    return parsed;
}

std::string token::text() const {
    std::array<std::byte, seed_bytes + checksum_bytes> bytes;
    std::copy(seed_.begin(), seed_.end(), bytes.begin());
    const digest sum = sha256(seed_);
    std::copy_n(sum.begin(), checksum_bytes, bytes.begin() + seed_bytes);
    return std::string{token_prefix} + encode_base64(bytes);
}

public_key token::key() const {
    const key_handle key = private_key(seed_);
    public_key out;
    std::size_t length = out.size();
    TU_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), octets(bytes_span{out}), &length) == 1);
    return out;
}

signature token::sign(bytes_view message) const {
    const key_handle key = private_key(seed_);
    const digest_handle context{EVP_MD_CTX_new()};
    signature out;
    std::size_t length = out.size();
    const bool signed_well =
        EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestSign(context.get(), octets(bytes_span{out}), &length, octets(message),
                       message.size()) == 1;
    TU_ASSERT(signed_well);
    return out;
}

std::string format_public_key(const public_key& key) {
    return std::string{key_prefix} + encode_base64(key);
}

result<public_key> parse_public_key(std::string_view text) {
    if (!text.starts_with(key_prefix))
        return error{EINVAL,
                     "a public key begins with \"ed25519:\" (`tunnel-uring token` prints it)"};
    text.remove_prefix(key_prefix.size());
    const auto bytes = decode_base64(text);
    if (text.size() != key_characters || !bytes)
        return error{EINVAL,
                     "a public key is \"ed25519:\" and 43 characters: copy the whole of it"};
    public_key key;
    std::copy(bytes->begin(), bytes->end(), key.begin());
    return key;
}

bool verify(const public_key& key, bytes_view message, const signature& proof) {
    const key_handle handle{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                                        octets(bytes_view{key}), key.size())};
    if (handle == nullptr) return false;
    const digest_handle context{EVP_MD_CTX_new()};
    return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) == 1 &&
           EVP_DigestVerify(context.get(), octets(bytes_view{proof}), proof.size(), octets(message),
                            message.size()) == 1;
}

digest sha256(bytes_view message) {
    digest out;
    TU_ASSERT(EVP_Digest(message.data(), message.size(), octets(bytes_span{out}), nullptr,
                         EVP_sha256(), nullptr) == 1);
    return out;
}

hasher::hasher() : context_{EVP_MD_CTX_new()} {
    TU_ASSERT(EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr) == 1);
}

hasher::~hasher() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void hasher::add(bytes_view bytes) {
    TU_ASSERT(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) ==
              1);
}

digest hasher::finish() {
    digest out;
    TU_ASSERT(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), octets(bytes_span{out}),
                                 nullptr) == 1);
    return out;
}

digest hmac_sha256(bytes_view key, bytes_view message) {
    digest out;
    unsigned length = 0;
    const auto* const made =
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(message),
             message.size(), octets(bytes_span{out}), &length);
    TU_ASSERT(made != nullptr && length == out.size());
    return out;
}

bool equal_in_constant_time(bytes_view left, bytes_view right) noexcept {
    return left.size() == right.size() &&
           CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

void fill_random(bytes_span out) {
    TU_ASSERT(RAND_bytes(octets(out), static_cast<int>(out.size())) == 1);
}

}  // namespace tunnel_uring
