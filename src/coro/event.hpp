// Waking coroutines: event (a flag with waiters) and mailbox (values with one reader).
#pragma once

#include <cerrno>
#include <coroutine>
#include <deque>
#include <utility>

#include <tunnel_uring/result.hpp>

#include "base/intrusive_list.hpp"
#include "coro/cancel.hpp"
#include "coro/run_queue.hpp"

namespace tunnel_uring {

// A signal that is consumed by one wait. notify() wakes the longest waiting coroutine, or is kept
// for the next wait when nobody waits; several notifications before a wait count as one.
class event {
  public:
    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    void notify() noexcept {
        if (waiters_.empty()) signalled_ = true;
        else waiters_.pop_front().wake(0);
    }
    // Wakes everyone who waits now, and leaves no signal behind.
    void notify_all() noexcept {
        while (!waiters_.empty()) waiters_.pop_front().wake(0);
    }
    bool has_waiter() const noexcept { return !waiters_.empty(); }
    void clear() noexcept { signalled_ = false; }

    class [[nodiscard]] waiter final : public list_link<event>, private cancel_listener {
      public:
        waiter(event& target, cancel_token token) noexcept : target_{target}, token_{token} {}
        waiter(const waiter&) = delete;
        waiter& operator=(const waiter&) = delete;

        bool await_ready() noexcept {
            if (std::exchange(target_.signalled_, false)) return true;
            if (!token_.requested()) return false;
            outcome_ = ECANCELED;
            return true;
        }
        void await_suspend(std::coroutine_handle<> handle) noexcept {
            handle_ = handle;
            target_.waiters_.push_back(*this);
            token_.listen(*this);
        }
        // ECANCELED when the token was requested before a notification came.
        result<void> await_resume() const noexcept {
            if (outcome_ != 0) return error{outcome_};
            return {};
        }

      private:
        friend class event;
        void wake(int outcome) noexcept {
            outcome_ = outcome;
            list_link<cancel_listener>::unlink();
            run_queue::current().push(handle_);
        }
        void cancelled() noexcept override {
            list_link<event>::unlink();
            wake(ECANCELED);
        }
        event& target_;
        cancel_token token_;
        std::coroutine_handle<> handle_;
        int outcome_ = 0;
    };
    waiter wait(cancel_token token = {}) noexcept { return waiter{*this, token}; }

  private:
    bool signalled_ = false;
    intrusive_list<waiter, event> waiters_;
};

// Returns when `token` is requested.
inline task<void> cancelled(cancel_token token) {
    event never;
    while (!token.requested()) {
        const result<void> woken = co_await never.wait(token);
        static_cast<void>(woken);
    }
}

// Values in the order they were posted; read by one coroutine.
template <class T>
class mailbox {
  public:
    void post(T value) {
        values_.push_back(std::move(value));
        arrived_.notify();
    }
    bool empty() const noexcept { return values_.empty(); }
    void clear() noexcept {
        values_.clear();
        arrived_.clear();
    }

    // The next value; ECANCELED when the token was requested and none is there.
    task<result<T>> next(cancel_token token = {}) {
        while (values_.empty()) {
            const result<void> woken = co_await arrived_.wait(token);
            if (!woken) co_return woken.error();
        }
        T value = std::move(values_.front());
        values_.pop_front();
        co_return result<T>{std::move(value)};
    }

  private:
    std::deque<T> values_;
    event arrived_;
};

}  // namespace tunnel_uring
