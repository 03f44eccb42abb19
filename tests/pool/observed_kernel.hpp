// A kernel under observation, and a real one under a virtual clock too: time passes only when
// nothing else happens, and then at once.
#pragma once

#include <algorithm>
#include <deque>

#include "ring/backend.hpp"

namespace tunnel_uring::test {

enum class clock_kind { real, simulated };

class observed_kernel final : public backend {
  public:
    observed_kernel(std::unique_ptr<backend> kernel, clock_kind clock)
        : kernel_{std::move(kernel)}, clock_{clock}, now_{kernel_->now()} {}

    // The polls that are armed now end by themselves, as after an overflow of the completion queue:
    // one more completion with `mask`, and none after.
    void end_polls(std::int32_t mask) {
        for (const std::uint64_t poll : polls_) {
            kernel_->cancel(poll);
            ending_.push_back(poll);
        }
        ending_mask_ = mask;
    }
    // System calls and requests so far.
    std::uint64_t calls() const noexcept { return calls_; }

    void submit(const request& what, std::uint64_t user_data) override {
        ++calls_;
        if (what.code == opcode::poll) polls_.push_back(user_data);
        kernel_->submit(what, user_data);
    }
    void cancel(std::uint64_t user_data) override { ++calls_, kernel_->cancel(user_data); }
    std::size_t wait(time_point deadline, std::span<completion> out) override {
        ++calls_;
        std::size_t count = 0;
        if (clock_ == clock_kind::simulated || deadline == time_point::max()) {
            count = kernel_->wait(deadline, out);
        } else if (deadline <= now_) {
            count = kernel_->wait(time_point::min(), out);
        } else {
            // Loopback may deliver a moment later, from a kernel thread.
            count = kernel_->wait(kernel_->now() + 200us, out);
            if (count == 0) now_ = deadline;
        }
        for (completion& each : out.first(count)) note(each);
        return count;
    }
    time_point now() override { return clock_ == clock_kind::simulated ? kernel_->now() : now_; }

    result<void> add_buffers(std::uint16_t group, bytes_span memory, std::uint32_t count,
                             std::uint32_t size) override {
        return kernel_->add_buffers(group, memory, count, size);
    }
    void provide_buffer(std::uint16_t group, std::uint16_t buffer) override {
        kernel_->provide_buffer(group, buffer);
    }
    void remove_buffers(std::uint16_t group) override { kernel_->remove_buffers(group); }

    result<int> open_socket(int family) override { return ++calls_, kernel_->open_socket(family); }
    result<std::uint32_t> attach(int fd) override { return ++calls_, kernel_->attach(fd); }
    void detach(std::uint32_t slot) override { ++calls_, kernel_->detach(slot); }
    result<void> bind(int fd, const socket_address& address) override {
        return kernel_->bind(fd, address);
    }
    result<void> listen(int fd, int backlog) override { return kernel_->listen(fd, backlog); }
    result<socket_address> local_address(int fd) override { return kernel_->local_address(fd); }
    result<socket_address> peer_address(int fd) override { return kernel_->peer_address(fd); }
    result<void> set_option(int fd, socket_option option, int value) override {
        return ++calls_, kernel_->set_option(fd, option, value);
    }
    result<duration> round_trip_time(int fd) override { return kernel_->round_trip_time(fd); }
    result<std::size_t> try_send(int fd, std::span<const iovec> vectors) override {
        return ++calls_, kernel_->try_send(fd, vectors);
    }
    result<std::size_t> try_receive(int fd, bytes_span memory) override {
        return ++calls_, kernel_->try_receive(fd, memory);
    }
    result<pipe_ends> open_pipe(std::size_t wanted) override { return kernel_->open_pipe(wanted); }
    void close_pipe(const pipe_ends& which) override { kernel_->close_pipe(which); }
    result<std::size_t> splice_in(int fd, const pipe_ends& to, std::size_t most) override {
        return kernel_->splice_in(fd, to, most);
    }
    result<std::size_t> splice_out(const pipe_ends& from, int fd, std::size_t bytes) override {
        return kernel_->splice_out(from, fd, bytes);
    }
    result<void> shutdown(int fd, shutdown_side side) override {
        return ++calls_, kernel_->shutdown(fd, side);
    }
    void abort(int fd) override { ++calls_, kernel_->abort(fd); }
    void close(int fd) override { ++calls_, kernel_->close(fd); }

  private:
    void note(completion& what) {
        if (what.more) return;
        std::erase(polls_, what.user_data);
        if (std::erase(ending_, what.user_data) != 0 && what.result == -ECANCELED)
            what.result = ending_mask_;
    }
    std::unique_ptr<backend> kernel_;
    clock_kind clock_;
    time_point now_;
    std::uint64_t calls_ = 0;
    std::deque<std::uint64_t> polls_;
    std::deque<std::uint64_t> ending_;
    std::int32_t ending_mask_ = 0;
};

}  // namespace tunnel_uring::test
