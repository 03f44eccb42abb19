// Connections that are only numbers, for tests of connection_pool: they fail, hang, throw and go
// stale as a test wants it. And a clock that stands until it is moved.
#pragma once

#include <tunnel_uring/connection_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/clock.hpp"

namespace tunnel_uring::test {

// Closed until it is opened; counts who stands before it.
class gate {
  public:
    void shut() { set(false); }
    void open() { set(true); }
    void pass() {
        std::unique_lock held{mutex_};
        waiting_ += 1;
        changed_.notify_all();
        changed_.wait(held, [this] { return open_; });
        waiting_ -= 1;
    }
    void await(int waiting) {
        std::unique_lock held{mutex_};
        changed_.wait(held, [&] { return waiting_ >= waiting; });
    }

  private:
    void set(bool open) {
        const std::lock_guard held{mutex_};
        open_ = open;
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int waiting_ = 0;
};

// What the connections lead to.
struct far_end {
    gate creating;
    gate checking;
    gate closing;
    std::atomic<int> create_errno{0};
    std::atomic<int> create_failures{1 << 30};  // So often; then it goes well.
    std::atomic<bool> throws{false};
    std::atomic<bool> recycles{true};
    std::atomic<int> open{0};
    std::atomic<int> most_open{0};
    std::atomic<int> made{0};
    std::atomic<int> checks{0};
    std::atomic<int> under_check{0};
    std::atomic<bool> shared{false};  // One connection was in two hands.

    void hang_up(int id) {
        const std::lock_guard held{mutex};
        dead.insert(id);
    }
    bool is_dead(int id) {
        const std::lock_guard held{mutex};
        return dead.contains(id);
    }

  private:
    std::mutex mutex;
    std::set<int> dead;
};

struct number {
    explicit number(int value) noexcept : id{value} {}
    number(number&& other) noexcept : id{other.id}, used{other.used.load()} {}
    int id;
    std::atomic<int> used{0};
};

struct numbers {
    std::shared_ptr<far_end> end = std::make_shared<far_end>();

    result<number> create(pool_time) const {
        end->creating.pass();
        if (end->throws) throw std::runtime_error{"no more numbers"};
        if (const int code = end->create_errno; code != 0 && end->create_failures-- > 0)
            return error{code, "the far end is away"};
        const int open = end->open += 1;
        int most = end->most_open;
        while (most < open && !end->most_open.compare_exchange_weak(most, open)) {
        }
        return number{end->made += 1};
    }
    bool validate(number& one) const {
        end->checks += 1;
        touch(one, 1);
        end->under_check += 1;
        end->checking.pass();
        end->under_check -= 1;
        touch(one, -1);
        if (end->throws) throw std::runtime_error{"cannot look"};
        return !end->is_dead(one.id);
    }
    bool recycle(number&) const {
        if (end->throws) throw std::runtime_error{"cannot undo"};
        return end->recycles;
    }
    void close(number& one) const {
        touch(one, 1);
        end->closing.pass();
        touch(one, -1);
        end->open -= 1;
        if (end->throws) throw std::runtime_error{"cannot close"};
    }
    void touch(number& one, int change) const {
        if ((one.used += change) > 1) end->shared = true;
    }
};

// One for all pools of a test; it never goes back.
class still_clock {
  public:
    static pool_time now() noexcept { return pool_time{duration{ticks_.load()}}; }
    static void pass(duration time) { ticks_ += time.count(); }

  private:
    static inline std::atomic<std::int64_t> ticks_{std::chrono::nanoseconds{1h}.count()};
};

class connection_pool_test : public ::testing::Test {
  protected:
    using pool_type = connection_pool<number, numbers>;
    using lease = pool_type::lease;

    // Nothing happens by itself, and time stands.
    static connection_pool_limits by_hand(std::uint32_t most) {
        connection_pool_limits limits;
        limits.max_pool_size = most;
        limits.threads = 0;
        limits.clock = still_clock::now;
        limits.acquire_timeout = 1h;
        limits.trusted_for = 1h;
        return limits;
    }
    pool_type& start(connection_pool_limits limits) {
        result<pool_type> opened = pool_type::open(std::move(limits), numbers{end});
        EXPECT_TRUE(opened);
        pool = std::make_unique<pool_type>(*std::move(opened));
        return *pool;
    }
    lease take(std::source_location where = std::source_location::current()) const {
        result<lease> got = pool->acquire(where);
        EXPECT_TRUE(got);
        return got ? *std::move(got) : lease{};
    }
    // The next one that is taken.
    int id_of_next() const {
        lease got = take();
        const int id = got->id;
        got.release_clean();
        return id;
    }
    void pass(duration time) const {
        still_clock::pass(time);
        pool->maintain();
    }
    // Until the pool says so; whoever would wait for ever is ended by the test runner.
    template <class Condition>
    void await(Condition&& holds) const {
        while (!holds(pool->stats())) std::this_thread::yield();
    }
    static void expect_sums(const connection_pool_stats& now) {
        EXPECT_EQ(now.created, now.idle + now.leased + now.closing + now.closed);
        EXPECT_LE(now.creating + now.idle + now.leased + now.closing, now.max_pool_size);
    }
    void TearDown() override {
        if (!pool) return;
        expect_sums(pool->stats());
        const result<void> drained = pool->drain(1min);
        EXPECT_TRUE(drained);
        const connection_pool_stats last = pool->stats();
        EXPECT_EQ(last.created, last.closed);
        EXPECT_EQ(last.waiting, 0U);
        EXPECT_EQ(last.checking, 0U);
        pool.reset();
        EXPECT_EQ(end->open, 0);
        EXPECT_FALSE(end->shared) << "a connection was in two hands";
    }

    std::shared_ptr<far_end> end = std::make_shared<far_end>();
    std::unique_ptr<pool_type> pool;
};

}  // namespace tunnel_uring::test
