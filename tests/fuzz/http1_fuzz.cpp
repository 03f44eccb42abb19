// The reader of HTTP/1.1 messages: what it says does not depend on how its input was cut; what goes
// on of a head is what a peer takes; and a message that was taken, written again with framing of
// ours, reads as the same message.
#include "wire/http1.hpp"

#include <array>
#include <string>

#include "fuzz/fuzz.hpp"
#include "wire/http1_play.hpp"

using namespace tunnel_uring;

namespace {

struct options {
    http_reader::kind what = http_reader::kind::request;
    http_limits limits;
    bool to_head = false;
    bool upgrade_asked = false;
};

struct played : http_player {
    played(const options& how, std::string_view all, std::size_t step)
        : http_player{how.what, how.limits} {
        reader().expect(how.to_head, how.upgrade_asked);
        play(all, step);
        end();
    }
};

// As who writes the message next does it.
std::string write_again(http_reader::kind what, const http_player::message& one) {
    const std::size_t line_end = one.start.find("\r\n");
    const std::string line = one.start.substr(0, line_end);
    std::string out = what == http_reader::kind::request
                          ? line + " HTTP/1.1\r\n"
                          : "HTTP/1.1 " + std::to_string(one.status) + " " + line + "\r\n";
    out += one.start.substr(line_end + 2);
    if (one.upgrade) out += "Connection: upgrade\r\n";
    append_framing(out, one.framing);
    out += "\r\n";
    if (one.framing.framing != body_framing::chunked || !one.has_body) return out + one.body;
    if (!one.body.empty()) {
        std::array<char, 18> header{};
        out.append(header.data(), chunk_header(header.data(), one.body.size()));
        out.append(one.body).append(chunk_end);
    }
    return out.append(last_chunk).append(one.trailers).append("\r\n");
}

void check(const options& how, const http_player::message& one) {
    const std::string_view fields = std::string_view{one.start}.substr(one.start.find("\r\n") + 2);
    TU_ASSERT(are_fields(fields, one.upgrade));
    TU_ASSERT(are_fields(one.trailers, false));
    if (!one.complete) return;
    // Written again, a line may be longer by a space, and framing is added.
    options roomy = how;
    roomy.limits.head_bytes = 2 * how.limits.head_bytes + 256;
    roomy.limits.fields += 3;
    const std::string again = write_again(how.what, one);
    const played second{roomy, again, again.size()};
    TU_ASSERT(!second.failed && second.messages.size() == 1);
    const http_player::message& same = second.messages.front();
    TU_ASSERT(same.complete && same.start == one.start && same.framing == one.framing);
    TU_ASSERT(same.body == one.body && same.trailers == one.trailers);
    TU_ASSERT(same.has_body == one.has_body && same.upgrade == one.upgrade);
}

}  // namespace

// The first byte chooses what is read and how, the second how long the pieces are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input{data, size};
    const std::uint8_t choice = input.byte();
    const std::size_t step = input.byte() + std::size_t{1};
    options how;
    if ((choice & 1U) != 0) how.what = http_reader::kind::response;
    how.to_head = (choice & 2U) != 0;
    how.upgrade_asked = (choice & 4U) != 0;
    if ((choice & 8U) != 0) how.limits = {.head_bytes = 256, .fields = 8};

    const std::string_view all = as_text(input.rest());
    const played whole{how, all, all.size()};
    const played pieces{how, all, step};
    TU_ASSERT(pieces.same_as(whole));
    for (const http_player::message& one : whole.messages) check(how, one);
    return 0;
}
