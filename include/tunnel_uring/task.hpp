// task<T>: a coroutine with one owner.
//
// A task does nothing until it is awaited (or handed to a nursery). Awaiting starts it inline, on
// the awaiter's stack; when it finishes without having suspended the awaiter just goes on, else the
// awaiter is resumed from the run queue. So no chain of completions is ever deeper than the calls a
// reader sees, at -O0 and under sanitizers too (GCC makes symmetric transfer a tail call at -O2
// only).
//
// A frame is destroyed only unstarted or finished: destroying a task in between ends the program,
// because an operation in the kernel could still write into the frame. There is no detach.
//
// Under GCC 12 a `co_await` stands alone: a whole statement, right of `=`, or after `co_return`.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

namespace tunnel_uring {

namespace detail {

// Frames come from per-thread free lists by size class; see coro/frame_pool.cpp.
void* allocate_frame(std::size_t size);
void release_frame(void* frame, std::size_t size) noexcept;
// Makes `handle` run later, from the run queue of this thread.
void resume_later(std::coroutine_handle<> handle) noexcept;
[[noreturn]] void frame_destroyed_in_flight() noexcept;

// Told when a coroutine that nobody awaits has finished; the frame is suspended at its end.
class finish_listener {
  public:
    virtual void finished(std::coroutine_handle<> handle) noexcept = 0;

  protected:
    ~finish_listener() = default;
};

class promise_base {
  public:
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
        release_frame(frame, size);
    }

    std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
            promise_base& promise = handle.promise();
            if (promise.listener_ != nullptr) promise.listener_->finished(handle);
            else if (promise.awaiter_) resume_later(promise.awaiter_);
        }
        void await_resume() const noexcept {}
    };
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() const noexcept { std::terminate(); }

    std::coroutine_handle<> awaiter_;
    finish_listener* listener_ = nullptr;
    bool started_ = false;
};

template <class T>
class promise;

}  // namespace detail

template <class T = void>
class [[nodiscard]] task {
  public:
    using promise_type = detail::promise<T>;

    task() noexcept = default;
    task(task&& other) noexcept : handle_{std::exchange(other.handle_, {})} {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    ~task() { destroy(); }

    struct awaiter {
        std::coroutine_handle<promise_type> handle;
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> parent) const {
            handle.promise().started_ = true;
            handle.resume();
            if (handle.done()) return false;
            handle.promise().awaiter_ = parent;
            return true;
        }
        T await_resume() const { return handle.promise().take(); }
    };
    // The task must outlive the await, as the temporary of `co_await f()` does.
    awaiter operator co_await() && noexcept { return awaiter{handle_}; }

    // For nurseries and run loops: gives up the frame, unstarted.
    std::coroutine_handle<promise_type> release() noexcept { return std::exchange(handle_, {}); }

  private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    void destroy() noexcept {
        if (!handle_) return;
        if (handle_.promise().started_ && !handle_.done()) detail::frame_destroyed_in_flight();
        handle_.destroy();
    }
    std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
class promise : public promise_base {
  public:
    task<T> get_return_object() noexcept {
        return task<T>{std::coroutine_handle<promise>::from_promise(*this)};
    }
    void return_value(T value) { value_.emplace(std::move(value)); }
    T take() { return std::move(*value_); }

  private:
    std::optional<T> value_;
};

template <>
class promise<void> : public promise_base {
  public:
    task<void> get_return_object() noexcept {
        return task<void>{std::coroutine_handle<promise>::from_promise(*this)};
    }
    void return_void() const noexcept {}
    void take() const noexcept {}
};

}  // namespace detail
}  // namespace tunnel_uring
