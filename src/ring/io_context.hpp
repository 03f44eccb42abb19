// io_context: one thread's run loop over a backend: operations, timers, descriptors, buffers.
//
// Completions of a batch are first applied to all their operations, then coroutines resume, from
// the run queue only. Nothing here is safe to call from another thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "coro/cancel.hpp"
#include "coro/run_queue.hpp"
#include "ring/backend.hpp"
#include "ring/buffer_group.hpp"
#include "ring/busy_poll.hpp"
#include "ring/direct_fd.hpp"
#include "ring/op.hpp"
#include "ring/timer_wheel.hpp"

namespace tunnel_uring {

// What is out of the house; all zero at rest. Ends every test.
struct io_census {
    std::uint64_t operations = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t buffers = 0;
    bool operator==(const io_census&) const = default;
};

struct io_counters {
    std::uint64_t turns = 0;
    std::uint64_t submissions = 0;
    std::uint64_t completions = 0;
    std::uint64_t late_completions = 0;  // Of an operation that is over: dropped.
    std::uint64_t kernel_waits = 0;      // System calls for completions, spinning included.
    std::uint64_t spins = 0;             // Waits that began with spinning,
    std::uint64_t spins_paid = 0;        // and ended so.
};

class io_context {
  public:
    explicit io_context(std::unique_ptr<backend> kernel, busy_poll spinning = {});
    io_context(const io_context&) = delete;
    io_context& operator=(const io_context&) = delete;
    // Everything must be home.
    ~io_context();

    // Runs `main` and all that it started to their ends.
    void run(task<void> main);
    // One turn: resumes what is ready, then collects completions, waiting for them no longer than
    // `limit` and only when nothing is ready. True when anything happened. For drivers of several
    // contexts; run() is a loop around it. The caller holds a run_queue::entered{queue()}.
    bool turn(time_point limit);
    run_queue& queue() noexcept { return queue_; }
    time_point next_timer() noexcept { return timers_.next(); }

    // The time when this turn's completions were collected.
    time_point now() const noexcept { return now_; }

    // ── operations; `what` they point to stays valid until they are over ──
    count_op connect(const descriptor& target, const socket_address& address, cancel_token token) {
        request what;
        what.code = opcode::connect;
        what.target = target;
        what.address = &address;
        return count_op{*this, what, token};
    }
    // May be short; EAGAIN when there is no room (stream::send waits for some). EPIPE and
    // ECONNRESET are results, never signals.
    count_op send(const descriptor& target, std::span<const iovec> vectors, cancel_token token) {
        request what;
        what.code = opcode::send;
        what.target = target;
        what.vectors = vectors;
        return count_op{*this, what, token};
    }
    // 0 is the end of the stream.
    count_op receive(const descriptor& target, bytes_span memory, cancel_token token) {
        request what;
        what.code = opcode::recv;
        what.target = target;
        what.memory = memory;
        return count_op{*this, what, token};
    }
    // Into a buffer of `group`, chosen when bytes arrive; at most `limit` bytes (0: what it holds).
    buffer_op receive(const descriptor& target, buffer_group& group, std::size_t limit,
                      cancel_token token) {
        request what;
        what.memory = {static_cast<std::byte*>(nullptr), limit};
        what.code = opcode::recv;
        what.target = target;
        what.buffer_group = group.id();
        return buffer_op{*this, what, group, token};
    }
    // `events` and the result are poll(2) masks.
    count_op poll(const descriptor& target, std::uint32_t events, cancel_token token) {
        request what;
        what.code = opcode::poll;
        what.target = target;
        what.poll_events = events;
        return count_op{*this, what, token};
    }

    // Wakes after `time`; ECANCELED when the token was first.
    class [[nodiscard]] sleep_op final : private timer, private cancel_listener {
      public:
        sleep_op(io_context& io, time_point until, cancel_token token) noexcept
            : io_{io}, until_{until}, token_{token} {}
        bool await_ready() noexcept { return outcome_ = token_.requested(); }
        void await_suspend(std::coroutine_handle<> handle) noexcept;
        result<void> await_resume() const noexcept {
            if (outcome_) return error{ECANCELED};
            return {};
        }

      private:
        void expired() noexcept override;
        void cancelled() noexcept override;
        io_context& io_;
        time_point until_;
        cancel_token token_;
        std::coroutine_handle<> handle_;
        bool outcome_ = false;  // Cancelled.
    };
    sleep_op sleep(duration time, cancel_token token = {}) noexcept {
        return sleep_op{*this, now_ + time, token};
    }
    sleep_op sleep_until(time_point when, cancel_token token = {}) noexcept {
        return sleep_op{*this, when, token};
    }

    // Whether an operation on it has told of a broken connection. The kernel tells each error once:
    // when a send was told of a reset, a receive sees an end, and this says which it was. True
    // before the coroutine of either runs.
    bool was_broken(const descriptor& what) const noexcept { return files_[what.slot].broken; }
    // For errors of immediate calls.
    void note_error(const descriptor& what, int code) noexcept;

    timer_wheel& timers() noexcept { return timers_; }
    backend& kernel() noexcept { return *kernel_; }
    io_census census() const noexcept;
    const io_counters& counters() const noexcept { return counters_; }

  private:
    friend class op;
    friend class direct_fd;
    friend class buffer_group;

    struct operation_slot {
        op* owner = nullptr;
        std::uint32_t generation = 1;
    };
    struct file_slot {
        std::uint32_t generation = 0;
        std::uint32_t operations = 0;  // In flight on it.
        bool open = false;
        bool broken = false;
    };

    bool resume_ready();
    bool collect(time_point limit);
    std::size_t wait_for_completions(time_point wake);
    std::size_t ask_kernel(time_point wake);
    std::uint64_t enter(op& owner, const descriptor& target);
    void dispatch(const completion& what) noexcept;
    void note_error(std::uint32_t slot, int code) noexcept;
    descriptor open_slot(int fd, std::uint32_t slot);
    void close_slot(const descriptor& what) noexcept;

    std::unique_ptr<backend> kernel_;
    run_queue queue_;
    time_point now_;
    timer_wheel timers_;
    std::vector<operation_slot> operations_;
    std::vector<std::uint32_t> free_operations_;
    std::vector<file_slot> files_;
    std::vector<completion> batch_;
    std::uint16_t next_group_ = 0;
    std::vector<std::uint16_t> free_groups_;
    std::uint64_t live_operations_ = 0;
    std::uint64_t live_descriptors_ = 0;
    std::uint64_t lent_buffers_ = 0;
    busy_poll spinning_;
    io_counters counters_;
};

// A scope's time limit: its token is requested when the time is up or when `parent` is, and
// expired() tells which it was.
class deadline final : private timer {
  public:
    deadline(io_context& io, duration limit, cancel_token parent) noexcept : source_{parent} {
        io.timers().arm(*this, io.now() + limit);
    }
    cancel_token token() noexcept { return source_.token(); }
    bool expired_first() const noexcept { return expired_; }

  private:
    void expired() noexcept override {
        expired_ = !source_.requested();
        source_.request();
    }
    cancel_source source_;
    bool expired_ = false;
};

}  // namespace tunnel_uring
