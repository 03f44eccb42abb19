#include "wire/proxy_protocol.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace tunnel_uring {

namespace {

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::byte version_2_proxy{0x21};
constexpr std::byte version_2_local{0x20};
constexpr std::byte tcp_over_v4{0x11};
constexpr std::byte tcp_over_v6{0x21};

constexpr std::string_view text_start = "PROXY ";
constexpr std::size_t fixed_bytes = 16;

using verdict = proxy_header::verdict;

proxy_header malformed(std::string_view sentence) {
    return {.what = verdict::malformed, .sentence = sentence};
}

// Whether `input` begins with `start`, or may once more of it has come.
verdict compare(std::string_view input, std::string_view start) {
    const std::size_t count = std::min(input.size(), start.size());
    if (input.substr(0, count) != start.substr(0, count)) return verdict::none;
    return count == start.size() ? verdict::whole : verdict::more;
}

// The next word of a line of words with one space between them; nothing after the last.
std::optional<std::string_view> next_word(std::string_view& line) {
    if (line.empty()) return {};
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(std::min(space + 1, line.size()));
    return word;
}

bool read_address(std::optional<std::string_view> word, ip_family family, ip_endpoint& where) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (!word || word->size() >= text.size() || word->find('\0') != std::string_view::npos)
        return false;
    std::copy(word->begin(), word->end(), text.begin());
    where.family = family;
    return inet_pton(family == ip_family::v4 ? AF_INET : AF_INET6, text.data(),
                     where.bytes.data()) == 1;
}

bool read_port(std::optional<std::string_view> word, ip_endpoint& where) {
    if (!word || word->empty() || (word->size() > 1 && word->front() == '0')) return false;
    const std::string_view digits = *word;
    const auto [end, wrong] =
        std::from_chars(digits.data(), digits.data() + digits.size(), where.port);
    return wrong == std::errc{} && end == digits.data() + digits.size();
}

proxy_header parse_v1(std::string_view input) {
    const std::size_t lf = input.substr(0, proxy_header_v1_limit).find('\n');
    if (lf == std::string_view::npos) {
        if (input.size() < proxy_header_v1_limit) return {};
        return malformed("a PROXY v1 header does not end within 107 bytes");
    }
    proxy_header found{.what = verdict::whole, .length = lf + 1};
    std::string_view line = input.substr(0, lf);
    if (!line.ends_with('\r')) return malformed("a PROXY v1 header does not end with CRLF");
    line.remove_suffix(1);
    const bool extra_space = line.ends_with(' ');
    line.remove_prefix(text_start.size());
    const auto family_word = next_word(line);
    if (family_word == "UNKNOWN") return found;
    if (family_word != "TCP4" && family_word != "TCP6")
        return malformed("a PROXY v1 header is not of TCP4, TCP6 or UNKNOWN");
    const ip_family family = family_word == "TCP4" ? ip_family::v4 : ip_family::v6;
    const bool read = read_address(next_word(line), family, found.source) &&
                      read_address(next_word(line), family, found.destination) &&
                      read_port(next_word(line), found.source) &&
                      read_port(next_word(line), found.destination);
    if (!read || !line.empty() || extra_space)
        return malformed("a PROXY v1 header has no two addresses and two ports of its family");
    return found;
}

// Of `address_bytes` each: source, destination; then their ports.
void read_endpoints(const std::byte* at, ip_family family, proxy_header& into) {
    const std::size_t address_bytes = family == ip_family::v4 ? 4 : 16;
    const std::byte* const ports = at + 2 * address_bytes;
    into.source.family = into.destination.family = family;
    std::copy_n(at, address_bytes, into.source.bytes.begin());
    std::copy_n(at + address_bytes, address_bytes, into.destination.bytes.begin());
    into.source.port = load_big_endian<std::uint16_t>(ports);
    into.destination.port = load_big_endian<std::uint16_t>(ports + 2);
}

proxy_header parse_v2(bytes_view input) {
    if (input.size() < fixed_bytes) return {};
    const std::byte command = input[12];
    const std::byte transport = input[13];
    const std::size_t length = fixed_bytes + load_big_endian<std::uint16_t>(&input[14]);
    if (command != version_2_local && command != version_2_proxy)
        return malformed("a PROXY v2 header is of another version, or neither LOCAL nor PROXY");
    // Families: unspecified, IPv4, IPv6, unix; transports: unspecified, stream, datagram.
    if ((transport >> 4U) > std::byte{3} || (transport & std::byte{0x0F}) > std::byte{2})
        return malformed("a PROXY v2 header is of a reserved family or transport");
    if (length > proxy_header_v2_limit)
        return malformed("a PROXY v2 header is longer than 536 bytes; have fewer TLVs sent");
    proxy_header found{.what = verdict::whole, .length = length};
    const bool of_tcp = transport == tcp_over_v4 || transport == tcp_over_v6;
    const ip_family family = transport == tcp_over_v4 ? ip_family::v4 : ip_family::v6;
    if (command == version_2_proxy && of_tcp) {
        const std::size_t needed = family == ip_family::v4 ? 12 : 36;
        if (length < fixed_bytes + needed)
            return malformed("a PROXY v2 header is shorter than its addresses");
        if (input.size() >= length) read_endpoints(&input[fixed_bytes], family, found);
    }
    return input.size() < length ? proxy_header{} : found;
}

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

proxy_header parse_proxy_header(bytes_view input, const proxy_versions& versions) noexcept {
    const std::string_view text = as_text(input);
    const verdict as_v1 = versions.v1 ? compare(text, text_start) : verdict::none;
    const verdict as_v2 = versions.v2 ? compare(text, signature) : verdict::none;
    if (as_v1 == verdict::whole) return parse_v1(text);
    if (as_v2 == verdict::whole) return parse_v2(input);
    const bool open = as_v1 == verdict::more || as_v2 == verdict::more;
    return {.what = open ? verdict::more : verdict::none};
}

}  // namespace tunnel_uring
