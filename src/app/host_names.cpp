#include "app/host_names.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>

#include "app/nearest.hpp"
#include "base/log.hpp"

namespace tunnel_uring {

namespace {

constexpr std::size_t name_limit = 253;  // RFC 1035, section 2.3.4, as text.
constexpr std::size_t label_limit = 63;

std::string quote(std::string_view text) { return "\"" + printable(text, 80) + "\""; }

void lower(std::string& text) {
    for (char& one : text) one = static_cast<char>(std::tolower(static_cast<unsigned char>(one)));
}

bool is_digits(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](unsigned char one) { return std::isdigit(one) != 0; });
}

std::optional<unsigned> parse_number(std::string_view digits, unsigned most) noexcept {
    unsigned value = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool all = end == digits.data() + digits.size();
    if (!is_digits(digits) || !all || failure != std::errc{} || value > most) return {};
    return value;
}

// Not what people paste from an address bar.
text_problem check_is_bare(std::string_view text) {
    if (text.find("://") != std::string_view::npos)
        return quote(text) + " is a URL; write the name alone, without scheme and path";
    if (text.find('/') != std::string_view::npos)
        return quote(text) + " holds a slash; write the name alone";
    if (text.find(':') != std::string_view::npos)
        return quote(text) + " has a port; write the name alone";
    return {};
}

text_problem check_label(std::string_view whole, std::string_view label, bool stars) {
    if (label.empty()) return quote(whole) + " has an empty part: two dots, or one at an end";
    if (label.size() > label_limit)
        return fmt::format("{} has a part of more than {} characters", quote(whole), label_limit);
    if (label.front() == '-' || label.back() == '-')
        return quote(whole) + " has a part that begins or ends with \"-\"";
    for (const char letter : label) {
        const auto one = static_cast<unsigned char>(letter);
        if (std::isalnum(one) != 0 || one == '-' || one == '_' || (stars && one == '*')) continue;
        if (one >= 0x80)
            return quote(whole) + " has letters beyond ASCII; write it as DNS has it, \"xn--…\"";
        if (one == '*')
            return quote(whole) + " has a \"*\" where none may be; a zone is \"*.example.com\"";
        return fmt::format("{} holds {}; a name has letters, digits, \"-\", \"_\" and dots",
                           quote(whole), quote({&letter, 1}));
    }
    return {};
}

text_problem check_labels(std::string_view whole, std::string_view name, bool stars) {
    if (const text_problem found = check_is_bare(whole)) return found;
    if (name.size() > name_limit)
        return fmt::format("{} has more than {} characters", quote(whole), name_limit);
    for (;;) {
        const std::size_t dot = std::min(name.find('.'), name.size());
        if (const text_problem found = check_label(whole, name.substr(0, dot), stars)) return found;
        if (dot == name.size()) return {};
        name.remove_prefix(dot + 1);
    }
}

text_problem check_name(std::string& text, std::string_view name) {
    if (const text_problem found = check_labels(text, name, false)) return found;
    lower(text);
    return {};
}

void drop_final_dot(std::string& text) {
    if (text.size() > 1 && text.back() == '.') text.pop_back();
}

struct split_host {
    std::string_view host;  // An IPv6 number with its brackets.
    std::string_view port;  // After the colon.
    bool has_port = false;
};

split_host split(std::string_view authority) noexcept {
    const std::size_t bracket = authority.rfind(']');
    const std::size_t from = bracket == std::string_view::npos ? 0 : bracket;
    const std::size_t colon = authority.find(':', from);
    if (colon == std::string_view::npos) return {authority, {}, false};
    return {authority.substr(0, colon), authority.substr(colon + 1), true};
}

// A name or a number, perhaps with a port: what a Host field says (RFC 9110, section 7.2).
text_problem check_authority(std::string_view whole, std::string_view authority) {
    const split_host parts = split(authority);
    if (parts.has_port && parse_number(parts.port, 65535).value_or(0) == 0)
        return quote(whole) + " has a port that is no number from 1 to 65535";
    if (parts.host.starts_with('[')) {
        in6_addr unused{};
        const std::string number{
            parts.host.substr(1, std::max<std::size_t>(parts.host.size(), 2) - 2)};
        if (parts.host.ends_with(']') && inet_pton(AF_INET6, number.c_str(), &unused) == 1)
            return {};
        return quote(whole) + " has brackets without an IPv6 address in them";
    }
    if (parts.host.empty()) return quote(whole) + " has no host";
    if (const text_problem found = check_labels(parts.host, parts.host, false)) return found;
    return {};
}

// The network that `bytes` is in; false when it had bits beyond the prefix.
bool cut_to_prefix(std::array<unsigned char, 16>& bytes, unsigned prefix) noexcept {
    bool clean = true;
    for (unsigned bit = prefix; bit < bytes.size() * 8; ++bit) {
        const auto mask = static_cast<unsigned char>(0x80U >> (bit % 8));
        clean = clean && (bytes[bit / 8] & mask) == 0;
        bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] & ~mask);
    }
    return clean;
}

}  // namespace

text_problem check_domain(std::string& text) {
    if (text.empty()) return "a name is missing, such as tunnel.example.com";
    drop_final_dot(text);
    if (const text_problem found = check_name(text, text)) return found;
    if (is_digits(std::string_view{text}.substr(text.rfind('.') + 1)))
        return quote(text) + " is the number of an address; there are no names below one";
    return {};
}

text_problem check_subdomain(std::string& text) {
    if (text.empty()) return {};
    return check_name(text, text);
}

text_problem check_subdomain_pattern(std::string& text) {
    if (const text_problem found = check_labels(text, text, true)) return found;
    lower(text);
    return {};
}

text_problem check_hostname(std::string& text) {
    drop_final_dot(text);
    const bool zone = text.starts_with("*.");
    return check_name(text, std::string_view{text}.substr(zone ? 2 : 0));
}

text_problem check_hostname_pattern(std::string& text) {
    if (text == "*") return {};
    return check_hostname(text);
}

text_problem check_network(std::string& text) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const std::string number = text.substr(0, slash);
    std::array<unsigned char, 16> bytes{};
    const int family = number.find(':') == std::string::npos ? AF_INET : AF_INET6;
    if (inet_pton(family, number.c_str(), bytes.data()) != 1)
        return quote(text) +
               " is neither an address nor a network; write such as 127.0.0.1, 10.0.0.0/8 or "
               "fd00::/8";
    const unsigned most = family == AF_INET ? 32 : 128;
    unsigned prefix = most;
    if (slash < text.size()) {
        const auto told = parse_number(std::string_view{text}.substr(slash + 1), most);
        if (!told)
            return fmt::format("{} has a prefix that is no number from 0 to {}", quote(text), most);
        prefix = *told;
    }
    const bool clean = cut_to_prefix(bytes, prefix);
    std::array<char, INET6_ADDRSTRLEN> written{};
    inet_ntop(family, bytes.data(), written.data(), written.size());
    const std::string canonical =
        written.data() + (slash < text.size() ? fmt::format("/{}", prefix) : std::string{});
    if (!clean)
        return fmt::format("{} has bits beyond its prefix; write {}", quote(text), canonical);
    text = canonical;
    return {};
}

text_problem check_public_url(std::string& text) {
    if (text.empty()) return {};
    std::string url = text;
    lower(url);
    const std::size_t scheme = url.find("://");
    const std::string_view before = std::string_view{url}.substr(0, std::min(scheme, url.size()));
    if (scheme == std::string::npos || (before != "http" && before != "https"))
        return quote(text) +
               " is no URL of http or https; write such as "
               "https://tunnel.example.com";
    if (url.ends_with('/') && url.size() > scheme + 3) url.pop_back();
    const std::string_view authority = std::string_view{url}.substr(scheme + 3);
    if (authority.find_first_of("/?#") != std::string_view::npos)
        return quote(text) + " has a path; services are names, not paths: end it after the port";
    if (authority.find('@') != std::string_view::npos)
        return quote(text) + " has a user; visitors are told it as it is";
    if (const text_problem found = check_authority(text, authority)) return found;
    text = url;
    return {};
}

text_problem check_url_path(std::string& text) {
    if (text.empty()) return {};
    if (text.front() != '/')
        return quote(text) + " does not begin with \"/\"; write such as /health";
    const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char one) {
        return one > 0x20 && one < 0x7f && one != '?' && one != '#';
    });
    if (plain) return {};
    return quote(text) + " holds a space, \"?\", \"#\" or what is not ASCII; a path alone is meant";
}

text_problem check_host_header(std::string& text) {
    constexpr std::array<std::string_view, 2> modes{"preserve", "upstream"};
    if (std::find(modes.begin(), modes.end(), text) != modes.end()) return {};
    if (text.find("://") != std::string::npos)
        return quote(text) + " is a URL; write the host alone, such as localhost:3000";
    if (const text_problem found = check_authority(text, text)) return found;
    const std::string_view meant = nearest(text, modes);
    if (text.find_first_of(".:") == std::string::npos && !meant.empty())
        return fmt::format("{} is neither \"preserve\" nor \"upstream\"; did you mean \"{}\"?",
                           quote(text), meant);
    lower(text);
    return {};
}

std::string_view host_of_url(std::string_view url) noexcept {
    const std::size_t scheme = url.find("://");
    return split(url.substr(scheme == std::string_view::npos ? 0 : scheme + 3)).host;
}

}  // namespace tunnel_uring
