// Frames of a shared lane: encoders into fixed headers, and an incremental decoder that hands out
// payload as views into what was received. Byte tables: docs/protocol.md, "Frames".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include <tunnel_uring/result.hpp>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "wire/http1.hpp"
#include "wire/protocol_error.hpp"

namespace tunnel_uring {

inline constexpr std::size_t frame_header_bytes = 12;
inline constexpr std::size_t max_payload = 16 * 1024;
// The longest frame without its text or data: an `open` of an http exchange.
inline constexpr std::size_t control_frame_limit = 80;
// The most text that fits an `open`.
inline constexpr std::size_t max_open_text = max_payload - 68;
// What a receiver has room for before any credit frame.
inline constexpr std::uint64_t first_window = 16 * 1024;
inline constexpr std::uint32_t last_exchange_id = 0xFFFFFFFE;

enum class frame_type : std::uint8_t {
    open = 1,
    data = 2,
    end = 3,
    reset = 4,
    stop = 5,
    credit = 6,
    claim = 7,
    release = 8,
    retire = 9,  // This one and those below belong to the lane: their id is 0.
    ping = 10,
    pong = 11,
    head = 12,
    trailers = 13,
};

enum class reset_reason : std::uint16_t {
    visitor_reset = 1,
    upstream_reset = 2,
    upstream_refused = 3,
    upstream_timeout = 4,
    upstream_unreachable = 5,
    no_such_service = 6,
    no_room = 7,
    agent_away = 8,
    lane_lost = 9,
    protocol_error = 10,
    shutting_down = 11,
    upstream_garbage = 12,
};

inline constexpr std::size_t reset_reasons_count = 12;

// A few words for logs: "the upstream refused the connection".
std::string_view describe(reset_reason reason) noexcept;

enum class exchange_kind : std::uint8_t { tcp = 0, http = 1 };

// What an agent must know of a request beside its text (request_head::text).
struct request_info {
    http_body body;
    text_range host;
    bool upgrade = false;
    bool expects_continue = false;
};

// The beginning of an exchange: which service, how much the opener can receive, who came. An http
// exchange's is followed by the text of its request's head.
struct open_frame {
    std::uint32_t service = 0;
    exchange_kind kind = exchange_kind::tcp;
    request_info request;  // Of http.
    std::uint64_t credit = 0;
    ip_endpoint visitor;  // Family none when not known.
    ip_endpoint reached;  // The address that the visitor connected to.
};

using frame_header = std::array<std::byte, frame_header_bytes>;
using control_frame = std::array<std::byte, control_frame_limit>;

// What a response's head is besides its text (response_head::text); it stands before the text in
// the same bytes.
struct response_info {
    std::uint16_t status = 0;
    http_body declared;
};
inline constexpr std::size_t response_info_bytes = 12;
void encode_response_info(std::byte* out, const response_info& what) noexcept;
// EPROTO when malformed.
result<response_info> decode_response_info(bytes_view head);

// Each writes one frame (of those with text or data: only what stands before it) and returns its
// length. `more`: the text goes on in the next frame of type `head` (or `trailers`).
std::size_t encode_open(control_frame& out, std::uint32_t id, const open_frame& what,
                        std::size_t text_length = 0, bool more = false) noexcept;
std::size_t encode_text(control_frame& out, frame_type type, std::uint32_t id, std::size_t length,
                        bool more) noexcept;  // head, trailers
std::size_t encode_data(control_frame& out, std::uint32_t id, std::size_t length) noexcept;
std::size_t encode_end(control_frame& out, std::uint32_t id, std::uint64_t total,
                       bool cut) noexcept;
std::size_t encode_reset(control_frame& out, std::uint32_t id, reset_reason reason) noexcept;
std::size_t encode_stop(control_frame& out, std::uint32_t id) noexcept;
std::size_t encode_credit(control_frame& out, std::uint32_t id, std::uint64_t limit,
                          bool resume) noexcept;
std::size_t encode_claim(control_frame& out, std::uint32_t id, std::uint32_t lane,
                         std::uint64_t offset) noexcept;
std::size_t encode_release(control_frame& out, std::uint32_t id, std::uint64_t offset) noexcept;
// retire, ping, pong
std::size_t encode_lane_frame(control_frame& out, frame_type type) noexcept;

// One step of decoding: a whole frame without text or data, or a piece of one with. The text of an
// `open` may come in pieces: all but the first have the type `head`.
struct frame_event {
    frame_type type{};
    std::uint32_t id = 0;
    bytes_view payload;  // Of data, head, trailers, open; a view into what was fed.
    bool last = false;   // open, head, trailers: the text is whole with this piece.
    open_frame open;
    std::uint64_t offset = 0;  // end: total; credit: limit; claim, release: offset.
    std::uint32_t lane = 0;    // claim.
    bool cut = false;          // end.
    bool resume = false;       // credit.
    reset_reason reason{};     // reset.
};

class frame_decoder {
  public:
    // Consumes from the front of `input` and returns the next event; nothing when `input` is used
    // up or a protocol error was met: then failure() tells, and the decoder is done for.
    std::optional<frame_event> next(bytes_view& input);
    std::optional<protocol_error> failure() const noexcept { return failure_; }

  private:
    std::optional<frame_event> fail(protocol_error what) noexcept;
    bool gather(bytes_view& input, std::size_t count) noexcept;
    std::optional<protocol_error> read_header() noexcept;
    std::optional<frame_event> read_body() noexcept;
    std::optional<protocol_error> read_open() noexcept;
    std::optional<protocol_error> read_open_fields() noexcept;
    std::optional<frame_event> take_payload(bytes_view& input) noexcept;

    control_frame gathered_{};
    std::size_t gathered_bytes_ = 0;
    bool in_frame_ = false;
    frame_event current_;
    std::uint8_t flags_ = 0;
    std::size_t fixed_ = 0;         // Bytes of the frame before its text or data.
    std::size_t payload_left_ = 0;  // Of the text or data.
    std::optional<protocol_error> failure_;
};

}  // namespace tunnel_uring
