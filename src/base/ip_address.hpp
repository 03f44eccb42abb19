// An IP address and port as a value, for floors that know no sockets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tunnel_uring {

enum class ip_family : std::uint8_t { none = 0, v4 = 4, v6 = 6 };

struct ip_endpoint {
    ip_family family = ip_family::none;
    std::uint16_t port = 0;
    std::array<std::byte, 16> bytes{};  // Network order; IPv4 in the first four.
    bool operator==(const ip_endpoint&) const = default;
};

}  // namespace tunnel_uring
