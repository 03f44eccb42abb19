// Streams: all of it or an error, over TCP and over unix sockets.
#include "net/stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/net_world.hpp"

namespace tunnel_uring::test {
namespace {

class streams : public both_kernels {};
TU_ON_BOTH_KERNELS(streams);

int option_of(const stream& of, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(getsockopt(of.get().fd, level, name, &value, &length), 0);
    return value;
}

TEST_P(streams, of_both_ends_send_small_writes_at_once_and_notice_a_dead_peer) {
    if (!real()) GTEST_SKIP() << "the simulated kernel keeps no such options";
    run([](world& w) -> task<> {
        const connection both = co_await connect(w.io);
        for (const stream* each : {&both.near, &both.far}) {
            EXPECT_EQ(option_of(*each, IPPROTO_TCP, TCP_NODELAY), 1);
            EXPECT_EQ(option_of(*each, SOL_SOCKET, SO_KEEPALIVE), 1);
            EXPECT_EQ(option_of(*each, IPPROTO_TCP, TCP_KEEPIDLE), 20);
            EXPECT_EQ(option_of(*each, IPPROTO_TCP, TCP_KEEPINTVL), 20);
        }
    });
}

TEST_P(streams, on_loopback_have_a_congestion_control_that_does_not_pace) {
    if (!real()) GTEST_SKIP() << "the simulated kernel has no congestion control";
    run([](world& w) -> task<> {
        const connection both = co_await connect(w.io);
        for (const stream* each : {&both.near, &both.far}) {
            std::array<char, 16> name{};
            socklen_t length = name.size();
            EXPECT_EQ(getsockopt(each->get().fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &length),
                      0);
            const std::string_view used{name.data()};
            EXPECT_TRUE(used == "cubic" || used == "reno") << used;
        }
    });
}

task<> send_all_into(stream& to, bytes_view bytes, cancel_token stop, int& code) {
    const result<void> sent = co_await to.send_all(bytes, stop);
    code = code_of(sent);
}

task<> read_into(stream& from, bytes_span memory, cancel_token stop, int& code) {
    const result<void> read = co_await from.read_exactly(memory, stop);
    code = code_of(read);
}

// More than fits under way, different everywhere.
std::string much(const world& w) {
    std::string text;
    const std::size_t size = std::size_t{w.real() ? 24U : 1U} << 20U;
    text.reserve(size + 8);
    while (text.size() < size) text += std::to_string(text.size()) + ' ';
    return text;
}

TEST_P(streams, send_all_that_is_given_to_them_however_much) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::string said = much(w);
        int code = -1;
        nursery tasks;
        tasks.start(send_all_into(both.near, as_bytes(said), {}, code));
        co_await w.settle();
        EXPECT_EQ(code, -1);
        const std::string heard = co_await read_text(both.far, said.size());
        co_await tasks.join();
        EXPECT_EQ(code, 0);
        EXPECT_TRUE(heard == said);
    });
}

TEST_P(streams, stop_sending_when_the_peer_resets) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::string said = much(w);
        int code = -1;
        nursery tasks;
        tasks.start(send_all_into(both.near, as_bytes(said), {}, code));
        co_await w.settle();
        both.far.abort();
        co_await tasks.join();
        EXPECT_EQ(code, ECONNRESET);
    });
}

TEST_P(streams, stop_sending_when_they_are_cancelled) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::string said = much(w);
        int code = -1;
        nursery tasks;
        tasks.start(send_all_into(both.near, as_bytes(said), tasks.token(), code));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
        both.near.abort();
    });
}

TEST_P(streams, send_nothing_without_asking_the_kernel) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::uint64_t before = w.io.counters().submissions;
        int code = -1;
        co_await send_all_into(both.near, {}, {}, code);
        EXPECT_EQ(code, 0);
        EXPECT_EQ(w.io.counters().submissions, before);
    });
}

TEST_P(streams, read_exactly_what_is_asked_for_however_it_arrives) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        std::array<std::byte, 9> memory{};
        int code = -1;
        nursery tasks;
        tasks.start(read_into(both.far, memory, {}, code));
        for (const std::string_view part : {"one", "two", "three"}) {
            EXPECT_EQ(code, -1);
            say(both.near, part);
            co_await w.settle();
        }
        co_await tasks.join();
        EXPECT_EQ(code, 0);
        EXPECT_EQ(as_text(memory), "onetwothr");
        const std::string rest = co_await read_text(both.far, 2);
        EXPECT_EQ(rest, "ee");
    });
}

TEST_P(streams, that_end_before_all_was_read_count_as_reset) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "short");
        both.near.close();
        std::array<std::byte, 6> memory{};
        int code = -1;
        co_await read_into(both.far, memory, {}, code);
        EXPECT_EQ(code, ECONNRESET);
        EXPECT_FALSE(both.far.was_broken());
    });
}

TEST_P(streams, stop_reading_when_they_are_cancelled) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "half");
        std::array<std::byte, 8> memory{};
        int code = -1;
        nursery tasks;
        tasks.start(read_into(both.far, memory, tasks.token(), code));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
    });
}

TEST_P(streams, stop_waiting_for_a_buffer_when_they_are_cancelled) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 64};
        connection both = co_await connect(w.io);
        say(both.near, "xy");
        const result<buffer> held = co_await both.far.receive(group, 1, {});
        EXPECT_EQ(as_text(held->bytes()), "x");
        int code = -1;
        nursery tasks;
        const auto next = [](stream& from, buffer_group& into, cancel_token stop,
                             int& out) -> task<> {
            const result<buffer> none = co_await from.receive(into, 0, stop);
            out = code_of(none);
        };
        tasks.start(next(both.far, group, tasks.token(), code));
        co_await w.settle();
        EXPECT_EQ(code, -1);
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(code, ECANCELED);
    });
}

TEST_P(streams, in_the_slot_of_a_broken_one_are_not_broken) {
    kernel_needs needs;
    needs.files = 3;
    const auto scenario = [](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        std::uint32_t slot = 0;
        {
            connection both = co_await connect_to(door);
            both.near.abort();
            const long got = co_await receive_once(both.far);
            EXPECT_EQ(got, -ECONNRESET);
            EXPECT_TRUE(both.far.was_broken());
            slot = both.far.get().slot;
        }
        const connection both = co_await connect_to(door);
        const stream& again = both.far.get().slot == slot ? both.far : both.near;
        EXPECT_EQ(again.get().slot, slot);
        EXPECT_FALSE(again.was_broken());
    };
    run(scenario, needs);
}

TEST_P(streams, that_are_moved_stay_connected) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        stream moved = std::move(both.near);
        EXPECT_FALSE(both.near.valid());
        say(moved, "still here");
        const std::string heard = co_await read_text(both.far, 10);
        EXPECT_EQ(heard, "still here");
    });
}

TEST(empty_stream, may_be_closed_and_aborted) {
    stream nothing;
    nothing.abort();
    nothing.close();
    EXPECT_FALSE(nothing.valid());
}

// ── unix sockets ──

// A path of its own, which is gone after the test.
class unix_streams : public both_kernels {
  protected:
    void SetUp() override {
        both_kernels::SetUp();
        ::unlink(path().unix_path.c_str());
    }
    void TearDown() override { ::unlink(path().unix_path.c_str()); }
    static host_port path() {
        host_port where;
        where.unix_path = testing::TempDir() + "stream-" + std::to_string(::getpid()) + ".sock";
        return where;
    }
    // The lambdas of the tests capture nothing.
    static listener listen(world& w) {
        ::unlink(path().unix_path.c_str());
        result<listener> opened = listener::open(w.io, to_socket_address(path()));
        EXPECT_EQ(code_of(opened), 0);
        return std::move(*opened);
    }
};
TU_ON_BOTH_KERNELS(unix_streams);

TEST_P(unix_streams, carry_bytes_both_ways_and_half_close) {
    run([](world& w) -> task<> {
        listener door = listen(w);
        connection both = co_await connect_to(door);
        say(both.near, "question");
        EXPECT_TRUE(both.near.shutdown_send());
        const std::string question = co_await read_text(both.far, 8);
        EXPECT_EQ(question, "question");
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
        say(both.far, "answer");
        const std::string answer = co_await read_text(both.near, 6);
        EXPECT_EQ(answer, "answer");
    });
}

TEST_P(unix_streams, have_the_path_for_an_address) {
    run([](world& w) -> task<> {
        listener door = listen(w);
        const connection both = co_await connect_to(door);
        EXPECT_EQ(format(door.address()), path().text());
        EXPECT_EQ(format(both.near.peer_address()), path().text());
    });
}

TEST_P(unix_streams, take_options_of_tcp_without_harm) {
    run([](world& w) -> task<> {
        listener door = listen(w);
        connection both = co_await connect_to(door);
        both.near.set_option(socket_option::no_delay, 1);
        both.near.set_option(socket_option::local_congestion_control, 1);
        both.near.set_option(socket_option::notsent_lowat_bytes, 16384);
        say(both.near, "fine");
        const std::string heard = co_await read_text(both.far, 4);
        EXPECT_EQ(heard, "fine");
    });
}

TEST_P(unix_streams, that_close_with_unread_bytes_reset) {
    run([](world& w) -> task<> {
        listener door = listen(w);
        connection both = co_await connect_to(door);
        say(both.near, "unread");
        co_await w.settle();
        both.far.close();
        const long got = co_await receive_once(both.near);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(unix_streams, wait_for_room_as_tcp_does) {
    run([](world& w) -> task<> {
        listener door = listen(w);
        connection both = co_await connect_to(door);
        const std::string said = much(w);
        int code = -1;
        nursery tasks;
        tasks.start(send_all_into(both.near, as_bytes(said), {}, code));
        co_await w.settle();
        EXPECT_EQ(code, -1);
        const std::string heard = co_await read_text(both.far, said.size());
        co_await tasks.join();
        EXPECT_EQ(code, 0);
        EXPECT_TRUE(heard == said);
    });
}

}  // namespace
}  // namespace tunnel_uring::test
