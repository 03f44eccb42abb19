// The decoder of shared lanes: what it says does not depend on how its input was cut into pieces,
// and a frame that it took encodes to the bytes it came from.
#include "wire/frame.hpp"

#include <cstddef>
#include <vector>

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

namespace {

// All that is decoded: frames as they encode again, payload as it came.
struct outcome {
    std::vector<std::byte> frames;
    std::vector<std::byte> payload;
    std::optional<protocol_error> failure;
    bool operator==(const outcome&) const = default;
};

std::size_t encode_again(control_frame& out, const frame_event& event) {
    switch (event.type) {
        case frame_type::open: return encode_open(out, event.id, event.open);
        case frame_type::data: return encode_data(out, event.id, 0);
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

void decode(frame_decoder& decoder, bytes_view piece, outcome& into) {
    while (const auto event = decoder.next(piece)) {
        if (event->type == frame_type::data) {
            TU_ASSERT(!event->payload.empty());
            append(into.payload, event->payload);
            continue;
        }
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
    outcome second;
    frame_decoder again;
    decode(again, whole.frames, second);
    TU_ASSERT(second.frames == whole.frames && !second.failure);
    return 0;
}
