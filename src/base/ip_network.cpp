#include "base/ip_network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace tunnel_uring {

namespace {

constexpr std::size_t mapped_bytes = 12;  // Before the IPv4 address in a mapped one.
constexpr std::size_t mapped_bits = 8 * mapped_bytes;

bool is_mapped(const std::array<std::byte, 16>& v6) {
    return std::all_of(v6.begin(), v6.begin() + 10,
                       [](std::byte b) { return b == std::byte{0}; }) &&
           v6[10] == std::byte{0xFF} && v6[11] == std::byte{0xFF};
}

std::array<std::byte, 16> unmap(const std::array<std::byte, 16>& v6) {
    std::array<std::byte, 16> v4{};
    std::copy(v6.begin() + mapped_bytes, v6.end(), v4.begin());
    return v4;
}

std::optional<std::size_t> parse_prefix(std::string_view text, std::size_t most) {
    std::size_t bits = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (wrong != std::errc{} || end != text.data() + text.size() || bits > most ||
        (text.size() > 1 && text.front() == '0'))
        return {};
    return bits;
}

void clear_behind(std::array<std::byte, 16>& bytes, std::size_t prefix) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t kept = prefix > 8 * i ? std::min<std::size_t>(prefix - 8 * i, 8) : 0;
        bytes[i] &= static_cast<std::byte>(0xFF00U >> kept);
    }
}

}  // namespace

ip_network::ip_network(ip_family family, const address& bytes, std::size_t prefix) noexcept
    : family_{family}, prefix_{static_cast<std::uint8_t>(prefix)}, bytes_{bytes} {
    clear_behind(bytes_, prefix);
}

std::optional<ip_network> ip_network::parse(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    std::array<char, INET6_ADDRSTRLEN> number{};
    const std::string_view written = text.substr(0, slash);
    if (written.size() >= number.size() || written.find('\0') != std::string_view::npos) return {};
    std::copy(written.begin(), written.end(), number.begin());

    address bytes{};
    ip_family family = ip_family::v4;
    if (inet_pton(AF_INET, number.data(), bytes.data()) != 1) {
        family = ip_family::v6;
        if (inet_pton(AF_INET6, number.data(), bytes.data()) != 1) return {};
    }
    const std::size_t most = family == ip_family::v4 ? 32 : 128;
    std::optional<std::size_t> prefix{most};
    if (slash != std::string_view::npos) prefix = parse_prefix(text.substr(slash + 1), most);
    if (!prefix) return {};
    if (family == ip_family::v6 && is_mapped(bytes) && *prefix >= mapped_bits)
        return ip_network{ip_family::v4, unmap(bytes), *prefix - mapped_bits};
    return ip_network{family, bytes, *prefix};
}

bool ip_network::contains(const ip_endpoint& where) const noexcept {
    ip_family family = where.family;
    address bytes = where.bytes;
    if (family == ip_family::v6 && is_mapped(bytes)) {
        family = ip_family::v4;
        bytes = unmap(bytes);
    }
    if (family != family_) return false;
    clear_behind(bytes, prefix_);
    return bytes == bytes_;
}

}  // namespace tunnel_uring
