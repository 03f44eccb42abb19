// Tokens: an agent's Ed25519 seed (RFC 8032) as text with a checksum. The relay keeps only the
// public key; the token is proven by a signature and never sent.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <tunnel_uring/result.hpp>

#include "base/bytes.hpp"

namespace tunnel_uring {

using public_key = std::array<std::byte, 32>;
using signature = std::array<std::byte, 64>;
using digest = std::array<std::byte, 32>;

class token {
  public:
    static token generate();
    // "tut_" and 48 characters of base64url. EINVAL with a sentence that says what is wrong with it
    // (never the text itself).
    static result<token> parse(std::string_view text);

    std::string text() const;
    public_key key() const;
    signature sign(bytes_view message) const;

  private:
    std::array<std::byte, 32> seed_{};
};

// "ed25519:" and 43 characters of base64url.
std::string format_public_key(const public_key& key);
result<public_key> parse_public_key(std::string_view text);
bool verify(const public_key& key, bytes_view message, const signature& proof);

digest sha256(bytes_view message);
// SHA-256 of bytes that come in pieces.
class hasher {
  public:
    hasher();
    ~hasher();
    hasher(const hasher&) = delete;
    hasher& operator=(const hasher&) = delete;
    void add(bytes_view bytes);
    digest finish();  // Once.

  private:
    void* context_;
};
digest hmac_sha256(bytes_view key, bytes_view message);
// Takes the same time whatever the bytes are; the sizes are equal.
bool equal_in_constant_time(bytes_view left, bytes_view right) noexcept;
// From the system's generator.
void fill_random(bytes_span out);

}  // namespace tunnel_uring
