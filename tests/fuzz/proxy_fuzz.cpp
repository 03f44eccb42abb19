// PROXY protocol headers, read from whoever connects: no front of a whole header is taken for
// another verdict than "more", what follows a header changes nothing, and what was read is written
// and read again as the same.
#include "wire/proxy_protocol.hpp"

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

namespace {

using verdict = proxy_header::verdict;

void check_again(const proxy_header& read, const std::vector<std::byte>& bytes) {
    const proxy_header again = parse_proxy_header(bytes, {});
    TU_ASSERT(again.what == verdict::whole && again.length == bytes.size());
    TU_ASSERT(again.source == read.source && again.destination == read.destination);
}

}  // namespace

// The first byte chooses the versions.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input{data, size};
    const std::uint8_t choice = input.byte();
    const proxy_versions versions{.v1 = choice % 3 != 1, .v2 = choice % 3 != 2};
    const bytes_view all = input.rest();
    const proxy_header read = parse_proxy_header(all, versions);
    TU_ASSERT((read.what == verdict::malformed) == !read.sentence.empty());
    for (std::size_t count = 0; count < all.size(); ++count) {
        const proxy_header early = parse_proxy_header(all.first(count), versions);
        TU_ASSERT(early.what == verdict::more || early.what == read.what);
        TU_ASSERT(early.sentence == read.sentence || early.what == verdict::more);
        TU_ASSERT(early.what != verdict::whole || early.length <= count);
    }
    if (read.what != verdict::whole) return 0;
    TU_ASSERT(read.length <= all.size() && read.source.family == read.destination.family);
    check_again(read, proxy_header_v1(read.source, read.destination));
    check_again(read, proxy_header_v2(read.source, read.destination));
    return 0;
}
