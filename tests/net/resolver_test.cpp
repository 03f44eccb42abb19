// Names to addresses. The thread that asks getaddrinfo(3) wakes the loop through a real socket, so
// what needs it runs on the real kernel alone; nothing here asks a name server.
#include "net/net_world.hpp"

namespace tunnel_uring::test {
namespace {

class resolving : public both_kernels {
  protected:
    static constexpr const char* needs_the_real_one =
        "the thread's answer comes over a socket pair, of which the simulated kernel knows nothing";
};
TU_ON_BOTH_KERNELS(resolving);

// getaddrinfo(3) reads it without asking anyone (inet_aton(3)); we do not take it for a number.
constexpr const char* old_notation = "127.1";
// No label of a name is that long, so it is refused without asking anyone (RFC 1035,
// section 2.3.4).
std::string impossible_name() { return std::string(64, 'x'); }

TEST_P(resolving, a_number_is_its_own_answer) {
    run([](world& w) -> task<> {
        resolver names{w.io};
        const auto found = co_await names.resolve(place("127.0.0.1", 80), {});
        EXPECT_EQ(*found, std::vector{loopback(80)});
    });
}

TEST_P(resolving, a_unix_path_is_its_own_answer) {
    run([](world& w) -> task<> {
        resolver names{w.io};
        host_port where;
        where.unix_path = "/run/app.sock";
        const auto found = co_await names.resolve(where, {});
        EXPECT_EQ(*found, std::vector{to_socket_address(where)});
    });
}

TEST_P(resolving, localhost_is_v6_and_then_v4_loopback) {
    run([](world& w) -> task<> {
        resolver names{w.io};
        const auto found = co_await names.resolve(place("localhost", 80), {});
        EXPECT_EQ(*found, (std::vector{loopback_v6(80), loopback(80)}));
    });
}

TEST_P(resolving, another_name_is_asked_for_and_keeps_its_port) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    run([](world& w) -> task<> {
        resolver names{w.io};
        const auto found = co_await names.resolve(place(old_notation, 8080), {});
        EXPECT_EQ(code_of(found), 0);
        EXPECT_EQ(found->at(0), loopback(8080));
    });
}

TEST_P(resolving, several_names_get_an_answer_each) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    run([](world& w) -> task<> {
        resolver names{w.io};
        int answers = 0;
        nursery tasks;
        const auto ask = [](resolver& of, std::uint16_t port, int& count) -> task<> {
            const auto found = co_await of.resolve(place(old_notation, port), {});
            count += found && found->at(0) == loopback(port) ? 1 : 0;
        };
        for (std::uint16_t port = 1; port <= 5; ++port) tasks.start(ask(names, port, answers));
        co_await tasks.join();
        EXPECT_EQ(answers, 5);
    });
}

TEST_P(resolving, a_name_that_nobody_knows_is_named_in_the_sentence) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    run([](world& w) -> task<> {
        resolver names{w.io};
        const auto found = co_await names.resolve(place(impossible_name(), 80), {});
        EXPECT_EQ(code_of(found), EHOSTUNREACH);
        const std::string begin = "the name \"" + impossible_name() + "\" cannot be resolved: ";
        EXPECT_TRUE(found.error().sentence().starts_with(begin)) << found.error().sentence();
    });
}

TEST_P(resolving, a_name_may_be_given_up_while_it_is_asked_for) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    run([](world& w) -> task<> {
        resolver names{w.io};
        cancel_source stop;
        stop.request();
        const auto found = co_await names.resolve(place(old_notation, 80), stop.token());
        EXPECT_EQ(code_of(found), ECANCELED);
    });
}

TEST_P(resolving, a_name_without_descriptors_for_the_answer_is_an_error_of_this_host) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    run([](world& w) -> task<> {
        resolver names{w.io};
        w.refuse_descriptors(true);
        const auto found = co_await names.resolve(place(old_notation, 80), {});
        w.refuse_descriptors(false);
        EXPECT_EQ(code_of(found), EMFILE);
    });
}

TEST_P(resolving, a_name_without_a_slot_for_the_answer_is_an_error_and_leaves_nothing) {
    if (!real()) GTEST_SKIP() << needs_the_real_one;
    kernel_needs needs;
    needs.files = 1;
    const auto scenario = [](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        resolver names{w.io};
        const auto found = co_await names.resolve(place(old_notation, 80), {});
        EXPECT_EQ(code_of(found), ENFILE);
    };
    run(scenario, needs);
}

}  // namespace
}  // namespace tunnel_uring::test
