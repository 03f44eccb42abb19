// How connections begin, and the messages of the control channel. Byte tables: docs/protocol.md.
//
// Every connection starts with a preamble. A lane then proves that its session's secret is known; a
// control channel goes hello, challenge, proof, welcome (or refused), and carries messages after.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tunnel_uring/result.hpp>

#include "base/bytes.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

inline constexpr std::uint8_t protocol_version = 1;

enum class connection_kind : std::uint8_t { control = 1, shared_lane = 2, bulk_lane = 3 };
enum class bulk_direction : std::uint8_t { none = 0, agent_sends = 1, relay_sends = 2 };

inline constexpr std::size_t preamble_bytes = 8;
using preamble = std::array<std::byte, preamble_bytes>;

preamble encode_preamble(connection_kind kind) noexcept;
// EPROTO with a sentence when it is no preamble of ours, or of another version.
result<connection_kind> decode_preamble(const preamble& bytes);

using lane_secret = std::array<std::byte, 32>;

struct lane_hello {
    connection_kind kind = connection_kind::shared_lane;
    std::uint64_t session = 0;
    std::uint32_t number = 0;
    bulk_direction direction = bulk_direction::none;
};

// What follows the preamble on a lane; the relay answers with one lane_verdict byte.
inline constexpr std::size_t lane_hello_bytes = 48;
using lane_hello_block = std::array<std::byte, lane_hello_bytes>;
enum class lane_verdict : std::uint8_t { accepted = 0, refused = 1 };

lane_hello_block encode_lane_hello(const lane_hello& what, const lane_secret& secret);
// Unproven: nothing in it may be believed before proven() said so.
lane_hello decode_lane_hello(connection_kind kind, const lane_hello_block& bytes) noexcept;
// In constant time.
bool proven(const lane_hello_block& bytes, connection_kind kind, const lane_secret& secret);

using instance_id = std::array<std::byte, 16>;

// Bits of `features`: what both ends have may be used.
inline constexpr std::uint32_t feature_http = 1;

struct hello_message {
    std::uint32_t features = 0;
    instance_id instance{};  // Of the agent's process: it may take over its own registrations.
    std::uint32_t max_exchanges = 0;
    std::array<std::byte, 32> key{};
    std::array<std::byte, 32> nonce{};
    std::string name;
};
struct challenge_message {
    std::uint32_t features = 0;
    std::array<std::byte, 32> nonce{};
};
struct proof_message {
    std::array<std::byte, 64> signature{};
};
struct welcome_message {
    std::uint64_t session = 0;
    lane_secret secret{};
};

enum class refusal : std::uint16_t {
    not_authorised = 1,
    port_taken = 2,
    port_not_allowed = 3,
    too_many = 4,
    draining = 5,
    cannot_listen = 6,
    name_taken = 7,
    name_not_allowed = 8,
    no_http = 9,
};

struct refused_message {
    refusal code{};
    std::string sentence;
};
struct register_message {
    std::uint32_t service = 0;
    std::uint16_t port = 0;  // 0: the relay picks one.
    std::string name;
};
// An http service: reached by names instead of a port.
struct register_names_message {
    std::uint32_t service = 0;
    bool forwarded = true;  // The relay adds X-Forwarded-*.
    std::string name;
    // With a leading dot a name below the relay's domain (".app"), else a whole one; "*." before
    // either stands for all names below it.
    std::vector<std::string> names;
};
struct registered_message {
    std::uint32_t service = 0;
    std::uint16_t port = 0;
    std::string host;  // Where visitors come in; empty: where the relay's control address is.
};
// Answers register_names_message: where visitors reach it.
struct names_registered_message {
    std::uint32_t service = 0;
    std::vector<std::string> urls;
};
struct register_refused_message {
    std::uint32_t service = 0;
    refusal code{};
    std::string sentence;
};
// How many lanes on which the relay sends it wants to have; a later sequence replaces earlier ones.
struct bulk_demand_message {
    std::uint32_t sequence = 0;
    std::uint32_t target = 0;
};
struct drain_message {};

using control_message =
    std::variant<hello_message, challenge_message, proof_message, welcome_message, refused_message,
                 register_message, registered_message, register_refused_message,
                 bulk_demand_message, drain_message, register_names_message,
                 names_registered_message>;

inline constexpr std::size_t control_header_bytes = 4;
inline constexpr std::size_t control_bytes_limit = 1024;
// After the handshake: a service can have many names.
inline constexpr std::size_t session_bytes_limit = 8 * 1024;
// A text in a message; a longer one is cut when written, and malformed when read.
inline constexpr std::size_t control_text_limit = control_bytes_limit / 2;

// Appends header and body.
void encode(const control_message& what, std::vector<std::byte>& out);
// The length of the body that follows this header.
std::size_t control_length(bytes_view header) noexcept;
// A header with its whole body; EPROTO with a sentence when malformed.
result<control_message> decode_control(bytes_view message);

// What an agent signs: both sides' nonces and all that the hello claims.
std::vector<std::byte> proof_transcript(const hello_message& hello,
                                        const challenge_message& challenge);

}  // namespace tunnel_uring
