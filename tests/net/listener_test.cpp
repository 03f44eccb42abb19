// Listening: what is said where it cannot be done, and what becomes of connections.
#include "net/net_world.hpp"

namespace tunnel_uring::test {
namespace {

class listening : public both_kernels {};
TU_ON_BOTH_KERNELS(listening);

TEST_P(listening, on_port_0_tells_the_port_that_was_chosen) {
    run([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        EXPECT_NE(port_of(door.address()), 0);
        const result<stream> made = co_await stream::connect(w.io, door.address(), {});
        EXPECT_TRUE(made);
    });
}

TEST_P(listening, on_a_taken_port_says_what_to_do) {
    run([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        const result<listener> second = listener::open(w.io, door.address());
        EXPECT_EQ(code_of(second), EADDRINUSE);
        EXPECT_EQ(second.error().sentence(),
                  "cannot listen on " + format(door.address()) +
                      ": the port is taken; choose another or stop what holds it");
        co_return;
    });
}

TEST_P(listening, on_an_address_of_another_host_says_so) {
    if (!real()) GTEST_SKIP() << "the simulated kernel has every address";
    run([](world& w) -> task<> {
        // TEST-NET-1 (RFC 5737) is nobody's.
        const socket_address elsewhere = to_socket_address(place("192.0.2.1", 0));
        const result<listener> door = listener::open(w.io, elsewhere);
        EXPECT_EQ(code_of(door), EADDRNOTAVAIL);
        EXPECT_EQ(door.error().sentence(),
                  "cannot listen on 192.0.2.1:0: this host has no such address; 0.0.0.0 means all "
                  "it has");
        co_return;
    });
}

// socket, attach, option, bind: the fourth thing that is asked of the kernel.
TEST(listening_in_virtual_time, without_permission_names_the_capability) {
    sim::options options;
    options.fail_at = 4;
    options.fail_with = EACCES;
    const auto scenario = [](world& w) -> task<> {
        const result<listener> door = listener::open(w.io, loopback(80));
        EXPECT_EQ(code_of(door), EACCES);
        EXPECT_EQ(door.error().sentence(),
                  "cannot listen on 127.0.0.1:80: not permitted; ports below 1024 need "
                  "CAP_NET_BIND_SERVICE");
        co_return;
    };
    run_simulated(scenario, options);
}

TEST_P(listening, without_descriptors_says_which_limit_it_was) {
    run([](world& w) -> task<> {
        w.refuse_descriptors(true);
        const result<listener> door = listener::open(w.io, loopback());
        w.refuse_descriptors(false);
        EXPECT_EQ(code_of(door), EMFILE);
        EXPECT_EQ(door.error().sentence(), "cannot listen on 127.0.0.1:0: Too many open files");
        co_return;
    });
}

TEST_P(listening, on_a_port_whose_last_connections_still_linger_is_possible) {
    run([](world& w) -> task<> {
        socket_address where;
        {
            listener door = listen_on_loopback(w.io);
            where = door.address();
            connection both = co_await connect_to(door);
            // Who ends first keeps the port in TIME_WAIT: the accepted end.
            EXPECT_TRUE(both.far.shutdown_send());
            const long end = co_await receive_once(both.near);
            EXPECT_EQ(end, 0);
        }
        const result<listener> again = listener::open(w.io, where);
        EXPECT_EQ(code_of(again), 0);
    });
}

task<> open_into(io_context& io, socket_address where, cancel_token stop, int& code,
                 time_point& at) {
    const result<listener> opened = co_await listener::open_patiently(io, where, stop);
    code = code_of(opened);
    at = io.now();
}

// How it is asked in the tests below, beside a holder that leaves after `held_for`.
task<> open_beside_a_holder(world& w, duration held_for, int& code, duration& took) {
    const time_point began = w.io.now();
    std::optional<listener> holder{listen_on_loopback(w.io)};
    time_point at{};
    nursery tasks;
    tasks.start(open_into(w.io, holder->address(), {}, code, at));
    const result<void> slept = co_await w.io.sleep(held_for);
    EXPECT_TRUE(slept);
    holder.reset();
    co_await tasks.join();
    took = at - began;
}

TEST(listening_in_virtual_time, with_patience_succeeds_once_a_predecessor_lets_go) {
    run_simulated([](world& w) -> task<> {
        int code = -1;
        duration took{};
        co_await open_beside_a_holder(w, 500ms, code, took);
        EXPECT_EQ(code, 0);
        EXPECT_GE(took, 500ms);
        EXPECT_LT(took, 550ms);
    });
}

TEST(listening_in_virtual_time, with_patience_gives_up_after_a_second) {
    run_simulated([](world& w) -> task<> {
        int code = -1;
        duration took{};
        co_await open_beside_a_holder(w, 10s, code, took);
        EXPECT_EQ(code, EADDRINUSE);
        EXPECT_GE(took, 1s);
        EXPECT_LT(took, 1050ms);
    });
}

TEST_P(listening, with_patience_on_a_free_port_succeeds_at_once) {
    run([](world& w) -> task<> {
        int code = -1;
        time_point at{};
        const std::uint64_t turns = w.io.counters().turns;
        co_await open_into(w.io, loopback(), {}, code, at);
        EXPECT_EQ(code, 0);
        EXPECT_EQ(w.io.counters().turns, turns);
    });
}

TEST_P(listening, with_patience_ends_when_it_is_cancelled) {
    run([](world& w) -> task<> {
        const listener holder = listen_on_loopback(w.io);
        cancel_source stop;
        stop.request();
        int code = -1;
        time_point at{};
        co_await open_into(w.io, holder.address(), stop.token(), code, at);
        EXPECT_EQ(code, EADDRINUSE);
    });
}

TEST(listening_in_virtual_time, with_patience_does_not_wait_for_what_time_does_not_mend) {
    sim::options options;
    options.fail_at = 4;
    options.fail_with = EACCES;
    const auto scenario = [](world& w) -> task<> {
        int code = -1;
        time_point at{};
        const time_point began = w.io.now();
        co_await open_into(w.io, loopback(80), {}, code, at);
        EXPECT_EQ(code, EACCES);
        EXPECT_EQ(at, began);
    };
    run_simulated(scenario, options);
}

TEST_P(listening, hands_out_connections_in_the_order_they_came) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        acceptor incoming{door};
        std::vector<stream> near;
        for (int i = 0; i < 3; ++i) {
            result<stream> made = co_await stream::connect(w.io, door.address(), {});
            near.push_back(std::move(*made));
        }
        for (const stream& each : near) {
            const result<stream> far = co_await incoming.accept({});
            EXPECT_EQ(far->peer_address(), each.local_address());
        }
        co_await incoming.stop();
    });
}

TEST_P(listening, resets_what_came_in_and_was_never_taken) {
    run([](world& w) -> task<> {
        std::optional<listener> door{listen_on_loopback(w.io)};
        acceptor incoming{*door};
        const result<stream> first = co_await stream::connect(w.io, door->address(), {});
        EXPECT_TRUE(first);
        const result<stream> taken = co_await incoming.accept({});
        EXPECT_TRUE(taken);
        // The accept is still armed: the second connection is ours, and nobody asks for it.
        result<stream> second = co_await stream::connect(w.io, door->address(), {});
        co_await w.settle();
        co_await incoming.stop();
        door.reset();
        const long got = co_await receive_once(*second);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(listening, goes_on_when_descriptors_are_there_again) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        result<stream> near = co_await stream::connect(w.io, door.address(), {});
        bool accepted = false;
        nursery tasks;
        const auto take = [](listener& from, bool& done) -> task<> {
            const stream far = co_await accept_one(from);
            done = far.valid();
        };
        w.refuse_descriptors(true);
        tasks.start(take(door, accepted));
        co_await w.settle();
        EXPECT_FALSE(accepted);
        w.refuse_descriptors(false);
        co_await tasks.join();
        EXPECT_TRUE(accepted);
    });
}

TEST_P(listening, goes_on_after_a_connection_that_no_slot_was_free_for) {
    kernel_needs needs;
    needs.files = 3;
    const auto scenario = [](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        acceptor incoming{door};
        result<stream> first = co_await stream::connect(w.io, door.address(), {});
        std::optional<stream> filler;
        result<stream> second = co_await stream::connect(w.io, door.address(), {});
        filler.emplace(std::move(*second));
        bool accepted = false;
        nursery tasks;
        const auto take = [](acceptor& from, bool& done) -> task<> {
            const result<stream> far = co_await from.accept({});
            done = far.has_value();
        };
        tasks.start(take(incoming, accepted));
        const long reset = co_await receive_once(*first);
        EXPECT_EQ(reset, -ECONNRESET);
        filler.reset();
        first->close();
        const result<stream> third = co_await stream::connect(w.io, door.address(), {});
        EXPECT_EQ(code_of(third), 0);
        co_await tasks.join();
        EXPECT_TRUE(accepted);
        co_await incoming.stop();
    };
    run(scenario, needs);
}

TEST_P(listening, ends_when_it_is_cancelled) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        acceptor incoming{door};
        int code = 0;
        nursery tasks;
        const auto take = [](acceptor& from, cancel_token stop, int& out) -> task<> {
            const result<stream> far = co_await from.accept(stop);
            out = code_of(far);
        };
        tasks.start(take(incoming, tasks.token(), code));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
        co_await incoming.stop();
    });
}

}  // namespace
}  // namespace tunnel_uring::test
