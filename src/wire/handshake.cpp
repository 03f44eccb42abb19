#include "wire/handshake.hpp"

#include <algorithm>
#include <type_traits>

namespace tunnel_uring {

namespace {

constexpr std::string_view magic = "TURL";
constexpr std::string_view proof_context = "tunnel_uring agent proof 1\n";
constexpr std::size_t lane_fields_bytes = 16;
constexpr std::size_t texts_limit = 16;

// ── reading and writing bodies: every field in turn, integers in network order ──

class writer {
  public:
    explicit writer(std::vector<std::byte>& out) noexcept : out_{out} {}
    template <class Integer>
    void integer(Integer value) {
        const std::size_t at = out_.size();
        out_.resize(at + sizeof value);
        store_big_endian(out_.data() + at, value);
    }
    void block(bytes_view bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    // A length byte pair and the text, cut to what fits a message.
    void text(std::string_view value) {
        value = value.substr(0, control_text_limit);
        integer(static_cast<std::uint16_t>(value.size()));
        block(as_bytes(value));
    }
    // How many, in a byte, and each.
    void texts(const std::vector<std::string>& values) {
        const std::size_t count = std::min(values.size(), texts_limit);
        integer(static_cast<std::uint8_t>(count));
        for (std::size_t i = 0; i < count; ++i) text(values[i]);
    }

  private:
    std::vector<std::byte>& out_;
};

class reader {
  public:
    explicit reader(bytes_view in) noexcept : in_{in} {}
    template <class Integer>
    Integer integer() noexcept {
        const bytes_view bytes = take(sizeof(Integer));
        return bytes.empty() ? Integer{0} : load_big_endian<Integer>(bytes.data());
    }
    template <std::size_t Size>
    std::array<std::byte, Size> block() noexcept {
        std::array<std::byte, Size> out{};
        const bytes_view bytes = take(Size);
        std::copy(bytes.begin(), bytes.end(), out.begin());
        return out;
    }
    std::string text() {
        const auto length = integer<std::uint16_t>();
        whole_ = whole_ && length <= control_text_limit;
        return std::string{as_text(take(length))};
    }
    std::vector<std::string> texts() {
        std::vector<std::string> out(integer<std::uint8_t>());
        whole_ = whole_ && out.size() <= texts_limit;
        for (std::string& one : out) one = text();
        return out;
    }
    // Everything was there, and nothing is left over.
    bool exact() const noexcept { return whole_ && in_.empty(); }

  private:
    bytes_view take(std::size_t count) noexcept {
        if (count > in_.size()) {
            whole_ = false;
            return {};
        }
        const bytes_view front = in_.first(count);
        in_ = in_.subspan(count);
        return front;
    }
    bytes_view in_;
    bool whole_ = true;
};

void put(writer& out, const hello_message& what) {
    out.integer(what.features);
    out.block(what.instance);
    out.integer(what.max_exchanges);
    out.block(what.key);
    out.block(what.nonce);
    out.text(what.name);
}
void put(writer& out, const challenge_message& what) {
    out.integer(what.features);
    out.block(what.nonce);
}
void put(writer& out, const proof_message& what) { out.block(what.signature); }
void put(writer& out, const welcome_message& what) {
    out.integer(what.session);
    out.block(what.secret);
}
void put(writer& out, const refused_message& what) {
    out.integer(static_cast<std::uint16_t>(what.code));
    out.text(what.sentence);
}
void put(writer& out, const register_message& what) {
    out.integer(what.service);
    out.integer(what.port);
    out.text(what.name);
}
void put(writer& out, const registered_message& what) {
    out.integer(what.service);
    out.integer(what.port);
    out.text(what.host);
}
void put(writer& out, const register_refused_message& what) {
    out.integer(what.service);
    out.integer(static_cast<std::uint16_t>(what.code));
    out.text(what.sentence);
}
void put(writer& out, const bulk_demand_message& what) {
    out.integer(what.sequence);
    out.integer(what.target);
}
void put(writer&, const drain_message&) {}
void put(writer& out, const register_names_message& what) {
    out.integer(what.service);
    out.integer(static_cast<std::uint8_t>(what.forwarded));
    out.text(what.name);
    out.texts(what.names);
}
void put(writer& out, const names_registered_message& what) {
    out.integer(what.service);
    out.texts(what.urls);
}

// Initialisers of a braced list run in order: the fields stand as put() wrote them.
void get(reader& in, hello_message& out) {
    out = {.features = in.integer<std::uint32_t>(),
           .instance = in.block<16>(),
           .max_exchanges = in.integer<std::uint32_t>(),
           .key = in.block<32>(),
           .nonce = in.block<32>(),
           .name = in.text()};
}
void get(reader& in, challenge_message& out) {
    out = {.features = in.integer<std::uint32_t>(), .nonce = in.block<32>()};
}
void get(reader& in, proof_message& out) { out = {.signature = in.block<64>()}; }
void get(reader& in, welcome_message& out) {
    out = {.session = in.integer<std::uint64_t>(), .secret = in.block<32>()};
}
void get(reader& in, refused_message& out) {
    out = {.code = static_cast<refusal>(in.integer<std::uint16_t>()), .sentence = in.text()};
}
void get(reader& in, register_message& out) {
    out = {.service = in.integer<std::uint32_t>(),
           .port = in.integer<std::uint16_t>(),
           .name = in.text()};
}
void get(reader& in, registered_message& out) {
    out = {.service = in.integer<std::uint32_t>(),
           .port = in.integer<std::uint16_t>(),
           .host = in.text()};
}
void get(reader& in, register_refused_message& out) {
    out = {.service = in.integer<std::uint32_t>(),
           .code = static_cast<refusal>(in.integer<std::uint16_t>()),
           .sentence = in.text()};
}
void get(reader& in, bulk_demand_message& out) {
    out = {.sequence = in.integer<std::uint32_t>(), .target = in.integer<std::uint32_t>()};
}
void get(reader&, drain_message&) {}
void get(reader& in, register_names_message& out) {
    out = {.service = in.integer<std::uint32_t>(),
           .forwarded = in.integer<std::uint8_t>() != 0,
           .name = in.text(),
           .names = in.texts()};
}
void get(reader& in, names_registered_message& out) {
    out = {.service = in.integer<std::uint32_t>(), .urls = in.texts()};
}

template <std::size_t Index = 0>
result<control_message> decode_body(std::size_t type, bytes_view body) {
    if constexpr (Index == std::variant_size_v<control_message>) {
        return error{EPROTO, "a control message has the unknown type " + std::to_string(type)};
    } else {
        if (type != Index + 1) return decode_body<Index + 1>(type, body);
        reader in{body};
        std::variant_alternative_t<Index, control_message> message;
        get(in, message);
        if (!in.exact())
            return error{EPROTO,
                         "a control message of type " + std::to_string(type) + " is malformed"};
        return control_message{std::move(message)};
    }
}

digest lane_proof(const lane_hello_block& bytes, connection_kind kind, const lane_secret& secret) {
    std::array<std::byte, lane_fields_bytes + 1> message;
    std::copy_n(bytes.begin(), lane_fields_bytes, message.begin());
    message.back() = static_cast<std::byte>(kind);
    return hmac_sha256(secret, message);
}

}  // namespace

preamble encode_preamble(connection_kind kind) noexcept {
    preamble bytes{};
    std::copy_n(as_bytes(magic).begin(), magic.size(), bytes.begin());
    bytes[4] = std::byte{protocol_version};
    bytes[5] = static_cast<std::byte>(kind);
    return bytes;
}

result<connection_kind> decode_preamble(const preamble& bytes) {
    if (as_text(bytes_view{bytes}.first(magic.size())) != magic)
        return error{EPROTO, "it does not speak the tunnel_uring protocol"};
    const auto version = std::to_integer<unsigned>(bytes[4]);
    if (version != protocol_version)
        return error{EPROTO, "it speaks version " + std::to_string(version) +
                                 " of the protocol and we version " +
                                 std::to_string(protocol_version) + ": update the older end"};
    const auto kind = std::to_integer<std::uint8_t>(bytes[5]);
    if (kind < 1 || kind > 3 || bytes[6] != std::byte{0} || bytes[7] != std::byte{0})
        return error{EPROTO, "its preamble is malformed"};
    return static_cast<connection_kind>(kind);
}

lane_hello_block encode_lane_hello(const lane_hello& what, const lane_secret& secret) {
    lane_hello_block bytes{};
    store_big_endian(bytes.data(), what.session);
    store_big_endian(bytes.data() + 8, what.number);
    bytes[12] = static_cast<std::byte>(what.direction);
    const digest proof = lane_proof(bytes, what.kind, secret);
    std::copy(proof.begin(), proof.end(), bytes.begin() + lane_fields_bytes);
    return bytes;
}

lane_hello decode_lane_hello(connection_kind kind, const lane_hello_block& bytes) noexcept {
    return {.kind = kind,
            .session = load_big_endian<std::uint64_t>(bytes.data()),
            .number = load_big_endian<std::uint32_t>(bytes.data() + 8),
            .direction = static_cast<bulk_direction>(bytes[12])};
}

bool proven(const lane_hello_block& bytes, connection_kind kind, const lane_secret& secret) {
    const digest expected = lane_proof(bytes, kind, secret);
    const auto direction = std::to_integer<std::uint8_t>(bytes[12]);
    const bool direction_fits =
        kind == connection_kind::bulk_lane ? direction == 1 || direction == 2 : direction == 0;
    return equal_in_constant_time(expected, bytes_view{bytes}.subspan(lane_fields_bytes)) &&
           direction_fits;
}

void encode(const control_message& what, std::vector<std::byte>& out) {
    const std::size_t start = out.size();
    out.resize(start + control_header_bytes);
    writer body{out};
    std::visit([&body](const auto& message) { put(body, message); }, what);
    const std::size_t length = out.size() - start - control_header_bytes;
    store_big_endian(out.data() + start, static_cast<std::uint16_t>(length));
    out[start + 2] = static_cast<std::byte>(what.index() + 1);
    out[start + 3] = std::byte{0};
}

std::size_t control_length(bytes_view header) noexcept {
    return load_big_endian<std::uint16_t>(header.data());
}

result<control_message> decode_control(bytes_view message) {
    if (message[3] != std::byte{0}) return error{EPROTO, "a control message has reserved bits set"};
    return decode_body(std::to_integer<std::size_t>(message[2]),
                       message.subspan(control_header_bytes));
}

std::vector<std::byte> proof_transcript(const hello_message& hello,
                                        const challenge_message& challenge) {
    std::vector<std::byte> transcript;
    writer{transcript}.block(as_bytes(proof_context));
    encode(control_message{hello}, transcript);
    encode(control_message{challenge}, transcript);
    return transcript;
}

}  // namespace tunnel_uring
