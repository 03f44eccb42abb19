#include "pool/pool_world.hpp"

namespace tunnel_uring::test {

result<listener> scripted_upstream::listen(io_context& io) {
    host_port where;
    where.host = "127.0.0.1";
    return listener::open(io, to_socket_address(where));
}

task<result<stream>> scripted_upstream::connect(cancel_token stop) {
    dials.push_back(io_.now());
    dialing += 1;
    most_dialing = std::max(most_dialing, dialing);
    const duration wait = hanging ? duration{24h} : delay;
    if (wait != duration{0}) {
        const result<void> slept = co_await io_.sleep(wait, stop);
        if (!slept) {
            dialing -= 1;
            co_return slept.error();
        }
    }
    if (failure != 0) {
        dialing -= 1;
        co_return error{failure};
    }
    result<stream> made = co_await stream::connect(io_, listener_.address(), stop);
    dialing -= 1;
    co_return std::move(made);
}

task<result<void>> scripted_upstream::check(cancel_token stop) {
    checks += 1;
    if (ill != 0) co_return error{ill};
    co_return co_await dial_source::check(stop);
}

task<> scripted_upstream::serve(cancel_token stop) {
    acceptor incoming{listener_};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        if (closing_at_once) continue;
        peers.push_back(std::move(*accepted));
        if (greeting) say(peers.back(), "220 hello\r\n");
    }
    co_await incoming.stop();
}

stream* scripted_upstream::peer_of(const stream& socket) {
    const socket_address wanted = socket.local_address();
    for (stream& peer : peers)
        if (peer.valid() && peer.peer_address() == wanted) return &peer;
    return nullptr;
}

void scripted_upstream::say(stream& peer, std::string_view words) {
    const iovec vector{.iov_base = const_cast<char*>(words.data()), .iov_len = words.size()};
    const result<std::size_t> sent = peer.try_send({&vector, 1});
    EXPECT_TRUE(sent && *sent == words.size());
}

std::size_t scripted_upstream::dials_within(time_point from, duration span) const {
    std::size_t count = 0;
    for (const time_point at : dials) count += at >= from && at < from + span;
    return count;
}

task<> play(world& w, scenario what) {
    nursery background;
    background.start(w.upstream.serve(background.token()));
    co_await what(w);
    if (w.pool && !w.closed) co_await w.close();
    w.upstream.peers.clear();
    background.cancel();
    co_await background.join();
}

namespace {

void run_on(std::unique_ptr<observed_kernel> kernel, scenario what) {
    const std::size_t frames = live_frames();
    {
        observed_kernel* const observed = kernel.get();
        io_context io{std::move(kernel)};
        result<listener> where = scripted_upstream::listen(io);
        ASSERT_TRUE(where);
        world w{observed, std::move(*where)};
        io.run(play(w, what));
        EXPECT_EQ(io.census().operations, 0U);
        EXPECT_EQ(io.census().descriptors, 1U);  // The listener.
        if (w.pool) {
            const pool_census end = w.pool->census();
            EXPECT_EQ(end.created, end.closed);
            EXPECT_EQ(end.dialing, 0U);
            EXPECT_EQ(end.waiters, 0U);
        }
    }
    EXPECT_EQ(live_frames(), frames);
}

}  // namespace

void pool_test::run_simulated(scenario what) {
    SCOPED_TRACE("simulated kernel");
    run_on(std::make_unique<observed_kernel>(std::make_unique<sim::kernel>(sim::options{}),
                                             clock_kind::simulated),
           what);
}

void pool_test::run_real(scenario what) {
    SCOPED_TRACE("real kernel");
    uring_limits limits;
    limits.entries = 256;
    limits.files = 600;
    result<std::unique_ptr<backend>> kernel = make_uring_backend(limits);
    if (!kernel) GTEST_SKIP() << kernel.error().message();
    run_on(std::make_unique<observed_kernel>(std::move(*kernel), clock_kind::real), what);
}

pool_config small_pool(std::uint32_t idle, std::uint32_t max) {
    pool_config limits;
    limits.max_pool_size = max;
    limits.warm_up_size = idle;
    limits.min_idle_connections = 0;
    return limits;
}

}  // namespace tunnel_uring::test
