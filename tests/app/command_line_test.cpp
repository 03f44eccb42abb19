#include "app/command_line.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>

namespace tunnel_uring {
namespace {

result<invocation> parse(std::initializer_list<std::string_view> arguments) {
    return parse_command_line({arguments.begin(), arguments.size()});
}
invocation good(std::initializer_list<std::string_view> arguments) {
    result<invocation> parsed = parse(arguments);
    if (!parsed) throw std::invalid_argument{parsed.error().sentence()};
    return *parsed;
}
std::string wrong(std::initializer_list<std::string_view> arguments) {
    const result<invocation> parsed = parse(arguments);
    return parsed ? "" : parsed.error().sentence();
}
// What the flags make of the defaults, with a file that is empty.
loaded_config load(std::initializer_list<std::string_view> arguments) {
    config_sources sources = good(arguments).sources;
    if (!sources.file) sources.file = "/dev/null";
    return load_config(sources);
}

TEST(command_line, tcp_from_flags_alone_is_a_whole_config) {
    const loaded_config config =
        load({"tcp", "3000", "--relay", "127.0.0.1:7443", "--remote-port", "15432", "--pool", "9",
              "--warm=3", "--proxy-protocol", "v2", "--speaks-first", "server"});
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    const agent_config& agent = config.values.agent;
    EXPECT_EQ(agent.relays, std::vector<std::string>{"127.0.0.1:7443"});
    ASSERT_EQ(agent.services.size(), 1U);
    const service_config& service = agent.services[0];
    EXPECT_EQ(service.name, "tcp");
    EXPECT_EQ(service.upstream, "3000");
    EXPECT_EQ(service.remote_port, 15432);
    EXPECT_EQ(service.pool.max_pool_size, 9U);
    EXPECT_EQ(service.pool.warm_up_size, 3U);
    EXPECT_EQ(service.pool.min_idle_connections, 3U);
    EXPECT_EQ(service.proxy_protocol, proxy_protocol::v2);
    EXPECT_EQ(service.speaks_first, first_speaker::server);
}

TEST(command_line, http_from_flags_alone_is_a_whole_config) {
    const loaded_config config = load({"http",
                                       "3000",
                                       "--relay",
                                       "127.0.0.1:7443",
                                       "--subdomain",
                                       "App",
                                       "--hostname",
                                       "a.example",
                                       "--hostname=*.b.example",
                                       "--host-header",
                                       "upstream",
                                       "--pool",
                                       "20",
                                       "--warm",
                                       "3",
                                       "--response-timeout",
                                       "5s",
                                       "--proxy-protocol",
                                       "v1",
                                       "--no-forwarded"});
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    ASSERT_EQ(config.values.agent.services.size(), 1U);
    const service_config& service = config.values.agent.services[0];
    EXPECT_EQ(service.name, "http");
    EXPECT_EQ(service.type, service_kind::http);
    EXPECT_EQ(service.upstream, "3000");
    EXPECT_EQ(service.subdomain, "app");
    EXPECT_EQ(service.hostnames, (std::vector<std::string>{"a.example", "*.b.example"}));
    EXPECT_EQ(service.http.host_header, "upstream");
    EXPECT_EQ(service.http.response_timeout, 5s);
    EXPECT_FALSE(service.http.forwarded);
    EXPECT_EQ(service.proxy_protocol, proxy_protocol::v1);
    EXPECT_EQ(service.pool.max_pool_size, 20U);
    EXPECT_EQ(service.pool.warm_up_size, 3U);
    EXPECT_EQ(service.pool.min_idle_connections, 3U);
}

TEST(command_line, http_keeps_ten_connections_ready_unless_told_otherwise) {
    const auto pool = [](std::initializer_list<std::string_view> arguments) {
        return load(arguments).values.agent.services[0].pool;
    };
    EXPECT_EQ(pool({"http", "3000"}).warm_up_size, 10U);
    EXPECT_EQ(pool({"http", "3000"}).min_idle_connections, 5U);
    EXPECT_EQ(pool({"http", "3000", "--pool", "4"}).warm_up_size, 4U);
    EXPECT_EQ(pool({"http", "3000", "--warm", "0"}).warm_up_size, 0U);
    EXPECT_EQ(pool({"tcp", "3000"}).warm_up_size, 0U);
}

TEST(command_line, a_target_of_http_may_be_what_an_address_bar_has) {
    const auto upstream = [](std::string_view target) {
        return load({"http", target}).values.agent.services[0].upstream;
    };
    EXPECT_EQ(upstream("http://127.0.0.1:3000"), "127.0.0.1:3000");
    EXPECT_EQ(upstream("http://localhost:3000/"), "localhost:3000");
    EXPECT_EQ(upstream("http://localhost"), "localhost:80");
    EXPECT_EQ(upstream("http://[::1]"), "[::1]:80");
    EXPECT_EQ(upstream("http://[::1]:3000"), "[::1]:3000");
    EXPECT_EQ(upstream("unix:/run/app.sock"), "unix:/run/app.sock");
    EXPECT_EQ(wrong({"http", "https://localhost:3000"}),
              "https://localhost:3000: services are spoken to without TLS; give the port where it "
              "speaks http");
    EXPECT_EQ(
        wrong({"http", "http://localhost:3000/app"}),
        "http://localhost:3000/app: a service is exposed as a whole, not below a path; end it "
        "after the port");
    EXPECT_NE(wrong({"http", "http://localhost:3000?a"}), "");
    EXPECT_EQ(load({"tcp", "http://localhost:3000"}).problems[0].text(),
              "the target: services.tcp.upstream: \"http://localhost:3000\" is a URL; write "
              "host:port alone, such as localhost:3000");
}

TEST(command_line, flags_of_http_are_not_those_of_tcp) {
    EXPECT_NE(wrong({"http", "3000", "--remote-port", "1"}), "");
    EXPECT_NE(wrong({"http", "3000", "--speaks-first", "server"}), "");
    EXPECT_NE(wrong({"tcp", "3000", "--subdomain", "a"}), "");
    EXPECT_EQ(wrong({"http"}), "http needs a target: 3000, host:3000 or unix:/run/app.sock");
    EXPECT_EQ(load({"http", "1", "--subdomain", "a b"}).problems[0].text(),
              "--subdomain: services.http.subdomain: \"a b\" holds \" \"; a name has letters, "
              "digits, \"-\", \"_\" and dots");
}

TEST(command_line, a_relay_is_told_of_http_by_flags) {
    constexpr std::string_view key = "ed25519:e6g6ta0PE1bdyHtIwNx8jhgOqbB8YYfRl3cF0KaMf80";
    loaded_config config =
        load({"relay", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:8080", "--domain",
              "tunnel.example.com", "--public-url", "https://tunnel.example.com", "--trusted-proxy",
              "127.0.0.1", "--trusted-proxy", "10.0.0.0/8", "--public-key", key});
    require_relay(config);
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    const http_front_config& http = config.values.relay.http;
    EXPECT_EQ(http.listen, "0.0.0.0:8080");
    EXPECT_EQ(http.domain, "tunnel.example.com");
    EXPECT_EQ(http.public_url, "https://tunnel.example.com");
    EXPECT_EQ(http.trusted_proxies, (std::vector<std::string>{"127.0.0.1", "10.0.0.0/8"}));
    const token_grant& grant = config.values.relay.tokens[0];
    EXPECT_TRUE(grant.subdomains.empty()) << "any";
    EXPECT_EQ(grant.hostnames, std::vector<std::string>{"*"});
}

TEST(command_line, an_agents_services_may_be_http) {
    const loaded_config config =
        load({"agent", "--service",
              "web=http://localhost:3000,type=http,subdomain=app,hostnames=a.example,http.host_"
              "header=upstream,hostnames=b.example,pool.warm_up_size=2",
              "--service", "db=5432"});
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    const service_config& service = config.values.agent.services[0];
    EXPECT_EQ(service.type, service_kind::http);
    EXPECT_EQ(service.upstream, "localhost:3000");
    EXPECT_EQ(service.subdomain, "app");
    EXPECT_EQ(service.hostnames, (std::vector<std::string>{"a.example", "b.example"}));
    EXPECT_EQ(service.http.host_header, "upstream");
    EXPECT_EQ(service.pool.warm_up_size, 2U);
    EXPECT_EQ(config.values.agent.services[1].type, service_kind::tcp);
}

TEST(command_line, a_target_may_be_a_port_a_host_or_a_path) {
    for (const std::string_view target : {"3000", "host:3000", "[::1]:3000", "unix:/run/app.sock"})
        EXPECT_EQ(load({"tcp", target}).values.agent.services[0].upstream, target);
    const loaded_config config = load({"tcp", "no-port"});
    ASSERT_EQ(config.problems.size(), 1U);
    EXPECT_TRUE(config.problems[0].of_usage);
    EXPECT_TRUE(config.problems[0].text().starts_with("the target: "));
}

TEST(command_line, flags_may_stand_before_and_after_the_target) {
    const invocation asked = good({"tcp", "--name=db", "--url-only", "--", "3000"});
    EXPECT_TRUE(asked.url_only);
    EXPECT_EQ(load({"tcp", "3000", "--name", "db"}).values.agent.services[0].name, "db");
}

TEST(command_line, relay_from_flags_alone_is_a_whole_config) {
    constexpr std::string_view key = "ed25519:e6g6ta0PE1bdyHtIwNx8jhgOqbB8YYfRl3cF0KaMf80";
    loaded_config config = load({"relay", "--listen", "127.0.0.1:0", "--tcp-host", "127.0.0.2",
                                 "--tcp-ports", "2000-2010", "--public-key", key});
    require_relay(config);
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    const relay_config& relay = config.values.relay;
    EXPECT_EQ(relay.control_listen, "127.0.0.1:0");
    EXPECT_EQ(relay.tcp_host, "127.0.0.2");
    EXPECT_EQ(relay.tcp_ports_first, 2000);
    EXPECT_EQ(relay.tcp_ports_last, 2010);
    ASSERT_EQ(relay.tokens.size(), 1U);
    EXPECT_EQ(relay.tokens[0].public_key, key);
    EXPECT_EQ(relay.http.listen, "");
}

TEST(command_line, insecure_switches_set_the_key_of_their_role) {
    EXPECT_TRUE(load({"relay", "--insecure-open"}).values.relay.insecure_open);
    EXPECT_TRUE(load({"relay", "--insecure-plaintext"}).values.relay.insecure_plaintext);
    EXPECT_TRUE(load({"agent", "--insecure-plaintext"}).values.agent.insecure_plaintext);
}

TEST(command_line, agent_from_flags_alone_is_a_whole_config) {
    const loaded_config config =
        load({"agent", "--relay", "a:1", "--relay", "b:2", "--name", "laptop", "--service",
              "db=127.0.0.1:5432,remote_port=15432,pool.warm_up_size=2", "--service",
              "web=unix:/run/web.sock"});
    ASSERT_TRUE(config.problems.empty()) << config.problems.front().text();
    const agent_config& agent = config.values.agent;
    EXPECT_EQ(agent.name, "laptop");
    EXPECT_EQ(agent.relays, (std::vector<std::string>{"a:1", "b:2"}));
    ASSERT_EQ(agent.services.size(), 2U);
    EXPECT_EQ(agent.services[0].upstream, "127.0.0.1:5432");
    EXPECT_EQ(agent.services[0].remote_port, 15432);
    EXPECT_EQ(agent.services[0].pool.warm_up_size, 2U);
    EXPECT_EQ(agent.services[1].upstream, "unix:/run/web.sock");
}

TEST(command_line, a_malformed_service_is_explained) {
    EXPECT_EQ(wrong({"agent", "--service", "5432"}),
              "--service: \"5432\" has no name; write name=target, such as db=5432");
    EXPECT_TRUE(
        wrong({"agent", "--service", "a=1,port=2"})
            .starts_with(
                "--service: unknown key \"port\"; known: type, upstream, subdomain, hostnames"));
    EXPECT_EQ(load({"agent", "--service", "a=1", "--service", "a=2"}).problems[0].text(),
              "--service: services: two have the name \"a\"; give each its own");
}

TEST(command_line, flags_of_every_command_set_their_keys) {
    EXPECT_EQ(load({"relay", "--log", "debug"}).values.log.level, log_level::debug);
    EXPECT_EQ(load({"relay", "--log-format", "json"}).values.log.format, log_format::json);
    EXPECT_EQ(load({"relay", "-q"}).values.log.level, log_level::error);
    EXPECT_EQ(load({"relay", "--set", "log.access=false"}).values.log.access, false);
    EXPECT_EQ(*good({"relay", "-c", "x.toml"}).sources.file, "x.toml");
    EXPECT_EQ(*good({"relay", "-cx.toml"}).sources.file, "x.toml");
    EXPECT_EQ(*good({"--config=x.toml", "relay"}).sources.file, "x.toml");
}

TEST(command_line, a_bad_value_of_a_flag_is_a_matter_of_usage_and_one_of_set_is_not) {
    const loaded_config flag = load({"tcp", "1", "--remote-port", "x"});
    ASSERT_EQ(flag.problems.size(), 1U);
    EXPECT_TRUE(flag.problems[0].of_usage);
    EXPECT_EQ(
        flag.problems[0].text(),
        "--remote-port: services.tcp.remote_port: \"x\" is not a whole number from 0 to 65535");
    const loaded_config setting = load({"tcp", "1", "--set", "shutdown.grace=x"});
    ASSERT_EQ(setting.problems.size(), 1U);
    EXPECT_FALSE(setting.problems[0].of_usage);
}

TEST(command_line, a_bad_setting_is_a_problem_of_the_config) {
    const loaded_config config = load({"relay", "--set", "relay.lisen=1"});
    ASSERT_EQ(config.problems.size(), 1U);
    EXPECT_TRUE(config.problems[0].text().starts_with("--set: relay.lisen: unknown key"));
}

TEST(command_line, wrong_usage_is_one_sentence_with_a_remedy) {
    EXPECT_EQ(wrong({}), "a command is missing; try `tunnel-uring demo` or `tunnel-uring --help`");
    EXPECT_EQ(wrong({"realy"}), "there is no command \"realy\"; did you mean relay?");
    EXPECT_EQ(wrong({"frobnicate"}),
              "there is no command \"frobnicate\"; commands are demo, http, tcp, agent, relay, "
              "status, check, token");
    EXPECT_EQ(wrong({"tcp"}), "tcp needs a target: 3000, host:3000 or unix:/run/app.sock");
    EXPECT_EQ(wrong({"tcp", "1", "2"}), "\"2\" is too much: tcp takes one target");
    EXPECT_EQ(wrong({"relay", "1"}), "\"1\" is too much: relay takes options only");
    EXPECT_EQ(wrong({"tcp", "1", "--rleay", "x"}),
              "tcp has no option --rleay; did you mean --relay?");
    EXPECT_EQ(wrong({"tcp", "1", "-x"}), "there is no option -x");
    EXPECT_EQ(wrong({"relay", "--listen"}), "--listen needs a value: --listen <addr>");
    EXPECT_EQ(wrong({"relay", "--insecure-open=1"}), "--insecure-open takes no value");
    EXPECT_EQ(wrong({"--listen", "relay"}), "--listen belongs after its command");
    EXPECT_EQ(wrong({"demo", "--requests", "many"}),
              "--requests: \"many\" is not a whole number from 1 to 10000000");
    EXPECT_EQ(wrong({"demo", "--requests", "0"}),
              "--requests: \"0\" is not a whole number from 1 to 10000000");
}

TEST(command_line, status_is_asked_once_or_again_and_again) {
    EXPECT_EQ(good({"status"}).watch, "");
    EXPECT_TRUE(good({"status", "--json", "--watch", "1s"}).json);
    EXPECT_EQ(wrong({"status", "--watch", "often"}),
              "--watch: \"often\" is not a duration of 100ms or more, such as 1s");
    EXPECT_NE(wrong({"status", "--watch", "10ms"}), "");
}

TEST(command_line, commands_that_are_not_there_yet_are_unknown) {
    for (const std::string_view later : {"top", "inspect", "bench", "reload", "completion"})
        EXPECT_NE(wrong({later}), "") << later;
}

TEST(command_line, help_and_version_need_nothing_else) {
    EXPECT_TRUE(good({"--help"}).help);
    EXPECT_TRUE(good({"tcp", "-h"}).help);
    EXPECT_TRUE(good({"-V"}).version);
    EXPECT_EQ(good({"relay", "--help"}).what, command::relay);
}

TEST(help_text, of_a_command_has_each_of_its_flags_and_no_others) {
    for (const command_description& about : command_descriptions()) {
        const std::string text = help_text(about.what);
        EXPECT_NE(text.find("Usage:  tunnel-uring " + std::string{about.name}), std::string::npos);
        for (const command_flag& flag : command_flags()) {
            const bool shown = text.find("--" + std::string{flag.name}) != std::string::npos;
            if (flag.of(about.what)) {
                EXPECT_TRUE(shown) << about.name << " " << flag.name;
            }
        }
    }
}

TEST(help_text, of_all_names_each_command_and_exit_status) {
    const std::string text = help_text(command::none);
    for (const command_description& about : command_descriptions())
        EXPECT_NE(text.find("  " + std::string{about.name}), std::string::npos);
    for (const char* status : {"0 ok", "1 failed", "2 usage", "3 bad config", "4 host", "5 refused",
                               "6 a check", "130 or 143"})
        EXPECT_NE(text.find(status), std::string::npos) << status;
}

TEST(help_text, fits_into_a_hundred_columns) {
    for (const command what : {command::none, command::demo, command::http, command::tcp,
                               command::agent, command::relay, command::check, command::token}) {
        const std::string text = help_text(what);
        std::size_t begin = 0;
        while (begin < text.size()) {
            const std::size_t end = text.find('\n', begin);
            ASSERT_NE(end, std::string::npos);
            EXPECT_LE(end - begin, 100U) << text.substr(begin, end - begin);
            begin = end + 1;
        }
    }
}

TEST(command_flags, no_command_has_two_of_one_name) {
    for (const command_description& about : command_descriptions()) {
        std::set<std::string_view> names;
        for (const command_flag& flag : command_flags()) {
            if (flag.of(about.what)) {
                EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
            }
        }
    }
}

}  // namespace
}  // namespace tunnel_uring
