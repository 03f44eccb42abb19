// What a warm acquire asks of the heap and of the kernel: nothing.
#include <cstdlib>
#include <new>

#include "pool/pool_world.hpp"

// Sanitizers bring an operator new of their own.
#if defined(__SANITIZE_ADDRESS__)
#define TU_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TU_COUNTS_ALLOCATIONS 0
#else
#define TU_COUNTS_ALLOCATIONS 1
#endif
#else
#define TU_COUNTS_ALLOCATIONS 1
#endif

namespace {
thread_local std::size_t allocations = 0;
}

#if TU_COUNTS_ALLOCATIONS
void* operator new(std::size_t size) {
    allocations += 1;
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) std::abort();
    return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace tunnel_uring::test {
namespace {

class acquire_cost : public pool_test {};

TEST_F(acquire_cost, of_a_warm_socket_is_no_call_and_no_allocation_in_any_state_of_the_pool) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(200, 200), reusing());
        co_await w.idle(200);
#if TU_COUNTS_ALLOCATIONS
        const std::size_t first = allocations;
        // Called as a function: a new-expression may be left out by the compiler.
        ::operator delete(::operator new(1));
        EXPECT_GT(allocations, first) << "allocations are counted";
#endif
        std::vector<lease> taken;
        taken.reserve(200);
        for (int round = 0; round < 3; ++round) {
            const std::uint64_t calls = w.kernel->calls();
            const std::size_t before = allocations;
            while (std::optional<lease> got = pool.try_acquire()) taken.push_back(std::move(*got));
            EXPECT_EQ(allocations, before);
            EXPECT_EQ(w.kernel->calls(), calls);
            EXPECT_EQ(taken.size(), 200U);
            for (lease& each : taken) each.release_clean();
            taken.clear();
            co_await w.pass(70s);  // The window of the rates moves on.
            co_await w.idle(200);
        }
    });
}

}  // namespace
}  // namespace tunnel_uring::test
