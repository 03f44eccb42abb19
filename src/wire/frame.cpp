#include "wire/frame.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {

// Flags, by type.
constexpr std::uint8_t flag_cut = 1;     // end
constexpr std::uint8_t flag_resume = 1;  // credit
constexpr std::uint8_t flag_more = 1;    // open of http, head, trailers

// Of an `open` of http.
constexpr unsigned request_upgrade = 1;
constexpr unsigned request_expects = 2;

// Payload bytes by type, without text and data, which vary.
constexpr std::size_t open_bytes = 60;
constexpr std::size_t http_open_bytes = 68;
constexpr std::size_t total_bytes = 8;
constexpr std::size_t reason_bytes = 2;
constexpr std::size_t claim_bytes = 12;

std::optional<std::size_t> fixed_size(frame_type type) {
    switch (type) {
        case frame_type::end:
        case frame_type::credit:
        case frame_type::release: return total_bytes;
        case frame_type::reset: return reason_bytes;
        case frame_type::claim: return claim_bytes;
        case frame_type::stop:
        case frame_type::retire:
        case frame_type::ping:
        case frame_type::pong: return 0;
        case frame_type::open:
        case frame_type::data:
        case frame_type::head:
        case frame_type::trailers: break;
    }
    return {};
}

std::uint8_t allowed_flags(frame_type type) {
    switch (type) {
        case frame_type::end: return flag_cut;
        case frame_type::credit: return flag_resume;
        case frame_type::open:
        case frame_type::head:
        case frame_type::trailers: return flag_more;
        default: return 0;
    }
}

std::optional<body_framing> framing_of(std::byte value) {
    if (std::to_integer<unsigned>(value) > static_cast<unsigned>(body_framing::until_close))
        return {};
    return static_cast<body_framing>(value);
}

bool of_lane(frame_type type) {
    return type == frame_type::retire || type == frame_type::ping || type == frame_type::pong;
}

std::byte* put_header(control_frame& out, frame_type type, std::uint32_t id, std::size_t length,
                      std::uint8_t flags = 0) {
    store_big_endian(out.data(), static_cast<std::uint32_t>(length));
    store_big_endian(out.data() + 4, id);
    out[8] = static_cast<std::byte>(type);
    out[9] = static_cast<std::byte>(flags);
    store_big_endian<std::uint16_t>(out.data() + 10, 0);
    return out.data() + frame_header_bytes;
}

std::size_t put_offset(control_frame& out, frame_type type, std::uint32_t id, std::uint64_t offset,
                       std::uint8_t flags = 0) {
    store_big_endian(put_header(out, type, id, total_bytes, flags), offset);
    return frame_header_bytes + total_bytes;
}

// family u8 (0, 4, 6), zero u8, port u16, address 16 bytes (IPv4 in the first four)
std::byte* put_endpoint(std::byte* at, const ip_endpoint& what) {
    at[0] = static_cast<std::byte>(what.family);
    at[1] = std::byte{0};
    store_big_endian(at + 2, what.port);
    std::copy(what.bytes.begin(), what.bytes.end(), at + 4);
    return at + 20;
}

bool get_endpoint(const std::byte* at, ip_endpoint& what) {
    const auto family = std::to_integer<std::uint8_t>(at[0]);
    if ((family != 0 && family != 4 && family != 6) || at[1] != std::byte{0}) return false;
    what.family = static_cast<ip_family>(family);
    what.port = load_big_endian<std::uint16_t>(at + 2);
    std::copy_n(at + 4, what.bytes.size(), what.bytes.begin());
    return true;
}

}  // namespace

void encode_response_info(std::byte* out, const response_info& what) noexcept {
    store_big_endian(out, what.status);
    out[2] = static_cast<std::byte>(what.declared.framing);
    out[3] = std::byte{0};
    store_big_endian(out + 4, what.declared.length);
}

result<response_info> decode_response_info(bytes_view head) {
    response_info out;
    const auto framing =
        head.size() < response_info_bytes ? std::optional<body_framing>{} : framing_of(head[2]);
    if (!framing || head[3] != std::byte{0})
        return error{EPROTO, "the head of a response is malformed"};
    out.status = load_big_endian<std::uint16_t>(head.data());
    out.declared.framing = *framing;
    out.declared.length = load_big_endian<std::uint64_t>(head.data() + 4);
    if (out.status < 100 || out.status > 999)
        return error{EPROTO, "the head of a response has no status"};
    return out;
}

std::size_t encode_open(control_frame& out, std::uint32_t id, const open_frame& what,
                        std::size_t text_length, bool more) noexcept {
    const bool http = what.kind == exchange_kind::http;
    const std::size_t fixed = http ? http_open_bytes : open_bytes;
    std::byte* at = put_header(out, frame_type::open, id, fixed + text_length,
                               http && more ? flag_more : std::uint8_t{0});
    store_big_endian(at, what.service);
    store_big_endian(at + 4, std::uint64_t{0});
    store_big_endian(at + 12, what.credit);
    std::byte* const rest = put_endpoint(put_endpoint(at + 20, what.visitor), what.reached);
    if (!http) return frame_header_bytes + fixed;
    const request_info& request = what.request;
    at[4] = static_cast<std::byte>(what.kind);
    at[5] = static_cast<std::byte>((request.upgrade ? request_upgrade : 0U) |
                                   (request.expects_continue ? request_expects : 0U));
    at[6] = static_cast<std::byte>(request.body.framing);
    store_big_endian(at + 8, static_cast<std::uint16_t>(request.host.at));
    store_big_endian(at + 10, static_cast<std::uint16_t>(request.host.length));
    store_big_endian(rest, request.body.length);
    return frame_header_bytes + fixed;
}

std::size_t encode_text(control_frame& out, frame_type type, std::uint32_t id, std::size_t length,
                        bool more) noexcept {
    put_header(out, type, id, length, more ? flag_more : std::uint8_t{0});
    return frame_header_bytes;
}

std::size_t encode_data(control_frame& out, std::uint32_t id, std::size_t length) noexcept {
    put_header(out, frame_type::data, id, length);
    return frame_header_bytes;
}

std::size_t encode_end(control_frame& out, std::uint32_t id, std::uint64_t total,
                       bool cut) noexcept {
    return put_offset(out, frame_type::end, id, total, cut ? flag_cut : 0);
}

std::size_t encode_reset(control_frame& out, std::uint32_t id, reset_reason reason) noexcept {
    store_big_endian(put_header(out, frame_type::reset, id, reason_bytes),
                     static_cast<std::uint16_t>(reason));
    return frame_header_bytes + reason_bytes;
}

std::size_t encode_stop(control_frame& out, std::uint32_t id) noexcept {
    put_header(out, frame_type::stop, id, 0);
    return frame_header_bytes;
}

std::size_t encode_credit(control_frame& out, std::uint32_t id, std::uint64_t limit,
                          bool resume) noexcept {
    return put_offset(out, frame_type::credit, id, limit, resume ? flag_resume : 0);
}

std::size_t encode_claim(control_frame& out, std::uint32_t id, std::uint32_t lane,
                         std::uint64_t offset) noexcept {
    std::byte* const at = put_header(out, frame_type::claim, id, claim_bytes);
    store_big_endian(at, lane);
    store_big_endian(at + 4, offset);
    return frame_header_bytes + claim_bytes;
}

std::size_t encode_release(control_frame& out, std::uint32_t id, std::uint64_t offset) noexcept {
    return put_offset(out, frame_type::release, id, offset);
}

std::size_t encode_lane_frame(control_frame& out, frame_type type) noexcept {
    put_header(out, type, 0, 0);
    return frame_header_bytes;
}

std::optional<frame_event> frame_decoder::fail(protocol_error what) noexcept {
    failure_ = what;
    return {};
}

// Copies to `gathered_` until it holds `count` bytes; true then.
bool frame_decoder::gather(bytes_view& input, std::size_t count) noexcept {
    const std::size_t taken = std::min(input.size(), count - gathered_bytes_);
    std::copy_n(input.data(), taken, gathered_.data() + gathered_bytes_);
    gathered_bytes_ += taken;
    input = input.subspan(taken);
    return gathered_bytes_ == count;
}

std::optional<frame_event> frame_decoder::next(bytes_view& input) {
    while (!failure_ && !input.empty()) {
        if (!in_frame_) {
            if (!gather(input, frame_header_bytes)) return {};
            gathered_bytes_ = 0;
            if (const auto wrong = read_header()) return fail(*wrong);
            in_frame_ = true;
        }
        if (gathered_bytes_ < fixed_) {
            if (!gather(input, fixed_)) return {};
            // Only now it is known how long an `open` is before its text.
            if (current_.type == frame_type::open && fixed_ == open_bytes) {
                if (const auto wrong = read_open()) return fail(*wrong);
                if (fixed_ > open_bytes) continue;
            }
        }
        if (payload_left_ == 0) {
            in_frame_ = false;
            gathered_bytes_ = 0;
            if (current_.type == frame_type::data) continue;
            return read_body();
        }
        if (!input.empty()) return take_payload(input);
    }
    return {};
}

std::optional<protocol_error> frame_decoder::read_header() noexcept {
    const std::size_t length = load_big_endian<std::uint32_t>(gathered_.data());
    const auto type = std::to_integer<std::uint8_t>(gathered_[8]);
    flags_ = std::to_integer<std::uint8_t>(gathered_[9]);
    if (type < static_cast<std::uint8_t>(frame_type::open) ||
        type > static_cast<std::uint8_t>(frame_type::trailers))
        return protocol_error::unknown_frame_type;
    current_ = {};
    current_.type = static_cast<frame_type>(type);
    current_.id = load_big_endian<std::uint32_t>(gathered_.data() + 4);
    if ((flags_ & ~allowed_flags(current_.type)) != 0 ||
        load_big_endian<std::uint16_t>(gathered_.data() + 10) != 0)
        return protocol_error::reserved_bits_set;
    if (length > max_payload) return protocol_error::frame_too_long;
    const bool text = current_.type == frame_type::head || current_.type == frame_type::trailers;
    const auto fixed = fixed_size(current_.type);
    if ((fixed && *fixed != length) || (text && length == 0) ||
        (current_.type == frame_type::open && length < open_bytes))
        return protocol_error::wrong_frame_size;
    if (of_lane(current_.type) != (current_.id == 0)) return protocol_error::bad_lane_frame;
    fixed_ = current_.type == frame_type::open ? open_bytes : fixed.value_or(0);
    payload_left_ = length - fixed_;
    return {};
}

// The first bytes of an `open` say what follows them.
std::optional<protocol_error> frame_decoder::read_open() noexcept {
    const auto kind = std::to_integer<std::uint8_t>(gathered_[4]);
    if (kind == static_cast<std::uint8_t>(exchange_kind::tcp)) {
        if ((flags_ & flag_more) != 0) return protocol_error::reserved_bits_set;
        return payload_left_ == 0 ? std::optional<protocol_error>{}
                                  : protocol_error::wrong_frame_size;
    }
    if (kind != static_cast<std::uint8_t>(exchange_kind::http))
        return protocol_error::reserved_bits_set;
    constexpr std::size_t further = http_open_bytes - open_bytes;
    if (payload_left_ <= further) return protocol_error::wrong_frame_size;
    current_.open.kind = exchange_kind::http;
    payload_left_ -= further;
    fixed_ = http_open_bytes;
    return {};
}

// A piece of text or data. All that stands before the text of an `open` goes out with its first.
std::optional<frame_event> frame_decoder::take_payload(bytes_view& input) noexcept {
    const std::size_t count = std::min(payload_left_, input.size());
    current_.payload = input.first(count);
    input = input.subspan(count);
    payload_left_ -= count;
    in_frame_ = payload_left_ > 0;
    if (!in_frame_) gathered_bytes_ = 0;
    current_.last = current_.type != frame_type::data && !in_frame_ && (flags_ & flag_more) == 0;
    if (current_.type != frame_type::open) return current_;
    std::optional<frame_event> whole = read_body();
    current_.type = frame_type::head;
    return whole;
}

std::optional<frame_event> frame_decoder::read_body() noexcept {
    const std::byte* const at = gathered_.data();
    switch (current_.type) {
        case frame_type::open:
            if (const auto wrong = read_open_fields()) return fail(*wrong);
            break;
        case frame_type::end:
            current_.cut = (flags_ & flag_cut) != 0;
            current_.offset = load_big_endian<std::uint64_t>(at);
            break;
        case frame_type::credit: current_.resume = (flags_ & flag_resume) != 0; [[fallthrough]];
        case frame_type::release: current_.offset = load_big_endian<std::uint64_t>(at); break;
        case frame_type::claim:
            current_.lane = load_big_endian<std::uint32_t>(at);
            current_.offset = load_big_endian<std::uint64_t>(at + 4);
            break;
        case frame_type::reset:
            current_.reason = static_cast<reset_reason>(load_big_endian<std::uint16_t>(at));
            break;
        default: break;
    }
    return current_;
}

std::optional<protocol_error> frame_decoder::read_open_fields() noexcept {
    const std::byte* const at = gathered_.data();
    open_frame& open = current_.open;
    open.service = load_big_endian<std::uint32_t>(at);
    open.credit = load_big_endian<std::uint64_t>(at + 12);
    if (!get_endpoint(at + 20, open.visitor) || !get_endpoint(at + 40, open.reached))
        return protocol_error::bad_address;
    if (open.kind == exchange_kind::tcp) {
        if (load_big_endian<std::uint64_t>(at + 4) != 0) return protocol_error::reserved_bits_set;
        return {};
    }
    const auto bits = std::to_integer<unsigned>(at[5]);
    const auto framing = framing_of(at[6]);
    if ((bits & ~(request_upgrade | request_expects)) != 0 || at[7] != std::byte{0} || !framing ||
        *framing == body_framing::until_close)
        return protocol_error::reserved_bits_set;
    request_info& request = open.request;
    request.upgrade = (bits & request_upgrade) != 0;
    request.expects_continue = (bits & request_expects) != 0;
    request.body.framing = *framing;
    request.body.length = load_big_endian<std::uint64_t>(at + open_bytes);
    request.host.at = load_big_endian<std::uint16_t>(at + 8);
    request.host.length = load_big_endian<std::uint16_t>(at + 10);
    return {};
}

}  // namespace tunnel_uring
