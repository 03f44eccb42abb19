#include <algorithm>
#include <array>
#include <charconv>

#include "wire/http1.hpp"
#include "wire/http1_syntax.hpp"

namespace tunnel_uring {

namespace {

bool may_go_on(std::string_view name, std::string_view value, bool upgrade) {
    switch (http1::classify(name)) {
        case http1::field_kind::connection:
        case http1::field_kind::content_length:
        case http1::field_kind::transfer_encoding:
        case http1::field_kind::keep_alive:
        case http1::field_kind::proxy_connection:
        case http1::field_kind::disguised: return false;
        case http1::field_kind::te: return value == "trailers";
        case http1::field_kind::upgrade: return upgrade;
        default: return true;
    }
}

}  // namespace

bool is_idempotent(std::string_view method) noexcept {
    static constexpr std::array<std::string_view, 6> methods{"GET",   "HEAD", "OPTIONS",
                                                             "TRACE", "PUT",  "DELETE"};
    return std::find(methods.begin(), methods.end(), method) != methods.end();
}

bool may_have_body(std::uint16_t status, bool to_head) noexcept {
    return !to_head && status >= 200 && status != 204 && status != 304;
}

std::string host_name(std::string_view host) {
    if (host.starts_with('[')) {
        host = host.substr(0, host.find(']') + 1);
    } else {
        host = host.substr(0, host.find(':'));
        if (host.ends_with('.')) host.remove_suffix(1);
    }
    std::string name{host};
    std::transform(name.begin(), name.end(), name.begin(), http1::to_lower);
    return name;
}

bool are_fields(std::string_view text, bool upgrade) noexcept {
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        if (end == std::string_view::npos) return false;
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 2);
        const std::size_t colon = line.find(": ");
        if (colon == std::string_view::npos || http1::has_control(line)) return false;
        const std::string_view name = line.substr(0, colon);
        if (!http1::is_token(name) || !may_go_on(name, line.substr(colon + 2), upgrade))
            return false;
    }
    return true;
}

void append_framing(std::string& out, const http_body& body) {
    if (body.framing == body_framing::chunked) out += "Transfer-Encoding: chunked\r\n";
    if (body.framing != body_framing::length) return;
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), body.length).ptr;
    out.append("Content-Length: ").append(digits.begin(), end).append("\r\n");
}

std::size_t chunk_header(char* out, std::uint64_t bytes) noexcept {
    char* at = std::to_chars(out, out + 16, bytes, 16).ptr;
    *at++ = '\r';
    *at++ = '\n';
    return static_cast<std::size_t>(at - out);
}

std::string_view reason_phrase(std::uint16_t status) noexcept {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 102: return "Processing";
        case 103: return "Early Hints";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 203: return "Non-Authoritative Information";
        case 204: return "No Content";
        case 205: return "Reset Content";
        case 206: return "Partial Content";
        case 207: return "Multi-Status";
        case 300: return "Multiple Choices";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 402: return "Payment Required";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 407: return "Proxy Authentication Required";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 425: return "Too Early";
        case 426: return "Upgrade Required";
        case 428: return "Precondition Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 451: return "Unavailable For Legal Reasons";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 511: return "Network Authentication Required";
        default: return "Unknown";
    }
}

}  // namespace tunnel_uring
