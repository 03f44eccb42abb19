#include "app/status_command.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/clock.hpp"

namespace tunnel_uring {
namespace {

nlohmann::json lanes() {
    return {{"shared", 4}, {"bulk_sending", 2}, {"bulk_receiving", 2}, {"exchanges", 3}};
}

nlohmann::json agent_status() {
    const nlohmann::json web{
        {"name", "web"},
        {"upstream", "3000"},
        {"state", "open"},
        {"urls", {"http://app.localhost:8080"}},
        {"refusals", nlohmann::json::array()},
        {"requests", {{"rate", 41.25}, {"p50_seconds", 0.00041}, {"p99_seconds", 0.0019}}},
        {"pool",
         {{"idle", 10}, {"busy", 1}, {"max", 50}, {"reuse_rate", 0.987}, {"breaker", "closed"}}},
        {"alerts",
         {{{"name", "slow"}, {"state", "firing"}}, {{"name", "low"}, {"state", "pending"}}}}};
    const nlohmann::json db{
        {"name", "db"},
        {"upstream", "5432"},
        {"state", "closed"},
        {"urls", nlohmann::json::array()},
        {"refusals", {"port 5432 is taken by another agent"}},
        {"pool",
         {{"idle", 0}, {"busy", 0}, {"max", 1000}, {"reuse_rate", nullptr}, {"breaker", "open"}}},
        {"alerts", nlohmann::json::array()}};
    return {{"role", "agent"},
            {"version", "0.1.0"},
            {"pid", 7},
            {"uptime_seconds", 192.5},
            {"cpu_seconds", 1.25},
            {"resident_bytes", 10485760},
            {"ready", false},
            {"missing", "the service db was refused"},
            {"relays",
             {{{"address", "relay.example.com:7443"},
               {"connected", true},
               {"seconds", 190.0},
               {"round_trip_seconds", 0.0118},
               {"lanes", lanes()}},
              {{"address", "other.example.com:7443"},
               {"connected", false},
               {"seconds", 5.0},
               {"trouble", "Connection refused"},
               {"round_trip_seconds", nullptr},
               {"lanes", lanes()}}}},
            {"services", {web, db}},
            {"exchanges", {{"open", 3}, {"complete", 1201}, {"cut", 2}}},
            {"bytes", {{"received", 3670016}, {"sent", 512}}}};
}

TEST(status_text, of_an_agent_is_a_table) {
    EXPECT_EQ(status_text(agent_status()),
              "agent 0.1.0   pid 7   up 3m12s   10.0 MiB resident, 1.2 s CPU\n"
              "not ready: the service db was refused\n"
              "relay  relay.example.com:7443  connected for 3m10s, RTT 11.8ms, 4 shared + 4 bulk "
              "lanes\n"
              "relay  other.example.com:7443  away for 5s: Connection refused\n"
              "exchanges  3 open, 1201 complete, 2 cut; 3.5 MiB received, 512 B sent\n"
              "\n"
              "service  state   idle  busy  max   req/s  p50    p99    reuse   breaker  alerts\n"
              "web      open    10    1     50    41.2   410us  1.9ms  98.7 %  closed   slow\n"
              "db       closed  0     0     1000  -      -      -      -       open     -\n"
              "http://app.localhost:8080  ->  3000\n"
              "db: port 5432 is taken by another agent\n");
}

TEST(status_text, lets_no_control_byte_through) {
    nlohmann::json status = agent_status();
    status["relays"][1]["trouble"] = "\x1b[2J";
    EXPECT_NE(status_text(status).find("away for 5s: \\x1b[2J\n"), std::string::npos);
}

TEST(asking_for_status, where_nothing_listens_says_what_to_do) {
    admin_config config;
    config.listen = "unix:/nonexistent/admin.sock";
    const result<std::string> answer = ask_for_status(config);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().sentence(),
              "no agent or relay answers at unix:/nonexistent/admin.sock (No such file or "
              "directory); start one, or say --admin <addr> where it listens");
}

TEST(asking_for_status, of_any_port_or_of_none_says_what_to_do) {
    admin_config config;
    config.listen = "127.0.0.1:0";
    EXPECT_EQ(ask_for_status(config).error().sentence(),
              "127.0.0.1:0 stands for any port; say --admin <addr>, as `listening admin` printed "
              "it");
    config.listen = "";
    EXPECT_EQ(ask_for_status(config).error().sentence(),
              "the admin listener is off (admin.listen, --admin), and nothing else tells");
}

}  // namespace
}  // namespace tunnel_uring
