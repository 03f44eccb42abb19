#include "app/config_print.hpp"
#include "app/config_world.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {
namespace {

constexpr std::string_view whole = R"(config_version = 1
[agent]
name = "laptop"
relays = ["127.0.0.1:7443"]
[agent.lanes]
shared = 2
[agent.reconnect]
max = "5s"
[pool]
max_pool_size = 20
[[services]]
name = "db"
type = "tcp"
upstream = "127.0.0.1:5432"
remote_port = 15432
proxy_protocol = "v2"
speaks_first = "server"
[services.pool]
warm_up_size = 4
[[services]]
name = "web"
type = "tcp"
upstream = "unix:/run/app.sock"
[relay]
control_listen = "127.0.0.1:7443"
tcp_ports = "15000-15010"
[[relay.tokens]]
name = "laptop"
public_key = "ed25519:e6g6ta0PE1bdyHtIwNx8jhgOqbB8YYfRl3cF0KaMf80"
tcp_ports = "15000,15005-15006"
[io_uring]
entries = 256
[shutdown]
grace = "3s"
)";

TEST_F(config_loader, a_file_sets_what_it_says) {
    const loaded_config config = load(std::string{whole});
    ASSERT_EQ(problems(config), "");
    const agent_config& agent = config.values.agent;
    EXPECT_EQ(agent.name, "laptop");
    EXPECT_EQ(agent.relays, std::vector<std::string>{"127.0.0.1:7443"});
    EXPECT_EQ(agent.lanes.shared, 2U);
    EXPECT_EQ(agent.reconnect.max, 5s);
    ASSERT_EQ(agent.services.size(), 2U);
    EXPECT_EQ(agent.services[0].remote_port, 15432);
    EXPECT_EQ(agent.services[0].proxy_protocol, proxy_protocol::v2);
    EXPECT_EQ(agent.services[0].speaks_first, first_speaker::server);
    EXPECT_EQ(agent.services[1].upstream, "unix:/run/app.sock");
    const relay_config& relay = config.values.relay;
    EXPECT_EQ(relay.tcp_ports_first, 15000);
    EXPECT_EQ(relay.tcp_ports_last, 15010);
    ASSERT_EQ(relay.tokens.size(), 1U);
    EXPECT_EQ(relay.tokens[0].tcp_ports, (std::vector<port_range>{{15000, 15000}, {15005, 15006}}));
}

TEST_F(config_loader, what_is_said_once_reaches_both_roles) {
    const loaded_config config = load(std::string{whole});
    EXPECT_EQ(config.values.agent.grace, 3s);
    EXPECT_EQ(config.values.relay.grace, 3s);
    EXPECT_EQ(config.values.agent.io_uring.entries, 256U);
    EXPECT_EQ(config.values.relay.io_uring.entries, 256U);
}

TEST_F(config_loader, a_services_pool_starts_from_the_general_one) {
    set("pool.acquire_queue=7");
    const loaded_config config = load(std::string{whole});
    const std::vector<service_config>& services = config.values.agent.services;
    EXPECT_EQ(services[0].pool.max_pool_size, 20U);
    EXPECT_EQ(services[0].pool.warm_up_size, 4U);
    EXPECT_EQ(services[1].pool.warm_up_size, 0U);
    EXPECT_EQ(services[1].pool.acquire_queue, 7U);
}

TEST_F(config_loader, an_empty_file_is_all_defaults) {
    const loaded_config config = load("");
    EXPECT_EQ(problems(config), "");
    EXPECT_EQ(config.values.agent.lanes.shared, lanes_config{}.shared);
    EXPECT_FALSE(config.values.agent.name.empty());
    EXPECT_TRUE(config.origins.empty());
}

// ── precedence ──

TEST_F(config_loader, a_flag_beats_a_variable_beats_the_file_beats_the_default) {
    const std::string file = "[agent.lanes]\nshared = 2\nbulk_max = 2\nheartbeat = \"2s\"\n";
    sources_.environment = {{"TUNNEL_URING_AGENT_LANES_SHARED", "3"},
                            {"TUNNEL_URING_AGENT_LANES_BULK_MAX", "3"}};
    set("agent.lanes.shared=5");
    const loaded_config config = load(file);
    ASSERT_EQ(problems(config), "");
    const lanes_config& lanes = config.values.agent.lanes;
    EXPECT_EQ(lanes.shared, 5U);
    EXPECT_EQ(lanes.bulk_max, 3U);
    EXPECT_EQ(lanes.heartbeat, 2s);
    EXPECT_EQ(lanes.heartbeat_loss, lanes_config{}.heartbeat_loss);
    EXPECT_EQ(config.origin("agent.lanes.shared").where, "--set");
    EXPECT_EQ(config.origin("agent.lanes.bulk_max").where, "TUNNEL_URING_AGENT_LANES_BULK_MAX");
    EXPECT_EQ(config.origin("agent.lanes.heartbeat").at, (file_position{4, 13}));
    EXPECT_EQ(config.origin("agent.lanes.heartbeat_loss").source, value_source::default_value);
}

TEST_F(config_loader, of_two_settings_of_a_key_the_last_one_counts) {
    set("log.level=debug");
    set("log.level=warn");
    EXPECT_EQ(load("").values.log.level, log_level::warn);
}

TEST_F(config_loader, relay_and_token_have_short_variables) {
    const std::string secret = token::generate().text();
    sources_.environment = {{"TUNNEL_URING_RELAY", "a:1,b:2"}, {"TUNNEL_URING_TOKEN", secret}};
    const loaded_config config = load("");
    EXPECT_EQ(config.values.agent.relays, (std::vector<std::string>{"a:1", "b:2"}));
    EXPECT_EQ(config.values.agent.token, secret);
}

TEST_F(config_loader, an_empty_variable_counts_as_none) {
    sources_.environment = {{"TUNNEL_URING_RELAY", ""}};
    const loaded_config config = load("[agent]\nrelays = [\"a:1\"]");
    EXPECT_EQ(problems(config), "");
    EXPECT_EQ(config.values.agent.relays, std::vector<std::string>{"a:1"});
}

TEST_F(config_loader, an_unknown_variable_is_a_warning_with_the_nearest) {
    sources_.environment = {{"TUNNEL_URING_LOG_LEVLE", "debug"}};
    const loaded_config config = load("");
    EXPECT_EQ(problems(config), "");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_EQ(config.warnings[0],
              "the variable TUNNEL_URING_LOG_LEVLE means nothing; did you mean "
              "\"TUNNEL_URING_LOG_LEVEL\"?");
}

TEST_F(config_loader, a_wrong_variable_is_named) {
    sources_.environment = {{"TUNNEL_URING_AGENT_LANES_SHARED", "many"}};
    EXPECT_EQ(problems(""),
              "TUNNEL_URING_AGENT_LANES_SHARED: agent.lanes.shared: \"many\" is not a whole number "
              "from 1 to 64");
}

TEST_F(config_loader, settings_reach_one_service_its_pool_and_one_token) {
    set("services.web.remote_port=7");
    set("services.web.pool.warm_up_size=3");
    set("relay.tokens.laptop.tcp_ports=9");
    const loaded_config config = load(std::string{whole});
    ASSERT_EQ(problems(config), "");
    EXPECT_EQ(config.values.agent.services[1].remote_port, 7);
    EXPECT_EQ(config.values.agent.services[1].pool.warm_up_size, 3U);
    EXPECT_EQ(config.values.relay.tokens[0].tcp_ports, (std::vector<port_range>{{9, 9}}));
}

TEST_F(config_loader, a_setting_of_a_service_that_is_not_there_says_so) {
    set("services.wbe.remote_port=7");
    EXPECT_EQ(
        problems(std::string{whole}),
        "--set: services.wbe.remote_port: there is no entry \"wbe\" in services; did you mean "
        "\"web\"?");
}

TEST(parse_setting, names_what_is_wrong_and_the_nearest_key) {
    EXPECT_EQ(parse_setting("pool").problem,
              "\"pool\" is no setting; write key=value, such as pool.max_pool_size=80");
    EXPECT_EQ(parse_setting("=1").made, std::nullopt);
    EXPECT_EQ(parse_setting("pool.max_pool_sice=1").problem,
              "pool.max_pool_sice: unknown key; did you mean \"max_pool_size\"?");
    EXPECT_EQ(parse_setting("agnt.name=x").problem,
              "agnt.name: unknown key; did you mean \"agent.name\"?");
    EXPECT_NE(parse_setting("services.name=x").problem, "");
    EXPECT_NE(parse_setting("services.db.nothing=x").problem, "");
    EXPECT_NE(parse_setting("agent=x").problem, "");
}

TEST(parse_setting, keeps_what_follows_the_first_equals_sign) {
    const parsed_setting parsed = parse_setting("services.a.b.pool.warm_up_size=1=2");
    ASSERT_TRUE(parsed.made) << parsed.problem;
    EXPECT_EQ(parsed.made->entry, "a.b");
    EXPECT_EQ(parsed.made->table, "services.pool");
    EXPECT_EQ(parsed.made->value.text, "1=2");
}

// ── what is wrong, and where ──

TEST_F(config_loader, an_unknown_key_has_its_place_and_the_nearest_key) {
    EXPECT_EQ(problems("[pool]\n\n  max_pool_sice = 5\n"),
              "c.toml:3:3: pool.max_pool_sice: unknown key; did you mean \"max_pool_size\"?");
}

TEST_F(config_loader, a_key_in_the_wrong_table_is_sent_to_the_right_one) {
    EXPECT_EQ(
        problems("[agent]\nmax_pool_size = 5\n"),
        "c.toml:2:1: agent.max_pool_size: unknown key; \"max_pool_size\" belongs into [pool]");
}

TEST_F(config_loader, an_unknown_key_like_no_other_is_told_what_there_is) {
    EXPECT_EQ(problems("[log]\nverbosity = 5\n"),
              "c.toml:2:1: log.verbosity: unknown key; known here: level, format, access");
}

TEST_F(config_loader, an_unknown_table_has_its_place) {
    EXPECT_EQ(problems("[pools]\n"), "c.toml:1:2: pools: unknown key; did you mean \"pool\"?");
    EXPECT_EQ(problems("[agent.lane]\n"),
              "c.toml:1:8: agent.lane: unknown key; did you mean \"lanes\"?");
}

TEST_F(config_loader, a_wrong_value_has_its_place_its_key_and_what_is_right) {
    EXPECT_EQ(problems("[agent.lanes]\nshared = \"four\"\n"),
              "c.toml:2:10: agent.lanes.shared: \"four\" is not a whole number from 1 to 64");
    EXPECT_EQ(problems(std::string{whole} + "[log]\nlevel = 3\n"),
              "c.toml:36:9: log.level: 3 is not one of: trace, debug, info, warn, error");
}

TEST_F(config_loader, a_wrong_value_in_an_entry_names_the_entry) {
    EXPECT_EQ(problems("[[services]]\nname = \"db\"\ntype = \"tcp\"\nupstream = \"5432\"\n"
                       "remote_port = 70000\n"),
              "c.toml:5:15: services.db.remote_port: 70000 is not a whole number from 0 to 65535");
}

TEST_F(config_loader, all_problems_are_told_in_the_order_of_the_file) {
    EXPECT_EQ(
        problems("[log]\nlevel = 1\n[poll]\n[shutdown]\ngrace = \"x\"\n[io_uring]\nsize = 1\n"),
        "c.toml:2:9: log.level: 1 is not one of: trace, debug, info, warn, error\n"
        "c.toml:3:2: poll: unknown key; did you mean \"pool\"?\n"
        "c.toml:5:9: shutdown.grace: \"x\" is not a duration (\"250ms\", \"10s\", \"5m\") from "
        "0s to 1d\n"
        "c.toml:7:1: io_uring.size: unknown key; known here: entries, buffers, buffer_size, "
        "splice, busy_poll");
}

TEST_F(config_loader, text_that_is_no_toml_has_its_place) {
    const std::string said = problems("[agent]\nname = \n");
    EXPECT_TRUE(said.starts_with("c.toml:2:")) << said;
    EXPECT_NE(said.find("this is not TOML"), std::string::npos);
    EXPECT_EQ(said.find('\n'), std::string::npos);
}

TEST_F(config_loader, two_services_of_one_name_are_refused) {
    const std::string one = "[[services]]\nname = \"a\"\ntype = \"tcp\"\nupstream = \"1\"\n";
    EXPECT_EQ(problems(one + one),
              "c.toml:5:1: services: two have the name \"a\"; give each its own");
}

TEST_F(config_loader, an_entry_without_what_it_needs_says_what_to_write) {
    EXPECT_EQ(problems("[[services]]\nname = \"a\"\ntype = \"tcp\"\n"),
              "c.toml:1:1: services.a.upstream: missing; write an address: host:port, a port, or "
              "unix:/path");
    EXPECT_EQ(
        problems("[[relay.tokens]]\nname = \"a\"\n"),
        "c.toml:1:1: relay.tokens.a.public_key: missing; write a public key, \"ed25519:\" and "
        "43 characters");
}

TEST_F(config_loader, one_bracket_where_two_belong_is_explained) {
    EXPECT_EQ(problems("[services]\nname = \"a\"\n"),
              "c.toml:1:2: services: there may be many; write [[services]], in two brackets");
    EXPECT_EQ(problems("agent = 1\n"), "c.toml:1:1: agent: this is a table; write [agent]");
    EXPECT_EQ(problems("services = [1]\n"),
              "c.toml:1:13: services: write [[services]] and its keys");
}

TEST_F(config_loader, values_that_contradict_each_other_are_told_at_the_one_that_was_set) {
    EXPECT_EQ(problems("[agent.lanes]\nheartbeat = \"9s\"\n"),
              "c.toml:2:13: agent.lanes.heartbeat_loss: 8s is not longer than the heartbeat of 9s; "
              "make it at least twice as long");
    EXPECT_EQ(problems("[agent.reconnect]\nmax = \"100ms\"\n"),
              "c.toml:2:7: agent.reconnect.max: 100ms is shorter than initial, 200ms");
    EXPECT_EQ(problems("[pool]\nwarm_up_size = 60\n"),
              "c.toml:2:16: pool.warm_up_size: 60 is more than max_pool_size, 50");
}

TEST_F(config_loader, two_services_cannot_have_one_port) {
    set("services.web.remote_port=15432");
    EXPECT_EQ(problems(std::string{whole}),
              "--set: services.web.remote_port: another service has port 15432 already");
}

TEST_F(config_loader, a_key_on_a_command_line_is_no_place_for_a_secret) {
    set("agent.token=tut_x");
    const std::string said = problems("");
    EXPECT_NE(said.find("TUNNEL_URING_TOKEN"), std::string::npos);
    EXPECT_EQ(said.find("tut_x"), std::string::npos);
}

// ── finding the file ──

TEST_F(config_loader, a_file_that_was_asked_for_must_be_there) {
    sources_.file = (directory_ / "absent.toml").string();
    EXPECT_EQ(problems(load_config(sources_)),
              "absent.toml: cannot read the config file: No such file or directory");
    sources_.file = directory_.string();
    EXPECT_NE(problems(load_config(sources_)).find("Is a directory"), std::string::npos);
}

TEST_F(config_loader, a_huge_file_is_refused) {
    EXPECT_EQ(problems(std::string((1U << 20U) + 1, '#')),
              "c.toml: the config file is larger than 1 MiB");
}

TEST_F(config_loader, the_search_goes_from_near_to_far) {
    config_sources sources;
    sources.environment = {{"HOME", "/home/u"}};
    EXPECT_EQ(
        config_search_path(sources),
        (std::vector<std::string>{"tunnel-uring.toml", "/home/u/.config/tunnel-uring/config.toml",
                                  "/etc/tunnel-uring/config.toml"}));
    sources.environment.emplace_back("XDG_CONFIG_HOME", "/xdg");
    EXPECT_EQ(config_search_path(sources)[1], "/xdg/tunnel-uring/config.toml");
    sources.environment.emplace_back("TUNNEL_URING_CONFIG", "/a.toml");
    EXPECT_EQ(config_search_path(sources), std::vector<std::string>{"/a.toml"});
    sources.file = "/b.toml";
    EXPECT_EQ(config_search_path(sources), std::vector<std::string>{"/b.toml"});
}

TEST_F(config_loader, the_file_of_xdg_is_read) {
    write("tunnel-uring/config.toml", "[log]\nlevel = \"debug\"\n");
    sources_.environment = {{"XDG_CONFIG_HOME", directory_.string()}};
    EXPECT_EQ(load_config(sources_).values.log.level, log_level::debug);
}

// ── roles ──

TEST_F(config_loader, an_agent_needs_a_relay_and_a_service) {
    loaded_config config = load("");
    require_agent(config);
    EXPECT_EQ(problems(config),
              "agent.relays: no relay is given; say --relay host:port, TUNNEL_URING_RELAY or "
              "agent.relays\n"
              "services: there is nothing to expose; add a [[services]] entry or say --service "
              "name=target");
}

TEST_F(config_loader, an_agent_reads_its_token_from_beside_the_config_file) {
    const token made = token::generate();
    write("key", made.text() + "\n");
    loaded_config config = load("[agent]\ntoken_file = \"key\"\nrelays = [\"127.0.0.1:1\"]\n");
    require_agent(config);
    EXPECT_EQ(config.values.agent.token, made.text());
    EXPECT_EQ(config.token_path, (directory_ / "key").string());
}

TEST_F(config_loader, a_token_of_higher_precedence_hides_the_file) {
    const token made = token::generate();
    sources_.environment = {{"TUNNEL_URING_TOKEN", made.text()}};
    loaded_config config = load("[agent]\ntoken_file = \"absent\"\nrelays = [\"127.0.0.1:1\"]\n");
    require_agent(config);
    EXPECT_EQ(config.values.agent.token, made.text());
    EXPECT_EQ(problems(config).find("token"), std::string::npos);
}

TEST_F(config_loader, a_missing_or_broken_token_file_is_named_without_its_content) {
    write("broken", "tut_this-is-none");
    for (const std::string name : {"absent", "broken"}) {
        loaded_config config = load("[agent]\ntoken_file = \"" + name + "\"\n");
        require_agent(config);
        const std::string said = problems(config);
        EXPECT_NE(said.find("c.toml:2:14: agent.token_file: "), std::string::npos) << said;
        EXPECT_NE(said.find(name), std::string::npos) << said;
        EXPECT_EQ(said.find("this-is-none"), std::string::npos) << said;
    }
}

TEST_F(config_loader, token_and_token_file_in_one_file_contradict_each_other) {
    loaded_config config =
        load("[agent]\ntoken_file = \"a\"\ntoken = \"" + token::generate().text() + "\"\n");
    require_agent(config);
    EXPECT_NE(problems(config).find("say only one of them"), std::string::npos);
}

TEST_F(config_loader, plaintext_beyond_this_host_must_be_asked_for) {
    const std::string agent = "[agent]\nrelays = [\"192.0.2.1:7443\"]\n";
    loaded_config config = load(agent);
    require_agent(config);
    EXPECT_NE(
        problems(config).find("c.toml:2:10: agent.relays: 192.0.2.1:7443 is beyond this host"),
        std::string::npos);
    config = load(agent + "insecure_plaintext = true\n");
    require_agent(config);
    EXPECT_EQ(problems(config).find("beyond"), std::string::npos);

    const std::string relay = "[relay]\ninsecure_open = true\n";
    config = load(relay);
    require_relay(config);
    EXPECT_NE(problems(config).find("0.0.0.0:7443 is not loopback"), std::string::npos);
    config = load(relay + "control_listen = \"127.0.0.1:7443\"\n");
    require_relay(config);
    EXPECT_EQ(problems(config), "");
    config = load(relay + "insecure_plaintext = true\n");
    require_relay(config);
    EXPECT_EQ(problems(config), "");
}

TEST_F(config_loader, a_relay_that_lets_nobody_in_is_refused) {
    loaded_config config = load("[relay]\ncontrol_listen = \"127.0.0.1:1\"\n");
    require_relay(config);
    EXPECT_NE(problems(config).find("relay.tokens: nobody may come in"), std::string::npos);
}

// ── printing ──

TEST_F(config_loader, what_is_printed_says_the_same_when_it_is_read) {
    loaded_config first = load(std::string{whole});
    const std::string printed = print_config(first);
    loaded_config again = load(printed);
    EXPECT_EQ(problems(again), "");
    EXPECT_EQ(print_config(again), printed);
    EXPECT_EQ(again.values.agent.services[0].pool.warm_up_size, 4U);
    EXPECT_EQ(again.values.relay.tokens[0].tcp_ports.size(), 2U);
}

TEST_F(config_loader, every_value_is_printed_with_its_origin_and_defaults_in_comments) {
    sources_.environment = {{"TUNNEL_URING_LOG_LEVEL", "debug"}};
    set("shutdown.grace=1s");
    loaded_config config = load("[log]\nformat = \"json\"\n");
    const std::string printed = print_config(config);
    EXPECT_NE(printed.find("\nlevel = \"debug\"  # TUNNEL_URING_LOG_LEVEL\n"), std::string::npos);
    EXPECT_NE(printed.find("\nformat = \"json\"  # file\n"), std::string::npos);
    EXPECT_NE(printed.find("\n#access = true\n"), std::string::npos);
    EXPECT_NE(printed.find("\ngrace = \"1s\"  # --set\n"), std::string::npos);
}

TEST_F(config_loader, a_secret_is_masked) {
    const std::string secret = token::generate().text();
    sources_.environment = {{"TUNNEL_URING_TOKEN", secret}};
    loaded_config config = load("");
    const std::string printed = print_config(config);
    EXPECT_EQ(printed.find(secret), std::string::npos);
    EXPECT_NE(printed.find("#token = \"(masked)\"  # TUNNEL_URING_TOKEN"), std::string::npos);
}

TEST(keys_markdown, has_every_key_of_every_table) {
    const std::string text = keys_markdown();
    for (const config_key& one : config_keys())
        EXPECT_NE(text.find("| `" + std::string{one.name} + "` |"), std::string::npos)
            << one.path();
    for (const config_table& one : config_tables().subspan(1))
        EXPECT_NE(text.find("[" + std::string{one.path} + "]"), std::string::npos) << one.path;
}

}  // namespace
}  // namespace tunnel_uring
