#include "wire/proxy_protocol.hpp"

#include <arpa/inet.h>

#include <array>
#include <string>

#include "base/bytes.hpp"

namespace tunnel_uring {

namespace {

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::byte version_2_proxy{0x21};
constexpr std::byte version_2_local{0x20};
constexpr std::byte tcp_over_v4{0x11};
constexpr std::byte tcp_over_v6{0x21};

bool known(const ip_endpoint& source, const ip_endpoint& destination) {
    return source.family != ip_family::none && source.family == destination.family;
}

std::string text_of(const ip_endpoint& where) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = where.family == ip_family::v4 ? AF_INET : AF_INET6;
    inet_ntop(family, where.bytes.data(), text.data(), text.size());
    return text.data();
}

}  // namespace

std::vector<std::byte> proxy_header_v1(const ip_endpoint& source, const ip_endpoint& destination) {
    std::string line = "PROXY UNKNOWN\r\n";
    if (known(source, destination)) {
        line = source.family == ip_family::v4 ? "PROXY TCP4 " : "PROXY TCP6 ";
        line += text_of(source) + " " + text_of(destination) + " " + std::to_string(source.port) +
                " " + std::to_string(destination.port) + "\r\n";
    }
    const bytes_view bytes = as_bytes(line);
    return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> proxy_header_v2(const ip_endpoint& source, const ip_endpoint& destination) {
    const bytes_view start = as_bytes(signature);
    std::vector<std::byte> out{start.begin(), start.end()};
    if (!known(source, destination)) {
        out.insert(out.end(), {version_2_local, std::byte{0}, std::byte{0}, std::byte{0}});
        return out;
    }
    const bool v4 = source.family == ip_family::v4;
    const std::size_t address_bytes = v4 ? 4 : 16;
    std::array<std::byte, 2> number{};
    out.push_back(version_2_proxy);
    out.push_back(v4 ? tcp_over_v4 : tcp_over_v6);
    store_big_endian(number.data(), static_cast<std::uint16_t>(2 * address_bytes + 4));
    out.insert(out.end(), number.begin(), number.end());
    const auto size = static_cast<std::ptrdiff_t>(address_bytes);
    out.insert(out.end(), source.bytes.begin(), source.bytes.begin() + size);
    out.insert(out.end(), destination.bytes.begin(), destination.bytes.begin() + size);
    for (const std::uint16_t port : {source.port, destination.port}) {
        store_big_endian(number.data(), port);
        out.insert(out.end(), number.begin(), number.end());
    }
    return out;
}

}  // namespace tunnel_uring
