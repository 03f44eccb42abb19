// The admin listener: what it answers, whom it refuses, and that nothing is left behind.
#include "admin/admin_server.hpp"

#include "ring/both_kernels.hpp"
#include "sim/drivers.hpp"

namespace tunnel_uring::test {
namespace {

constexpr std::size_t big_bytes = 300'000;

class two_pages final : public admin_pages {
  public:
    std::optional<admin_page> get(std::string_view path) override {
        if (path == "/small") return admin_page{.body = "small\n"};
        if (path == "/big") return admin_page{.body = std::string(big_bytes, 'b')};
        return {};
    }
    std::vector<std::string_view> paths() const override { return {"/small", "/big"}; }
};

struct server_world {
    explicit server_world(io_context& context, cancel_token stop = {}) : io{context}, over{stop} {
        config.listen = "127.0.0.1:0";
    }
    task<bool> start() {
        const result<void> opened = co_await server.open({});
        if (opened) tasks.start(server.run(over.token()));
        co_return opened.has_value();
    }
    task<> finish() {
        over.request();
        co_await tasks.join();
    }
    // All that comes back for `said`, until the server ends the connection or nothing came for
    // `patience`.
    task<std::string> ask(std::string said, duration patience = 1s) {
        std::string heard;
        result<stream> made = co_await stream::connect(io, server.address(), over.token());
        if (!made) co_return heard;
        const bytes_view bytes = as_bytes(said);
        const result<void> sent = co_await made->send_all(bytes, over.token());
        std::vector<std::byte> memory(16 * 1024);
        while (sent) {
            deadline limit{io, patience, over.token()};
            const result<std::size_t> got = co_await made->receive(memory, limit.token());
            if (!got || *got == 0) break;
            heard += as_text(bytes_view{memory}.first(*got));
        }
        co_return heard;
    }

    io_context& io;
    admin_config config;
    two_pages pages;
    admin_server server{io, config, pages};
    cancel_source over;
    nursery tasks;
};

std::string get(std::string_view path, std::string_view host = "localhost",
                std::string_view method = "GET", std::string_view more = "Connection: close\r\n") {
    return std::string{method} + " " + std::string{path} +
           " HTTP/1.1\r\nHost: " + std::string{host} + "\r\n" + std::string{more} + "\r\n";
}

class admin_server_answers : public both_kernels {};
TU_ON_BOTH_KERNELS(admin_server_answers);

TEST_P(admin_server_answers, pages_one_after_another_on_one_connection) {
    run([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        std::string said = get("/small?x=1", "localhost", "GET", "") +
                           get("/small", "127.0.0.1:4040", "HEAD", "") + get("/big");
        const std::string heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 200 OK\r\n"));
        EXPECT_NE(heard.find("\r\n\r\nsmall\nHTTP/1.1 200 OK\r\n"), std::string::npos);
        EXPECT_NE(heard.find("Content-Length: 6\r\nCache-Control: no-store\r\n"
                             "X-Content-Type-Options: nosniff\r\n\r\nHTTP/1.1 200 OK\r\n"),
                  std::string::npos);
        EXPECT_TRUE(heard.ends_with("\r\n\r\n" + std::string(big_bytes, 'b')));
        co_await all.finish();
    });
}

TEST_P(admin_server_answers, with_a_sentence_what_it_does_not_have) {
    run([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        std::string said = get("/nothing");
        std::string heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 404 "));
        EXPECT_TRUE(heard.ends_with("there are:\n  /small\n  /big\n"));
        said = get("/small", "localhost", "POST", "Content-Length: 3\r\n") + "abc";
        heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 405 "));
        EXPECT_NE(heard.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
        said = get("/small", "localhost", "GET", "X: " + std::string(9'000, 'x') + "\r\n");
        heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 431 "));
        said = "\x16\x03\x01 this is not HTTP\r\n\r\n";
        heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 400 "));
        co_await all.finish();
    });
}

TEST_P(admin_server_answers, no_web_page_that_has_its_own_name_lead_here) {
    run([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        for (const std::string_view host : {"localhost", "LOCALHOST:4040", "app.localhost",
                                            "127.0.0.1", "127.1.2.3:80", "[::1]:4040"})
            EXPECT_TRUE(all.server.knows(host)) << host;
        for (const std::string_view host :
             {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
              "[::2]", "notlocalhost"})
            EXPECT_FALSE(all.server.knows(host)) << host;
        std::string said = get("/small", "evil.example");
        const std::string heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 403 "));
        co_await all.finish();
    });
}

TEST_P(admin_server_answers, on_a_taken_port_nothing_and_says_what_to_do) {
    run([](world& w) -> task<> {
        const listener holder = listen_on_loopback(w.io);
        server_world all{w.io};
        all.config.listen = format(holder.address());
        const result<void> opened = co_await all.server.open({});
        EXPECT_EQ(code_of(opened), EADDRINUSE);
    });
}

TEST(admin_server_in_virtual_time, lets_go_who_never_ends_a_head) {
    run_simulated([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        const time_point began = w.io.now();
        std::string said = "GET /small HTTP/1.1\r\nHost:";
        const std::string heard = co_await all.ask(std::move(said), 60s);
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 408 "));
        EXPECT_GE(w.io.now() - began, 5s);
        EXPECT_LT(w.io.now() - began, 10s);
        co_await all.finish();
    });
}

TEST(admin_server_in_virtual_time, lets_go_who_says_nothing) {
    run_simulated([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        const time_point began = w.io.now();
        const std::string heard = co_await all.ask({}, 1h);
        EXPECT_EQ(heard, "");
        EXPECT_LT(w.io.now() - began, 80s);
        co_await all.finish();
    });
}

task<> hold(server_world& all, cancel_token stop) {
    result<stream> made = co_await stream::connect(all.io, all.server.address(), {});
    EXPECT_TRUE(made);
    if (made) co_await cancelled(stop);
}

TEST(admin_server_in_virtual_time, has_a_bounded_number_of_connections) {
    run_simulated([](world& w) -> task<> {
        server_world all{w.io};
        const bool open = co_await all.start();
        EXPECT_TRUE(open);
        cancel_source holding;
        nursery holders;
        for (int i = 0; i < 32; ++i) holders.start(hold(all, holding.token()));
        const result<void> slept = co_await w.io.sleep(1s);
        EXPECT_TRUE(slept);
        std::string said = get("/small");
        std::string heard = co_await all.ask(said);
        EXPECT_EQ(heard, "");
        holding.request();
        co_await holders.join();
        const result<void> passed = co_await w.io.sleep(5s);
        EXPECT_TRUE(passed);
        heard = co_await all.ask(std::move(said));
        EXPECT_TRUE(heard.ends_with("small\n"));
        co_await all.finish();
    });
}

// ── under every fault ──

task<> several_visitors(io_context& io, sim::run_facts& facts) {
    server_world all{io, facts.stopping.token()};
    const bool open = co_await all.start();
    EXPECT_TRUE(open || facts.faulty);
    std::string said = get("/small", "localhost", "GET", "") + get("/big");
    std::string heard;
    if (open) heard = co_await all.ask(std::move(said), 20s);
    EXPECT_TRUE(facts.faulty || heard.size() > big_bytes);
    said = "GET /small HTTP/1.1\r\nHo";
    if (open) heard = co_await all.ask(std::move(said), 20s);
    said = "garbage\r\n\r\n";
    if (open) heard = co_await all.ask(std::move(said), 20s);
    co_await all.finish();
}

TEST(admin_server_sim, survives_random_faults) { sim::random_seeds(several_visitors, 100); }
TEST(admin_server_sim, survives_each_operation_failing) { sim::torture(several_visitors); }
TEST(admin_server_sim, ends_wherever_it_is_stopped) { sim::cancel_everywhere(several_visitors); }

}  // namespace
}  // namespace tunnel_uring::test
