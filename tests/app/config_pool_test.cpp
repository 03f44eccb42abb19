// What the config says of pools: values, profiles, rules between them, and what is refused.
#include <fmt/format.h>

#include "app/config_print.hpp"
#include "app/config_world.hpp"

namespace tunnel_uring {
namespace {

using config_pool = config_loader;

const std::string db = "[[services]]\nname = \"db\"\ntype = \"tcp\"\nupstream = \"5432\"\n";
const std::string web = "[[services]]\nname = \"web\"\ntype = \"http\"\nupstream = \"3000\"\n";

const service_config& first(const loaded_config& config) { return config.values.agent.services[0]; }

TEST_F(config_pool, has_the_defaults_that_users_know) {
    const pool_config pool = first(load(web)).pool;
    EXPECT_EQ(pool.max_pool_size, 50U);
    EXPECT_EQ(pool.min_idle_connections, 5U);
    EXPECT_EQ(pool.warm_up_size, 10U);
    EXPECT_TRUE(pool.warm_up_on_start);
    EXPECT_EQ(pool.max_idle_time, 300s);
    EXPECT_EQ(pool.max_lifetime, 30min);
    EXPECT_EQ(pool.connection_timeout, 10s);
    EXPECT_EQ(pool.validation_timeout, 5s);
    EXPECT_EQ(pool.cleanup_interval, 30s);
    EXPECT_EQ(pool.acquire_timeout, 2s);
    EXPECT_EQ(pool.acquire_queue, 1024U);
    EXPECT_EQ(pool.health_check_interval, 60s);
    EXPECT_EQ(pool.max_failures, 3U);
    EXPECT_EQ(pool.circuit_breaker.failure_threshold, 5U);
    EXPECT_EQ(pool.circuit_breaker.open_for, 5s);
    EXPECT_EQ(pool.circuit_breaker.open_max, 60s);
    EXPECT_TRUE(pool.degrade.direct_connect);
    EXPECT_EQ(pool.degrade.direct_max, 32U);
    EXPECT_EQ(pool.degrade.http_fallback_status, 503U);
}

TEST_F(config_pool, every_key_can_be_said_for_all_and_for_one_service) {
    const std::string keys = R"(
profile = "lan"
reuse = "off"
max_pool_size = 60
min_idle_connections = 6
warm_up_size = 12
warm_up_on_start = false
max_idle_time = "70s"
max_lifetime = "20m"
connection_timeout = "4s"
validation_timeout = "2s"
cleanup_interval = "15s"
acquire_timeout = "3s"
acquire_queue = 10
health_check_interval = "20s"
max_failures = 2
lease_limit = 0
)";
    const std::string breaker = "failure_threshold = 7\nopen_for = \"1s\"\nopen_max = \"8s\"\n";
    const std::string degrade =
        "direct_connect = false\ndirect_max = 3\nhttp_fallback_status = 502\n";
    for (const std::string table : {"pool", "services.pool"}) {
        const std::string said = fmt::format("[{0}]{1}[{0}.circuit_breaker]\n{2}[{0}.degrade]\n{3}",
                                             table, keys, breaker, degrade);
        const loaded_config config = load(table == "pool" ? said + web : web + said);
        ASSERT_EQ(problems(config), "") << table;
        const pool_config& pool = first(config).pool;
        EXPECT_EQ(pool.profile, pool_profile::lan);
        EXPECT_EQ(pool.reuse, pool_reuse::off);
        EXPECT_EQ(pool.max_pool_size, 60U);
        EXPECT_EQ(pool.min_idle_connections, 6U);
        EXPECT_EQ(pool.warm_up_size, 12U);
        EXPECT_FALSE(pool.warm_up_on_start);
        EXPECT_EQ(pool.max_idle_time, 70s);
        EXPECT_EQ(pool.max_lifetime, 20min);
        EXPECT_EQ(pool.connection_timeout, 4s);
        EXPECT_EQ(pool.validation_timeout, 2s);
        EXPECT_EQ(pool.cleanup_interval, 15s);
        EXPECT_EQ(pool.acquire_timeout, 3s);
        EXPECT_EQ(pool.acquire_queue, 10U);
        EXPECT_EQ(pool.health_check_interval, 20s);
        EXPECT_EQ(pool.max_failures, 2U);
        EXPECT_EQ(pool.lease_limit, 0s);
        EXPECT_EQ(pool.circuit_breaker.failure_threshold, 7U);
        EXPECT_EQ(pool.circuit_breaker.open_for, 1s);
        EXPECT_EQ(pool.circuit_breaker.open_max, 8s);
        EXPECT_FALSE(pool.degrade.direct_connect);
        EXPECT_EQ(pool.degrade.direct_max, 3U);
        EXPECT_EQ(pool.degrade.http_fallback_status, 502U);
    }
}

TEST_F(config_pool, what_is_out_of_range_is_refused_with_line_column_and_range) {
    struct wrong_key {
        std::string_view table;
        std::string_view key;
        std::string_view below;
        std::string_view above;
        std::string_view range;
    };
    constexpr std::string_view time = "a duration (\"250ms\", \"10s\", \"5m\") ";
    const std::array keys{
        wrong_key{"pool", "max_pool_size", "0", "10001", "from 1 to 10000"},
        wrong_key{"pool", "min_idle_connections", "-1", "10001", "from 0 to 10000"},
        wrong_key{"pool", "warm_up_size", "-1", "10001", "from 0 to 10000"},
        wrong_key{"pool", "max_idle_time", "0", "\"25h\"", "from 1s to 1d"},
        wrong_key{"pool", "max_lifetime", "\"10ms\"", "\"31d\"", "0 or from 1s to 30d"},
        wrong_key{"pool", "connection_timeout", "0", "\"11m\"", "from 1ms to 10m"},
        wrong_key{"pool", "validation_timeout", "0", "\"11m\"", "from 1ms to 10m"},
        wrong_key{"pool", "cleanup_interval", "\"10ms\"", "\"2h\"", "from 1s to 1h"},
        wrong_key{"pool", "acquire_timeout", "0", "\"11m\"", "from 1ms to 10m"},
        wrong_key{"pool", "acquire_queue", "-1", "1000001", "from 0 to 1000000"},
        wrong_key{"pool", "health_check_interval", "\"1ms\"", "\"25h\"", "from 100ms to 1d"},
        wrong_key{"pool", "max_failures", "0", "1001", "from 1 to 1000"},
        wrong_key{"pool", "lease_limit", "\"1ms\"", "\"31d\"", "0 or from 1s to 30d"},
        wrong_key{"pool.circuit_breaker", "failure_threshold", "-1", "1001", "from 0 to 1000"},
        wrong_key{"pool.circuit_breaker", "open_for", "0", "\"2h\"", "from 10ms to 1h"},
        wrong_key{"pool.circuit_breaker", "open_max", "0", "\"25h\"", "from 10ms to 1d"},
        wrong_key{"pool.degrade", "direct_max", "-1", "10001", "from 0 to 10000"},
        wrong_key{"pool.degrade", "http_fallback_status", "200", "600", "from 400 to 599"},
    };
    for (const wrong_key& one : keys) {
        const bool is_time =
            one.range.ends_with("d") || one.range.ends_with("m") || one.range.ends_with("h");
        const std::string range =
            fmt::format("{}{}", is_time ? time : std::string_view{"a whole number "}, one.range);
        for (const std::string_view value : {one.below, one.above}) {
            const std::string bare{value.front() == '"' ? value.substr(1, value.size() - 2)
                                                        : value};
            const std::string shown = value.front() == '"' ? fmt::format("\"{}\"", bare) : bare;
            EXPECT_EQ(problems(fmt::format("[{}]\n{} = {}\n", one.table, one.key, value)),
                      fmt::format("c.toml:2:{}: {}.{}: {} is not {}", one.key.size() + 4, one.table,
                                  one.key, shown, range));
            EXPECT_EQ(
                problems(fmt::format("{}[services.{}]\n{} = {}\n", web, one.table, one.key, value)),
                fmt::format("c.toml:6:{}: services.web.{}.{}: {} is not {}", one.key.size() + 4,
                            one.table, one.key, shown, range));
        }
    }
}

TEST_F(config_pool, min_idle_connections_wrong_in_every_way_is_refused) {
    const std::string range = " is not a whole number from 0 to 10000";
    const std::string place = "c.toml:2:24: pool.min_idle_connections: ";
    const auto said = [this](std::string_view value) {
        return problems(fmt::format("[pool]\nmin_idle_connections = {}\n", value));
    };
    EXPECT_EQ(said("\"5\""), place + "\"5\"" + range);
    EXPECT_EQ(said("5.5"), place + "5.5" + range);
    EXPECT_EQ(said("true"), place + "true" + range);
    EXPECT_EQ(said("[5]"), place + "a list" + range);
    EXPECT_EQ(said("99999999999999999"), place + "99999999999999999" + range);
    EXPECT_EQ(said("51"), place + "51 is more than max_pool_size, 50");
    EXPECT_EQ(problems("[pool]\nmin_idle_connection = 5\n"),
              "c.toml:2:1: pool.min_idle_connection: unknown key; did you mean "
              "\"min_idle_connections\"?");
    EXPECT_EQ(problems(web + "min_idle_connections = 5\n"),
              "c.toml:5:1: services.min_idle_connections: unknown key; \"min_idle_connections\" "
              "belongs into [pool]");
    set("pool.min_idle_connections=many");
    EXPECT_EQ(problems(""), "--set: pool.min_idle_connections: \"many\"" + range);
}

TEST_F(config_pool, every_key_refuses_what_is_of_another_type_with_line_and_column) {
    const std::array wrong{"true",     "[1]", "{ a = 1 }", "1979-05-27",        "5.5", "\"\"",
                           "\"soon\"", "-1",  "\"-1s\"",   "99999999999999999", "nan"};
    std::size_t checked = 0;
    for (const config_key& key : config_keys()) {
        if (!key.table.starts_with("pool")) continue;
        checked += 1;
        const std::string place = fmt::format("c.toml:2:{}: {}: ", key.name.size() + 4, key.path());
        for (const std::string_view value : wrong) {
            if (key.type == value_type::boolean && value == "true") continue;
            if (key.type == value_type::time && value == "5.5") continue;  // Seconds.
            const std::string said =
                problems(fmt::format("[{}]\n{} = {}\n", key.table, key.name, value));
            EXPECT_TRUE(said.starts_with(place)) << key.path() << " = " << value << ": " << said;
            EXPECT_NE(said.find(" is not "), std::string::npos) << said;
            EXPECT_EQ(said.find('\n'), std::string::npos) << said;
        }
    }
    EXPECT_GE(checked, 21U) << "of [pool] and its tables";
}

TEST_F(config_pool, words_that_are_none_of_a_choice_are_refused) {
    EXPECT_EQ(problems("[pool]\nprofile = \"wan\"\n"),
              "c.toml:2:11: pool.profile: \"wan\" is not one of: internet, lan, high-latency; did "
              "you mean \"lan\"?");
    EXPECT_EQ(problems("[pool]\nreuse = true\n"),
              "c.toml:2:9: pool.reuse: true is not one of: auto, off");
    EXPECT_EQ(problems("[pool]\nwarm_up_on_start = 1\n"),
              "c.toml:2:20: pool.warm_up_on_start: 1 is not true or false");
    EXPECT_EQ(problems(web + "[services.health_check]\ntype = \"ping\"\n"),
              "c.toml:6:8: services.web.health_check.type: \"ping\" is not one of: auto, off, tcp, "
              "http");
}

TEST_F(config_pool, keys_that_contradict_each_other_are_refused) {
    EXPECT_EQ(problems("[pool]\nmax_pool_size = 5\nmin_idle_connections = 6\n"),
              "c.toml:3:24: pool.min_idle_connections: 6 is more than max_pool_size, 5");
    EXPECT_EQ(problems("[pool.circuit_breaker]\nopen_for = \"2m\"\n"),
              "c.toml:2:12: pool.circuit_breaker.open_max: 1m is shorter than open_for, 2m");
    EXPECT_EQ(
        problems(web + "[services.pool.circuit_breaker]\nopen_max = \"1s\"\n"),
        "c.toml:6:12: services.web.pool.circuit_breaker.open_max: 1s is shorter than open_for, "
        "5s");
    EXPECT_EQ(problems(web + "[services.health_check]\ntype = \"tcp\"\npath = \"/up\"\n"),
              "c.toml:7:8: services.web.health_check.path: is asked for by checks of type \"http\" "
              "only; say type = \"http\" too");
    EXPECT_EQ(problems(web + "[services.health_check]\ninterval = \"1s\"\n"),
              "c.toml:6:12: services.web.health_check.timeout: 5s is longer than the interval, 1s");
}

TEST_F(config_pool, a_profile_presets_times_and_single_keys_override_it_whatever_their_order) {
    const pool_config lan = first(load("[pool]\nprofile = \"lan\"\n" + db)).pool;
    EXPECT_EQ(lan.connection_timeout, 3s);
    EXPECT_EQ(lan.max_idle_time, 90s);
    EXPECT_EQ(lan.validation_timeout, 1s);
    EXPECT_EQ(lan.acquire_timeout, 1s);
    EXPECT_EQ(lan.health_check_interval, 15s);
    const pool_config far = first(load("[pool]\nprofile = \"high-latency\"\n" + db)).pool;
    EXPECT_EQ(far.connection_timeout, 30s);
    EXPECT_EQ(far.max_idle_time, 600s);
    const pool_config own =
        first(load("[pool]\nmax_idle_time = \"61s\"\nprofile = \"lan\"\n" + db)).pool;
    EXPECT_EQ(own.max_idle_time, 61s);
    EXPECT_EQ(own.connection_timeout, 3s);
    EXPECT_EQ(own.max_pool_size, 50U);
}

TEST_F(config_pool, a_services_profile_stands_above_what_is_said_for_all) {
    const loaded_config config =
        load("[pool]\nconnection_timeout = \"7s\"\nmax_failures = 9\n" + web +
             "[services.pool]\nacquire_timeout = \"4s\"\nprofile = \"lan\"\n" + db);
    ASSERT_EQ(problems(config), "");
    const pool_config& lan = config.values.agent.services[0].pool;
    EXPECT_EQ(lan.connection_timeout, 3s);
    EXPECT_EQ(lan.acquire_timeout, 4s);
    EXPECT_EQ(lan.max_failures, 9U);
    EXPECT_EQ(config.values.agent.services[1].pool.connection_timeout, 7s);
}

TEST_F(config_pool, a_health_check_is_told_for_one_service) {
    const loaded_config config =
        load(web +
             "[services.health_check]\ntype = \"http\"\npath = \"/up\"\nexpected_status = 204\n"
             "interval = \"10s\"\ntimeout = \"1s\"\nmax_failures = 2\n");
    ASSERT_EQ(problems(config), "");
    const health_check_config& check = first(config).health_check;
    EXPECT_EQ(check.type, health_check_type::http);
    EXPECT_EQ(check.path, "/up");
    EXPECT_EQ(check.expected_status, 204U);
    EXPECT_EQ(check.interval, 10s);
    EXPECT_EQ(check.timeout, 1s);
    EXPECT_EQ(check.max_failures, 2U);
    EXPECT_EQ(problems(web + "[services.health_check]\ntype = \"http\"\nexpected_status = 99\n"),
              "c.toml:7:19: services.web.health_check.expected_status: 99 is not a whole number 0 "
              "or from 100 to 599");
}

TEST_F(config_pool, settings_and_variables_reach_every_table) {
    set("services.web.pool.circuit_breaker.open_for=2s");
    set("services.web.pool.degrade.direct_max=1");
    set("services.web.health_check.type=tcp");
    set("pool.degrade.direct_connect=false");
    sources_.environment = {{"TUNNEL_URING_POOL_CIRCUIT_BREAKER_FAILURE_THRESHOLD", "9"}};
    const loaded_config config = load(web);
    ASSERT_EQ(problems(config), "");
    EXPECT_TRUE(config.warnings.empty());
    const service_config& service = first(config);
    EXPECT_EQ(service.pool.circuit_breaker.open_for, 2s);
    EXPECT_EQ(service.pool.circuit_breaker.failure_threshold, 9U);
    EXPECT_EQ(service.pool.degrade.direct_max, 1U);
    EXPECT_FALSE(service.pool.degrade.direct_connect);
    EXPECT_EQ(service.health_check.type, health_check_type::tcp);
}

TEST_F(config_pool, is_printed_as_it_is_in_force_and_read_back) {
    loaded_config config = load(web +
                                "[services.health_check]\ntype = \"http\"\n[services.pool]\n"
                                "profile = \"high-latency\"\n[services.pool.degrade]\n"
                                "direct_max = 5\n");
    const std::string printed = print_config(config);
    for (const char* line :
         {"\n[pool.circuit_breaker]\n", "\n[services.health_check]\ntype = \"http\"  # file\n",
          "\n[services.pool]\nprofile = \"high-latency\"  # file\n",
          "\n#acquire_timeout = \"10s\"\n", "\n[services.pool.degrade]\n",
          "\ndirect_max = 5  # file\n"})
        EXPECT_NE(printed.find(line), std::string::npos) << line << printed;
    loaded_config again = load(printed);
    EXPECT_EQ(problems(again), "");
    EXPECT_EQ(print_config(again), printed);
}

}  // namespace
}  // namespace tunnel_uring
