#include "base/allocations.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

namespace tunnel_uring::test {

namespace {
thread_local std::size_t counted = 0;
}

std::size_t allocations() noexcept { return counted; }

namespace {

TEST(allocations, are_counted) {
    if (!counts_allocations) GTEST_SKIP() << "the sanitizer has an operator new of its own";
    const std::size_t before = allocations();
    // Called as a function: a new-expression may be left out by the compiler.
    ::operator delete(::operator new(1));
    EXPECT_EQ(allocations(), before + 1);
}

}  // namespace
}  // namespace tunnel_uring::test

#if !defined(__SANITIZE_ADDRESS__)
#if !defined(__has_feature)
#define TU_REPLACES_NEW 1
#elif !__has_feature(address_sanitizer)
#define TU_REPLACES_NEW 1
#endif
#endif

#ifdef TU_REPLACES_NEW
void* operator new(std::size_t size) {
    tunnel_uring::test::counted += 1;
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) std::abort();
    return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
