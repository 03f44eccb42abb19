// Bytes: the span types used everywhere, and network byte order (RFC 1700) for the wire floor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace tunnel_uring {

using bytes_view = std::span<const std::byte>;
using bytes_span = std::span<std::byte>;

inline bytes_view as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(bytes_view bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Unsigned integers in network byte order; `at` has at least sizeof(Integer) bytes.
template <class Integer>
Integer load_big_endian(const std::byte* at) noexcept {
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        value = static_cast<Integer>((value << 8U) | std::to_integer<Integer>(at[i]));
    return value;
}
template <class Integer>
void store_big_endian(std::byte* at, Integer value) noexcept {
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        at[sizeof(Integer) - 1 - i] = static_cast<std::byte>((value >> (8U * i)) & 0xFFU);
}

}  // namespace tunnel_uring
