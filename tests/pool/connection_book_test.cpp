// The policy of connection_pool without threads: any order of events keeps its accounts and its
// promises.
#include "pool/connection_book.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <random>
#include <vector>

namespace tunnel_uring::test {
namespace {

using step = pool_turn::step;

struct caller final : pool_waiter {
    void called() noexcept override { order = ++calls; }
    int number = 0;
    int order = 0;
    static inline int calls = 0;
};

TEST(connection_book, serves_a_thousand_waiters_on_eight_places_in_their_order) {
    connection_pool_limits limits;
    limits.max_pool_size = 8;
    const time_point now{1h};
    connection_book book{limits, now, 1};
    std::list<std::uint32_t> leased;
    const auto lend = [&](const pool_turn& turn) {
        pool_turn next = turn;
        if (next.what == step::create) next = book.made(next.place, true, 1ms, now);
        ASSERT_EQ(next.what, step::use);
        book.lend(next.place, now, now, std::source_location::current());
        leased.push_back(next.place);
    };
    for (int i = 0; i < 8; ++i) lend(book.ask(now));
    std::vector<std::unique_ptr<caller>> waiting;
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(book.ask(now).what, step::wait);
        waiting.push_back(std::make_unique<caller>());
        book.enqueue(*waiting.back());
    }
    std::mt19937 random{7};
    for (const std::unique_ptr<caller>& each : waiting) {
        const std::uint32_t place = leased.front();
        leased.pop_front();
        if (book.returned(place, random() % 2 == 0, now)) book.closed(place, true, now);
        ASSERT_TRUE(each->turn) << "it was the next";
        lend(*each->turn);
    }
    EXPECT_EQ(book.stats(now).acquired_idle + book.stats(now).acquired_new, 1008U);
    for (const std::uint32_t place : leased)
        if (book.returned(place, false, now)) book.closed(place, true, now);
}

// Any order of what callers, connections and time may do, by a seed.
class book_world {
  public:
    explicit book_world(std::uint64_t seed) : random_{seed}, book_{limits(seed), now_, seed} {}

    void play(int events) {
        for (int i = 0; i < events; ++i) {
            now_ += duration{pick(20'000'000'000)};
            happen(pick(8));
            look();
        }
        finish();
    }

  private:
    static connection_pool_limits limits(std::uint64_t seed) {
        connection_pool_limits some;
        some.max_pool_size = 1 + static_cast<std::uint32_t>(seed % 7);
        some.min_idle_connections = static_cast<std::uint32_t>(seed % 3) % some.max_pool_size;
        some.acquire_queue = 4;
        some.trusted_for = std::chrono::seconds{seed % 5};
        some.max_idle_time = std::chrono::seconds{(seed % 4) * 20};
        some.max_lifetime = std::chrono::seconds{(seed % 5) * 60};
        some.lease_limit = 30s;
        some.circuit_breaker.failure_threshold = static_cast<std::uint32_t>(seed % 4);
        return some;
    }
    std::int64_t pick(std::int64_t below) {
        return std::uniform_int_distribution<std::int64_t>{0, below - 1}(random_);
    }
    bool likely() { return pick(4) != 0; }
    template <class T>
    T take_any(std::vector<T>& from) {
        const auto at = static_cast<std::size_t>(pick(static_cast<std::int64_t>(from.size())));
        T one = from[at];
        from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
        return one;
    }

    void happen(std::int64_t what) {
        if (what < 2) return begin(book_.ask(now_));
        if (what == 2 && !leased_.empty()) return give_back();
        if (what == 3 && !waiting_.empty() && pick(4) == 0) {
            book_.give_up(*waiting_.back());
            waiting_.pop_back();
        } else if (what == 4) {
            if (const std::optional<pool_job> job = book_.next_job(now_)) jobs_.push_back(*job);
        } else if (what == 5 && !jobs_.empty()) {
            do_job(take_any(jobs_));
        } else if (!turns_.empty()) {
            advance(take_any(turns_));
        }
    }
    void begin(const pool_turn& turn) {
        if (turn.what == step::wait) {
            waiting_.push_back(std::make_unique<caller>());
            return book_.enqueue(*waiting_.back());
        }
        settle(turn);
    }
    void settle(const pool_turn& turn) {
        if (turn.what == step::refuse) return book_.failed(turn.code, now_, now_);
        if (turn.what != step::use) return turns_.push_back(turn);
        book_.lend(turn.place, now_, now_, std::source_location::current());
        leased_.push_back(turn.place);
    }
    void advance(const pool_turn& turn) {
        if (turn.what == step::check) settle(book_.checked(turn.place, likely(), 1ms, now_));
        else if (turn.what == step::replace) settle(book_.replaced(turn.place, likely(), now_));
        else settle(book_.made(turn.place, likely(), 1ms, now_));
    }
    void do_job(const pool_job& job) {
        if (job.what == pool_job::kind::create)
            return book_.made_ahead(job.place, likely(), 1ms, now_);
        if (job.what == pool_job::kind::close) return book_.closed(job.place, likely(), now_);
        if (const auto next = book_.checked_ahead(job.place, likely(), 1ms, now_))
            jobs_.push_back(*next);
    }
    void give_back() {
        const std::uint32_t place = take_any(leased_);
        if (book_.returned(place, likely(), now_)) jobs_.push_back({pool_job::kind::close, place});
    }
    // Whose turn it is goes on, in the order of the queue.
    void look() {
        while (!waiting_.empty() && waiting_.front()->turn) {
            const pool_turn turn = *waiting_.front()->turn;
            waiting_.erase(waiting_.begin());
            settle(turn);
        }
        for (const auto& each : waiting_) ASSERT_FALSE(each->turn) << "out of its turn";
        const connection_pool_stats now = book_.stats(now_);
        ASSERT_EQ(now.created, now.idle + now.leased + now.closing + now.closed);
        ASSERT_LE(now.creating + now.idle + now.leased + now.closing, now.max_pool_size);
        ASSERT_EQ(now.waiting, waiting_.size());
        const auto under_check = std::count_if(jobs_.begin(), jobs_.end(), [](const pool_job& job) {
            return job.what == pool_job::kind::check;
        });
        ASSERT_TRUE(waiting_.empty() || now.idle == static_cast<std::uint64_t>(under_check));
        ASSERT_EQ(book_.leases(now_).size(), leased_.size());
        static_cast<void>(book_.leaks(now_));
        ASSERT_GE(book_.next_due(now_).time_since_epoch(), 0s);
    }
    void finish() {
        book_.close();
        look();
        ASSERT_TRUE(waiting_.empty());
        while (!book_.empty()) {
            if (const std::optional<pool_job> job = book_.next_job(now_)) jobs_.push_back(*job);
            if (!jobs_.empty()) do_job(take_any(jobs_));
            if (!turns_.empty()) advance(take_any(turns_));
            if (!leased_.empty()) give_back();
            look();
        }
        const connection_pool_stats last = book_.stats(now_);
        ASSERT_EQ(last.created, last.closed);
        ASSERT_EQ(last.checking, 0U);
        ASSERT_EQ(book_.ask(now_).code, ESHUTDOWN);
    }

    time_point now_{1h};
    std::mt19937_64 random_;
    connection_book book_;
    std::vector<std::unique_ptr<caller>> waiting_;
    std::vector<pool_turn> turns_;
    std::vector<pool_job> jobs_;
    std::vector<std::uint32_t> leased_;
};

TEST(connection_book, keeps_its_accounts_and_its_order_whatever_happens) {
    for (std::uint64_t seed = 0; seed < 2000 && !testing::Test::HasFatalFailure(); ++seed) {
        SCOPED_TRACE(seed);
        book_world world{seed};
        world.play(300);
    }
}

}  // namespace
}  // namespace tunnel_uring::test
