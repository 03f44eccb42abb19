#include "ring/both_kernels.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tunnel_uring::test {

namespace {

uring_limits limits_of(const kernel_needs& needs) {
    uring_limits limits;
    limits.entries = needs.entries;
    limits.files = needs.files;
    return limits;
}

sim::options options_of(const kernel_needs& needs) {
    sim::options options;
    options.files = needs.files;
    options.chances = needs.chances;
    return options;
}

rlimit descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
}

}  // namespace

task<> world::settle() {
    const result<void> slept = co_await io.sleep(1ms);
    EXPECT_TRUE(slept);
}

void world::refuse_descriptors(bool on) {
    if (simulated != nullptr) simulated->refuse_descriptors(on);
    else test::refuse_descriptors(on);
}

void refuse_descriptors(bool on) {
    static const rlimit usual = descriptor_limit();
    rlimit limit = usual;
    if (on) limit.rlim_cur = 0;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

void both_kernels::SetUp() {
    if (!real()) return;
    const result<std::unique_ptr<backend>> kernel = make_uring_backend(limits_of({}));
    if (!kernel) GTEST_SKIP() << kernel.error().message();
}

std::unique_ptr<backend> both_kernels::make_kernel(const kernel_needs& needs) {
    if (!real()) return std::make_unique<sim::kernel>(options_of(needs));
    result<std::unique_ptr<backend>> kernel = make_uring_backend(limits_of(needs));
    return std::move(*kernel);
}

void both_kernels::run(scenario what, const kernel_needs& needs) {
    if (real()) return run_on(make_kernel(needs), nullptr, what);
    for (std::uint64_t seed = 1; seed <= needs.seeds && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        sim::options options = options_of(needs);
        options.seed = seed;
        run_simulated(what, std::move(options));
    }
}

std::string name_of(const testing::TestParamInfo<kernel_kind>& which) {
    return which.param == kernel_kind::real ? "the_real_kernel" : "the_simulated_kernel";
}

void run_on(std::unique_ptr<backend> kernel, sim::kernel* simulated, scenario what) {
    const std::size_t frames = live_frames();
    const std::size_t descriptors = open_descriptors();
    {
        io_context io{std::move(kernel)};
        world w{.io = io, .simulated = simulated};
        io.run(what(w));
        EXPECT_EQ(io.census(), io_census{});
        EXPECT_EQ(io.counters().late_completions, w.late_completions);
        EXPECT_EQ(uring_workers(), 0U);
        EXPECT_EQ(open_descriptors(), descriptors);
    }
    EXPECT_EQ(live_frames(), frames);
}

void run_simulated(scenario what, sim::options options) {
    auto kernel = std::make_unique<sim::kernel>(std::move(options));
    sim::kernel* const simulated = kernel.get();
    run_on(std::move(kernel), simulated, what);
}

std::size_t uring_workers() {
    std::size_t count = 0;
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
        std::ifstream file{thread.path() / "comm"};
        std::string name;
        std::getline(file, name);
        count += name.starts_with("iou-wrk") ? 1 : 0;
    }
    return count;
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all{"/proc/self/fd"};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

socket_address loopback(std::uint16_t port) {
    host_port where;
    where.host = "127.0.0.1";
    where.port = port;
    return to_socket_address(where);
}

socket_address loopback_v6(std::uint16_t port) {
    host_port where;
    where.host = "::1";
    where.port = port;
    return to_socket_address(where);
}

bool has_v6_loopback() {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const socket_address here = loopback_v6();
    const bool there = fd >= 0 && ::bind(fd, here.get(), here.length) == 0;
    if (fd >= 0) ::close(fd);
    return there;
}

listener listen_on_loopback(io_context& io) {
    result<listener> opened = listener::open(io, loopback());
    EXPECT_TRUE(opened);
    return std::move(*opened);
}

task<stream> accept_one(listener& door) {
    acceptor incoming{door};
    result<stream> accepted = co_await incoming.accept({});
    EXPECT_TRUE(accepted);
    co_await incoming.stop();
    co_return std::move(*accepted);
}

task<stream> accept_from(io_context& io, descriptor door) {
    request what;
    what.code = opcode::accept;
    what.target = door;
    multishot incoming{io};
    incoming.start(what);
    const result<completion> accepted = co_await incoming.next();
    result<stream> made = stream::adopt(io, accepted->result);
    const auto discard = [](const completion& more) { EXPECT_LT(more.result, 0); };
    co_await incoming.stop(discard);
    co_return std::move(*made);
}

task<full_door> full_door_at(io_context& io, socket_address where) {
    backend& kernel = io.kernel();
    full_door full;
    const result<int> fd = kernel.open_socket(where.family());
    result<direct_fd> door = direct_fd::adopt(io, *fd);
    full.door = std::move(*door);
    EXPECT_TRUE(kernel.bind(*fd, where));
    // A queue of length 0 holds one (listen(2) counts what is beyond the first).
    EXPECT_TRUE(kernel.listen(*fd, 0));
    full.address = *kernel.local_address(*fd);
    result<stream> inside = co_await stream::connect(io, full.address, {});
    EXPECT_TRUE(inside);
    full.inside = std::move(*inside);
    const result<std::size_t> queued = co_await io.poll(full.door.get(), POLLIN, {});
    EXPECT_TRUE(queued);
    co_return std::move(full);
}

task<connection> connect_to(listener& door) {
    connection both;
    result<stream> near = co_await stream::connect(door.io(), door.address(), {});
    EXPECT_TRUE(near);
    both.near = std::move(*near);
    both.far = co_await accept_one(door);
    co_return std::move(both);
}

task<connection> connect(io_context& io) {
    listener door = listen_on_loopback(io);
    connection both = co_await connect_to(door);
    co_return std::move(both);
}

long outcome(const result<std::size_t>& what) {
    return what ? static_cast<long>(*what) : -static_cast<long>(what.error().code());
}

void say(stream& to, std::string_view words) {
    const iovec vector{.iov_base = const_cast<char*>(words.data()), .iov_len = words.size()};
    const result<std::size_t> sent = to.try_send({&vector, 1});
    EXPECT_EQ(outcome(sent), static_cast<long>(words.size()));
}

task<std::size_t> fill(stream& to) {
    const std::string block(256 * 1024, 'x');
    const iovec vector{.iov_base = const_cast<char*>(block.data()), .iov_len = block.size()};
    const std::span<const iovec> vectors{&vector, 1};
    std::size_t total = 0;
    // What is still on its way to the peer may make room once more.
    for (int refusals = 0; refusals < 3;) {
        const result<std::size_t> sent = co_await to.io().send(to.get(), vectors, {});
        if (sent) {
            total += *sent;
            refusals = 0;
            continue;
        }
        EXPECT_EQ(sent.error().code(), EAGAIN);
        refusals += 1;
        const result<void> slept = co_await to.io().sleep(1ms);
        EXPECT_TRUE(slept);
    }
    co_return total;
}

task<std::string> read_text(stream& from, std::size_t count) {
    std::string text(count, '\0');
    const bytes_span memory{reinterpret_cast<std::byte*>(text.data()), text.size()};
    const result<void> read = co_await from.read_exactly(memory, {});
    EXPECT_EQ(code_of(read), 0);
    co_return std::move(text);
}

task<> wait_for(stream& of, std::uint32_t events) {
    for (;;) {
        const result<std::size_t> mask = co_await of.poll(events, {});
        EXPECT_EQ(code_of(mask), 0);
        if (!mask || (*mask & events) != 0) co_return;
        // A peer that has half-closed ends every poll.
        const result<void> slept = co_await of.io().sleep(1ms);
        EXPECT_TRUE(slept);
    }
}

task<long> receive_once(stream& from) {
    std::string text(64 * 1024, '\0');
    const bytes_span memory{reinterpret_cast<std::byte*>(text.data()), text.size()};
    const result<std::size_t> got = co_await from.receive(memory, {});
    co_return outcome(got);
}

task<std::size_t> drain(stream& from) {
    std::size_t total = 0;
    for (;;) {
        const long got = co_await receive_once(from);
        if (got <= 0) co_return total;
        total += static_cast<std::size_t>(got);
    }
}

task<> receive_into(stream& from, cancel_token stop, long& out) {
    std::array<std::byte, 16> memory{};
    const result<std::size_t> got = co_await from.receive(memory, stop);
    out = outcome(got);
}

task<> poll_into(stream& of, std::uint32_t events, cancel_token stop, long& out) {
    const result<std::size_t> mask = co_await of.poll(events, stop);
    out = outcome(mask);
}

}  // namespace tunnel_uring::test
