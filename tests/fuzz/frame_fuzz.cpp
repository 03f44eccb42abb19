// The decoder of shared lanes: what it says does not depend on how its input was cut into pieces,
// and a frame that it took encodes to the bytes it came from.
#include "wire/frame.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

namespace {

// All that is decoded: frames as they encode again, payload as it came. A text that comes in
// several frames is one here: where they were cut is nobody's business.
struct outcome {
    std::vector<std::byte> frames;
    std::vector<std::byte> payload;
    std::optional<frame_event> text_of;  // The frame whose text is not whole.
    std::vector<std::byte> text;
    std::optional<protocol_error> failure;
    bool operator==(const outcome& other) const {
        return frames == other.frames && payload == other.payload && text == other.text &&
               text_of.has_value() == other.text_of.has_value() && failure == other.failure;
    }
};

bool is_text(frame_type type) { return type == frame_type::head || type == frame_type::trailers; }

std::size_t encode_again(control_frame& out, const frame_event& event) {
    switch (event.type) {
        case frame_type::open: return encode_open(out, event.id, event.open);
        case frame_type::data:
        case frame_type::head:
        case frame_type::trailers: break;  // Have frames of their own.
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
    TU_ASSERT(false);
    return 0;
}

void append(std::vector<std::byte>& to, bytes_view what) {
    to.insert(to.end(), what.begin(), what.end());
}

// The text so far, in as few frames as it needs; it goes on when it is not the `last` of it.
void end_text(outcome& into, bool last) {
    if (!into.text_of) return;
    const frame_event begun = *into.text_of;
    bytes_view left = into.text;
    bool opens = begun.type == frame_type::open;
    const frame_type type = opens ? frame_type::head : begun.type;
    while (!left.empty()) {
        const std::size_t most = opens ? max_open_text : max_payload;
        const bytes_view piece = left.first(std::min(most, left.size()));
        left = left.subspan(piece.size());
        const bool more = !last || !left.empty();
        control_frame header{};
        const std::size_t length =
            opens ? encode_open(header, begun.id, begun.open, piece.size(), more)
                  : encode_text(header, type, begun.id, piece.size(), more);
        append(into.frames, bytes_view{header}.first(length));
        append(into.frames, piece);
        opens = false;
    }
    into.text_of.reset();
    into.text.clear();
}

void take_text(outcome& into, const frame_event& event) {
    TU_ASSERT(!event.payload.empty());
    const bool opens = event.type == frame_type::open;
    const bool goes_on =
        into.text_of && !opens && into.text_of->id == event.id &&
        (into.text_of->type == event.type ||
         (into.text_of->type == frame_type::open && event.type == frame_type::head));
    if (!goes_on) {
        end_text(into, false);
        into.text_of = event;
        into.text_of->payload = {};
    }
    append(into.text, event.payload);
    if (event.last) end_text(into, true);
}

void decode(frame_decoder& decoder, bytes_view piece, outcome& into) {
    while (const auto event = decoder.next(piece)) {
        if (event->type == frame_type::data) {
            TU_ASSERT(!event->payload.empty());
            append(into.payload, event->payload);
            continue;
        }
        if (is_text(event->type) || event->open.kind == exchange_kind::http) {
            take_text(into, *event);
            continue;
        }
        end_text(into, false);
        control_frame again{};
        append(into.frames, bytes_view{again}.first(encode_again(again, *event)));
    }
    TU_ASSERT(piece.empty() || decoder.failure());
    into.failure = decoder.failure();
}

}  // namespace

// The first byte says how long the pieces are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input{data, size};
    const std::size_t step = input.byte() + std::size_t{1};

    outcome whole;
    frame_decoder at_once;
    decode(at_once, input.rest(), whole);

    outcome pieces;
    frame_decoder piecewise;
    while (!input.empty()) decode(piecewise, input.take(step), pieces);
    TU_ASSERT(pieces == whole);

    // Without data frames and errors, encoding again gives the same bytes.
    end_text(whole, false);
    outcome second;
    frame_decoder again;
    decode(again, whole.frames, second);
    end_text(second, false);
    TU_ASSERT(second.frames == whole.frames && !second.failure);
    return 0;
}
