// Addresses as people write them, and as the kernel wants them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tunnel_uring/result.hpp>

#include "base/ip_address.hpp"
#include "ring/socket_address.hpp"

namespace tunnel_uring {

// Where to connect or listen: a host (a name or a number) and a port, or a unix path.
struct host_port {
    std::string host;  // Empty when only a port was written.
    std::uint16_t port = 0;
    std::string unix_path;  // Then nothing else counts.

    bool is_unix() const noexcept { return !unix_path.empty(); }
    std::string text() const;
    bool operator==(const host_port&) const = default;
};

// "3000", ":3000", "host:3000", "1.2.3.4:3000", "[::1]:3000", "unix:/run/app.sock". EINVAL with a
// sentence that says what is wrong and what is accepted.
result<host_port> parse_host_port(std::string_view text);

// A number or a unix path without asking anyone; nothing for a name. An empty host is `otherwise`.
bool is_numeric(const host_port& where) noexcept;
socket_address to_socket_address(const host_port& where);

socket_address to_socket_address(const ip_endpoint& where) noexcept;
ip_endpoint to_ip_endpoint(const socket_address& where) noexcept;
std::string format(const socket_address& where);
std::uint16_t port_of(const socket_address& where) noexcept;
void set_port(socket_address& where, std::uint16_t port) noexcept;

// Unix sockets count as loopback.
bool is_loopback(const socket_address& where) noexcept;
// Loopback, link-local and private networks (RFC 1918, RFC 4193).
bool is_private(const socket_address& where) noexcept;

}  // namespace tunnel_uring
