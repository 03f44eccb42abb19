// op: one operation in the kernel's hands.
//
// An op never moves and lives in the frame of whoever awaits it, or in an object that is joined
// before it dies: it outlives its last completion, which its destructor asserts. Cancelling is a
// request; the operation's own completion is the answer, and may be a success all the same.
#pragma once

#include <coroutine>
#include <cstdint>

#include <tunnel_uring/result.hpp>

#include "base/fifo.hpp"
#include "coro/cancel.hpp"
#include "coro/event.hpp"
#include "ring/backend.hpp"
#include "ring/buffer_group.hpp"

namespace tunnel_uring {

class io_context;

class op {
  public:
    op(const op&) = delete;
    op& operator=(const op&) = delete;
    bool in_flight() const noexcept { return user_data_ != 0; }

  protected:
    explicit op(io_context& io) noexcept : io_{io} {}
    ~op();

    void submit(const request& what);
    // May be asked any number of times; repeated by itself while a multishot says it lives on.
    void request_cancel() noexcept;
    // Applied to every op of a batch before any coroutine resumes; must not resume one inline.
    // in_flight() already tells whether more follow.
    virtual void completed(const completion& what) noexcept = 0;

    io_context& io_;

  private:
    friend class io_context;
    std::uint64_t user_data_ = 0;
    std::uint32_t slot_ = 0;
    bool cancelling_ = false;
};

// A single operation as an awaitable: `const auto done = co_await io.receive(...)`.
class one_shot : protected op, private cancel_listener {
  public:
    bool await_ready() noexcept {
        if (!token_.requested()) return false;
        done_.result = -ECANCELED;
        return true;
    }
    void await_suspend(std::coroutine_handle<> handle) {
        handle_ = handle;
        submit(request_);
        token_.listen(*this);
    }

  protected:
    one_shot(io_context& io, const request& what, cancel_token token) noexcept
        : op{io}, request_{what}, token_{token} {}
    ~one_shot() = default;

    completion done_;
    request request_;

  private:
    void completed(const completion& what) noexcept final;
    void cancelled() noexcept final { request_cancel(); }
    cancel_token token_;
    std::coroutine_handle<> handle_;
};

// Ends with a count of bytes (or a poll mask), or an errno; ECANCELED when the token was first.
class [[nodiscard]] count_op final : public one_shot {
  public:
    count_op(io_context& io, const request& what, cancel_token token) noexcept
        : one_shot{io, what, token} {}
    result<std::size_t> await_resume() const noexcept {
        if (done_.result < 0) return error{-done_.result};
        return static_cast<std::size_t>(done_.result);
    }
};

// Ends with a provided buffer that holds what was received (empty at the end of the stream).
// ENOBUFS: the group was empty; wait for one to come home, then ask again.
class [[nodiscard]] buffer_op final : public one_shot {
  public:
    buffer_op(io_context& io, const request& what, buffer_group& group, cancel_token token) noexcept
        : one_shot{io, what, token}, group_{group} {}
    result<buffer> await_resume() const noexcept;

  private:
    buffer_group& group_;
};

// A multishot operation: completions gather in a queue and one coroutine reads them. After an end
// without being stopped, start() arms it again. Before destruction: co_await stop().
class multishot : private op {
  public:
    explicit multishot(io_context& io) noexcept : op{io} {}
    ~multishot();

    // `what` is copied; what it points to (a socket_address, memory) is not.
    void start(const request& what);
    bool armed() const noexcept { return in_flight(); }
    bool waiting_completions() const noexcept { return !queue_.empty(); }
    // The next completion; it has more = false when it was the last until start() is called again.
    // ECANCELED when the token was requested and no completion was there. The caller owns what the
    // completion brings: a buffer (see take()), an accepted fd.
    task<result<completion>> next(cancel_token token = {});
    // Cancels and joins. Completions that nobody took are handed to `discard`.
    template <class Discard>
    task<void> stop(Discard discard) {
        request_cancel();
        while (in_flight()) {
            const result<void> woken = co_await arrived_.wait();
            TU_ASSERT(woken);
        }
        while (!queue_.empty()) {
            discard(queue_.front());
            queue_.pop_front();
        }
        arrived_.clear();
    }

  private:
    void completed(const completion& what) noexcept override;
    fifo<completion> queue_;
    event arrived_;
};

}  // namespace tunnel_uring
