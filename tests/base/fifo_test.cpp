#include "base/fifo.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "base/allocations.hpp"

namespace tunnel_uring::test {
namespace {

TEST(a_fifo, gives_back_in_order) {
    fifo<int> queue;
    int next_in = 0;
    int next_out = 0;
    // Grows and shrinks, and passes its memory's end many times.
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < round % 7 + 1; ++i) queue.push_back(next_in++);
        for (int i = 0; i < round % 5 + 1 && !queue.empty(); ++i)
            EXPECT_EQ(queue.pop_front(), next_out++);
        EXPECT_EQ(queue.size(), static_cast<std::size_t>(next_in - next_out));
        int expected = next_out;
        for (const int each : queue) EXPECT_EQ(each, expected++);
    }
    while (!queue.empty()) EXPECT_EQ(queue.pop_front(), next_out++);
    EXPECT_EQ(next_in, next_out);
}

TEST(a_fifo, lets_go_of_what_it_gave_back) {
    fifo<std::shared_ptr<int>> queue;
    const auto kept = std::make_shared<int>(1);
    queue.push_back(kept);
    queue.push_back(nullptr);
    EXPECT_EQ(queue.pop_front(), kept);
    EXPECT_EQ(kept.use_count(), 1);
}

TEST(a_fifo, allocates_no_more_once_it_has_been_as_long) {
    if (!counts_allocations) GTEST_SKIP() << "the sanitizer has an operator new of its own";
    const std::size_t before = allocations();
    fifo<int> queue;
    EXPECT_EQ(allocations(), before);
    for (int i = 0; i < 3; ++i) queue.push_back(i);
    const std::size_t grown = allocations();
    // Never empty, always moving on.
    for (int i = 0; i < 10'000; ++i) {
        static_cast<void>(queue.pop_front());
        queue.push_back(i);
    }
    EXPECT_EQ(allocations(), grown);
}

}  // namespace
}  // namespace tunnel_uring::test
