// What is exported and what docs/metrics.md says: the same families, kinds and words.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "admin/agent_pages.hpp"
#include "admin/relay_pages.hpp"
#include "sim/sim_kernel.hpp"

namespace tunnel_uring {
namespace {

class deaf_agent final : public agent_observer {
    void connected(std::string_view) override {}
    void disconnected(std::string_view, std::string_view) override {}
    void retrying(std::string_view, std::string_view, std::uint32_t, duration) override {}
    void refused(std::string_view, std::uint16_t, std::string_view) override {}
    void service_open(std::string_view, std::span<const std::string>) override {}
    void service_refused(std::string_view, std::uint16_t, std::string_view) override {}
    void upstream_down(std::string_view, std::string_view) override {}
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}
};

class deaf_relay final : public relay_observer {
    void agent_connected(std::string_view, std::string_view) override {}
    void agent_gone(std::string_view, std::string_view) override {}
    void connection_refused(std::string_view, std::string_view) override {}
    void port_opened(std::string_view, std::string_view, std::string_view) override {}
    void port_closed(std::string_view, std::string_view, std::string_view) override {}
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}
};

class metrics : public testing::Test {
  protected:
    metrics() {
        config_.services.resize(2);
        config_.services[0].name = "we\"b";
        config_.services[0].type = service_kind::http;
        config_.services[0].upstream = "3000";
        config_.services[1].name = "db";
        config_.services[1].upstream = "unix:/run/db.sock";
        status_.relays.resize(1);
        status_.relays[0].relay = "relay.example.com:7443";
        status_.relays[0].places.resize(2);
        for (const service_config& service : config_.services)
            status_.services.push_back({&service, {}});
        meter_.emplace(io_, config_, deaf_);
    }
    agent_view view() { return {{}, status_, {}, *meter_, alerts_, io_.now()}; }

    io_context io_{std::make_unique<sim::kernel>(sim::options{})};
    agent_config config_;
    agent_status status_;
    std::vector<alert_view> alerts_;
    deaf_agent deaf_;
    std::optional<agent_meter> meter_;
};

// "name" → "kind: help", of "# HELP" and "# TYPE".
std::map<std::string, std::string> families(const std::string& text) {
    std::map<std::string, std::string> found;
    std::map<std::string, std::string> help;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("# ")) continue;
        const std::size_t name_end = line.find(' ', 7);
        const std::string name = line.substr(7, name_end - 7);
        if (line.starts_with("# HELP ")) help[name] = line.substr(name_end + 1);
        else EXPECT_TRUE(found.emplace(name, line.substr(name_end + 1) + ": " + help[name]).second);
    }
    return found;
}

// The rows `| name | kind | help |` of the document.
std::map<std::string, std::string> documented() {
    std::ifstream file{std::string{TUNNEL_URING_SOURCE_ROOT} + "/docs/metrics.md"};
    std::map<std::string, std::string> found;
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("| `")) continue;
        const std::size_t name_end = line.find("` | ");
        const std::size_t kind_end = line.find(" | ", name_end + 4);
        const std::string kind = line.substr(name_end + 4, kind_end - name_end - 4);
        const std::string help = line.substr(kind_end + 3, line.size() - kind_end - 5);
        EXPECT_TRUE(found.emplace(line.substr(3, name_end - 3), kind + ": " + help).second);
    }
    return found;
}

TEST_F(metrics, are_those_of_the_document) {
    deaf_relay deaf;
    relay_meter relay{io_, 60s, deaf};
    std::map<std::string, std::string> exported = families(agent_metrics(view()));
    exported.merge(families(relay_metrics({{}, {}, {}, relay, io_.now()})));
    const std::map<std::string, std::string> told = documented();
    for (const auto& [name, what] : exported) {
        const std::string row = "| `" + name + "` | " + what;
        ASSERT_TRUE(told.contains(name)) << row;
        EXPECT_EQ(told.at(name), what) << row;
    }
    for (const auto& [name, what] : told) EXPECT_TRUE(exported.contains(name)) << name;
}

TEST_F(metrics, of_a_pool_that_has_done_nothing_tell_no_rates) {
    const std::string text = agent_metrics(view());
    EXPECT_NE(text.find("connection_pool_idle_current{service=\"we\\\"b\",pool=\"3000\"} 0\n"),
              std::string::npos);
    EXPECT_EQ(text.find("connection_reuse_rate{"), std::string::npos);
    status_.services[1].pool.reuse_rate = 0.5;
    status_.services[1].pool.acquire_time_p99 = 2ms;
    const std::string later = agent_metrics(view());
    EXPECT_NE(later.find("connection_reuse_rate{service=\"db\",pool=\"unix:/run/db.sock\"} 0.5\n"),
              std::string::npos);
    EXPECT_NE(later.find(
                  "connection_acquire_time_p99{service=\"db\",pool=\"unix:/run/db.sock\"} 0.002\n"),
              std::string::npos);
}

TEST_F(metrics, count_requests_by_class_and_time) {
    request_report report;
    report.service = "we\"b";
    report.status = 204;
    report.took = 3ms;
    report.whole = true;
    meter_->request_ended(report);
    report.status = 0;
    meter_->request_ended(report);
    const std::string text = agent_metrics(view());
    const std::string labels = "{service=\"we\\\"b\",pool=\"3000\"";
    EXPECT_NE(text.find("tunnel_uring_http_requests_total" + labels + ",code=\"2xx\"} 1\n"),
              std::string::npos);
    EXPECT_NE(text.find("tunnel_uring_http_requests_total" + labels + ",code=\"none\"} 1\n"),
              std::string::npos);
    EXPECT_NE(text.find("tunnel_uring_http_request_duration_seconds_count" + labels + "} 2\n"),
              std::string::npos);
}

TEST_F(metrics, readiness_says_what_is_missing) {
    status_.relays[0].trouble = "Connection refused";
    EXPECT_EQ(agent_not_ready(status_),
              "not connected to the relay relay.example.com:7443: Connection refused");
    status_.relays[0].connected = true;
    status_.relays[0].places[0].urls = {"http://a.localhost"};
    EXPECT_EQ(agent_not_ready(status_),
              "the service db is not open yet: its pool warms up, or the relay has not answered");
    status_.relays[0].places[1].refusal = "port 5 is taken";
    EXPECT_EQ(agent_not_ready(status_),
              "the service db was refused by relay.example.com:7443: port 5 is taken");
    status_.relays[0].places[1].urls = {"tcp://a.localhost:5"};
    EXPECT_EQ(agent_not_ready(status_), "");
}

}  // namespace
}  // namespace tunnel_uring
