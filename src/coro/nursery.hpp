// nursery: owns the tasks it started and joins every one of them before it may be destroyed.
#pragma once

#include <coroutine>
#include <cstddef>

#include "base/check.hpp"
#include "coro/cancel.hpp"
#include "coro/event.hpp"
#include "coro/run_queue.hpp"

namespace tunnel_uring {

class nursery final : private detail::finish_listener {
  public:
    // Its token is cancelled when `parent` is, or by cancel().
    explicit nursery(cancel_token parent = {}) noexcept : source_{parent} {}
    nursery(const nursery&) = delete;
    nursery& operator=(const nursery&) = delete;
    ~nursery() { TU_ASSERT(running_ == 0); }

    // Runs `child` inline to its first suspension; a child that ends there is gone on return, with
    // its parameters. What the child is given by reference must outlive the nursery's join.
    void start(task<void> child) {
        const auto handle = child.release();
        handle.promise().listener_ = this;
        handle.promise().started_ = true;
        running_ += 1;
        handle.resume();
        run_queue::current().destroy_finished();
    }

    void cancel() noexcept { source_.request(); }
    cancel_token token() noexcept { return source_.token(); }
    std::size_t running() const noexcept { return running_; }

    // Awaits the end of all children, those started meanwhile included; their frames are gone then.
    // Not cancelled by anything: cancel the children instead.
    task<void> join() {
        while (running_ != 0) {
            const result<void> woken = co_await idle_.wait();
            TU_ASSERT(woken);
        }
    }

  private:
    void finished(std::coroutine_handle<> handle) noexcept override {
        run_queue::current().reap(handle);
        running_ -= 1;
        if (running_ == 0) idle_.notify_all();
    }

    cancel_source source_;
    std::size_t running_ = 0;
    event idle_;
};

}  // namespace tunnel_uring
