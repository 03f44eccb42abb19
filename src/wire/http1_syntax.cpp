#include "wire/http1_syntax.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <string>

namespace tunnel_uring::http1 {

namespace {

using namespace std::string_view_literals;

constexpr std::array<bool, 256> token_chars = [] {
    std::array<bool, 256> table{};
    for (const char c : "!#$%&'*+-.^_`|~0123456789"sv) table[static_cast<unsigned char>(c)] = true;
    for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
    return table;
}();

// As CGI folds names: `-` and `_` are the same.
bool same_folded(std::string_view name, std::string_view lower) {
    return std::equal(name.begin(), name.end(), lower.begin(), lower.end(),
                      [](char a, char b) { return (a == '_' ? '-' : to_lower(a)) == b; });
}

field_kind first_of(std::string_view name, field_kind kind, std::string_view lower) {
    return same_folded(name, lower) ? kind : field_kind::other;
}

field_kind classify_folded(std::string_view name) {
    field_kind found = field_kind::other;
    const auto is = [&](field_kind kind, std::string_view lower) {
        if (found == field_kind::other) found = first_of(name, kind, lower);
    };
    switch (name.size()) {
        case 2: is(field_kind::te, "te"); break;
        case 4: is(field_kind::host, "host"); break;
        case 6: is(field_kind::expect, "expect"); break;
        case 7:
            is(field_kind::trailer, "trailer");
            is(field_kind::upgrade, "upgrade");
            break;
        case 9: is(field_kind::forwarded, "forwarded"); break;
        case 10:
            is(field_kind::connection, "connection");
            is(field_kind::keep_alive, "keep-alive");
            break;
        case 14: is(field_kind::content_length, "content-length"); break;
        case 15: is(field_kind::forwarded_for, "x-forwarded-for"); break;
        case 16:
            is(field_kind::forwarded_host, "x-forwarded-host");
            is(field_kind::proxy_connection, "proxy-connection");
            break;
        case 17:
            is(field_kind::transfer_encoding, "transfer-encoding");
            is(field_kind::forwarded_proto, "x-forwarded-proto");
            break;
        default: break;
    }
    return found;
}

template <std::size_t Count>
bool is_one_of(std::string_view name, const std::array<std::string_view, Count>& lower) {
    return std::any_of(lower.begin(), lower.end(),
                       [name](std::string_view one) { return equals(name, one); });
}

bool is_port(std::string_view text) {
    if (text.size() > 5) return false;
    unsigned port = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), port);
    return text.empty() || (wrong == std::errc{} && end == text.data() + text.size() &&
                            port <= std::numeric_limits<std::uint16_t>::max());
}

}  // namespace

bool is_token_char(char c) noexcept { return token_chars[static_cast<unsigned char>(c)]; }

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool has_control(std::string_view text) noexcept {
    const auto is_control = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7F; };
    constexpr std::uint64_t each = 0x0101010101010101;
    const char* at = text.data();
    const char* const end = at + text.size();
    // Eight bytes at once: one below 0x20, or one that is 0x7F. Tabs are looked at again.
    for (; end - at >= 8; at += 8) {
        std::uint64_t eight = 0;
        std::memcpy(&eight, at, sizeof eight);
        const std::uint64_t deleted = eight ^ (each * 0x7F);
        const std::uint64_t found =
            ((eight - each * 0x20) & ~eight) | ((deleted - each) & ~deleted);
        if ((found & (each * 0x80)) != 0 && std::any_of(at, at + 8, is_control)) return true;
    }
    return std::any_of(at, end, is_control);
}

std::string_view trim(std::string_view text) noexcept {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return text.substr(0, 0);
    return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equals(std::string_view text, std::string_view lower) noexcept {
    return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                      [](char a, char b) { return to_lower(a) == b; });
}

std::optional<std::string_view> next_member(std::string_view& list) noexcept {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view member = trim(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
        if (!member.empty()) return member;
    }
    return {};
}

std::optional<std::uint64_t> parse_length(std::string_view text) noexcept {
    // from_chars would take a minus sign.
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return {};
    std::uint64_t length = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (wrong != std::errc{} || length > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
        return {};
    return length;
}

bool is_host(std::string_view text) noexcept {
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        std::array<char, INET6_ADDRSTRLEN> address{};
        if (close > address.size()) return false;  // None, or longer than any address.
        std::copy(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(close),
                  address.begin());
        in6_addr parsed{};
        if (inet_pton(AF_INET6, address.data(), &parsed) != 1) return false;
        const std::string_view rest = text.substr(close + 1);
        return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
    }
    const std::size_t colon = std::min(text.find(':'), text.size());
    const auto of_name = [](char c) {
        return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_' || c == '~';
    };
    constexpr std::size_t longest_name = 254;  // RFC 1035, section 3.1, with its final dot
    return colon > 0 && colon <= longest_name &&
           std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), of_name) &&
           (colon == text.size() || is_port(text.substr(colon + 1)));
}

field_kind classify(std::string_view name) noexcept {
    const field_kind kind = classify_folded(name);
    if (kind == field_kind::other || name.find('_') == std::string_view::npos) return kind;
    switch (kind) {
        case field_kind::host:
        case field_kind::content_length:
        case field_kind::transfer_encoding: return field_kind::disguised;
        case field_kind::forwarded_for:
        case field_kind::forwarded_proto:
        case field_kind::forwarded_host: return field_kind::forwarded;
        default: return field_kind::other;
    }
}

bool is_protected(std::string_view name) noexcept {
    static constexpr std::array names{
        "authorization"sv,      "cookie"sv,    "set-cookie"sv, "proxy-authorization"sv,
        "proxy-authenticate"sv, "x-real-ip"sv, "expect"sv,     "www-authenticate"sv,
        "forwarded"sv,
    };
    return is_one_of(name, names) || equals(name.substr(0, 12), "x-forwarded-");
}

bool may_be_trailer(std::string_view name) noexcept {
    // Framing, routing, modifiers of a request, authentication, control data of a response, how to
    // process the content.
    static constexpr std::array names{
        "age"sv,           "cache-control"sv,     "content-encoding"sv,
        "content-range"sv, "content-type"sv,      "date"sv,
        "expires"sv,       "if-match"sv,          "if-none-match"sv,
        "if-range"sv,      "if-modified-since"sv, "if-unmodified-since"sv,
        "location"sv,      "max-forwards"sv,      "pragma"sv,
        "range"sv,         "retry-after"sv,       "upgrade-insecure-requests"sv,
        "vary"sv,          "warning"sv,
    };
    return classify(name) == field_kind::other && !is_protected(name) && !is_one_of(name, names);
}

}  // namespace tunnel_uring::http1
