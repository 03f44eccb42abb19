// What travels of a head that was read: head_parser::finish().
#include <algorithm>

#include "wire/http1_faults.hpp"
#include "wire/http1_head.hpp"

namespace tunnel_uring::http1 {

namespace {

void append_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

void join(std::string& list, std::string_view value) {
    if (!list.empty()) list += ", ";
    list += value;
}

// The parts of "http://authority/path?query".
struct absolute_target {
    std::string_view authority;
    std::string_view rest;
};

std::optional<absolute_target> split_absolute(std::string_view target) {
    const std::size_t colon = target.find("://");
    const std::string_view scheme = target.substr(0, colon);
    if (!equals(scheme, "http") && !equals(scheme, "https")) return {};
    const std::string_view after = target.substr(colon + 3);
    const std::size_t end = std::min(after.find_first_of("/?"), after.size());
    return absolute_target{after.substr(0, end), after.substr(end)};
}

bool same_authority(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return to_lower(x) == to_lower(y); });
}

}  // namespace

// Two readers of one head: where they differ, a third may be led astray.
bool head_parser::llhttp_agrees() const noexcept {
    const bool chunked = (llhttp_.flags & F_CHUNKED) != 0;
    const bool has_length = (llhttp_.flags & F_CONTENT_LENGTH) != 0;
    return chunked == chunked_ && has_length == has_length_ &&
           (!has_length || llhttp_.content_length == length_);
}

http_body head_parser::declared_body() const noexcept {
    if (chunked_) return {body_framing::chunked, 0};
    if (has_length_) return {body_framing::length, length_};
    return {};
}

bool head_parser::is_named(std::string_view text, std::string_view name) const {
    return std::any_of(named_.begin(), named_.end(), [&](const text_range& one) {
        return one.length == name.size() && same_authority(one.in(text), name);
    });
}

text_range head_parser::append_fields(std::string_view text, bool upgrade, std::string& out) const {
    text_range host;
    for (const field& one : fields_) {
        const std::string_view name = one.name.in(text);
        switch (one.kind) {
            case field_kind::host:
            case field_kind::other:
                if (!named_.empty() && is_named(text, name)) continue;
                break;
            case field_kind::trailer:
                if (!chunked_) continue;
                break;
            case field_kind::upgrade:
                if (!upgrade) continue;
                break;
            case field_kind::expect:
            case field_kind::forwarded:
            case field_kind::forwarded_for:
            case field_kind::forwarded_proto:
            case field_kind::forwarded_host:
                if (is_request_) continue;
                break;
            default: continue;
        }
        append_line(out, name, one.value.in(text));
        if (one.kind == field_kind::host)
            host = {static_cast<std::uint32_t>(out.size() - 2) - one.value.length,
                    one.value.length};
    }
    return host;
}

const http_fault* head_parser::append_target(std::string_view text, request_head& out) const {
    const std::string_view target = target_.in(text);
    std::string_view rest = target;
    if (target.front() != '/' && target != "*") {
        const auto parts = split_absolute(target);
        if (!parts) return &faults::bad_target;
        if (!same_authority(parts->authority, host_.in(text))) return &faults::other_host;
        rest = parts->rest;
        // RFC 9112, section 3.2.4: OPTIONS of a whole server has no path.
        if (rest.empty() && method_.in(text) == "OPTIONS") rest = "*";
    }
    out.target.at = static_cast<std::uint32_t>(out.text.size());
    if (rest.empty() || rest.front() == '?') out.text += '/';
    out.text += rest;
    out.target.length = static_cast<std::uint32_t>(out.text.size()) - out.target.at;
    return nullptr;
}

void head_parser::join_forwarded(std::string_view text, request_head& out) const {
    for (const field& one : fields_) {
        const std::string_view value = one.value.in(text);
        if (one.kind == field_kind::forwarded_for) join(out.forwarded_for, value);
        if (one.kind == field_kind::forwarded_proto) join(out.forwarded_proto, value);
        if (one.kind == field_kind::forwarded_host) join(out.forwarded_host, value);
    }
}

const http_fault* head_parser::finish(std::string_view text, request_head& out) {
    if (!has_host_) return &faults::missing_host;
    if (!llhttp_agrees()) return &faults::bad_field;
    out.body = declared_body();
    const bool has_body = out.body.framing == body_framing::chunked || (has_length_ && length_ > 0);
    out.http_1_0 = http_1_0_;
    out.keep_alive = !close_ && (keep_alive_ || !http_1_0_);
    out.expects_continue = expects_continue_ && has_body && !http_1_0_;
    out.upgrade = wants_upgrade_ && has_upgrade_ && !refused_upgrade_ && !has_body && !http_1_0_;
    out.accepts_trailers = accepts_trailers_ && !http_1_0_;
    join_forwarded(text, out);

    // Colons may lack their space; the last two fields are ours.
    constexpr std::string_view te = "TE: trailers\r\n";
    constexpr std::string_view expect = "Expect: 100-continue\r\n";
    out.text.reserve(text.size() + fields_.size() + te.size() + expect.size());
    out.text += method_.in(text);
    out.method = method_;
    out.text += ' ';
    if (const http_fault* const wrong = append_target(text, out)) return wrong;
    out.text += "\r\n";
    out.host = append_fields(text, out.upgrade, out.text);
    if (out.accepts_trailers) out.text += te;
    if (out.expects_continue) out.text += expect;
    return nullptr;
}

const http_fault* head_parser::finish(std::string_view text, const expectation& asked,
                                      response_head& out) {
    if (!llhttp_agrees()) return &faults::bad_field;
    out.status = status_;
    out.declared = declared_body();
    out.keep_alive = !close_ && (keep_alive_ || !http_1_0_);
    if (status_ < 200 || status_ == 204) {
        if (chunked_ || length_ > 0) return &faults::body_not_allowed;
        out.declared = {};
    } else if (out.declared.framing == body_framing::none &&
               may_have_body(status_, asked.to_head)) {
        out.declared.framing = body_framing::until_close;
        out.keep_alive = false;
    }
    if (out.switches() && (!asked.upgrade_asked || !has_upgrade_ || refused_upgrade_ || http_1_0_))
        return &faults::unasked_switch;

    out.text.reserve(text.size() + fields_.size());
    out.text += reason_.in(text);
    out.text += "\r\n";
    append_fields(text, out.switches(), out.text);
    return nullptr;
}

}  // namespace tunnel_uring::http1
