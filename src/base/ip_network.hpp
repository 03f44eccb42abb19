// Networks of IP addresses as people write them: "10.0.0.0/8", "2001:db8::/32", "::1",
// "192.168.1.7" (that address alone).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ip_address.hpp"

namespace tunnel_uring {

// An IPv4 address that is mapped into IPv6 (RFC 4291, section 2.5.5.2) counts as IPv4, in a network
// as in what is looked for: a socket of both families tells IPv4 peers so.
class ip_network {
  public:
    // Nothing when it is none. Bits of the address behind the prefix do not count.
    static std::optional<ip_network> parse(std::string_view text) noexcept;

    // Whatever the port.
    bool contains(const ip_endpoint& where) const noexcept;
    bool operator==(const ip_network&) const = default;

  private:
    using address = std::array<std::byte, 16>;

    ip_network(ip_family family, const address& bytes, std::size_t prefix) noexcept;

    ip_family family_;
    std::uint8_t prefix_;  // Bits.
    address bytes_;        // As in ip_endpoint; zeros behind the prefix.
};

}  // namespace tunnel_uring
