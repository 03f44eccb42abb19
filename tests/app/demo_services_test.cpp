// The demo's own two ends of HTTP, on the simulated kernel: what is right must count as right, what
// is wrong as wrong, however the bytes arrive.
#include "app/demo_services.hpp"

#include <gtest/gtest.h>

#include "app/demo_traffic.hpp"
#include "coro/nursery.hpp"
#include "net/address.hpp"
#include "sim/sim_kernel.hpp"

namespace tunnel_uring {
namespace {

socket_address anywhere() {
    host_port where;
    where.host = "127.0.0.1";
    return to_socket_address(where);
}

using server = task<> (*)(listener&, cancel_token);

// Answers every request with "hello", whatever was asked.
task<> answer_wrong(stream connection, cancel_token stop) {
    plain_reader reader{connection};
    plain_message asked;
    for (;;) {
        const bool whole = co_await reader.read(asked, stop);
        if (!whole) break;
        const bytes_view said = as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        const result<void> sent = co_await connection.send_all(said, stop);
        if (!sent) break;
    }
}

task<> serve_wrong(listener& source, cancel_token stop) {
    acceptor incoming{source};
    nursery connections{stop};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        connections.start(answer_wrong(std::move(*accepted), connections.token()));
    }
    co_await incoming.stop();
    co_await connections.join();
}

task<> visit(io_context& io, server serve, http_shape& what, hello_check& hello) {
    result<listener> source = listener::open(io, anywhere());
    if (!source) {
        ADD_FAILURE() << source.error().message();
        co_return;
    }
    cancel_source over;
    nursery serving;
    serving.start(serve(*source, over.token()));
    what.to = source->address();
    what.host = "demo.localhost";
    std::string host = what.host;
    co_await say_hello(io, what.to, std::move(host), hello, over.token());
    co_await ask_http(io, what, {40, 3}, over.token());
    over.request();
    co_await serving.join();
}

void run(server serve, http_shape& what, hello_check& hello, std::uint64_t seed) {
    sim::options options;
    options.seed = seed;
    options.chances = sim::faults::everything();
    io_context io{std::make_unique<sim::kernel>(options)};
    io.run(visit(io, serve, what, hello));
    EXPECT_EQ(io.census(), io_census{});
}

TEST(http_sample, answers_all_that_the_demo_asks) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        http_shape what{"any"};
        hello_check hello;
        run(serve_http_sample, what, hello, seed);
        EXPECT_EQ(hello.status, "200");
        EXPECT_EQ(hello.body, hello_text);
        EXPECT_EQ(what.right, 40U) << seed;
        EXPECT_EQ(what.wrong, 0U) << seed;
        EXPECT_EQ(what.took.size(), 40U);
    }
}

TEST(http_sample, is_told_from_a_service_that_answers_wrong) {
    http_shape what{"any"};
    hello_check hello;
    run(serve_wrong, what, hello, 1);
    EXPECT_EQ(hello.body, "hello");
    EXPECT_EQ(what.right, 0U);
    EXPECT_EQ(what.wrong, 40U);
}

struct exchange_of {
    std::string_view said;
    std::string_view heard;
};

task<> converse(io_context& io, const exchange_of& what) {
    result<listener> source = listener::open(io, anywhere());
    cancel_source over;
    nursery serving;
    serving.start(serve_http_sample(*source, over.token()));
    result<stream> visitor = co_await stream::connect(io, source->address(), over.token());
    const result<void> sent = co_await visitor->send_all(as_bytes(what.said), over.token());
    EXPECT_TRUE(sent);
    static_cast<void>(visitor->shutdown_send());
    std::string heard;
    std::vector<std::byte> memory(1024);
    for (;;) {
        const result<std::size_t> got = co_await visitor->receive(memory, over.token());
        if (!got || *got == 0) break;
        heard += as_text(bytes_view{memory}.first(*got));
    }
    EXPECT_EQ(heard, what.heard);
    over.request();
    co_await serving.join();
}

TEST(http_sample, takes_one_request_after_another_and_ends_with_its_visitor) {
    constexpr std::string_view head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    const std::string heard =
        std::string{head} + "Content-Length: 3\r\n\r\nabc" + std::string{head} +
        "Content-Length: 29\r\n\r\nhello from the sample service" +
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n"
        "this sample service has /hello and /echo";
    const exchange_of what{
        "POST /echo HTTP/1.1\r\nHost: a\r\ncontent-length:  3\r\n\r\nabc"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
        heard};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim::options options;
        options.seed = seed;
        options.chances = sim::faults::everything();
        io_context io{std::make_unique<sim::kernel>(options)};
        io.run(converse(io, what));
        EXPECT_EQ(io.census(), io_census{});
    }
}

}  // namespace
}  // namespace tunnel_uring
