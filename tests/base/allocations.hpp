// What this thread has asked of the heap so far.
#pragma once

#include <cstddef>

namespace tunnel_uring::test {

// Sanitizers bring an operator new of their own: nothing is counted there.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool counts_allocations = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif
#else
inline constexpr bool counts_allocations = true;
#endif

std::size_t allocations() noexcept;

}  // namespace tunnel_uring::test
