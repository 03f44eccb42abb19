// Frames of a shared lane: encoders into fixed headers, and an incremental decoder that hands out
// payload as views into what was received. Byte tables: docs/protocol.md, "Frames".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "wire/protocol_error.hpp"

namespace tunnel_uring {

inline constexpr std::size_t frame_header_bytes = 12;
inline constexpr std::size_t max_payload = 16 * 1024;
// The longest frame that is not data: an `open` of a tcp exchange.
inline constexpr std::size_t control_frame_limit = 72;
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
};

// A few words for logs: "the upstream refused the connection".
std::string_view describe(reset_reason reason) noexcept;

// The beginning of an exchange: which service, how much the opener can receive, who came.
struct open_frame {
    std::uint32_t service = 0;
    std::uint64_t credit = 0;
    ip_endpoint visitor;  // Family none when not known.
    ip_endpoint reached;  // The address that the visitor connected to.
};

using frame_header = std::array<std::byte, frame_header_bytes>;
using control_frame = std::array<std::byte, control_frame_limit>;

// Each writes one frame (of `data`: only its header) and returns its length.
std::size_t encode_open(control_frame& out, std::uint32_t id, const open_frame& what) noexcept;
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

// One step of decoding: a whole frame that is not data, or a piece of a data frame's payload.
struct frame_event {
    frame_type type{};
    std::uint32_t id = 0;
    bytes_view payload;  // Of data; a view into what was fed.
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

    control_frame gathered_{};
    std::size_t gathered_bytes_ = 0;
    bool in_frame_ = false;
    frame_event current_;
    std::uint8_t flags_ = 0;
    std::size_t length_ = 0;
    std::size_t payload_left_ = 0;
    std::optional<protocol_error> failure_;
};

}  // namespace tunnel_uring
