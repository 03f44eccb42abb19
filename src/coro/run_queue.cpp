#include "coro/run_queue.hpp"

#include "base/check.hpp"

namespace tunnel_uring {

namespace {
thread_local run_queue* current_queue = nullptr;

// What becomes ready in a busy turn: so that waking a coroutine asks nothing of the heap.
constexpr std::size_t usual_length = 1024;

}  // namespace

run_queue::run_queue() {
    ready_.reserve(usual_length);
    batch_.reserve(usual_length);
}

run_queue::~run_queue() {
    destroy_finished();
    TU_ASSERT(ready_.empty());
}

run_queue& run_queue::current() noexcept {
    TU_ASSERT(current_queue != nullptr);
    return *current_queue;
}

run_queue::entered::entered(run_queue& queue) noexcept : previous_{current_queue} {
    current_queue = &queue;
}

run_queue::entered::~entered() { current_queue = previous_; }

std::size_t run_queue::run_batch() {
    TU_ASSERT(batch_.empty());
    batch_.swap(ready_);
    const std::size_t count = batch_.size();
    for (const std::coroutine_handle<> handle : batch_) {
        handle.resume();
        destroy_finished();
    }
    batch_.clear();
    destroy_finished();
    return count;
}

void run_queue::destroy_finished() noexcept {
    // A destructor in a frame may finish another child, so the list can grow meanwhile.
    while (!finished_.empty()) {
        const std::coroutine_handle<> handle = finished_.back();
        finished_.pop_back();
        handle.destroy();
    }
}

namespace detail {

void resume_later(std::coroutine_handle<> handle) noexcept { run_queue::current().push(handle); }

void frame_destroyed_in_flight() noexcept {
    assertion_failed("a coroutine frame is destroyed only unstarted or finished", "task.hpp", 0);
}

}  // namespace detail
}  // namespace tunnel_uring
