#include "wire/value_text.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "wire/names.hpp"

namespace tunnel_uring {

namespace {

std::string quoted(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& text : texts)
        list += fmt::format("{}\"{}\"", list.empty() ? "" : ",", text);
    return list;
}

std::string values(const hello_message& what) {
    return fmt::format(" features={} instance={} max_exchanges={} key={} nonce={} name=\"{}\"",
                       what.features, hex(what.instance), what.max_exchanges, hex(what.key),
                       hex(what.nonce), what.name);
}
std::string values(const challenge_message& what) {
    return fmt::format(" features={} nonce={}", what.features, hex(what.nonce));
}
std::string values(const proof_message& what) { return " signature=" + hex(what.signature); }
std::string values(const welcome_message& what) {
    return fmt::format(" session={} secret={}", what.session, hex(what.secret));
}
std::string values(const refused_message& what) {
    return fmt::format(" code={} sentence=\"{}\"", name_of(what.code), what.sentence);
}
std::string values(const register_message& what) {
    return fmt::format(" service={} port={} name=\"{}\"", what.service, what.port, what.name);
}
std::string values(const registered_message& what) {
    return fmt::format(" service={} port={} host=\"{}\"", what.service, what.port, what.host);
}
std::string values(const register_refused_message& what) {
    return fmt::format(" service={} code={} sentence=\"{}\"", what.service, name_of(what.code),
                       what.sentence);
}
std::string values(const bulk_demand_message& what) {
    return fmt::format(" sequence={} target={}", what.sequence, what.target);
}
std::string values(const drain_message&) { return {}; }
std::string values(const register_names_message& what) {
    return fmt::format(" service={}{} name=\"{}\" names={}", what.service,
                       what.forwarded ? " forwarded" : "", what.name, quoted(what.names));
}
std::string values(const names_registered_message& what) {
    return fmt::format(" service={} urls={}", what.service, quoted(what.urls));
}

std::string text_of(const http_body& body) {
    if (body.framing != body_framing::length) return std::string{name_of(body.framing)};
    return fmt::format("length:{}", body.length);
}

// What an `open` of http says beyond that of tcp.
std::string values(const request_info& what) {
    return fmt::format(" body={} host={}+{}{}{}", text_of(what.body), what.host.at,
                       what.host.length, what.upgrade ? " upgrade" : "",
                       what.expects_continue ? " expects_continue" : "");
}

std::string text_values(const frame_event& event) {
    return fmt::format(" text={}{}", hex(event.payload), event.last ? "" : " more");
}

std::string values(const frame_event& event) {
    switch (event.type) {
        case frame_type::open: {
            const open_frame& open = event.open;
            std::string text =
                fmt::format(" service={} credit={} visitor={} reached={}", open.service,
                            open.credit, text_of(open.visitor), text_of(open.reached));
            if (open.kind == exchange_kind::http)
                text += " http" + values(open.request) + text_values(event);
            return text;
        }
        case frame_type::head:
        case frame_type::trailers: return text_values(event);
        case frame_type::data: return " payload=" + hex(event.payload);
        case frame_type::end:
            return fmt::format(" total={}{}", event.offset, event.cut ? " cut" : "");
        case frame_type::reset: return fmt::format(" reason={}", name_of(event.reason));
        case frame_type::credit:
            return fmt::format(" limit={}{}", event.offset, event.resume ? " resume" : "");
        case frame_type::claim: return fmt::format(" lane={} offset={}", event.lane, event.offset);
        case frame_type::release: return fmt::format(" offset={}", event.offset);
        case frame_type::stop:
        case frame_type::retire:
        case frame_type::ping:
        case frame_type::pong: break;
    }
    return {};
}

std::size_t encode_into(control_frame& out, const frame_event& event) {
    switch (event.type) {
        case frame_type::open:
            return encode_open(out, event.id, event.open, event.payload.size(), !event.last);
        case frame_type::head:
        case frame_type::trailers:
            return encode_text(out, event.type, event.id, event.payload.size(), !event.last);
        case frame_type::data: return encode_data(out, event.id, event.payload.size());
        case frame_type::end: return encode_end(out, event.id, event.offset, event.cut);
        case frame_type::reset: return encode_reset(out, event.id, event.reason);
        case frame_type::stop: return encode_stop(out, event.id);
        case frame_type::credit: return encode_credit(out, event.id, event.offset, event.resume);
        case frame_type::claim: return encode_claim(out, event.id, event.lane, event.offset);
        case frame_type::release: return encode_release(out, event.id, event.offset);
        case frame_type::retire:
        case frame_type::ping:
        case frame_type::pong: return encode_lane_frame(out, event.type);
    }
    return 0;
}

}  // namespace

std::string hex(bytes_view bytes) {
    std::string text;
    for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
    return text;
}

std::string text_of(const ip_endpoint& where) {
    if (where.family == ip_family::none) return "none";
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool v4 = where.family == ip_family::v4;
    inet_ntop(v4 ? AF_INET : AF_INET6, where.bytes.data(), text.data(), text.size());
    if (v4) return fmt::format("{}:{}", text.data(), where.port);
    return fmt::format("[{}]:{}", text.data(), where.port);
}

ip_endpoint endpoint(std::string_view text) {
    ip_endpoint where;
    if (text == "none") return where;
    const bool v6 = text.starts_with('[');
    const std::size_t colon = text.rfind(':');
    const std::string host{v6 ? text.substr(1, colon - 2) : text.substr(0, colon)};
    where.family = v6 ? ip_family::v6 : ip_family::v4;
    inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), where.bytes.data());
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), where.port);
    return where;
}

std::string text_of(const frame_event& event) {
    std::string text = fmt::format("frame {}", name_of(event.type));
    if (event.id != 0) text += fmt::format(" id={}", event.id);
    return text + values(event);
}

std::string text_of(const control_message& message) {
    return fmt::format("control {}", name_of(message)) +
           std::visit([](const auto& what) { return values(what); }, message);
}

std::string text_of(const lane_hello& hello) {
    return fmt::format("lane_hello {} session={} number={} direction={}", name_of(hello.kind),
                       hello.session, hello.number, name_of(hello.direction));
}

std::vector<std::byte> encode(const frame_event& event) {
    control_frame frame{};
    const std::size_t length = encode_into(frame, event);
    std::vector<std::byte> bytes(frame.begin(),
                                 frame.begin() + static_cast<std::ptrdiff_t>(length));
    bytes.insert(bytes.end(), event.payload.begin(), event.payload.end());
    return bytes;
}

std::vector<std::byte> encode(const control_message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    return bytes;
}

}  // namespace tunnel_uring
