// Dialling a name: which address is tried when, who wins, and what is said when none does.
#include <poll.h>

#include "net/net_world.hpp"

namespace tunnel_uring::test {
namespace {

class dialling : public both_kernels {};
TU_ON_BOTH_KERNELS(dialling);

// Head starts and limits in virtual time.
void run_in_virtual_time(scenario what) {
    sim::options options;
    run_simulated(what, options);
}

// RFC 8305's head start, and what loopback needs beside it.
constexpr duration head_start = 250ms;
constexpr duration soon = 5ms;

std::vector<socket_address> places(std::initializer_list<socket_address> all) { return all; }

// Where nobody listens.
socket_address nobody(io_context& io) {
    const listener door = listen_on_loopback(io);
    return door.address();
}

task<result<stream>> dial_localhost(world& w, std::uint16_t port) {
    resolver names{w.io};
    result<stream> made = co_await dial(w.io, names, place("localhost", port), 10s, {});
    co_return std::move(made);
}

TEST_P(dialling, localhost_reaches_a_service_that_listens_on_v4_alone) {
    run([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        const result<stream> made = co_await dial_localhost(w, port_of(door.address()));
        EXPECT_EQ(code_of(made), 0);
        EXPECT_EQ(made->peer_address(), door.address());
    });
}

TEST_P(dialling, localhost_reaches_a_service_that_listens_on_v6_alone) {
    if (!has_v6_loopback()) GTEST_SKIP() << "this host has no ::1";
    run([](world& w) -> task<> {
        const result<listener> door = listener::open(w.io, loopback_v6());
        const result<stream> made = co_await dial_localhost(w, port_of(door->address()));
        EXPECT_EQ(code_of(made), 0);
        EXPECT_EQ(made->peer_address(), door->address());
    });
}

TEST_P(dialling, a_name_whose_first_address_refuses_reaches_the_next) {
    run([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        one_answer names{places({nobody(w.io), door.address()})};
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_EQ(code_of(made), 0);
        EXPECT_EQ(made->peer_address(), door.address());
    });
}

TEST(dialling_in_virtual_time, does_not_wait_after_a_refusal) {
    run_in_virtual_time([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        one_answer names{places({nobody(w.io), door.address()})};
        const time_point began = w.io.now();
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_TRUE(made);
        EXPECT_LT(w.io.now() - began, soon);
    });
}

TEST(dialling_in_virtual_time, gives_an_address_that_hangs_a_head_start_and_then_closes_it) {
    run_in_virtual_time([](world& w) -> task<> {
        const full_door full = co_await full_door_at(w.io, loopback());
        const listener door = listen_on_loopback(w.io);
        one_answer names{places({full.address, door.address()})};
        const std::uint64_t before = w.io.census().descriptors;
        const time_point began = w.io.now();
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_EQ(made->peer_address(), door.address());
        EXPECT_GE(w.io.now() - began, head_start);
        EXPECT_LT(w.io.now() - began, head_start + soon);
        EXPECT_EQ(w.io.census().descriptors, before + 1);
        EXPECT_EQ(w.io.census().operations, 0U);
    });
}

TEST(dialling_in_virtual_time, lets_an_address_that_only_was_slow_win) {
    run_in_virtual_time([](world& w) -> task<> {
        full_door slow = co_await full_door_at(w.io, loopback());
        const full_door hanging = co_await full_door_at(w.io, loopback());
        one_answer names{places({slow.address, hanging.address})};
        nursery tasks;
        const auto make_room = [](world& in, full_door& at) -> task<> {
            const result<void> slept = co_await in.io.sleep(500ms);
            EXPECT_TRUE(slept);
            const stream accepted = co_await accept_from(in.io, at.door.get());
            EXPECT_TRUE(accepted.valid());
        };
        tasks.start(make_room(w, slow));
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_EQ(made->peer_address(), slow.address);
        co_await tasks.join();
    });
}

TEST(dialling_in_virtual_time, takes_families_in_turn) {
    run_in_virtual_time([](world& w) -> task<> {
        const full_door v6 = co_await full_door_at(w.io, loopback_v6());
        const listener v4 = listen_on_loopback(w.io);
        one_answer names{places({v6.address, v6.address, v6.address, v4.address()})};
        const time_point began = w.io.now();
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_EQ(made->peer_address(), v4.address());
        EXPECT_LT(w.io.now() - began, head_start + soon);
    });
}

TEST(dialling_in_virtual_time, gives_a_head_start_after_an_address_that_failed_at_once) {
    run_in_virtual_time([](world& w) -> task<> {
        const full_door full = co_await full_door_at(w.io, loopback());
        const listener door = listen_on_loopback(w.io);
        socket_address unknown_family;
        unknown_family.length = sizeof(sockaddr);
        one_answer names{places({unknown_family, full.address, door.address()})};
        const time_point began = w.io.now();
        const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
        EXPECT_EQ(made->peer_address(), door.address());
        EXPECT_GE(w.io.now() - began, head_start);
    });
}

// How often both connects of the next test really succeeded.
int both_connected = 0;

// The first address gets in as its connect is repeated after one second, when the fifth is dialled.
task<> race_of_two(world& w) {
    full_door slow = co_await full_door_at(w.io, loopback());
    listener door = listen_on_loopback(w.io);
    one_answer names{
        places({slow.address, slow.address, slow.address, slow.address, door.address()})};
    nursery tasks;
    const auto make_room = [](world& in, full_door& at) -> task<> {
        const result<void> slept = co_await in.io.sleep(900ms);
        EXPECT_TRUE(slept);
        const stream accepted = co_await accept_from(in.io, at.door.get());
        EXPECT_TRUE(accepted.valid());
    };
    tasks.start(make_room(w, slow));
    const std::uint64_t before = w.io.census().descriptors;
    const result<stream> made = co_await dial(w.io, names, place("name", 1), 10s, {});
    EXPECT_TRUE(made);
    co_await tasks.join();
    EXPECT_EQ(w.io.census().descriptors, before + 1);
    const bool slow_won = made->peer_address() == slow.address;
    const descriptor& losing = slow_won ? door.get() : slow.door.get();
    deadline brief{w.io, 5ms, {}};
    const result<std::size_t> mask = co_await w.io.poll(losing, POLLIN, brief.token());
    if (!mask) co_return;
    both_connected += 1;
    stream loser = co_await accept_from(w.io, losing);
    const long end = co_await receive_once(loser);
    EXPECT_LE(end, 0);
}

TEST(dialling_in_virtual_time, keeps_one_of_two_that_connect_at_once_and_closes_the_other) {
    both_connected = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim::options options;
        options.seed = seed;
        options.chances.late_completion = 100;
        run_simulated(race_of_two, options);
    }
    EXPECT_GT(both_connected, 0);
}

TEST_P(dialling, says_of_a_place_that_refuses_where_to_look) {
    run([](world& w) -> task<> {
        one_answer names{places({nobody(w.io), nobody(w.io)})};
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 10s, {});
        EXPECT_EQ(code_of(made), ECONNREFUSED);
        EXPECT_EQ(made.error().sentence(),
                  "name:80 refused the connection: is anything listening there?");
    });
}

TEST_P(dialling, says_of_a_place_without_answer_that_time_was_up) {
    run([](world& w) -> task<> {
        const full_door full = co_await full_door_at(w.io, loopback());
        one_answer names{places({full.address})};
        const time_point due = w.io.now() + 20ms;
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 20ms, {});
        EXPECT_EQ(code_of(made), ETIMEDOUT);
        EXPECT_EQ(made.error().sentence(), "name:80 did not answer in time");
        EXPECT_GE(w.io.now(), due);
    });
}

TEST(dialling_in_virtual_time, ends_at_its_limit_whatever_hangs) {
    run_in_virtual_time([](world& w) -> task<> {
        const full_door full = co_await full_door_at(w.io, loopback());
        one_answer names{places({full.address, full.address, full.address, full.address})};
        const time_point began = w.io.now();
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 600ms, {});
        EXPECT_EQ(code_of(made), ETIMEDOUT);
        EXPECT_GE(w.io.now() - began, 600ms);
        EXPECT_LT(w.io.now() - began, 600ms + soon);
    });
}

TEST_P(dialling, says_of_a_name_without_answer_that_time_was_up) {
    run([](world& w) -> task<> {
        no_answer names;
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 3ms, {});
        EXPECT_EQ(code_of(made), ETIMEDOUT);
        EXPECT_EQ(made.error().sentence(), "name:80 did not answer in time");
    });
}

TEST_P(dialling, says_of_a_name_that_cannot_be_resolved_what_its_source_says) {
    run([](world& w) -> task<> {
        one_answer names{error{EHOSTUNREACH, "there is no such name"}};
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 10s, {});
        EXPECT_EQ(code_of(made), EHOSTUNREACH);
        EXPECT_EQ(made.error().sentence(), "there is no such name");
    });
}

TEST_P(dialling, says_of_a_unix_path_that_is_not_there_to_look_for_the_service) {
    run([](world& w) -> task<> {
        resolver names{w.io};
        host_port where;
        where.unix_path = testing::TempDir() + "no-such.sock";
        const result<stream> made = co_await dial(w.io, names, where, 10s, {});
        EXPECT_EQ(code_of(made), ENOENT);
        EXPECT_EQ(made.error().sentence(),
                  where.text() + " does not exist: is the service running?");
    });
}

TEST_P(dialling, says_of_a_condition_of_this_host_which_it_is) {
    run([](world& w) -> task<> {
        one_answer names{places({loopback(1)})};
        w.refuse_descriptors(true);
        const result<stream> made = co_await dial(w.io, names, place("name", 80), 10s, {});
        w.refuse_descriptors(false);
        EXPECT_EQ(code_of(made), EMFILE);
        EXPECT_EQ(made.error().sentence(), "name:80 cannot be reached: Too many open files");
    });
}

task<> dial_into(world& w, name_source& names, cancel_token stop, int& code) {
    const result<stream> made = co_await dial(w.io, names, place("name", 80), 24h, stop);
    code = code_of(made);
}

TEST_P(dialling, ends_when_it_is_cancelled_and_leaves_nothing) {
    run([](world& w) -> task<> {
        const full_door full = co_await full_door_at(w.io, loopback());
        one_answer names{places({full.address, full.address})};
        const std::uint64_t before = w.io.census().descriptors;
        int code = 0;
        nursery tasks;
        tasks.start(dial_into(w, names, tasks.token(), code));
        co_await w.settle();
        EXPECT_EQ(w.io.census().descriptors, before + 1);
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
        EXPECT_EQ(w.io.census().descriptors, before);
    });
}

TEST_P(dialling, ends_when_it_is_cancelled_while_the_name_is_asked_for) {
    run([](world& w) -> task<> {
        no_answer names;
        int code = 0;
        nursery tasks;
        tasks.start(dial_into(w, names, tasks.token(), code));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
