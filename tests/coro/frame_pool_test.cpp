#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "coro/coro_fixture.hpp"
#include "coro/run_queue.hpp"

// Counts what is asked of the heap; sanitizers bring an operator new of their own, and there frames
// are never used again.
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

namespace tunnel_uring {
namespace {

// Runs `body` where no frame was released before.
template <class Body>
void on_a_new_thread(Body body) {
    std::thread{body}.join();
}

// Takes and gives back `count` frames of a size; returns what that asked of the heap.
std::size_t allocations_of(std::size_t size, std::size_t count) {
    std::array<void*, 16> frames{};
    const std::size_t before = allocations;
    for (std::size_t i = 0; i < count; ++i) frames.at(i) = detail::allocate_frame(size);
    for (std::size_t i = 0; i < count; ++i) detail::release_frame(frames.at(i), size);
    return allocations - before;
}

class frame_pool : public testing::Test {
  protected:
    void SetUp() override {
        if (!TU_COUNTS_ALLOCATIONS) GTEST_SKIP() << "under AddressSanitizer no frame comes back";
    }
};

TEST_F(frame_pool, a_frame_that_came_back_is_used_again) {
    on_a_new_thread([] {
        EXPECT_EQ(allocations_of(200, 3), 3U);
        EXPECT_EQ(allocations_of(200, 3), 0U);
        EXPECT_EQ(allocations_of(200, 4), 1U);
    });
}

TEST_F(frame_pool, the_frame_that_came_back_last_is_used_first) {
    void* const first = detail::allocate_frame(300);
    void* const second = detail::allocate_frame(300);
    detail::release_frame(first, 300);
    detail::release_frame(second, 300);
    EXPECT_EQ(detail::allocate_frame(300), second);
    EXPECT_EQ(detail::allocate_frame(300), first);
    detail::release_frame(first, 300);
    detail::release_frame(second, 300);
}

TEST_F(frame_pool, sizes_of_one_class_share_its_frames_and_no_others) {
    on_a_new_thread([] {
        EXPECT_EQ(allocations_of(641, 1), 1U);  // 641 to 704 bytes are one class of 64.
        EXPECT_EQ(allocations_of(704, 1), 0U);
        EXPECT_EQ(allocations_of(705, 1), 1U);
        EXPECT_EQ(allocations_of(640, 1), 1U);
    });
}

TEST_F(frame_pool, frames_up_to_4_kib_are_kept) {
    on_a_new_thread([] {
        EXPECT_EQ(allocations_of(4096, 2), 2U);
        EXPECT_EQ(allocations_of(4096, 2), 0U);
    });
}

TEST_F(frame_pool, frames_above_4_kib_go_back_to_the_heap) {
    on_a_new_thread([] {
        EXPECT_EQ(allocations_of(4097, 2), 2U);
        EXPECT_EQ(allocations_of(4097, 2), 2U);
    });
}

TEST_F(frame_pool, each_thread_keeps_its_own_frames) {
    allocations_of(500, 1);
    on_a_new_thread([] { EXPECT_EQ(allocations_of(500, 1), 1U); });
}

task<int> one() { co_return 1; }

task<> await_often(int count, std::size_t& asked) {
    const int first = co_await one();
    const std::size_t before = allocations;
    int sum = first;
    for (int i = 0; i < count; ++i) {
        const int value = co_await one();
        sum += value;
    }
    asked = allocations - before;
    EXPECT_EQ(sum, count + 1);
}

TEST_F(coro, awaiting_in_the_steady_state_allocates_nothing) {
    if (!TU_COUNTS_ALLOCATIONS) GTEST_SKIP() << "under AddressSanitizer no frame comes back";
    std::size_t asked = 99;
    run(await_often(1000, asked));
    EXPECT_EQ(asked, 0U);
}

TEST(live_frames, counts_frames_of_every_size_until_they_are_released) {
    const std::size_t before = live_frames();
    for (const std::size_t size : {1U, 64U, 65U, 4095U, 4096U, 4097U, 100'000U}) {
        void* const frame = detail::allocate_frame(size);
        EXPECT_EQ(live_frames(), before + 1) << size;
        std::memset(frame, 0xff, size);  // All of it is there, as a sanitizer would tell.
        detail::release_frame(frame, size);
        EXPECT_EQ(live_frames(), before) << size;
    }
}

TEST(live_frames, counts_those_of_the_calling_thread) {
    void* const frame = detail::allocate_frame(64);
    on_a_new_thread([] { EXPECT_EQ(live_frames(), 0U); });
    detail::release_frame(frame, 64);
}

task<> hold_big(std::size_t& seen) {
    const std::array<std::byte, 8192> block{};
    co_await later{};
    seen = block.size();
}

TEST_F(coro, a_frame_larger_than_the_largest_class_works) {
    std::size_t seen = 0;
    run(hold_big(seen));
    EXPECT_EQ(seen, 8192U);
}

}  // namespace
}  // namespace tunnel_uring
