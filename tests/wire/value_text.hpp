// Decoded values as docs/protocol.md writes them in its test vectors, and what tests need to make
// such values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"
#include "wire/frame.hpp"
#include "wire/handshake.hpp"

namespace tunnel_uring {

std::string hex(bytes_view bytes);
// "127.0.0.1:80", "[::1]:80", "none"
std::string text_of(const ip_endpoint& where);
// What text_of() gave; a test's own addresses, so nothing is refused.
ip_endpoint endpoint(std::string_view text);

// "frame open id=1 …", "control hello …", "lane_hello shared_lane …" (without the secret)
std::string text_of(const frame_event& event);
std::string text_of(const control_message& message);
std::string text_of(const lane_hello& hello);

// The frame that says what `event` says, with its payload.
std::vector<std::byte> encode(const frame_event& event);
std::vector<std::byte> encode(const control_message& message);

// 32 bytes, or 64: what an array of the wire holds, from so many bytes.
template <class Array>
Array array_of(bytes_view bytes) {
    Array out{};
    for (std::size_t i = 0; i < out.size() && i < bytes.size(); ++i) out[i] = bytes[i];
    return out;
}

}  // namespace tunnel_uring
