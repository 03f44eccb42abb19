// The contract with the kernel: what ring/backend.hpp promises, shown on the simulated kernel and
// on the real one. Whoever writes another backend, or changes the simulated one, begins here.
#include <fcntl.h>
#include <poll.h>

#include <vector>

#include "ring/both_kernels.hpp"

namespace tunnel_uring::test {
namespace {

class conformance : public both_kernels {};
TU_ON_BOTH_KERNELS(conformance);

// ── connections ──

TEST_P(conformance, a_connect_and_an_accept_are_the_two_ends_of_one_connection) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        EXPECT_EQ(both.near.local_address(), both.far.peer_address());
        EXPECT_EQ(both.far.local_address(), both.near.peer_address());
    });
}

TEST_P(conformance, one_accept_takes_connection_after_connection) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        request what;
        what.code = opcode::accept;
        what.target = door.get();
        multishot incoming{w.io};
        incoming.start(what);
        for (int i = 0; i < 3; ++i) {
            result<stream> near = co_await stream::connect(w.io, door.address(), {});
            EXPECT_TRUE(near);
            const result<completion> accepted = co_await incoming.next();
            EXPECT_TRUE(accepted && accepted->result >= 0 && accepted->more);
            const result<stream> far = stream::adopt(w.io, accepted->result);
            EXPECT_TRUE(far);
        }
        const auto discard = [](const completion&) {};
        co_await incoming.stop(discard);
    });
}

TEST_P(conformance, an_accepted_descriptor_does_not_block_and_does_not_outlive_an_exec) {
    if (!real()) GTEST_SKIP() << "the simulated kernel has no descriptor flags";
    run([](world& w) -> task<> {
        const connection both = co_await connect(w.io);
        EXPECT_NE(fcntl(both.far.get().fd, F_GETFL) & O_NONBLOCK, 0);
        EXPECT_NE(fcntl(both.far.get().fd, F_GETFD) & FD_CLOEXEC, 0);
    });
}

TEST_P(conformance, a_connect_to_where_nobody_listens_is_refused) {
    run([](world& w) -> task<> {
        socket_address nobody;
        {
            const listener door = listen_on_loopback(w.io);
            nobody = door.address();
        }
        const result<stream> made = co_await stream::connect(w.io, nobody, {});
        EXPECT_EQ(code_of(made), ECONNREFUSED);
    });
}

TEST_P(conformance, a_listener_on_every_address_is_reached_at_one_of_them) {
    run([](world& w) -> task<> {
        host_port everywhere;
        everywhere.host = "0.0.0.0";
        const result<listener> door = listener::open(w.io, to_socket_address(everywhere));
        EXPECT_TRUE(door);
        const socket_address here = loopback(port_of(door->address()));
        const result<stream> made = co_await stream::connect(w.io, here, {});
        EXPECT_EQ(code_of(made), 0);
    });
}

TEST_P(conformance, a_connection_may_speak_before_it_is_accepted) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        result<stream> near = co_await stream::connect(w.io, door.address(), {});
        say(*near, "early");
        near->close();
        stream far = co_await accept_one(door);
        const std::string words = co_await read_text(far, 5);
        EXPECT_EQ(words, "early");
        const long end = co_await receive_once(far);
        EXPECT_EQ(end, 0);
    });
}

TEST_P(conformance, a_connection_that_was_reset_before_its_accept_says_so_after) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        result<stream> near = co_await stream::connect(w.io, door.address(), {});
        near->abort();
        co_await w.settle();
        stream far = co_await accept_one(door);
        const long got = co_await receive_once(far);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(conformance, a_listener_that_closes_resets_who_was_not_accepted) {
    run([](world& w) -> task<> {
        result<stream> near = error{EINVAL};
        {
            listener door = listen_on_loopback(w.io);
            near = co_await stream::connect(w.io, door.address(), {});
        }
        const long got = co_await receive_once(*near);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

task<> connect_into(io_context& io, socket_address to, cancel_token stop, long& out) {
    const result<stream> made = co_await stream::connect(io, to, stop);
    out = -code_of(made);
}

TEST_P(conformance, a_connect_to_a_full_queue_hangs_until_it_is_cancelled) {
    run([](world& w) -> task<> {
        full_door full = co_await full_door_at(w.io, loopback());
        long outcome = pending;
        nursery tasks;
        tasks.start(connect_into(w.io, full.address, tasks.token(), outcome));
        co_await w.settle();
        EXPECT_EQ(outcome, pending);
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(outcome, -ECANCELED);
    });
}

TEST_P(conformance, an_accept_without_descriptors_ends_and_keeps_the_connection) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        result<stream> near = co_await stream::connect(w.io, door.address(), {});
        say(*near, "patient");
        request what;
        what.code = opcode::accept;
        what.target = door.get();
        multishot incoming{w.io};
        w.refuse_descriptors(true);
        incoming.start(what);
        const result<completion> refused = co_await incoming.next();
        w.refuse_descriptors(false);
        EXPECT_EQ(refused->result, -EMFILE);
        EXPECT_FALSE(refused->more);
        stream far = co_await accept_one(door);
        const std::string words = co_await read_text(far, 7);
        EXPECT_EQ(words, "patient");
    });
}

TEST_P(conformance, a_socket_without_descriptors_is_an_error_of_this_host) {
    run([](world& w) -> task<> {
        w.refuse_descriptors(true);
        const result<stream> made = co_await stream::connect(w.io, loopback(1), {});
        w.refuse_descriptors(false);
        EXPECT_EQ(code_of(made), EMFILE);
    });
}

TEST_P(conformance, a_full_table_of_files_resets_a_connection_rather_than_ending_it) {
    kernel_needs needs;
    needs.files = 2;
    const auto scenario = [](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        result<stream> near = co_await stream::connect(w.io, door.address(), {});
        request what;
        what.code = opcode::accept;
        what.target = door.get();
        multishot incoming{w.io};
        incoming.start(what);
        const result<completion> accepted = co_await incoming.next();
        const result<stream> far = stream::adopt(w.io, accepted->result);
        EXPECT_EQ(code_of(far), ENFILE);
        const long got = co_await receive_once(*near);
        EXPECT_EQ(got, -ECONNRESET);
        const auto discard = [](const completion&) {};
        co_await incoming.stop(discard);
    };
    run(scenario, needs);
}

TEST_P(conformance, a_slot_that_was_given_back_is_used_again_by_another_generation) {
    kernel_needs needs;
    needs.files = 2;
    const auto scenario = [](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        descriptor first;
        {
            const result<stream> near = co_await stream::connect(w.io, door.address(), {});
            first = near->get();
        }
        const result<stream> near = co_await stream::connect(w.io, door.address(), {});
        EXPECT_EQ(near->get().slot, first.slot);
        EXPECT_NE(near->get().generation, first.generation);
    };
    run(scenario, needs);
}

// ── receiving ──

TEST_P(conformance, bytes_arrive_in_order) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        std::string said;
        for (int i = 0; i < 50; ++i) {
            const std::string words = std::to_string(i) + ' ';
            say(both.near, words);
            said += words;
        }
        const std::string heard = co_await read_text(both.far, said.size());
        EXPECT_EQ(heard, said);
    });
}

TEST_P(conformance, a_receive_waits_for_bytes) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        tasks.start(receive_into(both.far, {}, got));
        co_await w.settle();
        EXPECT_EQ(got, pending);
        say(both.near, "now");
        co_await tasks.join();
        EXPECT_EQ(got, 3);
    });
}

TEST_P(conformance, the_end_is_a_receive_of_nothing_as_often_as_one_asks) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.close();
        const long first = co_await receive_once(both.far);
        EXPECT_EQ(first, 0);
        const long second = co_await receive_once(both.far);
        EXPECT_EQ(second, 0);
        EXPECT_FALSE(both.far.was_broken());
    });
}

TEST_P(conformance, what_was_sent_before_the_end_comes_before_the_end) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "last words");
        both.near.close();
        co_await w.settle();
        const std::string words = co_await read_text(both.far, 10);
        EXPECT_EQ(words, "last words");
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
    });
}

TEST_P(conformance, trying_to_receive_never_waits) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        backend& kernel = w.io.kernel();
        std::array<std::byte, 8> memory{};
        EXPECT_EQ(outcome(kernel.try_receive(both.far.get().fd, memory)), -EAGAIN);
        say(both.near, "here");
        co_await wait_for(both.far, POLLIN);
        EXPECT_EQ(outcome(kernel.try_receive(both.far.get().fd, memory)), 4);
        both.near.close();
        co_await wait_for(both.far, POLLIN);
        EXPECT_EQ(outcome(kernel.try_receive(both.far.get().fd, memory)), 0);
    });
}

// ── receiving into provided buffers ──

TEST_P(conformance, a_receive_into_a_group_brings_a_buffer_which_comes_home) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 2, 64};
        connection both = co_await connect(w.io);
        say(both.near, "hello");
        {
            const result<buffer> got = co_await w.io.receive(both.far.get(), group, 0, {});
            EXPECT_EQ(as_text(got->bytes()), "hello");
            EXPECT_EQ(group.lent(), 1U);
            EXPECT_EQ(w.io.census().buffers, 1U);
        }
        EXPECT_EQ(group.lent(), 0U);
    });
}

TEST_P(conformance, the_end_brings_no_buffer) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 2, 64};
        connection both = co_await connect(w.io);
        both.near.close();
        const result<buffer> got = co_await w.io.receive(both.far.get(), group, 0, {});
        EXPECT_TRUE(got && got->empty());
        EXPECT_EQ(group.lent(), 0U);
    });
}

TEST_P(conformance, a_limit_bounds_what_a_receive_into_a_group_takes) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 2, 64};
        connection both = co_await connect(w.io);
        say(both.near, "0123456789");
        co_await wait_for(both.far, POLLIN);
        const result<buffer> first = co_await w.io.receive(both.far.get(), group, 4, {});
        EXPECT_EQ(as_text(first->bytes()), "0123");
        const result<buffer> rest = co_await w.io.receive(both.far.get(), group, 0, {});
        EXPECT_EQ(as_text(rest->bytes()), "456789");
    });
}

TEST_P(conformance, a_receive_that_waits_holds_no_buffer) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 64};
        connection idle = co_await connect(w.io);
        connection busy = co_await connect(w.io);
        multishot waiting{w.io};
        waiting.start(receive_of(idle.far.get(), group));
        co_await w.settle();
        say(busy.near, "mine");
        {
            const result<buffer> got = co_await w.io.receive(busy.far.get(), group, 0, {});
            EXPECT_EQ(code_of(got), 0);
        }
        const auto discard = [](const completion&) {};
        co_await waiting.stop(discard);
    });
}

TEST_P(conformance, a_shared_buffer_comes_home_with_its_last_share) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 64};
        connection both = co_await connect(w.io);
        say(both.near, "shared");
        result<buffer> first = co_await w.io.receive(both.far.get(), group, 0, {});
        buffer second = first->share();
        first->reset();
        EXPECT_EQ(group.lent(), 1U);
        EXPECT_EQ(as_text(second.bytes()), "shared");
        second.reset();
        EXPECT_EQ(group.lent(), 0U);
    });
}

TEST_P(conformance, an_empty_group_ends_a_receive_at_once) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 64};
        connection both = co_await connect(w.io);
        say(both.near, "x");
        const result<buffer> held = co_await w.io.receive(both.far.get(), group, 0, {});
        const result<buffer> none = co_await w.io.receive(both.far.get(), group, 0, {});
        EXPECT_EQ(code_of(none), ENOBUFS);
    });
}

TEST_P(conformance, a_stream_waits_until_a_buffer_comes_home) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 4};
        connection both = co_await connect(w.io);
        say(both.near, "onetwo");
        result<buffer> held = co_await both.far.receive(group, 3, {});
        EXPECT_EQ(as_text(held->bytes()), "one");
        long got = pending;
        nursery tasks;
        const auto next = [](stream& from, buffer_group& into, long& out) -> task<> {
            const result<buffer> second = co_await from.receive(into, 0, {});
            out = static_cast<long>(second->size());
        };
        tasks.start(next(both.far, group, got));
        co_await w.settle();
        EXPECT_EQ(got, pending);
        held->reset();
        co_await tasks.join();
        EXPECT_EQ(got, 3);
    });
}

// The buffer is chosen before the socket is read: an end needs one too, and gives it back.
TEST_P(conformance, an_end_that_finds_no_buffer_is_told_once_one_is_home) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 64};
        connection both = co_await connect(w.io);
        multishot incoming{w.io};
        incoming.start(receive_of(both.far.get(), group));
        say(both.near, "last");
        const result<completion> got = co_await incoming.next();
        EXPECT_TRUE(got->more);
        buffer held = group.take(got->buffer, static_cast<std::uint32_t>(got->result));
        both.near.close();
        const result<completion> none = co_await incoming.next();
        EXPECT_EQ(none->result, -ENOBUFS);
        EXPECT_FALSE(none->more);
        held.reset();
        incoming.start(receive_of(both.far.get(), group));
        const result<completion> end = co_await incoming.next();
        EXPECT_EQ(end->result, 0);
        EXPECT_FALSE(end->has_buffer);
    });
}

// What a multishot receive brought until it ended.
struct received {
    std::string text;
    completion last;
    bool last_had_buffer = false;
};

task<received> receive_until_it_ends(multishot& incoming, buffer_group& group) {
    received all;
    for (;;) {
        const result<completion> got = co_await incoming.next();
        if (got->has_buffer) {
            const buffer part = group.take(got->buffer, static_cast<std::uint32_t>(got->result));
            all.text += as_text(part.bytes());
        }
        all.last = *got;
        if (!got->more) co_return std::move(all);
    }
}

TEST_P(conformance, a_multishot_receive_brings_all_bytes_and_ends_with_nothing) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 64, 32};
        connection both = co_await connect(w.io);
        multishot incoming{w.io};
        incoming.start(receive_of(both.far.get(), group));
        std::string said;
        for (int i = 0; i < 300; ++i) said += std::to_string(i);
        say(both.near, said);
        both.near.close();
        const received all = co_await receive_until_it_ends(incoming, group);
        EXPECT_EQ(all.text, said);
        EXPECT_EQ(all.last.result, 0);
        EXPECT_FALSE(all.last.has_buffer);
    });
}

TEST_P(conformance, a_multishot_receive_ends_when_the_group_is_empty_and_loses_nothing) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 2, 8};
        connection both = co_await connect(w.io);
        say(both.near, "0123456789abcdefghijklmnopqrstuv");
        co_await wait_for(both.far, POLLIN);
        multishot incoming{w.io};
        incoming.start(receive_of(both.far.get(), group));
        std::vector<buffer> held;
        std::string text;
        int last = 1;
        while (last > 0) {
            const result<completion> got = co_await incoming.next();
            last = got->result;
            EXPECT_EQ(got->more, last > 0);
            if (!got->has_buffer) continue;
            held.push_back(group.take(got->buffer, static_cast<std::uint32_t>(last)));
            text += as_text(held.back().bytes());
        }
        EXPECT_EQ(last, -ENOBUFS);
        EXPECT_EQ(text, "0123456789abcdef");
        held.clear();
        const std::string rest = co_await read_text(both.far, 16);
        EXPECT_EQ(rest, "ghijklmnopqrstuv");
    });
}

TEST_P(conformance, a_multishot_receive_is_armed_again_once_a_buffer_is_home) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 1, 4};
        connection both = co_await connect(w.io);
        say(both.near, "firstnext");
        multishot incoming{w.io};
        std::string text;
        while (text.size() < 9) {
            if (!incoming.armed() && !incoming.waiting_completions())
                incoming.start(receive_of(both.far.get(), group));
            const result<completion> got = co_await incoming.next();
            if (!got->has_buffer) {
                EXPECT_EQ(got->result, -ENOBUFS);
                continue;
            }
            const buffer part = group.take(got->buffer, static_cast<std::uint32_t>(got->result));
            text += as_text(part.bytes());
        }
        EXPECT_EQ(text, "firstnext");
        const auto discard = [](const completion&) {};
        co_await incoming.stop(discard);
    });
}

TEST_P(conformance, a_reset_ends_a_multishot_receive_after_its_bytes) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 64};
        connection both = co_await connect(w.io);
        say(both.near, "then cut");
        co_await wait_for(both.far, POLLIN);
        both.near.abort();
        multishot incoming{w.io};
        incoming.start(receive_of(both.far.get(), group));
        const received all = co_await receive_until_it_ends(incoming, group);
        EXPECT_EQ(all.text, "then cut");
        EXPECT_EQ(all.last.result, -ECONNRESET);
        EXPECT_FALSE(all.last.has_buffer);
    });
}

// ── sending ──

TEST_P(conformance, a_send_gathers_what_its_vectors_name) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        std::array<std::string, 3> parts{"scattered ", "", "words"};
        std::vector<iovec> vectors;
        for (std::string& part : parts)
            vectors.push_back({.iov_base = part.data(), .iov_len = part.size()});
        const result<std::size_t> sent = co_await w.io.send(both.near.get(), vectors, {});
        EXPECT_EQ(outcome(sent), 15);
        const std::string heard = co_await read_text(both.far, 15);
        EXPECT_EQ(heard, "scattered words");
    });
}

TEST_P(conformance, a_send_of_more_than_there_is_room_for_is_short) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::string much(std::size_t{w.real() ? 32U : 1U} << 20U, 'x');
        const iovec vector{.iov_base = const_cast<char*>(much.data()), .iov_len = much.size()};
        const std::span<const iovec> vectors{&vector, 1};
        const result<std::size_t> sent = co_await w.io.send(both.near.get(), vectors, {});
        EXPECT_GT(outcome(sent), 0);
        EXPECT_LT(outcome(sent), static_cast<long>(much.size()));
        both.near.close();
        const std::size_t heard = co_await drain(both.far);
        EXPECT_EQ(heard, *sent);
    });
}

TEST_P(conformance, a_send_without_room_says_so_and_loses_nothing) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::size_t said = co_await fill(both.near);
        const iovec vector{.iov_base = const_cast<char*>("x"), .iov_len = 1};
        const result<std::size_t> tried = both.near.try_send({&vector, 1});
        EXPECT_EQ(outcome(tried), -EAGAIN);
        both.near.close();
        const std::size_t heard = co_await drain(both.far);
        EXPECT_EQ(heard, said);
    });
}

task<> send_into(stream& to, cancel_token stop, long& out) {
    const iovec vector{.iov_base = const_cast<char*>("more"), .iov_len = 4};
    const std::span<const iovec> vectors{&vector, 1};
    const result<std::size_t> sent = co_await to.send(vectors, stop);
    out = outcome(sent);
}

TEST_P(conformance, a_stream_sends_on_when_its_peer_has_read) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::size_t said = co_await fill(both.near);
        long sent = pending;
        nursery tasks;
        tasks.start(send_into(both.near, {}, sent));
        co_await w.settle();
        EXPECT_EQ(sent, pending);
        std::size_t heard = 0;
        while (heard < said + 4) {
            const long got = co_await receive_once(both.far);
            heard += static_cast<std::size_t>(got);
        }
        co_await tasks.join();
        EXPECT_EQ(sent, 4);
    });
}

TEST_P(conformance, waiting_for_room_ends_when_it_is_cancelled) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        co_await fill(both.near);
        long sent = pending;
        nursery tasks;
        tasks.start(send_into(both.near, tasks.token(), sent));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(sent, -ECANCELED);
        both.near.abort();
    });
}

// A parked send, or a poll that is told levels, would be ready over and over.
TEST_P(conformance, waiting_for_room_costs_nothing_while_the_peer_has_half_closed) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        EXPECT_TRUE(both.far.shutdown_send());
        const long end = co_await receive_once(both.near);
        EXPECT_EQ(end, 0);
        co_await fill(both.near);
        long sent = pending;
        nursery tasks;
        tasks.start(send_into(both.near, tasks.token(), sent));
        co_await w.settle();
        const std::uint64_t before = w.io.counters().completions;
        for (int i = 0; i < 20; ++i) co_await w.settle();
        EXPECT_EQ(w.io.counters().completions, before);
        EXPECT_EQ(sent, pending);
        tasks.cancel();
        co_await tasks.join();
        both.near.abort();
    });
}

TEST_P(conformance, waiting_for_room_ends_with_a_reset) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        co_await fill(both.near);
        long sent = pending;
        nursery tasks;
        tasks.start(send_into(both.near, {}, sent));
        co_await w.settle();
        both.far.abort();
        co_await tasks.join();
        EXPECT_EQ(sent, -ECONNRESET);
        EXPECT_TRUE(both.near.was_broken());
    });
}

TEST_P(conformance, a_send_after_ones_own_end_is_a_broken_pipe_and_no_signal) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        EXPECT_TRUE(both.near.shutdown_send());
        long sent = pending;
        co_await send_into(both.near, {}, sent);
        EXPECT_EQ(sent, -EPIPE);
        EXPECT_FALSE(both.near.was_broken());
    });
}

// ── ends and resets ──

TEST_P(conformance, a_shutdown_says_fin_while_operations_on_the_socket_live) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        multishot watch{w.io};
        watch.start(poll_of(both.near.get(), POLLRDHUP));
        tasks.start(receive_into(both.near, {}, got));
        co_await w.settle();
        EXPECT_TRUE(both.near.shutdown_send());
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
        EXPECT_EQ(got, pending);
        say(both.far, "still open");
        co_await tasks.join();
        EXPECT_EQ(got, 10);
        const auto discard = [](const completion&) {};
        co_await watch.stop(discard);
    });
}

TEST_P(conformance, a_half_close_leaves_the_other_way_open) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "question");
        EXPECT_TRUE(both.near.shutdown_send());
        const std::string question = co_await read_text(both.far, 8);
        EXPECT_EQ(question, "question");
        const long asked = co_await receive_once(both.far);
        EXPECT_EQ(asked, 0);
        say(both.far, "answer");
        EXPECT_TRUE(both.far.shutdown_send());
        const std::string answer = co_await read_text(both.near, 6);
        EXPECT_EQ(answer, "answer");
        const long answered = co_await receive_once(both.near);
        EXPECT_EQ(answered, 0);
    });
}

TEST_P(conformance, ending_a_stream_ends_ones_own_receive_and_the_peers) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        tasks.start(receive_into(both.near, {}, got));
        co_await w.settle();
        both.near.end();
        co_await tasks.join();
        EXPECT_EQ(got, 0);
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
    });
}

TEST_P(conformance, closing_with_linger_reset_is_a_reset) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.set_linger_reset(true);
        both.near.close();
        const long got = co_await receive_once(both.far);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(conformance, closing_with_linger_reset_taken_back_is_an_end) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.set_linger_reset(true);
        both.near.set_linger_reset(false);
        both.near.close();
        const long got = co_await receive_once(both.far);
        EXPECT_EQ(got, 0);
    });
}

TEST_P(conformance, closing_with_unread_bytes_is_a_reset) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "unread");
        co_await wait_for(both.far, POLLIN);
        both.far.close();
        const long got = co_await receive_once(both.near);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(conformance, an_abort_resets_whatever_was_under_way) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        co_await fill(both.near);
        both.near.abort();
        co_await drain(both.far);
        EXPECT_TRUE(both.far.was_broken());
    });
}

TEST_P(conformance, an_abort_ends_what_is_in_flight_on_the_socket) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        tasks.start(receive_into(both.near, {}, got));
        co_await w.settle();
        w.io.kernel().abort(both.near.get().fd);
        co_await tasks.join();
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(conformance, bytes_that_arrived_before_a_reset_can_still_be_read) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "arrived");
        co_await wait_for(both.far, POLLIN);
        both.near.abort();
        co_await wait_for(both.far, POLLERR);
        const std::string words = co_await read_text(both.far, 7);
        EXPECT_EQ(words, "arrived");
        const long got = co_await receive_once(both.far);
        EXPECT_EQ(got, -ECONNRESET);
    });
}

TEST_P(conformance, a_reset_that_a_receive_was_told_of_is_told_once) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.abort();
        const long first = co_await receive_once(both.far);
        EXPECT_EQ(first, -ECONNRESET);
        const long second = co_await receive_once(both.far);
        EXPECT_EQ(second, 0);
        long sent = pending;
        co_await send_into(both.far, {}, sent);
        EXPECT_EQ(sent, -EPIPE);
        EXPECT_TRUE(both.far.was_broken());
    });
}

TEST_P(conformance, a_reset_that_a_send_was_told_of_looks_like_an_end_to_a_receive) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.abort();
        co_await wait_for(both.far, POLLERR);
        EXPECT_FALSE(both.far.was_broken());
        const iovec vector{.iov_base = const_cast<char*>("x"), .iov_len = 1};
        const result<std::size_t> sent = both.far.try_send({&vector, 1});
        EXPECT_EQ(outcome(sent), -ECONNRESET);
        const long got = co_await receive_once(both.far);
        EXPECT_EQ(got, 0);
        EXPECT_TRUE(both.far.was_broken());
    });
}

// So a peer that is gone for good and one that only half-closed are told apart by a send alone.
TEST_P(conformance, a_reset_after_an_end_is_a_broken_pipe_and_the_end_stays_an_end) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.close();
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
        say(both.far, "to nobody");
        co_await wait_for(both.far, POLLERR);
        const long still = co_await receive_once(both.far);
        EXPECT_EQ(still, 0);
        long sent = pending;
        co_await send_into(both.far, {}, sent);
        EXPECT_EQ(sent, -EPIPE);
        EXPECT_FALSE(both.far.was_broken());
    });
}

TEST_P(conformance, a_reset_that_was_told_is_a_hang_up_to_a_poll_and_no_error) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        both.near.abort();
        const long got = co_await receive_once(both.far);
        EXPECT_EQ(got, -ECONNRESET);
        const result<std::size_t> mask = co_await both.far.poll(POLLRDHUP, {});
        EXPECT_EQ(outcome(mask), POLLRDHUP | POLLHUP);
    });
}

TEST_P(conformance, an_abort_that_meets_an_end_takes_nothing_back) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        say(both.near, "all of it");
        EXPECT_TRUE(both.near.shutdown_send());
        co_await wait_for(both.far, POLLRDHUP);
        both.near.abort();
        co_await wait_for(both.far, POLLERR);
        const std::string words = co_await read_text(both.far, 9);
        EXPECT_EQ(words, "all of it");
        const long end = co_await receive_once(both.far);
        EXPECT_EQ(end, 0);
    });
}

// ── polls ──

TEST_P(conformance, a_poll_tells_what_is_so_already) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const result<std::size_t> mask = co_await both.near.poll(POLLIN | POLLOUT, {});
        EXPECT_EQ(outcome(mask), POLLOUT);
    });
}

TEST_P(conformance, a_poll_waits_for_what_is_not_so_yet) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long mask = pending;
        nursery tasks;
        tasks.start(poll_into(both.far, POLLIN, {}, mask));
        co_await w.settle();
        EXPECT_EQ(mask, pending);
        say(both.near, "x");
        co_await tasks.join();
        EXPECT_EQ(mask, POLLIN);
    });
}

TEST_P(conformance, a_poll_of_a_listener_tells_of_a_connection) {
    run([](world& w) -> task<> {
        const listener door = listen_on_loopback(w.io);
        const result<stream> near = co_await stream::connect(w.io, door.address(), {});
        EXPECT_TRUE(near);
        const result<std::size_t> mask = co_await w.io.poll(door.get(), POLLIN, {});
        EXPECT_EQ(outcome(mask), POLLIN);
    });
}

// The kernel adds POLLRDHUP to the mask of each poll.
TEST_P(conformance, a_poll_for_room_ends_when_the_peer_half_closes_though_there_is_none) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        co_await fill(both.near);
        EXPECT_TRUE(both.far.shutdown_send());
        const result<std::size_t> mask = co_await both.near.poll(POLLOUT, {});
        EXPECT_EQ(outcome(mask), POLLRDHUP);
        both.near.abort();
    });
}

class polling {
  public:
    polling(world& w, const descriptor& target, std::uint32_t events) : world_{w}, poll_{w.io} {
        poll_.start(poll_of(target, events));
    }
    // The next edge; a poll that ended is not armed again.
    task<completion> next() {
        const result<completion> edge = co_await poll_.next();
        co_return *edge;
    }
    task<> expect_silence() {
        for (int i = 0; i < 3; ++i) co_await world_.settle();
        EXPECT_FALSE(poll_.waiting_completions());
        EXPECT_TRUE(poll_.armed());
    }
    task<> stop() {
        const auto discard = [](const completion&) {};
        co_await poll_.stop(discard);
    }

  private:
    world& world_;
    multishot poll_;
};

TEST_P(conformance, a_multishot_poll_tells_once_of_each_arrival_and_not_of_what_lies_unread) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        polling poll{w, both.far.get(), POLLIN};
        for (int i = 0; i < 3; ++i) {
            say(both.near, "x");
            const completion edge = co_await poll.next();
            EXPECT_EQ(edge.result, POLLIN);
            EXPECT_TRUE(edge.more);
            co_await poll.expect_silence();
        }
        co_await poll.stop();
    });
}

TEST_P(conformance, a_multishot_poll_survives_data_and_fin) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        polling poll{w, both.far.get(), POLLIN | POLLRDHUP};
        say(both.near, "x");
        const completion data = co_await poll.next();
        EXPECT_EQ(data.result, POLLIN);
        EXPECT_TRUE(data.more);
        const std::string read = co_await read_text(both.far, 1);
        EXPECT_EQ(read, "x");
        both.near.close();
        const completion fin = co_await poll.next();
        EXPECT_EQ(fin.result, POLLIN | POLLRDHUP);
        EXPECT_TRUE(fin.more);
        co_await poll.stop();
    });
}

TEST_P(conformance, a_multishot_poll_for_a_hang_up_is_blind_to_data) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        polling poll{w, both.far.get(), POLLRDHUP};
        say(both.near, "x");
        co_await poll.expect_silence();
        both.near.close();
        const completion fin = co_await poll.next();
        EXPECT_EQ(fin.result, POLLRDHUP);
        co_await poll.stop();
    });
}

TEST_P(conformance, a_multishot_poll_tells_of_a_reset_and_survives_it) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        polling poll{w, both.far.get(), POLLRDHUP};
        both.near.abort();
        const completion reset = co_await poll.next();
        EXPECT_EQ(reset.result, POLLRDHUP | POLLERR | POLLHUP);
        EXPECT_TRUE(reset.more);
        co_await poll.stop();
    });
}

TEST_P(conformance, a_multishot_poll_tells_of_a_hang_up_once_both_ways_have_ended) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        polling poll{w, both.near.get(), POLLRDHUP};
        EXPECT_TRUE(both.near.shutdown_send());
        both.far.close();
        completion edge = co_await poll.next();
        while ((edge.result & POLLHUP) == 0) edge = co_await poll.next();
        EXPECT_EQ(edge.result, POLLRDHUP | POLLHUP);
        co_await poll.stop();
    });
}

TEST_P(conformance, a_multishot_poll_tells_of_room_when_the_peer_has_read) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const std::size_t said = co_await fill(both.near);
        polling poll{w, both.near.get(), POLLOUT};
        co_await poll.expect_silence();
        std::size_t heard = 0;
        while (heard < said) {
            const long got = co_await receive_once(both.far);
            heard += static_cast<std::size_t>(got);
        }
        const completion room = co_await poll.next();
        EXPECT_EQ(room.result, POLLOUT);
        co_await poll.stop();
    });
}

// ── cancelling ──

TEST_P(conformance, a_cancelled_receive_ends_and_takes_nothing) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        tasks.start(receive_into(both.far, tasks.token(), got));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(got, -ECANCELED);
        say(both.near, "later");
        const std::string words = co_await read_text(both.far, 5);
        EXPECT_EQ(words, "later");
    });
}

TEST_P(conformance, a_cancel_that_races_bytes_loses_none) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        for (int round = 0; round < 20; ++round) {
            long got = pending;
            nursery tasks;
            tasks.start(receive_into(both.far, tasks.token(), got));
            co_await w.settle();
            say(both.near, "race");
            tasks.cancel();
            co_await tasks.join();
            if (got == 4) continue;
            EXPECT_EQ(got, -ECANCELED);
            const std::string words = co_await read_text(both.far, 4);
            EXPECT_EQ(words, "race");
        }
    });
}

TEST_P(conformance, a_cancelled_poll_ends) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long mask = pending;
        nursery tasks;
        tasks.start(poll_into(both.far, POLLIN, tasks.token(), mask));
        co_await w.settle();
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(mask, -ECANCELED);
    });
}

TEST_P(conformance, a_cancelled_accept_ends_and_leaves_later_connections_waiting) {
    run([](world& w) -> task<> {
        listener door = listen_on_loopback(w.io);
        acceptor incoming{door};
        cancel_source stop;
        stop.request();
        const result<stream> none = co_await incoming.accept(stop.token());
        EXPECT_EQ(code_of(none), ECANCELED);
        co_await incoming.stop();
        const connection both = co_await connect_to(door);
        EXPECT_TRUE(both.far.valid());
    });
}

TEST_P(conformance, a_stopped_multishot_receive_takes_nothing_more) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 2, 64};
        connection both = co_await connect(w.io);
        multishot incoming{w.io};
        incoming.start(receive_of(both.far.get(), group));
        co_await w.settle();
        const auto discard = [](const completion& what) { EXPECT_EQ(what.result, -ECANCELED); };
        co_await incoming.stop(discard);
        say(both.near, "later");
        const std::string words = co_await read_text(both.far, 5);
        EXPECT_EQ(words, "later");
    });
}

task<> stop_polls_among_wake_ups(world& w) {
    connection both = co_await connect(w.io);
    for (int round = 0; round < 20; ++round) {
        multishot poll{w.io};
        poll.start(poll_of(both.far.get(), POLLIN));
        co_await w.settle();
        say(both.near, "x");
        const auto discard = [](const completion&) {};
        co_await poll.stop(discard);
        EXPECT_FALSE(poll.armed());
    }
}

TEST_P(conformance, stopping_a_multishot_poll_that_a_wake_up_races_ends_it) {
    run(stop_polls_among_wake_ups);
}

TEST_P(conformance, a_cancel_of_a_multishot_poll_that_is_lost_is_repeated) {
    if (real()) GTEST_SKIP() << "nothing makes the real kernel lose a cancel at will";
    sim::options options;
    options.chances.cancel_lost = 100;
    auto kernel = std::make_unique<sim::kernel>(options);
    sim::kernel* const simulated = kernel.get();
    const std::shared_ptr<sim::sightings> seen = simulated->seen();
    run_on(std::move(kernel), simulated, stop_polls_among_wake_ups);
    EXPECT_EQ(seen->cancels_lost, 20U);
}

TEST_P(conformance, an_operation_that_was_cancelled_before_it_began_never_reaches_the_kernel) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        cancel_source stop;
        stop.request();
        const std::uint64_t before = w.io.counters().submissions;
        long got = pending;
        co_await receive_into(both.far, stop.token(), got);
        EXPECT_EQ(got, -ECANCELED);
        EXPECT_EQ(w.io.counters().submissions, before);
    });
}

// A descriptor for the seam alone.
descriptor bare_listener(backend& kernel) {
    const result<int> fd = kernel.open_socket(AF_INET);
    EXPECT_TRUE(kernel.bind(*fd, loopback()));
    EXPECT_TRUE(kernel.listen(*fd, 1));
    const result<std::uint32_t> slot = kernel.attach(*fd);
    return {.fd = *fd, .slot = *slot};
}

void close_bare(backend& kernel, const descriptor& what) {
    kernel.detach(what.slot);
    kernel.close(what.fd);
}

TEST_P(conformance, a_cancel_of_what_is_over_is_harmless) {
    const std::unique_ptr<backend> kernel = make_kernel();
    const descriptor door = bare_listener(*kernel);
    std::array<completion, 8> done{};
    kernel->submit(poll_of(door, POLLIN), 77);
    EXPECT_EQ(kernel->wait(time_point::min(), done), 0U);
    kernel->cancel(77);
    EXPECT_EQ(kernel->wait(time_point::max(), done), 1U);
    EXPECT_EQ(done[0].user_data, 77U);
    EXPECT_EQ(done[0].result, -ECANCELED);
    kernel->cancel(77);
    EXPECT_EQ(kernel->wait(kernel->now() + 2ms, done), 0U);
    close_bare(*kernel, door);
}

TEST_P(conformance, a_cancel_names_one_operation_and_spares_its_neighbours) {
    const std::unique_ptr<backend> kernel = make_kernel();
    const descriptor door = bare_listener(*kernel);
    std::array<completion, 8> done{};
    kernel->submit(poll_of(door, POLLIN), 1);
    kernel->submit(poll_of(door, POLLIN), 2);
    kernel->cancel(1);
    EXPECT_EQ(kernel->wait(time_point::max(), done), 1U);
    EXPECT_EQ(done[0].user_data, 1U);
    kernel->cancel(2);
    EXPECT_EQ(kernel->wait(time_point::max(), done), 1U);
    EXPECT_EQ(done[0].user_data, 2U);
    close_bare(*kernel, door);
}

TEST_P(conformance, a_completion_of_another_generation_is_dropped_and_counted) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        long got = pending;
        nursery tasks;
        tasks.start(receive_into(both.far, tasks.token(), got));
        // As a former tenant of the operation's place would: the index is alive, its generation is
        // not this one.
        for (std::uint64_t index = 0; index < 4; ++index)
            w.io.kernel().submit(poll_of(both.near.get(), POLLOUT),
                                 (std::uint64_t{999} << 32U) | index);
        w.late_completions = 4;
        while (w.io.counters().late_completions < 4) co_await w.settle();
        EXPECT_EQ(got, pending);
        tasks.cancel();
        co_await tasks.join();
        EXPECT_EQ(got, -ECANCELED);
    });
}

TEST(conformance_death, closing_a_socket_under_an_operation_is_a_bug) {
    const auto careless = [] {
        run_simulated([](world& w) -> task<> {
            connection both = co_await connect(w.io);
            long got = pending;
            nursery tasks;
            tasks.start(receive_into(both.far, tasks.token(), got));
            both.far.close();
        });
    };
    EXPECT_DEATH(careless(), "file.operations == 0");
}

TEST(conformance_death, an_operation_on_a_former_tenant_of_a_slot_is_a_bug) {
    const auto careless = [] {
        run_simulated([](world& w) -> task<> {
            connection both = co_await connect(w.io);
            const descriptor former = both.far.get();
            both.far.close();
            const connection others = co_await connect(w.io);
            const result<std::size_t> mask = co_await w.io.poll(former, POLLIN, {});
            EXPECT_TRUE(mask);
        });
    };
    EXPECT_DEATH(careless(), "file.generation == target.generation");
}

// ── time ──

task<> sleep_and_note(io_context& io, duration time, int name, std::vector<int>& order) {
    const time_point due = io.now() + time;
    const result<void> slept = co_await io.sleep(time);
    EXPECT_TRUE(slept);
    EXPECT_GE(io.now(), due);
    order.push_back(name);
}

TEST_P(conformance, sleeps_end_in_their_order_and_never_early) {
    run([](world& w) -> task<> {
        std::vector<int> order;
        nursery tasks;
        tasks.start(sleep_and_note(w.io, 9ms, 3, order));
        tasks.start(sleep_and_note(w.io, 3ms, 1, order));
        tasks.start(sleep_and_note(w.io, 6ms, 2, order));
        co_await tasks.join();
        EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    });
}

TEST_P(conformance, a_deadline_cancels_what_it_bounds_and_says_that_time_was_up) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        const time_point due = w.io.now() + 2ms;
        deadline limit{w.io, 2ms, {}};
        long got = pending;
        co_await receive_into(both.far, limit.token(), got);
        EXPECT_EQ(got, -ECANCELED);
        EXPECT_TRUE(limit.expired_first());
        EXPECT_GE(w.io.now(), due);
    });
}

TEST_P(conformance, a_deadline_whose_parent_was_cancelled_first_did_not_expire) {
    run([](world& w) -> task<> {
        connection both = co_await connect(w.io);
        cancel_source stop;
        deadline limit{w.io, 2ms, stop.token()};
        stop.request();
        long got = pending;
        co_await receive_into(both.far, limit.token(), got);
        EXPECT_EQ(got, -ECANCELED);
        for (int i = 0; i < 5; ++i) co_await w.settle();
        EXPECT_FALSE(limit.expired_first());
    });
}

TEST_P(conformance, a_wait_with_nothing_to_tell_ends_at_its_deadline_and_not_before) {
    const std::unique_ptr<backend> kernel = make_kernel();
    std::array<completion, 8> done{};
    const time_point due = kernel->now() + 3ms;
    EXPECT_EQ(kernel->wait(due, done), 0U);
    EXPECT_GE(kernel->now(), due);
}

// ── more than the queues hold ──

TEST_P(conformance, requests_and_completions_beyond_the_queues_are_not_lost) {
    kernel_needs needs;
    needs.entries = 4;  // 16 completions.
    const std::unique_ptr<backend> kernel = make_kernel(needs);
    const descriptor door = bare_listener(*kernel);
    const std::uint64_t count = 200;
    for (std::uint64_t id = 1; id <= count; ++id) {
        kernel->submit(poll_of(door, POLLIN), id);
        kernel->cancel(id);
    }
    std::vector<bool> ended(count + 1);
    std::array<completion, 8> done{};
    std::uint64_t seen = 0;
    while (seen < count) {
        const std::size_t some = kernel->wait(time_point::max(), done);
        for (const completion& each : std::span{done}.first(some)) {
            EXPECT_FALSE(ended.at(each.user_data));
            ended.at(each.user_data) = true;
            seen += 1;
        }
    }
    close_bare(*kernel, door);
}

}  // namespace
}  // namespace tunnel_uring::test
