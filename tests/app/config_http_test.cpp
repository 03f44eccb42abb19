// What the config says of HTTP: values, rules between them, what is printed.
#include "app/config_print.hpp"
#include "app/config_world.hpp"

namespace tunnel_uring {
namespace {

using config_http = config_loader;

constexpr std::string_view web = R"([[services]]
name = "web"
type = "http"
upstream = "3000"
subdomain = "App"
hostnames = ["App.Example.com", "*.b.example"]
[services.http]
host_header = "upstream"
forwarded = false
response_timeout = "5s"
)";

TEST_F(config_http, an_http_service_and_its_relay_say_all_they_can) {
    const loaded_config config = load(std::string{web} + R"([relay]
http_listen = "0.0.0.0:8080"
domain = "Tunnel.Example.com"
public_url = "https://tunnel.example.com"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
proxy_protocol_in = "auto"
health_path = "/up"
max_head_bytes = "16KiB"
max_fields = 50
header_timeout = "5s"
idle_timeout = "1m"
min_body_rate = 0
max_visitors = 1000
max_exchanges_per_address = 10
[[relay.tokens]]
name = "laptop"
public_key = "ed25519:e6g6ta0PE1bdyHtIwNx8jhgOqbB8YYfRl3cF0KaMf80"
subdomains = ["app", "app-*"]
hostnames = ["*.example.com"]
)");
    ASSERT_EQ(problems(config), "");
    EXPECT_TRUE(config.warnings.empty());
    const service_config& service = config.values.agent.services[0];
    EXPECT_EQ(service.type, service_kind::http);
    EXPECT_EQ(service.subdomain, "app");
    EXPECT_EQ(service.hostnames, (std::vector<std::string>{"app.example.com", "*.b.example"}));
    EXPECT_EQ(service.http.host_header, "upstream");
    EXPECT_FALSE(service.http.forwarded);
    EXPECT_EQ(service.http.response_timeout, 5s);
    const http_front_config& http = config.values.relay.http;
    EXPECT_EQ(http.listen, "0.0.0.0:8080");
    EXPECT_EQ(http.domain, "tunnel.example.com");
    EXPECT_EQ(http.public_url, "https://tunnel.example.com");
    EXPECT_EQ(http.trusted_proxies, (std::vector<std::string>{"127.0.0.1", "10.0.0.0/8"}));
    EXPECT_EQ(http.proxy_protocol_in, proxy_protocol_in::automatic);
    EXPECT_EQ(http.health_path, "/up");
    EXPECT_EQ(http.max_head_bytes, 16U * 1024);
    EXPECT_EQ(http.max_fields, 50U);
    EXPECT_EQ(http.header_timeout, 5s);
    EXPECT_EQ(http.idle_timeout, 1min);
    EXPECT_EQ(http.min_body_rate, 0U);
    EXPECT_EQ(http.max_visitors, 1000U);
    EXPECT_EQ(http.max_exchanges_per_address, 10U);
    const token_grant& grant = config.values.relay.tokens[0];
    EXPECT_EQ(grant.subdomains, (std::vector<std::string>{"app", "app-*"}));
    EXPECT_EQ(grant.hostnames, std::vector<std::string>{"*.example.com"});
}

TEST_F(config_http, an_http_services_pool_stands_ready_unless_somebody_says_otherwise) {
    const auto pool = [](const loaded_config& config) {
        return config.values.agent.services[0].pool;
    };
    EXPECT_EQ(pool(load(std::string{web})).warm_up_size, 10U);
    EXPECT_EQ(pool(load(std::string{web})).min_idle_connections, 5U);
    EXPECT_EQ(pool(load("[pool]\nwarm_up_size = 0\n" + std::string{web})).warm_up_size, 0U);
    EXPECT_EQ(pool(load("[pool]\nwarm_up_size = 0\n" + std::string{web})).min_idle_connections, 5U);
    const loaded_config own =
        load(std::string{web} + "[services.pool]\nwarm_up_size = 2\nmin_idle_connections = 1\n");
    EXPECT_EQ(pool(own).warm_up_size, 2U);
    EXPECT_EQ(pool(own).min_idle_connections, 1U);
    const loaded_config small = load(std::string{web} + "[services.pool]\nmax_pool_size = 3\n");
    EXPECT_EQ(problems(small), "");
    EXPECT_EQ(pool(small).warm_up_size, 3U);
    EXPECT_EQ(pool(small).min_idle_connections, 3U);
    EXPECT_EQ(
        problems(load(std::string{web} + "[services.pool]\nmax_pool_size = 3\nwarm_up_size = 4\n")),
        "c.toml:13:16: services.web.pool.warm_up_size: 4 is more than max_pool_size, 3");
    EXPECT_EQ(pool(load("[[services]]\nname=\"a\"\ntype=\"tcp\"\nupstream=\"1\"\n")).warm_up_size,
              0U);
}

TEST_F(config_http, a_key_that_means_nothing_to_a_services_type_is_refused) {
    const std::string tcp = "[[services]]\nname = \"a\"\ntype = \"tcp\"\nupstream = \"1\"\n";
    const std::string http = "[[services]]\nname = \"a\"\ntype = \"http\"\nupstream = \"1\"\n";
    EXPECT_EQ(
        problems(tcp + "subdomain = \"x\"\n"),
        "c.toml:5:13: services.a.subdomain: means nothing to a service of type \"tcp\"; leave "
        "it out, or say type = \"http\"");
    EXPECT_NE(problems(tcp + "hostnames = [\"x\"]\n"), "");
    EXPECT_EQ(problems(tcp + "[services.http]\nforwarded = true\n"),
              "c.toml:6:13: services.a.http.forwarded: means nothing to a service of type \"tcp\"; "
              "leave it out, or say type = \"http\"");
    EXPECT_EQ(problems(http + "remote_port = 1\n"),
              "c.toml:5:15: services.a.remote_port: means nothing to a service of type \"http\"; "
              "leave it out, or say type = \"tcp\"");
    EXPECT_NE(problems(http + "speaks_first = \"server\"\n"), "");
    EXPECT_EQ(problems(http + "proxy_protocol = \"v2\"\nmax_connections = 5\n"), "");
    const std::string neither = problems(
        "[[services]]\nname = \"a\"\ntype = \"htpt\"\nupstream = \"1\"\nsubdomain = \"x\"\n");
    EXPECT_EQ(neither.find('\n'), std::string::npos) << neither;
}

TEST_F(config_http, two_services_cannot_have_one_name) {
    const auto service = [](std::string_view name, std::string_view key) {
        return "[[services]]\nname = \"" + std::string{name} +
               "\"\ntype = \"http\"\nupstream = \"1\"\n" + std::string{key} + "\n";
    };
    EXPECT_EQ(problems(service("a", "subdomain = \"App\"") + service("b", "subdomain = \"app\"")),
              "c.toml:10:13: services.b.subdomain: another service has the name \"app\" already");
    EXPECT_EQ(problems(service("a", "hostnames = [\"x.y\"]") +
                       service("b", "hostnames = [\"z.y\", \"X.y\"]")),
              "c.toml:10:13: services.b.hostnames: another service has the name \"x.y\" already");
}

TEST_F(config_http, a_services_names_fit_into_one_message) {
    std::string names;
    for (int i = 0; i < 16; ++i) {
        std::string name = std::to_string(i);
        for (int label = 0; label < 4; ++label) name += "." + std::string(50, 'x');
        names += (i == 0 ? "\"" : ", \"") + name + "\"";
    }
    const std::string said =
        problems("[[services]]\nname = \"a\"\ntype = \"http\"\nupstream = \"1\"\nhostnames = [" +
                 names + "]\n");
    EXPECT_EQ(said,
              "c.toml:5:13: services.a.hostnames: they have 3286 characters together, and at most "
              "3000 may be; divide them over several services");
}

TEST_F(config_http, a_key_of_the_http_table_is_sent_there) {
    EXPECT_EQ(problems("[[services]]\nname = \"a\"\ntype = \"http\"\nupstream = \"1\"\n"
                       "host_header = \"upstream\"\n"),
              "c.toml:5:1: services.host_header: unknown key; \"host_header\" belongs into "
              "[services.http]");
}

TEST_F(config_http, visitors_and_agents_cannot_come_in_at_one_port) {
    const std::string both = "[relay]\nhttp_listen = \"127.0.0.1:1\"\ncontrol_listen = ";
    EXPECT_EQ(problems(both + "\"127.0.0.1:1\"\n"),
              "c.toml:2:15: relay.http_listen: 127.0.0.1:1 is where agents come in "
              "(relay.control_listen); take another port");
    EXPECT_EQ(problems(both + "\"127.0.0.1:2\"\n"), "");
    EXPECT_EQ(problems("[relay]\nhttp_listen = \"127.0.0.1:0\"\n"
                       "control_listen = \"127.0.0.1:0\"\n"),
              "");
}

TEST_F(config_http, a_proxy_header_is_believed_of_somebody_only) {
    EXPECT_EQ(problems("[relay]\nproxy_protocol_in = \"v2\"\n"),
              "c.toml:2:21: relay.proxy_protocol_in: whoever sends such a header says who the "
              "visitor is; say in relay.trusted_proxies (--trusted-proxy) whom to believe");
    EXPECT_EQ(problems("[relay]\nproxy_protocol_in = \"v2\"\ntrusted_proxies = [\"::1\"]\n"), "");
}

TEST_F(config_http, a_public_url_elsewhere_than_the_domain_is_a_warning) {
    const loaded_config config = load("[relay]\npublic_url = \"https://a.example\"\n");
    EXPECT_EQ(problems(config), "");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_EQ(config.warnings[0],
              "relay.public_url has the host a.example, but services get names below "
              "relay.domain, localhost");
}

TEST_F(config_http, settings_reach_the_http_of_one_service) {
    set("services.web.http.host_header=example.com");
    set("services.web.subdomain=other");
    const loaded_config config = load(std::string{web});
    ASSERT_EQ(problems(config), "");
    EXPECT_EQ(config.values.agent.services[0].http.host_header, "example.com");
    EXPECT_EQ(config.values.agent.services[0].subdomain, "other");
}

TEST_F(config_http, an_http_service_is_printed_with_what_is_in_force_and_is_for_it) {
    loaded_config first = load(std::string{web} + "[relay]\nhttp_listen = \"127.0.0.1:8080\"\n");
    const std::string printed = print_config(first);
    for (const char* line :
         {"\ntype = \"http\"  # file\n", "\nsubdomain = \"app\"  # file\n",
          "\nhostnames = [\"app.example.com\", \"*.b.example\"]  # file\n", "\n[services.http]\n",
          "\nhost_header = \"upstream\"  # file\n", "\n#warm_up_size = 10\n",
          "\n#min_idle_connections = 5\n", "\nhttp_listen = \"127.0.0.1:8080\"  # file\n",
          "\n#domain = \"localhost\"\n", "\n#idle_timeout = \"1m15s\"\n"})
        EXPECT_NE(printed.find(line), std::string::npos) << line << printed;
    const std::string services = printed.substr(printed.find("[[services]]"));
    EXPECT_EQ(services.find("remote_port"), std::string::npos);
    loaded_config again = load(printed);
    EXPECT_EQ(problems(again), "");
    EXPECT_EQ(print_config(again), printed);
}

}  // namespace
}  // namespace tunnel_uring
