// [admin], [metrics] and [[alerts]].
#include "app/config_print.hpp"
#include "app/config_world.hpp"

namespace tunnel_uring {
namespace {

class config_admin : public config_loader {};

const std::string alert = "[[alerts]]\nname = \"slow\"\n";
const std::string condition = "when = \"connection_acquire_time_p99 > 1s\"\n";

TEST_F(config_admin, listens_on_loopback_unless_told_and_then_it_must) {
    const loaded_config untold = load("");
    EXPECT_EQ(untold.values.agent.admin.listen, "127.0.0.1:4040");
    EXPECT_FALSE(untold.values.agent.admin.required);
    const loaded_config told = load("[admin]\nlisten = \"127.0.0.1:0\"\n");
    EXPECT_EQ(told.values.relay.admin.listen, "127.0.0.1:0");
    EXPECT_TRUE(told.values.relay.admin.required);
}

TEST_F(config_admin, takes_ports_paths_and_nothing) {
    const auto listen = [this](const std::string& text) {
        const loaded_config config = load("[admin]\nlisten = \"" + text + "\"\n");
        EXPECT_EQ(problems(config), "");
        return config.values.agent.admin.listen;
    };
    EXPECT_EQ(listen("4041"), "127.0.0.1:4041");
    EXPECT_EQ(listen(":4041"), "127.0.0.1:4041");
    EXPECT_EQ(listen("localhost:4041"), "127.0.0.1:4041");
    EXPECT_EQ(listen("[::1]:4041"), "[::1]:4041");
    EXPECT_EQ(listen("unix:/run/admin.sock"), "unix:/run/admin.sock");
    EXPECT_EQ(listen("off"), "");
    EXPECT_EQ(listen(""), "");
}

TEST_F(config_admin, refuses_what_cannot_be_listened_on) {
    EXPECT_EQ(
        problems("[admin]\nlisten = \"admin.example.com:80\"\n"),
        "c.toml:2:10: admin.listen: \"admin.example.com:80\" has a name for a host; write the "
        "number of an address to listen on, such as 0.0.0.0:7443");
    EXPECT_EQ(problems("[admin]\nlisten = \"127.0.0.1:99999\"\n"),
              "c.toml:2:10: admin.listen: \"127.0.0.1:99999\" is no address: a port is a number "
              "from 0 to 65535; write host:port, [v6]:port, a port alone, or unix:/path");
    EXPECT_EQ(problems("[admin]\nlisten = 4040\n"),
              "c.toml:2:10: admin.listen: 4040 is not an address to listen on, such as "
              "127.0.0.1:4040, unix:/path, or \"\"");
    EXPECT_EQ(problems("[relay]\ncontrol_listen = \"127.0.0.1:4040\"\n"),
              "c.toml:2:18: admin.listen: 127.0.0.1:4040 is relay.control_listen too; take another "
              "port");
    EXPECT_EQ(problems("[metrics]\nwindow = \"100ms\"\n"),
              "c.toml:2:10: metrics.window: \"100ms\" is not a duration (\"250ms\", \"10s\", "
              "\"5m\") from 1s to 1h");
}

TEST_F(config_admin, warns_of_one_that_others_reach) {
    const loaded_config config = load("[admin]\nlisten = \"0.0.0.0:4040\"\n");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_EQ(config.warnings[0],
              "admin.listen, 0.0.0.0:4040, is beyond loopback: whoever reaches it reads metrics "
              "and status");
}

TEST_F(config_admin, the_window_reaches_every_pool) {
    const loaded_config config = load(
        "[metrics]\nwindow = \"10s\"\n[[services]]\nname = \"a\"\ntype = \"tcp\"\nupstream = 1\n");
    EXPECT_EQ(config.values.agent.services.at(0).pool.metrics_window, 10s);
    EXPECT_EQ(config.values.relay.admin.metrics_window, 10s);
}

TEST_F(config_admin, alerts_are_three_until_some_are_told) {
    EXPECT_EQ(load("").values.agent.alerts.size(), 3U);
    EXPECT_EQ(load("alerts = []\n").values.agent.alerts.size(), 0U);
    const loaded_config config =
        load(alert + condition +
             "severity = \"major\"\nfor = \"5m\"\nexec = [\"/bin/echo\", \"a,b\", \"a,b\"]\n");
    ASSERT_EQ(problems(config), "");
    ASSERT_EQ(config.values.agent.alerts.size(), 1U);
    const alert_config& made = config.values.agent.alerts[0];
    EXPECT_EQ(made.name, "slow");
    EXPECT_EQ(made.severity, alert_severity::major);
    EXPECT_EQ(made.hold, 5min);
    EXPECT_EQ(made.exec, (std::vector<std::string>{"/bin/echo", "a,b", "a,b"}));
}

TEST_F(config_admin, alerts_are_set_by_their_names) {
    set("alerts.slow.for=3s");
    EXPECT_EQ(load(alert + condition).values.agent.alerts.at(0).hold, 3s);
}

TEST_F(config_admin, wrong_alerts_are_told_with_their_place) {
    EXPECT_EQ(problems(alert),
              "c.toml:1:1: alerts.slow.when: missing; write a condition, such as "
              "\"connection_acquire_time_p99 > 500ms\"");
    EXPECT_EQ(problems(alert + "when = \"connection_reuse_rat < 60%\"\n"),
              "c.toml:3:8: alerts.slow.when: at its character 1: there is no metric "
              "\"connection_reuse_rat\"; did you mean \"connection_reuse_rate\"?");
    EXPECT_EQ(
        problems(alert + "when = \"connection_reuse_rate < 1s\"\n"),
        "c.toml:3:8: alerts.slow.when: at its character 25: connection_reuse_rate is compared "
        "with a share, such as 60% or 0.6, or a metric like it");
    EXPECT_EQ(problems(alert + condition + "severity = \"mayor\"\n"),
              "c.toml:4:12: alerts.slow.severity: \"mayor\" is not one of: critical, major, "
              "warning; did you mean \"major\"?");
    EXPECT_EQ(problems(alert + condition + "fro = \"1s\"\n"),
              "c.toml:4:1: alerts.fro: unknown key; did you mean \"for\"?");
    EXPECT_EQ(problems(alert + condition + "exec = 3\n"),
              "c.toml:4:8: alerts.slow.exec: 3 is not a program and its arguments, such as "
              "[\"/usr/bin/logger\", \"an alert\"]");
    EXPECT_EQ(problems(alert + condition + alert + condition),
              "c.toml:4:1: alerts: two have the name \"slow\"; give each its own");
    EXPECT_EQ(problems("[alerts]\nname = \"slow\"\n"),
              "c.toml:1:2: alerts: there may be many; write [[alerts]], in two brackets");
}

TEST_F(config_admin, what_is_printed_is_read_back_the_same) {
    for (const std::string& text :
         {std::string{}, alert + condition + "exec = [\"/bin/echo\", \"a b\"]\n"}) {
        loaded_config config = load(text);
        const std::string printed = print_config(config);
        loaded_config again = load(printed);
        EXPECT_EQ(problems(again), "");
        EXPECT_EQ(again.values.agent.alerts.size(), config.values.agent.alerts.size());
    }
}

}  // namespace
}  // namespace tunnel_uring
