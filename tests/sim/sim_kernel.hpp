// sim_kernel: a kernel in one process. Virtual time, a seeded schedule, a TCP that loses nothing
// but delays, splits, cuts and refuses; and every fault that reliability depends on, on demand.
//
// It is the same contract as uring_backend's (tests/ring/conformance_test.cpp runs on both). Memory
// of an operation is touched at its completion only, and junk follows what was received, so a
// buffer that lives too short or is read too far shows.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "ring/backend.hpp"

namespace tunnel_uring::sim {

// Chances in percent.
struct faults {
    unsigned short_receive = 0;
    unsigned short_send = 0;
    unsigned late_completion = 0;  // Arrives up to 2 ms after it came to pass.
    unsigned multishot_ends = 0;   // A valid result without `more`.
    unsigned cancel_lost = 0;      // Of a multishot poll, once: it posts again and stays armed.
    unsigned success_after_cancel = 0;
    bool shuffled = false;  // Completions of different operations in any order.

    static faults everything() {
        return {.short_receive = 30,
                .short_send = 30,
                .late_completion = 10,
                .multishot_ends = 10,
                .cancel_lost = 50,
                .success_after_cancel = 50,
                .shuffled = true};
    }
};

struct options {
    std::uint64_t seed = 1;
    faults chances;
    std::uint64_t fail_at = 0;  // The operation with this number fails; 0: none.
    int fail_with = 0;          // With this errno.
    std::uint64_t act_at = 0;   // After this operation was asked for `act` is called; 0: never.
    std::function<void()> act;
    std::uint32_t files = 4096;
};

// How often each thing really happened: a fault that never fires proves nothing.
struct sightings {
    std::uint64_t operations = 0;
    std::uint64_t short_receives = 0;
    std::uint64_t short_sends = 0;
    std::uint64_t late_completions = 0;
    std::uint64_t multishots_ended = 0;
    std::uint64_t cancels_lost = 0;
    std::uint64_t successes_after_cancel = 0;
    std::uint64_t sends_without_room = 0;
    std::uint64_t splices = 0;
    std::uint64_t resets = 0;
    std::uint64_t out_of_buffers = 0;
    std::uint64_t failures_injected = 0;
};

class kernel final : public backend {
  public:
    explicit kernel(options what);
    ~kernel() override;

    // Shared with whoever holds it, so that it can be read after the io_context is gone.
    std::shared_ptr<sightings> seen() const noexcept { return seen_; }

    // While on, open_socket and accept end with EMFILE; what waits to be accepted goes on waiting.
    void refuse_descriptors(bool on) noexcept { no_descriptors_ = on; }

    void submit(const request& what, std::uint64_t user_data) override;
    void cancel(std::uint64_t user_data) override;
    std::size_t wait(time_point deadline, std::span<completion> out) override;
    time_point now() override { return now_; }

    result<void> add_buffers(std::uint16_t group, bytes_span memory, std::uint32_t count,
                             std::uint32_t size) override;
    void provide_buffer(std::uint16_t group, std::uint16_t buffer) override;
    void remove_buffers(std::uint16_t group) override;

    result<int> open_socket(int family) override;
    result<std::uint32_t> attach(int fd) override;
    void detach(std::uint32_t slot) override;
    result<void> bind(int fd, const socket_address& address) override;
    result<void> listen(int fd, int backlog) override;
    result<socket_address> local_address(int fd) override;
    result<socket_address> peer_address(int fd) override;
    result<void> set_option(int fd, socket_option option, int value) override;
    result<duration> round_trip_time(int) override { return error{EOPNOTSUPP}; }
    result<std::size_t> try_send(int fd, std::span<const iovec> vectors) override;
    result<std::size_t> try_receive(int fd, bytes_span memory) override;
    result<pipe_ends> open_pipe(std::size_t wanted) override;
    void close_pipe(const pipe_ends& which) override;
    result<std::size_t> splice_in(int fd, const pipe_ends& to, std::size_t most) override;
    result<std::size_t> splice_out(const pipe_ends& from, int fd, std::size_t bytes) override;
    result<void> shutdown(int fd, shutdown_side side) override;
    void abort(int fd) override;
    void close(int fd) override;

  private:
    struct socket;
    using socket_ptr = std::shared_ptr<socket>;
    struct operation;
    struct group_of_buffers;
    struct happening {
        time_point when;
        std::uint64_t order;
        std::function<void()> what;
        bool operator<(const happening& other) const noexcept {
            return when != other.when ? when > other.when : order > other.order;
        }
    };

    bool chance(unsigned percent) { return percent != 0 && random_() % 100 < percent; }
    // Counts one operation; the errno it is to fail with, or 0.
    int count_operation();
    void later(duration delay, std::function<void()> what);
    socket_ptr find(int fd) const;

    void progress();
    bool attempt(operation& what, completion& out);
    bool attempt_receive(operation& what, completion& out);
    bool attempt_send(operation& what, completion& out);
    bool attempt_accept(operation& what, completion& out);
    bool attempt_poll(operation& what, completion& out);
    void begin_connect(operation& what);
    void knock(const socket_ptr& from, const socket_address& to, std::uint64_t user_data,
               duration again);
    socket_ptr listener_at(const socket_address& where) const;
    void finish(const completion& done);
    std::size_t collect(std::span<completion> out);
    void fail_socket(socket& which, int code);

    std::size_t take_bytes(socket& from, bytes_span into);
    result<std::size_t> put_bytes(const socket_ptr& from, std::span<const iovec> vectors);
    void deliver(const socket_ptr& to, std::function<void(socket&)> what);
    static int what_follows_the_bytes(socket& of);
    void send_reset(socket& from);
    void reset_arrives(socket& at);
    void send_end(const socket_ptr& from);
    static std::uint32_t readiness(const socket& of);

    options options_;
    std::mt19937_64 random_;
    bool acting_ = false;
    std::shared_ptr<sightings> seen_ = std::make_shared<sightings>();
    time_point now_{};
    std::priority_queue<happening> happenings_;
    std::uint64_t order_ = 0;
    std::map<int, socket_ptr> files_;
    std::map<int, std::vector<std::byte>> pipes_;  // By their reading end.
    int next_fd_ = 3;
    bool no_descriptors_ = false;
    std::vector<socket_ptr> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::map<std::string, socket_ptr> listeners_;
    std::uint16_t next_port_ = 32768;
    std::map<std::uint64_t, std::unique_ptr<operation>> operations_;
    std::deque<completion> completions_;
    std::unordered_map<std::uint16_t, std::unique_ptr<group_of_buffers>> groups_;
};

}  // namespace tunnel_uring::sim
