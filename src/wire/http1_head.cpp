#include "wire/http1_head.hpp"

#include <algorithm>

#include "wire/http1_faults.hpp"

namespace tunnel_uring::http1 {

namespace {

// More names than any sender has a use for: each is looked for among all fields.
constexpr std::size_t most_named = 32;

const llhttp_settings_t& pause_after_head() {
    static const llhttp_settings_t settings = [] {
        llhttp_settings_t made;
        llhttp_settings_init(&made);
        made.on_headers_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
        return made;
    }();
    return settings;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

text_range range_of(std::size_t at, std::size_t length) {
    return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(length)};
}

// Switching to HTTP/2 in the clear would hide all requests after it from whoever routes them.
bool is_h2c(std::string_view protocol) {
    return equals(protocol.substr(0, protocol.find('/')), "h2c");
}

}  // namespace

const http_fault* check_bytes(std::string_view line) noexcept {
    if (line.size() < 2 || line[line.size() - 2] != '\r') return &faults::bare_lf;
    const std::string_view content = line.substr(0, line.size() - 2);
    if (!has_control(content)) return nullptr;
    return content.find('\r') != std::string_view::npos ? &faults::bare_cr : &faults::control_byte;
}

void head_parser::begin(http_reader::kind what, std::uint32_t fields_limit) noexcept {
    // What has been allocated is used again.
    std::vector<field> fields = std::move(fields_);
    std::vector<text_range> named = std::move(named_);
    *this = {};
    fields_ = std::move(fields);
    fields_.clear();
    named_ = std::move(named);
    named_.clear();
    is_request_ = what == http_reader::kind::request;
    fields_limit_ = fields_limit;
    llhttp_init(&llhttp_, is_request_ ? HTTP_REQUEST : HTTP_RESPONSE, &pause_after_head());
}

bool head_parser::judged_well(std::string_view line) noexcept {
    const llhttp_errno_t verdict = llhttp_execute(&llhttp_, line.data(), line.size());
    return verdict == (over_ ? HPE_PAUSED : HPE_OK);
}

const http_fault* head_parser::take(std::string_view line, std::uint32_t at) {
    if (const http_fault* const wrong = check_bytes(line)) return wrong;
    if (at == 0) return take_start_line(line);
    if (line.size() > 2) return take_field(line, at);
    over_ = true;
    return judged_well(line) ? nullptr : &faults::bad_field;
}

const http_fault* head_parser::take_start_line(std::string_view line) {
    const std::string_view content = line.substr(0, line.size() - 2);
    if (content.find('\t') != std::string_view::npos && is_request_)
        return &faults::bad_request_line;
    if (const http_fault* const wrong =
            is_request_ ? take_request_line(content) : take_status_line(content))
        return wrong;
    if (judged_well(line)) return nullptr;
    if (!is_request_) return &faults::bad_status_line;
    return llhttp_get_errno(&llhttp_) == HPE_INVALID_URL ? &faults::bad_target
                                                         : &faults::unknown_method;
}

const http_fault* head_parser::take_request_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last || !is_token(line.substr(0, first)))
        return &faults::bad_request_line;
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (const http_fault* const wrong = take_version(line.substr(last + 1))) return wrong;
    method_ = range_of(0, first);
    target_ = range_of(first + 1, target.size());
    if (line.substr(0, first) == "CONNECT") return &faults::no_connect;
    // HTTP/2 connections begin with it; llhttp would wait for the rest of theirs.
    if (line.substr(0, first) == "PRI") return &faults::unknown_method;
    // A space here is one too many between the three parts.
    if (target.empty() || target.find(' ') != std::string_view::npos)
        return &faults::bad_request_line;
    const bool is_asterisk = target == "*" && line.substr(0, first) == "OPTIONS";
    const bool is_path = target.front() == '/';
    const bool is_absolute = target.find("://") != std::string_view::npos;
    if (!(is_asterisk || is_path || is_absolute) || target.find('#') != std::string_view::npos)
        return &faults::bad_target;
    return nullptr;
}

const http_fault* head_parser::take_version(std::string_view version) {
    const http_fault* const no_version =
        is_request_ ? &faults::bad_request_line : &faults::bad_status_line;
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7]))
        return no_version;
    if (version[5] != '1' || version[7] > '1') return &faults::bad_version;
    http_1_0_ = version[7] == '0';
    return nullptr;
}

const http_fault* head_parser::take_status_line(std::string_view line) {
    constexpr std::size_t status_at = 9;
    constexpr std::size_t reason_at = status_at + 4;
    if (line.size() < reason_at - 1 || line[8] != ' ') return &faults::bad_status_line;
    if (const http_fault* const wrong = take_version(line.substr(0, 8))) return wrong;
    const std::string_view status = line.substr(status_at, 3);
    if (!std::all_of(status.begin(), status.end(), is_digit) || status[0] == '0')
        return &faults::bad_status_line;
    for (const char digit : status)
        status_ = static_cast<std::uint16_t>(status_ * 10 + (digit - '0'));
    // Many servers leave out the space before a reason that is empty.
    if (line.size() == reason_at - 1) return nullptr;
    if (line[reason_at - 1] != ' ') return &faults::bad_status_line;
    reason_ = range_of(reason_at, line.size() - reason_at);
    return nullptr;
}

const http_fault* head_parser::take_field(std::string_view line, std::uint32_t at) {
    if (line[0] == ' ' || line[0] == '\t') return &faults::folded_line;
    if (fields_.size() == fields_limit_) return &faults::too_many_fields;
    const std::string_view content = line.substr(0, line.size() - 2);
    const std::size_t colon = content.find(':');
    if (colon == std::string_view::npos) return &faults::no_colon;
    const std::string_view name = content.substr(0, colon);
    if (!is_token(name)) return &faults::bad_field_name;
    const std::string_view value = trim(content.substr(colon + 1));
    const auto value_at = value.data() - line.data();
    field found{range_of(at, name.size()),
                range_of(at + static_cast<std::size_t>(value_at), value.size()), classify(name)};
    if (const http_fault* const wrong = consider(found, value)) return wrong;
    fields_.push_back(found);
    return judged_well(line) ? nullptr : &faults::bad_field;
}

const http_fault* head_parser::consider(const field& what, std::string_view value) {
    switch (what.kind) {
        case field_kind::content_length: return consider_length(value);
        case field_kind::transfer_encoding: return consider_encoding(value);
        case field_kind::connection: return consider_connection(value, what.value.at);
        case field_kind::upgrade: consider_upgrade(value); return nullptr;
        case field_kind::disguised: return &faults::disguised_field;
        case field_kind::host:
            if (!is_request_) return nullptr;
            if (has_host_) return &faults::repeated_host;
            if (!is_host(value)) return &faults::bad_host;
            has_host_ = true;
            host_ = what.value;
            return nullptr;
        case field_kind::te:
            while (const auto member = next_member(value))
                accepts_trailers_ = accepts_trailers_ || equals(*member, "trailers");
            return nullptr;
        case field_kind::expect:
            expects_continue_ = equals(value, "100-continue");
            return expects_continue_ || !is_request_ ? nullptr : &faults::bad_expectation;
        default: break;
    }
    return nullptr;
}

const http_fault* head_parser::consider_length(std::string_view value) {
    if (has_length_) return &faults::several_lengths;
    if (chunked_) return &faults::length_and_encoding;
    // A list, "5, 5", is how a proxy joins several.
    if (value.find(',') != std::string_view::npos) return &faults::several_lengths;
    const auto length = parse_length(value);
    if (!length) return &faults::bad_length;
    has_length_ = true;
    length_ = *length;
    return nullptr;
}

const http_fault* head_parser::consider_encoding(std::string_view value) {
    if (has_length_) return &faults::length_and_encoding;
    if (http_1_0_) return &faults::encoding_in_1_0;
    if (chunked_ || !equals(value, "chunked")) return &faults::bad_encoding;
    chunked_ = true;
    return nullptr;
}

const http_fault* head_parser::consider_connection(std::string_view value, std::uint32_t at) {
    std::string_view left = value;
    while (const auto member = next_member(left)) {
        if (!is_token(*member)) return &faults::bad_connection;
        switch (classify(*member)) {
            case field_kind::host:
            case field_kind::content_length:
            case field_kind::transfer_encoding: return &faults::connection_names_framing;
            case field_kind::upgrade: wants_upgrade_ = true; continue;
            case field_kind::keep_alive: keep_alive_ = true; continue;
            case field_kind::other: break;
            default: continue;
        }
        if (equals(*member, "close")) {
            close_ = true;
        } else if (!is_protected(*member)) {
            if (named_.size() == most_named) return &faults::bad_connection;
            named_.push_back(range_of(at + static_cast<std::size_t>(member->data() - value.data()),
                                      member->size()));
        }
    }
    return nullptr;
}

void head_parser::consider_upgrade(std::string_view value) {
    while (const auto member = next_member(value)) {
        has_upgrade_ = true;
        refused_upgrade_ = refused_upgrade_ || is_h2c(*member);
    }
}

}  // namespace tunnel_uring::http1
