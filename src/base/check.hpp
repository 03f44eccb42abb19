// TU_ASSERT: for what only a bug of ours can do. On in release builds too; prints the place and
// ends the program.
#pragma once

namespace tunnel_uring {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace tunnel_uring

#define TU_ASSERT(expression)            \
    ((expression) ? static_cast<void>(0) \
                  : ::tunnel_uring::assertion_failed(#expression, __FILE__, __LINE__))
