#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace tunnel_uring {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "tunnel-uring: internal error: %s does not hold at %s:%d\n", expression,
                 file, line);
    std::abort();
}

}  // namespace tunnel_uring
