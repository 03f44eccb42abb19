// How a connection begins, read from a stranger: preamble, lane hello and control messages. What
// decodes encodes again to a message that decodes to the same bytes.
#include "wire/handshake.hpp"

#include <algorithm>
#include <vector>

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

namespace {

template <class Block>
Block block_from(fuzz_input& input) {
    Block out{};
    const bytes_view bytes = input.take(out.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return out;
}

void try_preamble(fuzz_input input) {
    const auto bytes = block_from<preamble>(input);
    const auto kind = decode_preamble(bytes);
    TU_ASSERT(!kind || encode_preamble(*kind) == bytes);
}

void try_lane_hello(fuzz_input input) {
    const auto kind = static_cast<connection_kind>(1 + input.byte() % 3);
    const auto secret = block_from<lane_secret>(input);
    const auto bytes = block_from<lane_hello_block>(input);
    const bool believed = proven(bytes, kind, secret);
    const lane_hello hello = decode_lane_hello(kind, bytes);
    TU_ASSERT(!believed || encode_lane_hello(hello, secret) == bytes);
}

void try_control(fuzz_input input) {
    const bytes_view message = input.rest();
    if (message.size() < control_header_bytes || message.size() > session_bytes_limit) return;
    const auto decoded = decode_control(message);
    if (!decoded) return;
    std::vector<std::byte> once;
    encode(*decoded, once);
    const auto second = decode_control(once);
    TU_ASSERT(second.has_value());
    std::vector<std::byte> twice;
    encode(*second, twice);
    TU_ASSERT(once == twice);
}

}  // namespace

// The first byte chooses what the rest is read as.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input{data, size};
    switch (input.byte() % 3) {
        case 0: try_preamble(input); break;
        case 1: try_lane_hello(input); break;
        default: try_control(input); break;
    }
    return 0;
}
