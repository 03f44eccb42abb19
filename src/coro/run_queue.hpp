// The run queue: what is ready to run on this thread, first come, first served.
//
// Completions, cancellations and finished children never resume a coroutine inline; they put it
// here, and the run loop resumes it when nothing else is on the stack.
#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

#include <tunnel_uring/task.hpp>

namespace tunnel_uring {

class run_queue {
  public:
    run_queue();
    run_queue(const run_queue&) = delete;
    run_queue& operator=(const run_queue&) = delete;
    ~run_queue();

    // The queue that the calling thread runs now; exactly one `entered` is alive there.
    static run_queue& current() noexcept;

    // While it lives, `queue` is the current one of this thread; nests (the simulated world
    // switches between the queues of its nodes).
    class entered {
      public:
        explicit entered(run_queue& queue) noexcept;
        entered(const entered&) = delete;
        entered& operator=(const entered&) = delete;
        ~entered();

      private:
        run_queue* previous_;
    };

    void push(std::coroutine_handle<> handle) { ready_.push_back(handle); }
    // Destroys a finished frame once its last resume has returned.
    void reap(std::coroutine_handle<> handle) { finished_.push_back(handle); }
    // Does so now. No frame that is reaped runs any more: it was resumed by run_batch(), or by who
    // calls this.
    void destroy_finished() noexcept;
    bool empty() const noexcept { return ready_.empty() && finished_.empty(); }
    // Resumes what was ready when called (not what becomes ready meanwhile); returns how many.
    std::size_t run_batch();

  private:
    std::vector<std::coroutine_handle<>> ready_;
    std::vector<std::coroutine_handle<>> batch_;
    std::vector<std::coroutine_handle<>> finished_;
};

// `co_await next_turn{}`: lets all others who are ready run first, and the kernel be asked for
// news.
struct next_turn {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { run_queue::current().push(handle); }
    void await_resume() const noexcept {}
};

// Coroutine frames of this thread that are alive; a census of tests compares it before and after.
std::size_t live_frames() noexcept;

}  // namespace tunnel_uring
