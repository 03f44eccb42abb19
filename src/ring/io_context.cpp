#include "ring/io_context.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "coro/nursery.hpp"

namespace tunnel_uring {

namespace {

// Completions taken in one go; more wait in the kernel's queue for the next turn.
constexpr std::size_t batch_size = 512;
// Batches of the run queue before the kernel is looked at again: wake-ups among coroutines settle
// without a system call, and none can starve the sockets.
constexpr int batches_per_turn = 16;

// user_data: generation above, index below. Generations start at 1, so 0 is never an operation.
constexpr std::uint64_t make_user_data(std::uint32_t generation, std::uint32_t index) {
    return (std::uint64_t{generation} << 32U) | index;
}

}  // namespace

io_context::io_context(std::unique_ptr<backend> kernel, busy_poll spinning)
    : kernel_{std::move(kernel)},
      now_{kernel_->now()},
      timers_{now_},
      batch_(batch_size),
      spinning_{spinning} {}

io_context::~io_context() {
    TU_ASSERT(live_operations_ == 0);
    TU_ASSERT(live_descriptors_ == 0);
    TU_ASSERT(lent_buffers_ == 0);
}

void io_context::run(task<void> main) {
    const run_queue::entered here{queue_};
    nursery root;
    root.start(std::move(main));
    for (;;) {
        resume_ready();
        if (root.running() == 0 && live_operations_ == 0 && queue_.empty()) return;
        collect(time_point::max());
    }
}

bool io_context::turn(time_point limit) {
    const bool resumed = resume_ready();
    return collect(limit) || resumed;
}

bool io_context::resume_ready() {
    bool resumed = false;
    for (int batch = 0; batch < batches_per_turn && !queue_.empty(); ++batch) {
        queue_.run_batch();
        resumed = true;
    }
    return resumed;
}

bool io_context::collect(time_point limit) {
    counters_.turns += 1;
    const time_point wake = queue_.empty() ? std::min(limit, timers_.next()) : time_point::min();
    const std::size_t count = wait_for_completions(wake);
    now_ = kernel_->now();
    for (std::size_t i = 0; i < count; ++i) dispatch(batch_[i]);
    timers_.advance(now_);
    return count != 0 || !queue_.empty();
}

std::size_t io_context::wait_for_completions(time_point wake) {
    if (!queue_.empty() || spinning_.off()) return ask_kernel(wake);
    const time_point began = kernel_->now();
    const duration budget = spinning_.budget(began);
    const time_point spun = std::min(wake, began + budget);
    std::size_t count = 0;
    for (time_point now = began; count == 0 && now < spun;) {
        count = ask_kernel(time_point::min());
        const time_point before = std::exchange(now, kernel_->now());
        if (count == 0) spinning_.paused(now, now - before);
    }
    if (budget != duration{0}) counters_.spins += 1;
    if (count != 0) counters_.spins_paid += 1;
    else count = ask_kernel(wake);
    spinning_.waited(kernel_->now() - began, count);
    return count;
}

std::size_t io_context::ask_kernel(time_point wake) {
    counters_.kernel_waits += 1;
    return kernel_->wait(wake, batch_);
}

std::uint64_t io_context::enter(op& owner, const descriptor& target) {
    file_slot& file = files_[target.slot];
    TU_ASSERT(file.open && file.generation == target.generation);
    file.operations += 1;
    if (free_operations_.empty()) {
        free_operations_.push_back(static_cast<std::uint32_t>(operations_.size()));
        operations_.emplace_back();
    }
    const std::uint32_t index = free_operations_.back();
    free_operations_.pop_back();
    operations_[index].owner = &owner;
    live_operations_ += 1;
    counters_.submissions += 1;
    return make_user_data(operations_[index].generation, index);
}

void io_context::dispatch(const completion& what) noexcept {
    counters_.completions += 1;
    const auto index = static_cast<std::uint32_t>(what.user_data);
    const auto generation = static_cast<std::uint32_t>(what.user_data >> 32U);
    if (index >= operations_.size() || operations_[index].owner == nullptr ||
        operations_[index].generation != generation) {
        counters_.late_completions += 1;
        return;
    }
    op& owner = *operations_[index].owner;
    if (what.result < 0) note_error(owner.slot_, -what.result);
    if (!what.more) {
        operations_[index].owner = nullptr;
        operations_[index].generation = std::max(generation + 1, 1U);
        free_operations_.push_back(index);
        files_[owner.slot_].operations -= 1;
        live_operations_ -= 1;
        owner.user_data_ = 0;
    } else if (owner.cancelling_) {
        // The cancel of a multishot poll can lose against a wake-up and leave it armed.
        kernel_->cancel(owner.user_data_);
    }
    owner.completed(what);
}

void io_context::note_error(const descriptor& what, int code) noexcept {
    note_error(what.slot, code);
}

// The errors that a connection dies of (tcp(7)). EPIPE is only what a write gets after a FIN, or
// after a reset that was told before.
void io_context::note_error(std::uint32_t slot, int code) noexcept {
    switch (code) {
        case ECONNRESET:
        case ETIMEDOUT:
        case ECONNREFUSED:
        case EHOSTUNREACH:
        case ENETUNREACH: files_[slot].broken = true; break;
        default: break;
    }
}

descriptor io_context::open_slot(int fd, std::uint32_t slot) {
    if (slot >= files_.size()) files_.resize(slot + 1);
    file_slot& file = files_[slot];
    TU_ASSERT(!file.open);
    file.open = true;
    file.broken = false;
    live_descriptors_ += 1;
    return {.fd = fd, .slot = slot, .generation = file.generation};
}

void io_context::close_slot(const descriptor& what) noexcept {
    file_slot& file = files_[what.slot];
    TU_ASSERT(file.open && file.generation == what.generation);
    TU_ASSERT(file.operations == 0);
    file.open = false;
    file.generation += 1;
    live_descriptors_ -= 1;
    kernel_->detach(what.slot);
    kernel_->close(what.fd);
}

io_census io_context::census() const noexcept {
    return {
        .operations = live_operations_, .descriptors = live_descriptors_, .buffers = lent_buffers_};
}

void io_context::sleep_op::await_suspend(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    io_.timers().arm(*this, until_);
    token_.listen(*this);
}

void io_context::sleep_op::expired() noexcept {
    list_link<cancel_listener>::unlink();
    run_queue::current().push(handle_);
}

void io_context::sleep_op::cancelled() noexcept {
    list_link<timer>::unlink();
    outcome_ = true;
    run_queue::current().push(handle_);
}

}  // namespace tunnel_uring
