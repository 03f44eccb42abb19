// Tokens and public keys as people paste them: what parses is written again as the same text. A
// token may have the end of its line after it.
#include "wire/token.hpp"

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({reinterpret_cast<const std::byte*>(data), size});
    const auto parsed = token::parse(text);
    TU_ASSERT(!parsed || text.starts_with(parsed->text()));
    const auto key = parse_public_key(text);
    TU_ASSERT(!key || format_public_key(*key) == text);
    return 0;
}
