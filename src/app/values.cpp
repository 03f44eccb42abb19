#include "app/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "admin/alert_rule.hpp"
#include "app/host_names.hpp"
#include "app/nearest.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "base/units.hpp"
#include "net/address.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

using kind = raw_value::kind;
using problem = std::optional<std::string>;

std::string quote(std::string_view text) { return "\"" + printable(text, 80) + "\""; }

std::string shown(const raw_value& value) {
    switch (value.what) {
        case kind::word:
        case kind::text: return quote(value.text);
        case kind::list: return "a list";
        case kind::table: return "a table";
        default: return value.text;
    }
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

std::string format_limit(value_type type, double limit) {
    if (type == value_type::time || type == value_type::spin_time)
        return format_duration(duration{static_cast<std::int64_t>(limit)});
    if (type == value_type::size) return format_size(static_cast<std::uint64_t>(limit));
    return fmt::format("{:.0f}", limit);
}

std::string wrong(const config_key& key, const raw_value& value) {
    return fmt::format("{} is not {}", key.secret ? "this" : shown(value), describe_type(key));
}

bool within(const value_limits& limits, double value) noexcept {
    if (limits.or_zero && value == 0) return true;
    const bool power = value > 0 && std::has_single_bit(static_cast<std::uint64_t>(value));
    if (limits.power_of_two && !power) return false;
    return limits.least <= value && value <= limits.most;
}

// ── numbers of all kinds ──

std::optional<double> read_number(const config_key& key, const raw_value& value) {
    const bool plain = value.what == kind::word;
    switch (key.type) {
        case value_type::count: {
            if (!plain && value.what != kind::integer) return {};
            const auto number = parse_number<std::int64_t>(value.text);
            return number ? std::optional{static_cast<double>(*number)} : std::nullopt;
        }
        case value_type::number: {
            if (!plain && value.what != kind::integer && value.what != kind::real) return {};
            const auto number = parse_number<double>(value.text);
            return number && std::isfinite(*number) ? number : std::nullopt;
        }
        case value_type::spin_time:
        case value_type::time: {
            if (value.what == kind::list || value.what == kind::boolean) return {};
            const auto time = parse_duration(value.text);
            return time ? std::optional{static_cast<double>(time->count())} : std::nullopt;
        }
        default: {
            if (value.what == kind::real || value.what == kind::boolean) return {};
            const auto size = parse_size(value.text);
            return size ? std::optional{static_cast<double>(*size)} : std::nullopt;
        }
    }
}

constexpr std::string_view spin_auto = "auto";
constexpr std::string_view spin_off = "off";

template <class Number>
problem assign_number(const config_key& key, Number& field, const raw_value& value) {
    const std::optional<double> number = read_number(key, value);
    if (!number || !within(key.limits, *number)) return wrong(key, value);
    if constexpr (std::is_same_v<Number, duration>)
        field = duration{static_cast<std::int64_t>(*number)};
    else field = static_cast<Number>(*number);
    return {};
}

// ── text of all kinds ──

problem check_address(std::string& text, value_type type) {
    if (text.find("://") != std::string::npos)
        return quote(text) + " is a URL; write host:port alone, such as localhost:3000";
    const result<host_port> where = parse_host_port(text);
    if (!where) return where.error().sentence();
    host_port address = *where;
    if (type == value_type::listen_address) {
        if (address.is_unix()) return quote(text) + " is a unix socket; this listens on TCP only";
        if (address.host.empty()) address.host = "0.0.0.0";
        if (address.host == "localhost") address.host = "127.0.0.1";
        if (!is_numeric(address))
            return quote(text) +
                   " has a name for a host; write the number of an address to listen "
                   "on, such as 0.0.0.0:7443";
        text = address.text();
        return {};
    }
    if (!address.is_unix() && address.port == 0) return quote(text) + " has no port to connect to";
    if (type == value_type::relay_address && (address.is_unix() || address.host.empty()))
        return quote(text) + " has no host; write host:port, such as relay.example.com:7443";
    return {};
}

problem check_condition(const std::string& text) {
    const auto parsed = alert_rule::parse(text);
    const auto* const fault = std::get_if<alert_fault>(&parsed);
    if (fault == nullptr) return {};
    const std::vector<std::string_view> names = alert_metric_names();
    const std::string_view meant = nearest(fault->unknown_metric, names);
    std::string remedy;
    if (!meant.empty()) remedy = fmt::format("; did you mean \"{}\"?", meant);
    else if (!fault->unknown_metric.empty())
        remedy = fmt::format("; there are {}", fmt::join(names, ", "));
    return fmt::format("at its character {}: {}{}", fault->column, fault->sentence, remedy);
}

// Nobody proves who he is there: a port alone means this host's own.
problem check_admin_address(std::string& text) {
    if (text == "off") text.clear();
    if (text.empty()) return {};
    const result<host_port> where = parse_host_port(text);
    if (where && where->is_unix()) return {};
    if (!where || !where->host.empty()) return check_address(text, value_type::listen_address);
    host_port address = *where;
    address.host = "127.0.0.1";
    text = address.text();
    return {};
}

problem check_name(const config_key& key, const std::string& text) {
    const bool good = std::all_of(text.begin(), text.end(), [](unsigned char character) {
        return std::isalnum(character) != 0 ||
               std::string_view{"._-"}.find(static_cast<char>(character)) != std::string_view::npos;
    });
    if (good && within(key.limits, static_cast<double>(text.size()))) return {};
    return quote(text) + " is not " + describe_type(key);
}

// May put `text` into its canonical form.
problem check_text(const config_key& key, value_type type, std::string& text) {
    switch (type) {
        case value_type::name: return check_name(key, text);
        case value_type::dial_address:
        case value_type::relay_address:
        case value_type::listen_address: return check_address(text, type);
        case value_type::host_address: {
            host_port where;
            where.host = text;
            if (text.empty() || is_numeric(where)) return {};
            return quote(text) + " is not the number of an address, such as 0.0.0.0 or ::1";
        }
        case value_type::token: {
            const result<token> parsed = token::parse(text);
            if (!parsed) return parsed.error().sentence();
            text = parsed->text();
            return {};
        }
        case value_type::public_key: {
            const result<public_key> parsed = parse_public_key(text);
            if (!parsed) return parsed.error().sentence();
            text = format_public_key(*parsed);
            return {};
        }
        case value_type::optional_listen_address:
            return text.empty() ? problem{} : check_address(text, value_type::listen_address);
        case value_type::admin_address: return check_admin_address(text);
        case value_type::condition: return check_condition(text);
        case value_type::arguments:
            if (text.find('\0') == std::string::npos) return {};
            return "it has a character 0 in it";
        case value_type::domain: return check_domain(text);
        case value_type::public_url: return check_public_url(text);
        case value_type::networks: return check_network(text);
        case value_type::subdomain: return check_subdomain(text);
        case value_type::subdomain_patterns: return check_subdomain_pattern(text);
        case value_type::hostnames: return check_hostname(text);
        case value_type::hostname_patterns: return check_hostname_pattern(text);
        case value_type::host_header: return check_host_header(text);
        case value_type::url_path:
            if (problem found = check_url_path(text)) return found;
            [[fallthrough]];
        default:
            if (within(key.limits, static_cast<double>(text.size()))) return {};
            return fmt::format("it has more than {:.0f} characters", key.limits.most);
    }
}

problem assign_text(const config_key& key, std::string& field, const raw_value& value) {
    // A port alone, `upstream = 3000`, is what a person means by that number.
    const bool port = key.type == value_type::dial_address && value.what == kind::integer;
    if (value.what != kind::word && value.what != kind::text && !port) return wrong(key, value);
    std::string text = value.text;
    if (problem found = check_text(key, key.type, text)) return found;
    field = std::move(text);
    return {};
}

// What a list key was given: the items of a list, or of "a,b", or one.
std::vector<raw_value> items_of(const raw_value& value) {
    if (value.what == kind::list) return value.items;
    std::vector<raw_value> items;
    std::string_view rest = value.text;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        raw_value item = value;
        item.text = rest.substr(0, comma);
        items.push_back(std::move(item));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return items;
}

problem assign_texts(const config_key& key, std::vector<std::string>& field,
                     const raw_value& value) {
    if (value.what != kind::word && value.what != kind::text && value.what != kind::list)
        return wrong(key, value);
    const value_type of_item =
        key.type == value_type::relay_addresses ? value_type::relay_address : key.type;
    std::vector<std::string> texts;
    for (const raw_value& item : items_of(value)) {
        if (item.what != kind::word && item.what != kind::text) return wrong(key, item);
        std::string text = item.text;
        if (problem found = check_text(key, of_item, text)) return found;
        const bool twice = std::find(texts.begin(), texts.end(), text) != texts.end();
        if (twice && key.type != value_type::arguments) return quote(text) + " is there twice";
        texts.push_back(std::move(text));
    }
    if (!within(key.limits, static_cast<double>(texts.size()))) {
        if (texts.empty()) return wrong(key, value);
        return fmt::format("{} are too many; at most {:.0f} may be", texts.size(), key.limits.most);
    }
    field = std::move(texts);
    return {};
}

problem assign_ports(const config_key& key, std::vector<port_range>& field,
                     const raw_value& value) {
    const bool fits = value.what == kind::word || value.what == kind::text ||
                      value.what == kind::integer || value.what == kind::list;
    if (!fits) return wrong(key, value);
    std::vector<port_range> ranges;
    for (const raw_value& item : items_of(value)) {
        const std::optional<port_range> range = parse_port_range(item.text);
        if (!range) return wrong(key, item);
        ranges.push_back(*range);
    }
    field = std::move(ranges);
    return {};
}

problem assign_truth(const config_key& key, bool& field, const raw_value& value) {
    const bool known = value.text == "true" || value.text == "false";
    if (!known || (value.what != kind::word && value.what != kind::boolean))
        return wrong(key, value);
    field = value.text == "true";
    return {};
}

template <class Choice>
problem assign_choice(const config_key& key, Choice& field, const raw_value& value) {
    const auto all = words(Choice{});
    const auto found = std::find(all.begin(), all.end(), value.text);
    if (found == all.end() || (value.what != kind::word && value.what != kind::text)) {
        const std::string_view meant = nearest(value.text, all);
        return wrong(key, value) +
               (meant.empty() ? std::string{} : fmt::format("; did you mean \"{}\"?", meant));
    }
    field = static_cast<Choice>(found - all.begin());
    return {};
}

struct assigner {
    const config_key& key;
    const raw_value& value;

    problem operator()(bool* field) const { return assign_truth(key, *field, value); }
    problem operator()(std::uint16_t* field) const { return assign_number(key, *field, value); }
    problem operator()(std::uint32_t* field) const { return assign_number(key, *field, value); }
    problem operator()(double* field) const { return assign_number(key, *field, value); }
    problem operator()(duration* field) const {
        const bool word = value.what == kind::word || value.what == kind::text;
        const bool may_be_word = key.type == value_type::spin_time && word;
        if (may_be_word && (value.text == spin_auto || value.text == spin_off)) {
            *field = value.text == spin_auto ? busy_poll_auto : duration{0};
            return {};
        }
        return assign_number(key, *field, value);
    }
    problem operator()(std::string* field) const { return assign_text(key, *field, value); }
    problem operator()(std::vector<std::string>* field) const {
        return assign_texts(key, *field, value);
    }
    problem operator()(port_range* field) const {
        std::vector<port_range> ranges;
        if (problem found = assign_ports(key, ranges, value)) return found;
        if (ranges.size() != 1) return wrong(key, value);
        *field = ranges.front();
        return {};
    }
    problem operator()(std::vector<port_range>* field) const {
        return assign_ports(key, *field, value);
    }
    template <class Choice>
        requires std::is_enum_v<Choice>
    problem operator()(Choice* field) const {
        return assign_choice(key, *field, value);
    }
};

// ── back to text ──

std::string toml_string(std::string_view text) { return json_string(text); }

struct printer {
    value_type type;

    std::string operator()(const bool* field) const { return *field ? "true" : "false"; }
    std::string operator()(const std::uint16_t* field) const { return fmt::format("{}", *field); }
    std::string operator()(const std::uint32_t* field) const {
        if (type == value_type::size) return toml_string(format_size(*field));
        return fmt::format("{}", *field);
    }
    std::string operator()(const double* field) const {
        const std::string text = fmt::format("{}", *field);
        // TOML tells 2 and 2.0 apart, we do not.
        return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
    }
    std::string operator()(const duration* field) const {
        if (type == value_type::spin_time && *field == busy_poll_auto)
            return toml_string(spin_auto);
        if (type == value_type::spin_time && *field == duration{0}) return toml_string(spin_off);
        return toml_string(format_duration(*field));
    }
    std::string operator()(const std::string* field) const { return toml_string(*field); }
    std::string operator()(const std::vector<std::string>* field) const {
        std::string text;
        for (const std::string& one : *field) text += (text.empty() ? "" : ", ") + toml_string(one);
        return "[" + text + "]";
    }
    std::string operator()(const port_range* field) const {
        return toml_string(format_port_range(*field));
    }
    std::string operator()(const std::vector<port_range>* field) const {
        std::string text;
        for (const port_range& one : *field)
            text += (text.empty() ? "" : ",") + format_port_range(one);
        return toml_string(text);
    }
    template <class Choice>
        requires std::is_enum_v<Choice>
    std::string operator()(const Choice* field) const {
        return toml_string(words(*field)[static_cast<std::size_t>(*field)]);
    }
};

}  // namespace

std::optional<std::string> assign(const config_key& key, key_scope& scope, const raw_value& value) {
    return std::visit(assigner{key, value}, key.slot(scope));
}

std::string print(const config_key& key, key_scope& scope) {
    return std::visit(printer{key.type}, key.slot(scope));
}

bool is_empty(const config_key& key, key_scope& scope) {
    return std::visit(
        [](const auto* field) {
            if constexpr (requires { field->empty(); }) return field->empty();
            else return false;
        },
        key.slot(scope));
}

std::optional<port_range> parse_port_range(std::string_view text) {
    const std::size_t dash = std::min(text.find('-'), text.size());
    const auto first = parse_number<std::uint16_t>(text.substr(0, dash));
    const auto last =
        dash == text.size() ? first : parse_number<std::uint16_t>(text.substr(dash + 1));
    if (!first || !last || *first == 0 || *first > *last) return {};
    return port_range{*first, *last};
}

std::string format_port_range(const port_range& range) {
    if (range.first == range.second) return fmt::format("{}", range.first);
    return fmt::format("{}-{}", range.first, range.second);
}

namespace {

// The words that a choice has.
std::string describe_choice(const config_key& key) {
    settings all;
    service_config service;
    token_grant grant;
    alert_config alert;
    key_scope scope{all, &all.pool, &service, &grant, &alert};
    return std::visit(
        [](const auto* field) -> std::string {
            using field_type = std::remove_cvref_t<decltype(*field)>;
            if constexpr (std::is_enum_v<field_type>) {
                const auto all_words = words(field_type{});
                return fmt::format("one of: {}", fmt::join(all_words, ", "));
            } else {
                return {};
            }
        },
        key.slot(scope));
}

}  // namespace

std::string describe_type(const config_key& key) {
    const value_limits& limits = key.limits;
    const std::string range = limits.least == limits.most
                                  ? format_limit(key.type, limits.least)
                                  : fmt::format("{}from {} to {}", limits.or_zero ? "0 or " : "",
                                                format_limit(key.type, limits.least),
                                                format_limit(key.type, limits.most));
    switch (key.type) {
        case value_type::boolean: return "true or false";
        case value_type::count:
            return (limits.power_of_two ? "a power of two " : "a whole number ") + range;
        case value_type::number: return "a number " + range;
        case value_type::time: return "a duration (\"250ms\", \"10s\", \"5m\") " + range;
        case value_type::spin_time: return "\"auto\", \"off\", or a duration (\"50us\") " + range;
        case value_type::size: return "a size (\"64KiB\", \"1MiB\") " + range;
        case value_type::text: return fmt::format("text of at most {} characters", limits.most);
        case value_type::path: return "the path of a file";
        case value_type::name:
            return fmt::format("a name of 1 to {} letters, digits, \".\", \"_\" or \"-\"",
                               limits.most);
        case value_type::dial_address: return "an address: host:port, a port, or unix:/path";
        case value_type::relay_address: return "an address: host:port";
        case value_type::relay_addresses: return "a list of 1 to 16 addresses host:port";
        case value_type::listen_address: return "an address to listen on, such as 0.0.0.0:7443";
        case value_type::optional_listen_address:
            return "an address to listen on, such as 0.0.0.0:8080, or \"\"";
        case value_type::admin_address:
            return "an address to listen on, such as 127.0.0.1:4040, unix:/path, or \"\"";
        case value_type::domain: return "a DNS name, such as tunnel.example.com";
        case value_type::public_url:
            return "a URL without a path, such as https://tunnel.example.com, or \"\"";
        case value_type::networks:
            return "a list of addresses and networks, such as 127.0.0.1 and 10.0.0.0/8";
        case value_type::url_path: return "an absolute path, such as /health, or \"\"";
        case value_type::subdomain: return "a name below a domain, such as app or a.b, or \"\"";
        case value_type::subdomain_patterns:
            return "a list of names below a domain, with \"*\" for any part: app, app-*";
        case value_type::hostnames:
            return fmt::format("a list of at most {:.0f} names: app.example.com, *.example.com",
                               limits.most);
        case value_type::hostname_patterns:
            return "a list of names: app.example.com, *.example.com, or * for any";
        case value_type::host_header: return "\"preserve\", \"upstream\", or a host to say";
        case value_type::host_address: return "the number of an address, such as 0.0.0.0 or ::1";
        case value_type::token: return "a token, \"tut_\" and 48 characters";
        case value_type::public_key: return "a public key, \"ed25519:\" and 43 characters";
        case value_type::ports: return "a range of ports, such as 15000-15999";
        case value_type::port_list: return "ports, such as \"15432\" or \"15000-15010,16000\"";
        case value_type::condition:
            return "a condition, such as \"connection_acquire_time_p99 > 500ms\"";
        case value_type::arguments:
            return "a program and its arguments, such as [\"/usr/bin/logger\", \"an alert\"]";
        case value_type::choice: break;
    }
    return describe_choice(key);
}

}  // namespace tunnel_uring
