// What tests of coroutines need: a world without a kernel, and things that count their lives.
#pragma once

#include <gtest/gtest.h>

#include <coroutine>
#include <cstddef>
#include <set>
#include <utility>

#include "coro/nursery.hpp"
#include "coro/run_queue.hpp"

namespace tunnel_uring {

// Objects made, and those alive by their place: one that is destroyed twice, or was never made, is
// counted in `mistakes`.
class life {
  public:
    void begin(const void* at) {
        made_ += 1;
        if (!alive_.insert(at).second) mistakes_ += 1;
    }
    void end(const void* at) {
        if (alive_.erase(at) == 0) mistakes_ += 1;
    }
    std::size_t alive() const noexcept { return alive_.size(); }
    int made() const noexcept { return made_; }
    int mistakes() const noexcept { return mistakes_; }

  private:
    std::set<const void*> alive_;
    int made_ = 0;
    int mistakes_ = 0;
};

// Registers every construction and destruction with its life, copies and moves included.
class counted {
  public:
    explicit counted(life& of, int value = 0) : life_{&of}, value_{value} { life_->begin(this); }
    counted(const counted& other) : life_{other.life_}, value_{other.value_} { life_->begin(this); }
    counted(counted&& other) noexcept
        : life_{other.life_}, value_{std::exchange(other.value_, -1)} {
        life_->begin(this);
    }
    counted& operator=(const counted&) = default;
    counted& operator=(counted&&) = default;
    ~counted() { life_->end(this); }
    int value() const noexcept { return value_; }

  private:
    life* life_;
    int value_;
};

// Lets everything else that is ready go first: `co_await later{};`.
struct later {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { run_queue::current().push(handle); }
    void await_resume() const noexcept {}
};

// Runs `main` and all that becomes ready, to quiescence; takes the census of frames and lives.
class coro : public testing::Test {
  protected:
    void run(task<> main) {
        const run_queue::entered here{queue_};
        nursery root;
        root.start(std::move(main));
        while (!queue_.empty()) queue_.run_batch();
        ASSERT_EQ(root.running(), 0U);
    }
    void TearDown() override {
        EXPECT_EQ(live_frames(), frames_);
        EXPECT_EQ(lives_.alive(), 0U);
        EXPECT_EQ(lives_.mistakes(), 0);
    }

    life lives_;
    run_queue queue_;
    std::size_t frames_ = live_frames();
};

}  // namespace tunnel_uring
