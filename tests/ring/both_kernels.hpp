// A test that runs on the simulated kernel and on the real one, and ends with the census: no
// operation, descriptor, buffer or frame is left, no completion came late, no kernel worker ran.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coro/nursery.hpp"
#include "net/address.hpp"
#include "net/listener.hpp"
#include "net/stream.hpp"
#include "sim/sim_kernel.hpp"

namespace tunnel_uring::test {

enum class kernel_kind { simulated, real };

struct world {
    io_context& io;
    sim::kernel* simulated = nullptr;    // Null on the real one.
    std::uint64_t late_completions = 0;  // That the test itself made.
    bool real() const noexcept { return simulated == nullptr; }

    // When it returns the kernel has had all that was asked before. On the simulated kernel what
    // was under way has arrived too; on the real one do not count on that.
    task<> settle();
    // While on, nobody gets a new descriptor (EMFILE).
    void refuse_descriptors(bool on);
};

// Captures nothing, and has no assertion that returns.
using scenario = task<> (*)(world&);

struct kernel_needs {
    std::uint32_t entries = 64;  // Of the real ring.
    std::uint32_t files = 128;
    std::uint64_t seeds = 8;  // Schedules of the simulated kernel.
    sim::faults chances;
};

class both_kernels : public testing::TestWithParam<kernel_kind> {
  protected:
    void SetUp() override;
    bool real() const { return GetParam() == kernel_kind::real; }
    void run(scenario what, const kernel_needs& needs = {});
    // The seam alone, without an io_context.
    std::unique_ptr<backend> make_kernel(const kernel_needs& needs = {});
};

std::string name_of(const testing::TestParamInfo<kernel_kind>& which);

#define TU_ON_BOTH_KERNELS(suite)       \
    INSTANTIATE_TEST_SUITE_P(on, suite, \
                             testing::Values(kernel_kind::simulated, kernel_kind::real), name_of)

// Runs on a kernel made before; what both_kernels::run does for each.
void run_on(std::unique_ptr<backend> kernel, sim::kernel* simulated, scenario what);
void run_simulated(scenario what, sim::options options = {});

// Kernel worker threads of this process that io_uring started.
std::size_t uring_workers();
std::size_t open_descriptors();
// While on, this process gets no new descriptor.
void refuse_descriptors(bool on);

// ── what scenarios are made of ──

socket_address loopback(std::uint16_t port = 0);
socket_address loopback_v6(std::uint16_t port = 0);
bool has_v6_loopback();
listener listen_on_loopback(io_context& io);

// Both ends of one TCP connection; `far` was accepted.
struct connection {
    stream near;
    stream far;
};
task<connection> connect_to(listener& door);
task<connection> connect(io_context& io);
task<stream> accept_one(listener& door);
// From a listening descriptor.
task<stream> accept_from(io_context& io, descriptor door);

// A listener whose queue is full: connects to it hang.
struct full_door {
    direct_fd door;
    socket_address address;
    stream inside;  // Who fills the queue.
};
task<full_door> full_door_at(io_context& io, socket_address where);

// A count or a mask as it is, an errno negative: as a completion says it.
long outcome(const result<std::size_t>& what);
template <class T>
int code_of(const result<T>& what) {
    return what ? 0 : what.error().code();
}

// What has not happened yet.
constexpr long pending = -1'000'000;

void say(stream& to, std::string_view words);
// Sends until there is no room, and tells how much that was.
task<std::size_t> fill(stream& to);
task<std::string> read_text(stream& from, std::size_t count);
// Until a poll tells of one of `events`.
task<> wait_for(stream& of, std::uint32_t events);
// One receive, as outcome() tells it.
task<long> receive_once(stream& from);
// Reads to the end or to an error; how much it was.
task<std::size_t> drain(stream& from);

// In the background: writes its outcome to `out` when it is over.
task<> receive_into(stream& from, cancel_token stop, long& out);
task<> poll_into(stream& of, std::uint32_t events, cancel_token stop, long& out);

inline request poll_of(const descriptor& target, std::uint32_t events) {
    request what;
    what.code = opcode::poll;
    what.target = target;
    what.poll_events = events;
    return what;
}
inline request receive_of(const descriptor& target, const buffer_group& group) {
    request what;
    what.code = opcode::recv;
    what.target = target;
    what.buffer_group = group.id();
    return what;
}

}  // namespace tunnel_uring::test
