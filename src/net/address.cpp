#include "net/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/check.hpp"

namespace tunnel_uring {

namespace {

constexpr std::string_view unix_prefix = "unix:";

const sockaddr_in& v4(const socket_address& where) {
    return reinterpret_cast<const sockaddr_in&>(where.storage);
}
const sockaddr_in6& v6(const socket_address& where) {
    return reinterpret_cast<const sockaddr_in6&>(where.storage);
}

// Also of a v4 peer as a v6 socket sees it (RFC 4291, section 2.5.5.2).
std::optional<std::uint32_t> v4_number(const socket_address& where) {
    if (where.family() == AF_INET) return ntohl(v4(where).sin_addr.s_addr);
    if (where.family() != AF_INET6) return std::nullopt;
    const in6_addr& address = v6(where).sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(&address)) return std::nullopt;
    in_addr_t number = 0;
    std::memcpy(&number, &address.s6_addr[12], sizeof number);
    return ntohl(number);
}

error not_an_address(std::string_view text, std::string_view why) {
    return error{EINVAL, "\"" + std::string{text} + "\" is no address: " + std::string{why} +
                             "; write host:port, [v6]:port, a port alone, or unix:/path"};
}

result<std::uint16_t> parse_port(std::string_view whole, std::string_view text) {
    unsigned value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value > 65535)
        return not_an_address(whole, "a port is a number from 0 to 65535");
    return static_cast<std::uint16_t>(value);
}

}  // namespace

std::string host_port::text() const {
    if (is_unix()) return std::string{unix_prefix} + unix_path;
    const bool brackets = host.find(':') != std::string::npos;
    return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<host_port> parse_host_port(std::string_view text) {
    host_port where;
    if (text.starts_with(unix_prefix)) {
        where.unix_path = text.substr(unix_prefix.size());
        if (where.unix_path.empty()) return not_an_address(text, "the path is missing");
        if (where.unix_path.size() >= sizeof(sockaddr_un::sun_path))
            return not_an_address(text, "a unix socket's path has at most 107 characters");
        return where;
    }
    std::string_view port = text;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || text.substr(end + 1, 1) != ":")
            return not_an_address(text, "\"]:port\" is missing");
        where.host = text.substr(1, end - 1);
        port = text.substr(end + 2);
        in6_addr parsed{};
        if (inet_pton(AF_INET6, where.host.c_str(), &parsed) != 1)
            return not_an_address(text, "what stands in the brackets is no IPv6 address");
    } else if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
        where.host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (where.host.find(':') != std::string::npos)
            return not_an_address(text, "an IPv6 address stands in brackets");
        if (where.host.find_first_of(" /@") != std::string::npos)
            return not_an_address(text, "a host name holds no space, slash or @");
    }
    const result<std::uint16_t> number = parse_port(text, port);
    if (!number) return number.error();
    where.port = *number;
    return where;
}

bool is_numeric(const host_port& where) noexcept {
    in6_addr scratch{};
    return where.is_unix() || inet_pton(AF_INET, where.host.c_str(), &scratch) == 1 ||
           inet_pton(AF_INET6, where.host.c_str(), &scratch) == 1;
}

socket_address to_socket_address(const host_port& where) {
    socket_address out;
    if (where.is_unix()) {
        auto& path = reinterpret_cast<sockaddr_un&>(out.storage);
        path.sun_family = AF_UNIX;
        TU_ASSERT(where.unix_path.size() < sizeof path.sun_path);
        std::copy(where.unix_path.begin(), where.unix_path.end(), path.sun_path);
        out.length =
            static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + where.unix_path.size() + 1);
        return out;
    }
    ip_endpoint parsed;
    parsed.port = where.port;
    parsed.family = ip_family::v4;
    if (inet_pton(AF_INET, where.host.c_str(), parsed.bytes.data()) != 1) {
        parsed.family = ip_family::v6;
        TU_ASSERT(inet_pton(AF_INET6, where.host.c_str(), parsed.bytes.data()) == 1);
    }
    return to_socket_address(parsed);
}

socket_address to_socket_address(const ip_endpoint& where) noexcept {
    socket_address out;
    if (where.family == ip_family::v4) {
        auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
        in.sin_family = AF_INET;
        in.sin_port = htons(where.port);
        std::memcpy(&in.sin_addr, where.bytes.data(), sizeof in.sin_addr);
        out.length = sizeof in;
    } else if (where.family == ip_family::v6) {
        auto& in = reinterpret_cast<sockaddr_in6&>(out.storage);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(where.port);
        std::memcpy(&in.sin6_addr, where.bytes.data(), sizeof in.sin6_addr);
        out.length = sizeof in;
    }
    return out;
}

ip_endpoint to_ip_endpoint(const socket_address& where) noexcept {
    ip_endpoint out;
    if (where.family() == AF_INET) {
        out.family = ip_family::v4;
        std::memcpy(out.bytes.data(), &v4(where).sin_addr, sizeof(in_addr));
    } else if (where.family() == AF_INET6) {
        out.family = ip_family::v6;
        std::memcpy(out.bytes.data(), &v6(where).sin6_addr, sizeof(in6_addr));
    }
    out.port = port_of(where);
    return out;
}

std::string format(const socket_address& where) {
    if (where.family() == AF_UNIX) {
        const auto& path = reinterpret_cast<const sockaddr_un&>(where.storage);
        return std::string{unix_prefix} + path.sun_path;
    }
    char text[INET6_ADDRSTRLEN] = "?";
    host_port out;
    if (where.family() == AF_INET) inet_ntop(AF_INET, &v4(where).sin_addr, text, sizeof text);
    if (where.family() == AF_INET6) inet_ntop(AF_INET6, &v6(where).sin6_addr, text, sizeof text);
    out.host = text;
    out.port = port_of(where);
    return out.text();
}

std::uint16_t port_of(const socket_address& where) noexcept {
    if (where.family() == AF_INET) return ntohs(v4(where).sin_port);
    if (where.family() == AF_INET6) return ntohs(v6(where).sin6_port);
    return 0;
}

void set_port(socket_address& where, std::uint16_t port) noexcept {
    if (where.family() == AF_INET)
        reinterpret_cast<sockaddr_in&>(where.storage).sin_port = htons(port);
    if (where.family() == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(where.storage).sin6_port = htons(port);
}

bool is_loopback(const socket_address& where) noexcept {
    if (const std::optional<std::uint32_t> number = v4_number(where)) return *number >> 24U == 127;
    if (where.family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&v6(where).sin6_addr) != 0;
    return where.family() == AF_UNIX;
}

bool is_private(const socket_address& where) noexcept {
    if (is_loopback(where)) return true;
    if (const std::optional<std::uint32_t> number = v4_number(where)) {
        return *number >> 24U == 10 || *number >> 20U == 0xAC1 || *number >> 16U == 0xC0A8 ||
               *number >> 16U == 0xA9FE;
    }
    if (where.family() == AF_INET6) {
        const in6_addr& address = v6(where).sin6_addr;
        return IN6_IS_ADDR_LINKLOCAL(&address) != 0 || (address.s6_addr[0] & 0xFEU) == 0xFC;
    }
    return false;
}

}  // namespace tunnel_uring
