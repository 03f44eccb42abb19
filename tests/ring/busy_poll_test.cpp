#include "ring/busy_poll.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <thread>

#include "net/stream.hpp"

namespace tunnel_uring::test {
namespace {

constexpr time_point start{1h};

busy_poll after(int waits, duration each, std::size_t completions = 1) {
    busy_poll spinning = busy_poll::when_it_pays();
    for (int i = 0; i < waits; ++i) spinning.waited(each, completions);
    return spinning;
}

TEST(busy_polling, is_off_unless_asked_for) {
    EXPECT_TRUE(busy_poll{}.off());
    EXPECT_EQ(busy_poll{}.budget(start), duration{0});
}

TEST(busy_polling, may_be_for_a_fixed_time) {
    busy_poll spinning = busy_poll::always(20us);
    for (int i = 0; i < 100; ++i) spinning.waited(1s, 0);
    EXPECT_EQ(spinning.budget(start), 20us);
}

TEST(busy_polling, begins_when_waits_are_short) {
    EXPECT_EQ(after(0, 0us).budget(start), duration{0});
    EXPECT_EQ(after(20, 30us).budget(start), busy_poll::usual_budget);
    EXPECT_EQ(after(200, 51us).budget(start), duration{0});
}

TEST(busy_polling, ends_when_waits_grow_long) {
    busy_poll spinning = after(100, 10us);
    for (int i = 0; i < 10; ++i) spinning.waited(1ms, 1);
    EXPECT_EQ(spinning.budget(start), duration{0});
}

TEST(busy_polling, is_not_for_a_loop_with_many_exchanges) {
    EXPECT_EQ(after(100, 10us, 32).budget(start), duration{0});
}

TEST(busy_polling, rests_while_others_want_the_core) {
    busy_poll spinning = after(100, 10us);
    spinning.paused(start, 1us);
    EXPECT_EQ(spinning.budget(start), busy_poll::usual_budget);
    spinning.paused(start, 3ms);
    EXPECT_EQ(spinning.budget(start + 1ms), duration{0});
    EXPECT_EQ(spinning.budget(start + 1s), busy_poll::usual_budget);
}

TEST(busy_polling, rests_longer_the_more_often_it_is_put_aside) {
    busy_poll spinning = after(100, 10us);
    time_point now = start;
    duration longest{0};
    for (int i = 0; i < 20; ++i) {
        spinning.paused(now, 3ms);
        const time_point rest_began = now;
        while (spinning.budget(now) == duration{0}) now += 1ms;
        EXPECT_GE(now - rest_began, longest);
        longest = now - rest_began;
    }
    EXPECT_GE(longest, 1s);
    EXPECT_LE(longest, 3s);
}

task<> hear_one_byte(io_context& io, int fd) {
    result<stream> peer = stream::adopt(io, fd);
    EXPECT_TRUE(peer.has_value());
    if (!peer) co_return;
    std::array<std::byte, 1> memory{};
    const result<std::size_t> got = co_await peer->receive(memory, {});
    EXPECT_EQ(*got, 1U);
}

task<> sleep_a_little(io_context& io) {
    const result<void> slept = co_await io.sleep(2ms);
    EXPECT_TRUE(slept.has_value());
}

// A loop on the real kernel that spins as good as for ever; nothing where that is denied.
std::unique_ptr<io_context> spinning_loop() {
    result<std::unique_ptr<backend>> kernel = make_uring_backend({});
    if (!kernel) return nullptr;
    return std::make_unique<io_context>(std::move(*kernel), busy_poll::always(1h));
}

TEST(busy_polling, takes_what_comes_without_sleeping) {
    const std::unique_ptr<io_context> io = spinning_loop();
    if (io == nullptr) GTEST_SKIP() << "io_uring is denied here";
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    std::thread sender{[&ends]() { EXPECT_EQ(write(ends[1], "x", 1), 1); }};
    io->run(hear_one_byte(*io, ends[0]));
    sender.join();
    close(ends[1]);
    EXPECT_EQ(io->counters().spins, io->counters().spins_paid);
    EXPECT_GE(io->counters().spins_paid, 1U);
}

TEST(busy_polling, keeps_no_timer_waiting) {
    const std::unique_ptr<io_context> io = spinning_loop();
    if (io == nullptr) GTEST_SKIP() << "io_uring is denied here";
    io->run(sleep_a_little(*io));
    EXPECT_EQ(io->counters().spins_paid, 0U);
    EXPECT_GE(io->counters().spins, 1U);
}

}  // namespace
}  // namespace tunnel_uring::test
