// Every type of value, from a file and from text; and every key of the table.
#include "app/values.hpp"

#include <gtest/gtest.h>

#include <set>

namespace tunnel_uring {
namespace {

using kind = raw_value::kind;

raw_value make(kind what, std::string text) {
    raw_value value;
    value.what = what;
    value.text = std::move(text);
    return value;
}
raw_value word(std::string text) { return make(kind::word, std::move(text)); }
raw_value list(std::vector<raw_value> items) {
    raw_value value = make(kind::list, "");
    value.items = std::move(items);
    return value;
}

struct everything {
    settings all;
    service_config service;
    token_grant grant;
    alert_config alert;
    key_scope scope{all, &all.pool, &service, &grant, &alert};
};

const config_key& key(std::string_view table, std::string_view name) {
    const config_key* const found = find_key(table, name);
    if (found == nullptr) throw std::invalid_argument{std::string{name}};
    return *found;
}

// What assign() says, "" when it is content.
std::string say(std::string_view table, std::string_view name, const raw_value& value) {
    everything fresh;
    return assign(key(table, name), fresh.scope, value).value_or("");
}

// How a value stands in the field afterwards.
std::string put(std::string_view table, std::string_view name, const raw_value& value) {
    everything fresh;
    const auto wrong = assign(key(table, name), fresh.scope, value);
    return wrong ? "wrong: " + *wrong : print(key(table, name), fresh.scope);
}

TEST(assign, takes_whole_numbers_within_their_range) {
    EXPECT_EQ(put("agent.lanes", "shared", make(kind::integer, "8")), "8");
    EXPECT_EQ(put("agent.lanes", "shared", word("64")), "64");
    EXPECT_EQ(say("agent.lanes", "shared", make(kind::integer, "0")),
              "0 is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", make(kind::integer, "65")),
              "65 is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", make(kind::text, "8")),
              "\"8\" is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", make(kind::real, "8.0")),
              "8.0 is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", make(kind::boolean, "true")),
              "true is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", word("4x")),
              "\"4x\" is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", word("99999999999999999999")),
              "\"99999999999999999999\" is not a whole number from 1 to 64");
    EXPECT_EQ(say("agent.lanes", "shared", list({})), "a list is not a whole number from 1 to 64");
}

TEST(assign, takes_durations_with_a_unit_and_bare_seconds) {
    EXPECT_EQ(put("shutdown", "grace", make(kind::text, "250ms")), "\"250ms\"");
    EXPECT_EQ(put("shutdown", "grace", make(kind::integer, "90")), "\"1m30s\"");
    EXPECT_EQ(put("shutdown", "grace", make(kind::real, "0.5")), "\"500ms\"");
    EXPECT_EQ(put("shutdown", "grace", word("0")), "\"0s\"");
    const std::string range = " is not a duration (\"250ms\", \"10s\", \"5m\") from 0s to 1d";
    EXPECT_EQ(say("shutdown", "grace", make(kind::text, "soon")), "\"soon\"" + range);
    EXPECT_EQ(say("shutdown", "grace", make(kind::integer, "-1")), "-1" + range);
    EXPECT_EQ(say("shutdown", "grace", make(kind::text, "2d")), "\"2d\"" + range);
    EXPECT_EQ(say("shutdown", "grace", make(kind::boolean, "true")), "true" + range);
}

TEST(assign, takes_zero_where_zero_means_something) {
    EXPECT_EQ(put("pool", "max_lifetime", make(kind::integer, "0")), "\"0s\"");
    EXPECT_NE(say("pool", "max_lifetime", make(kind::text, "1ms")).find("0 or from 1s to 30d"),
              std::string::npos);
    EXPECT_NE(say("pool", "max_idle_time", make(kind::integer, "0")), "");
}

TEST(assign, takes_a_word_or_a_time_for_busy_polling) {
    EXPECT_EQ(put("io_uring", "busy_poll", make(kind::text, "auto")), "\"auto\"");
    EXPECT_EQ(put("io_uring", "busy_poll", word("off")), "\"off\"");
    EXPECT_EQ(put("io_uring", "busy_poll", word("50us")), "\"50us\"");
    EXPECT_EQ(say("io_uring", "busy_poll", word("on")),
              "\"on\" is not \"auto\", \"off\", or a duration (\"50us\") from 1us to 1ms");
    EXPECT_NE(say("io_uring", "busy_poll", word("2ms")), "");
}

TEST(assign, takes_sizes) {
    EXPECT_EQ(put("io_uring", "buffer_size", make(kind::text, "64KiB")), "\"64KiB\"");
    EXPECT_EQ(put("io_uring", "buffer_size", make(kind::integer, "4096")), "\"4KiB\"");
    EXPECT_EQ(say("io_uring", "buffer_size", make(kind::text, "64K")),
              "\"64K\" is not a size (\"64KiB\", \"1MiB\") from 4KiB to 1MiB");
    EXPECT_NE(say("io_uring", "buffer_size", make(kind::text, "2MiB")), "");
}

TEST(assign, takes_powers_of_two_where_the_kernel_wants_them) {
    EXPECT_EQ(put("io_uring", "buffers", word("2048")), "2048");
    EXPECT_EQ(say("io_uring", "buffers", word("1000")),
              "\"1000\" is not a power of two from 16 to 32768");
}

TEST(assign, takes_numbers_with_a_fraction) {
    EXPECT_EQ(put("agent.reconnect", "multiplier", make(kind::real, "1.5")), "1.5");
    EXPECT_EQ(put("agent.reconnect", "multiplier", make(kind::integer, "2")), "2.0");
    EXPECT_EQ(say("agent.reconnect", "multiplier", make(kind::real, "0.5")),
              "0.5 is not a number from 1 to 100");
    EXPECT_NE(say("agent.reconnect", "multiplier", word("nan")), "");
    EXPECT_NE(say("agent.reconnect", "multiplier", word("inf")), "");
}

TEST(assign, takes_true_and_false_only) {
    EXPECT_EQ(put("relay", "insecure_open", make(kind::boolean, "true")), "true");
    EXPECT_EQ(put("relay", "insecure_open", word("false")), "false");
    EXPECT_EQ(say("relay", "insecure_open", word("yes")), "\"yes\" is not true or false");
    EXPECT_EQ(say("relay", "insecure_open", make(kind::text, "true")),
              "\"true\" is not true or false");
    EXPECT_EQ(say("relay", "insecure_open", make(kind::integer, "1")), "1 is not true or false");
}

TEST(assign, takes_the_words_of_a_choice_and_names_the_nearest) {
    EXPECT_EQ(put("services", "proxy_protocol", make(kind::text, "v2")), "\"v2\"");
    EXPECT_EQ(put("log", "format", word("auto")), "\"auto\"");
    EXPECT_EQ(say("log", "level", word("inof")),
              "\"inof\" is not one of: trace, debug, info, warn, error; did you mean \"info\"?");
    EXPECT_EQ(put("services", "type", make(kind::text, "http")), "\"http\"");
    EXPECT_EQ(say("services", "type", make(kind::text, "https")),
              "\"https\" is not one of: tcp, http; did you mean \"http\"?");
    EXPECT_EQ(put("relay", "proxy_protocol_in", word("auto")), "\"auto\"");
    EXPECT_EQ(say("services", "speaks_first", make(kind::integer, "1")),
              "1 is not one of: client, server");
}

TEST(assign, takes_upstreams_as_people_write_them) {
    for (const char* text : {"3000", "host:3000", "127.0.0.1:1", "[::1]:80", "unix:/run/app.sock"})
        EXPECT_EQ(say("services", "upstream", make(kind::text, text)), "") << text;
    EXPECT_EQ(put("services", "upstream", make(kind::integer, "3000")), "\"3000\"");
    for (const char* text :
         {"", "host", "host:", "host:0", "host:99999", "::1:80", "unix:", "http://host:80"})
        EXPECT_NE(say("services", "upstream", make(kind::text, text)), "") << text;
    EXPECT_EQ(say("services", "upstream", word("host:0")), "\"host:0\" has no port to connect to");
}

TEST(assign, takes_one_relay_or_many) {
    const auto text = [](const char* of) { return make(kind::text, of); };
    EXPECT_EQ(put("agent", "relays", word("a:1,b:2")), "[\"a:1\", \"b:2\"]");
    EXPECT_EQ(put("agent", "relays", list({text("a:1"), text("b:2")})), "[\"a:1\", \"b:2\"]");
    EXPECT_EQ(say("agent", "relays", word("7443")),
              "\"7443\" has no host; write host:port, such as relay.example.com:7443");
    EXPECT_EQ(say("agent", "relays", word("a:1,a:1")), "\"a:1\" is there twice");
    EXPECT_NE(say("agent", "relays", list({})), "");
    EXPECT_NE(say("agent", "relays", list({make(kind::integer, "1")})), "");
    EXPECT_NE(say("agent", "relays", word("unix:/x")), "");
}

TEST(assign, takes_numeric_addresses_to_listen_on) {
    EXPECT_EQ(put("relay", "control_listen", word("127.0.0.1:0")), "\"127.0.0.1:0\"");
    EXPECT_EQ(put("relay", "control_listen", word("[::]:7443")), "\"[::]:7443\"");
    EXPECT_EQ(put("relay", "control_listen", word("7443")), "\"0.0.0.0:7443\"");
    EXPECT_EQ(put("relay", "control_listen", word("localhost:7443")), "\"127.0.0.1:7443\"");
    EXPECT_NE(say("relay", "control_listen", word("example.com:7443")), "");
    EXPECT_NE(say("relay", "control_listen", word("unix:/x")), "");
    EXPECT_EQ(put("relay", "tcp_host", word("::1")), "\"::1\"");
    EXPECT_NE(say("relay", "tcp_host", word("example.com")), "");
}

TEST(assign, takes_no_http_listener_as_well_as_one) {
    EXPECT_EQ(put("relay", "http_listen", word("8080")), "\"0.0.0.0:8080\"");
    EXPECT_EQ(put("relay", "http_listen", word("[::1]:0")), "\"[::1]:0\"");
    EXPECT_EQ(put("relay", "http_listen", make(kind::text, "")), "\"\"");
    EXPECT_NE(say("relay", "http_listen", word("example.com:80")), "");
    EXPECT_EQ(say("relay", "http_listen", word("unix:/x")),
              "\"unix:/x\" is a unix socket; this listens on TCP only");
    EXPECT_EQ(say("relay", "control_listen", word("http://127.0.0.1:1")),
              "\"http://127.0.0.1:1\" is a URL; write host:port alone, such as localhost:3000");
}

TEST(assign, takes_names_in_lists_and_keeps_them_in_one_form) {
    const auto text = [](const char* of) { return make(kind::text, of); };
    EXPECT_EQ(put("services", "hostnames", list({text("App.Example.com"), text("*.b.example")})),
              "[\"app.example.com\", \"*.b.example\"]");
    EXPECT_EQ(put("services", "hostnames", word("a.example,b.example")),
              "[\"a.example\", \"b.example\"]");
    EXPECT_EQ(put("services", "hostnames", list({})), "[]");
    EXPECT_EQ(say("services", "hostnames", word("a.example,A.example")),
              "\"a.example\" is there twice");
    EXPECT_EQ(say("services", "hostnames", word("*")),
              "\"*\" has a \"*\" where none may be; a zone is \"*.example.com\"");
    EXPECT_EQ(put("relay.tokens", "hostnames", word("*")), "[\"*\"]");
    EXPECT_EQ(put("relay.tokens", "subdomains", word("app,app-*")), "[\"app\", \"app-*\"]");
    EXPECT_EQ(put("relay", "trusted_proxies", word("127.0.0.1,10.0.0.0/8")),
              "[\"127.0.0.1\", \"10.0.0.0/8\"]");
    std::vector<raw_value> many;
    for (int i = 0; i < 17; ++i) many.push_back(text(("h" + std::to_string(i)).c_str()));
    EXPECT_EQ(say("services", "hostnames", list(many)), "17 are too many; at most 16 may be");
}

TEST(assign, takes_what_http_is_told) {
    EXPECT_EQ(put("relay", "domain", word("Tunnel.Example.com")), "\"tunnel.example.com\"");
    EXPECT_NE(say("relay", "domain", word("")), "");
    EXPECT_EQ(put("relay", "public_url", word("https://a.example/")), "\"https://a.example\"");
    EXPECT_EQ(put("relay", "health_path", word("")), "\"\"");
    EXPECT_NE(say("relay", "health_path", word("/" + std::string(256, 'x'))), "");
    EXPECT_EQ(put("services", "subdomain", word("App")), "\"app\"");
    EXPECT_EQ(put("services.http", "host_header", word("upstream")), "\"upstream\"");
    EXPECT_EQ(put("services.http", "response_timeout", word("0")), "\"0s\"");
    EXPECT_EQ(put("relay", "header_timeout", word("0")), "\"0s\"");
    EXPECT_EQ(put("relay", "max_head_bytes", word("32KiB")), "\"32KiB\"");
    EXPECT_NE(say("relay", "max_head_bytes", word("33KiB")), "");
    EXPECT_NE(say("relay", "max_head_bytes", word("1000")), "");
    EXPECT_NE(say("relay", "max_fields", word("0")), "");
    EXPECT_EQ(put("relay", "min_body_rate", word("0")), "0");
}

TEST(assign, takes_ranges_of_ports) {
    EXPECT_EQ(put("relay", "tcp_ports", word("15000-15999")), "\"15000-15999\"");
    EXPECT_EQ(put("relay", "tcp_ports", make(kind::integer, "15000")), "\"15000\"");
    EXPECT_EQ(put("relay.tokens", "tcp_ports", word("1-2,7")), "\"1-2,7\"");
    for (const char* text : {"2-1", "0-5", "1-65536", "1-2,7", "a-b", "-", "1-", ""})
        EXPECT_EQ(say("relay", "tcp_ports", word(text)),
                  "\"" + std::string{text} + "\" is not a range of ports, such as 15000-15999");
}

TEST(assign, takes_names_that_need_no_quotes_anywhere) {
    EXPECT_EQ(put("services", "name", word("db-1.x_Y")), "\"db-1.x_Y\"");
    for (const std::string& text : {std::string{}, std::string{"a b"}, std::string{"a\n"},
                                    std::string{"ü"}, std::string(65, 'x')})
        EXPECT_NE(say("services", "name", word(text)), "") << text;
}

TEST(assign, keeps_public_keys_in_one_form_and_refuses_broken_ones) {
    const std::string good = "ed25519:e6g6ta0PE1bdyHtIwNx8jhgOqbB8YYfRl3cF0KaMf80";
    EXPECT_EQ(put("relay.tokens", "public_key", word(good)), "\"" + good + "\"");
    EXPECT_NE(say("relay.tokens", "public_key", word(good.substr(1))), "");
    EXPECT_NE(say("relay.tokens", "public_key", word(good + "x")), "");
}

TEST(assign, never_shows_a_secret) {
    for (const raw_value& value :
         {word("tut_secret"), make(kind::integer, "4711"), make(kind::text, "secret")}) {
        const std::string said = say("agent", "token", value);
        EXPECT_NE(said, "");
        EXPECT_EQ(said.find("secret"), std::string::npos) << said;
        EXPECT_EQ(said.find("4711"), std::string::npos) << said;
    }
}

TEST(assign, leaves_the_field_alone_when_the_value_is_wrong) {
    everything fresh;
    EXPECT_TRUE(assign(key("pool", "max_pool_size"), fresh.scope, word("x")));
    EXPECT_EQ(fresh.all.pool.max_pool_size, pool_config{}.max_pool_size);
}

TEST(assign, shows_wrong_text_so_that_no_terminal_obeys_it) {
    EXPECT_EQ(say("log", "level", word("\x1b[2J")).find('\x1b'), std::string::npos);
    EXPECT_LT(say("log", "level", word(std::string(100'000, 'x'))).size(), 300U);
}

TEST(keys, every_default_that_is_a_value_is_within_its_own_limits) {
    for (const config_key& one : config_keys()) {
        everything fresh;
        if (is_empty(one, fresh.scope) || one.secret) continue;
        std::string text = print(one, fresh.scope);
        if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
        EXPECT_EQ(assign(one, fresh.scope, word(text)).value_or(""), "") << one.path();
    }
}

TEST(keys, what_is_printed_is_read_back_the_same) {
    for (const config_key& one : config_keys()) {
        everything fresh;
        if (is_empty(one, fresh.scope)) continue;
        const std::string before = print(one, fresh.scope);
        std::string text = before;
        if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
        EXPECT_FALSE(assign(one, fresh.scope, word(text))) << one.path();
        EXPECT_EQ(print(one, fresh.scope), before) << one.path();
    }
}

TEST(keys, every_key_stands_in_a_known_table_has_help_and_a_type_for_people) {
    std::set<std::string> paths;
    std::set<std::string> variables;
    for (const config_key& one : config_keys()) {
        ASSERT_NE(find_table(one.table), nullptr) << one.path();
        EXPECT_TRUE(paths.insert(one.path()).second) << one.path();
        EXPECT_FALSE(one.help.empty()) << one.path();
        EXPECT_FALSE(describe_type(one).empty()) << one.path();
        EXPECT_EQ(one.help.find('|'), std::string_view::npos) << "breaks a markdown table";
        if (!one.variable().empty()) {
            EXPECT_TRUE(variables.insert(one.variable()).second) << one.variable();
        }
    }
}

TEST(keys, every_value_of_a_wrong_type_is_refused) {
    for (const config_key& one : config_keys()) {
        everything fresh;
        raw_value table;
        table.what = kind::table;
        EXPECT_TRUE(assign(one, fresh.scope, table)) << one.path();
        raw_value date = make(kind::other, "1979-05-27");
        EXPECT_TRUE(assign(one, fresh.scope, date)) << one.path();
    }
}

TEST(keys, variables_are_the_path_in_capitals) {
    EXPECT_EQ(key("agent.lanes", "shared").variable(), "TUNNEL_URING_AGENT_LANES_SHARED");
    EXPECT_EQ(key("", "config_version").variable(), "TUNNEL_URING_CONFIG_VERSION");
    EXPECT_EQ(key("services", "name").variable(), "");
    EXPECT_EQ(key("services.pool", "warm_up_size").variable(), "");
}

}  // namespace
}  // namespace tunnel_uring
