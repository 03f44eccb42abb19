// Names of http services at a relay: who may have which, and who gets it when several want one.
#include "net/address.hpp"
#include "ring/both_kernels.hpp"
#include "tunnel/control_channel.hpp"
#include "tunnel/relay.hpp"

namespace tunnel_uring::test {
namespace {

struct nobody final : relay_observer {
    void agent_connected(std::string_view, std::string_view) override {}
    void agent_gone(std::string_view, std::string_view) override {}
    void connection_refused(std::string_view, std::string_view) override {}
    void port_opened(std::string_view, std::string_view, std::string_view) override {}
    void port_closed(std::string_view, std::string_view, std::string_view) override {}
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}
};

const token& known_token() {
    static const token made = token::generate();
    return made;
}

relay_config config_with(std::vector<std::string> subdomains, std::vector<std::string> hostnames) {
    relay_config config;
    config.control_listen = "127.0.0.1:7443";
    config.http.listen = "127.0.0.1:8080";
    config.http.domain = "tunnel.test";
    config.io_uring.buffers = 16;
    config.tokens.push_back({.name = "known",
                             .public_key = format_public_key(known_token().key()),
                             .tcp_ports = {},
                             .subdomains = std::move(subdomains),
                             .hostnames = std::move(hostnames)});
    return config;
}

// What an agent says on its control channel; it has no lanes, so it answers no ping.
class talker {
  public:
    static task<std::unique_ptr<talker>> join(world& w, unsigned char instance) {
        host_port at;
        at.host = "127.0.0.1";
        at.port = 7443;
        const socket_address to = to_socket_address(at);
        result<stream> made = co_await stream::connect(w.io, to, {});
        EXPECT_TRUE(made);
        const preamble start = encode_preamble(connection_kind::control);
        const result<void> began = co_await made->send_all(start, {});
        EXPECT_TRUE(began);
        auto out = std::make_unique<talker>(std::move(*made));
        hello_message hello;
        hello.features = feature_http;
        hello.max_exchanges = 10;
        hello.key = known_token().key();
        hello.instance.fill(std::byte{instance});
        out->channel_.send(hello);
        co_await out->flush();
        const result<control_message> challenge = co_await out->channel_.receive({});
        EXPECT_TRUE(challenge);
        proof_message proof;
        proof.signature =
            known_token().sign(proof_transcript(hello, std::get<challenge_message>(*challenge)));
        out->channel_.send(proof);
        co_await out->flush();
        const result<control_message> welcome = co_await out->channel_.receive({});
        EXPECT_TRUE(welcome && std::holds_alternative<welcome_message>(*welcome));
        out->channel_.trust();
        co_return std::move(out);
    }
    explicit talker(stream connection) : channel_{std::move(connection)} {}

    task<> ask(std::vector<std::string> names) {
        register_names_message wanted;
        wanted.service = 7;
        wanted.name = "web";
        wanted.names = std::move(names);
        channel_.send(wanted);
        co_await flush();
    }
    // Its URLs with blanks between them, or the code of the refusal.
    task<std::string> answer() {
        result<control_message> got = co_await channel_.receive({});
        while (got && std::holds_alternative<bulk_demand_message>(*got))
            got = co_await channel_.receive({});
        if (!got) co_return "gone";
        if (const auto* const no = std::get_if<register_refused_message>(&*got))
            co_return std::to_string(static_cast<int>(no->code));
        const auto* const yes = std::get_if<names_registered_message>(&*got);
        EXPECT_NE(yes, nullptr);
        std::string urls;
        for (const std::string& url : yes->urls) urls += (urls.empty() ? "" : " ") + url;
        co_return urls;
    }
    void leave() { channel_.close(); }

  private:
    task<> flush() {
        const result<void> sent = co_await channel_.flush({});
        EXPECT_TRUE(sent);
    }
    control_channel channel_;
};

class relay_names : public testing::Test {
  protected:
    // With a relay that runs beside `what`.
    static void run(task<> (*what)(world&),
                    relay_config config = config_with({}, {"*.example.com"})) {
        chosen_ = std::move(config);
        body_ = what;
        run_simulated([](world& w) -> task<> {
            nobody watcher;
            relay front{w.io, chosen_, watcher};
            const result<void> listening = co_await front.listen();
            EXPECT_TRUE(listening);
            cancel_source stop;
            nursery running;
            running.start(front.run(stop.token(), stop.token()));
            co_await body_(w);
            stop.request();
            co_await running.join();
        });
    }

  private:
    static inline relay_config chosen_;
    static inline task<> (*body_)(world&) = nullptr;
};

task<std::string> answer_to(talker& who, std::vector<std::string> names) {
    co_await who.ask(std::move(names));
    co_return co_await who.answer();
}

TEST_F(relay_names, are_whole_or_below_the_domain) {
    run([](world& w) -> task<> {
        const std::unique_ptr<talker> agent = co_await talker::join(w, 1);
        std::vector<std::string> names{".App", "www.example.com", "*.in.example.com", ".*.x"};
        const std::string urls = co_await answer_to(*agent, std::move(names));
        EXPECT_EQ(urls,
                  "http://app.tunnel.test:8080 http://www.example.com:8080 "
                  "http://*.in.example.com:8080 http://*.x.tunnel.test:8080");
        agent->leave();
    });
}

TEST_F(relay_names, are_those_that_the_token_may_use) {
    run(
        [](world& w) -> task<> {
            const std::unique_ptr<talker> agent = co_await talker::join(w, 1);
            for (const char* const no :
                 {".other", "app.example.org", "tunnel.test", ".a.b", "no name", "*", "."}) {
                std::vector<std::string> names{no};
                const std::string code = co_await answer_to(*agent, std::move(names));
                EXPECT_EQ(code, "8") << no;
            }
            std::vector<std::string> names{".app-1", "x.example.com"};
            const std::string urls = co_await answer_to(*agent, std::move(names));
            EXPECT_EQ(urls, "http://app-1.tunnel.test:8080 http://x.example.com:8080");
            agent->leave();
        },
        config_with({"app-*"}, {"*.example.com"}));
}

TEST_F(relay_names, are_all_given_or_none) {
    run([](world& w) -> task<> {
        const std::unique_ptr<talker> agent = co_await talker::join(w, 1);
        std::vector<std::string> some{".app", "app.example.org"};
        const std::string no = co_await answer_to(*agent, std::move(some));
        EXPECT_EQ(no, "8");
        const std::unique_ptr<talker> other = co_await talker::join(w, 2);
        std::vector<std::string> app{".app"};
        const std::string yes = co_await answer_to(*other, std::move(app));
        EXPECT_EQ(yes, "http://app.tunnel.test:8080");
        agent->leave();
        other->leave();
    });
}

TEST_F(relay_names, are_taken_over_from_who_does_not_answer) {
    run([](world& w) -> task<> {
        const std::unique_ptr<talker> first = co_await talker::join(w, 1);
        std::vector<std::string> app{".app"};
        std::string urls = co_await answer_to(*first, app);
        EXPECT_EQ(urls, "http://app.tunnel.test:8080");
        const std::unique_ptr<talker> second = co_await talker::join(w, 2);
        const time_point asked = w.io.now();
        urls = co_await answer_to(*second, app);
        EXPECT_EQ(urls, "http://app.tunnel.test:8080");
        EXPECT_GE(w.io.now() - asked, 1s);
        urls = co_await first->answer();
        EXPECT_EQ(urls, "gone");
        second->leave();
    });
}

TEST_F(relay_names, go_to_the_same_agent_again_at_once) {
    run([](world& w) -> task<> {
        const std::unique_ptr<talker> first = co_await talker::join(w, 1);
        std::vector<std::string> app{".app"};
        std::string urls = co_await answer_to(*first, app);
        const std::unique_ptr<talker> again = co_await talker::join(w, 1);
        const time_point asked = w.io.now();
        urls = co_await answer_to(*again, app);
        EXPECT_EQ(urls, "http://app.tunnel.test:8080");
        EXPECT_LT(w.io.now() - asked, 100ms);
        first->leave();
        again->leave();
    });
}

// While a silent holder of its second name is asked, another agent takes its first.
TEST_F(relay_names, are_never_promised_to_two) {
    run([](world& w) -> task<> {
        const std::unique_ptr<talker> silent = co_await talker::join(w, 1);
        std::vector<std::string> held{".held"};
        const std::string holds = co_await answer_to(*silent, held);
        EXPECT_EQ(holds, "http://held.tunnel.test:8080");
        const std::unique_ptr<talker> slow = co_await talker::join(w, 2);
        std::vector<std::string> both{".free", ".held"};
        co_await slow->ask(std::move(both));
        const result<void> slept = co_await w.io.sleep(100ms);
        EXPECT_TRUE(slept);
        const std::unique_ptr<talker> quick = co_await talker::join(w, 3);
        std::vector<std::string> free{".free"};
        const std::string got = co_await answer_to(*quick, std::move(free));
        EXPECT_EQ(got, "http://free.tunnel.test:8080");
        const std::string refused = co_await slow->answer();
        EXPECT_EQ(refused, "7");
        slow->leave();
        quick->leave();
    });
}

}  // namespace
}  // namespace tunnel_uring::test
