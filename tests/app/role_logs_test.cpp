// What an agent prints on stdout, in each of its forms.
#include "app/role_logs.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include "base/log.hpp"

namespace tunnel_uring {
namespace {

// Ctrl+C ends the tests all the same: stop_signals blocks it.
class unblocked_signals {
  public:
    unblocked_signals() noexcept { pthread_sigmask(SIG_SETMASK, nullptr, &before_); }
    ~unblocked_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    unblocked_signals(const unblocked_signals&) = delete;
    unblocked_signals& operator=(const unblocked_signals&) = delete;

  private:
    sigset_t before_{};
};

class agent_prints : public testing::Test {
  protected:
    agent_prints() {
        service_config web;
        web.name = "web";
        web.type = service_kind::http;
        web.upstream = "3000";
        config_.services.push_back(web);
        log_.level = log_level::error;
        configure_log(log_);
    }

    ~agent_prints() override {
        log_config quiet;
        quiet.level = log_level::warn;
        configure_log(quiet);
    }

    // What `what` prints on stdout.
    std::string print(const std::function<void(agent_log&)>& what) {
        const unblocked_signals after;
        stop_signals signals;
        agent_log watcher{config_, log_, output_, signals};
        testing::internal::CaptureStdout();
        what(watcher);
        return testing::internal::GetCapturedStdout();
    }

    const std::vector<std::string> urls_{"http://app.localhost:8080", "http://app.example:8080"};
    agent_config config_;
    log_config log_;
    agent_output output_;
};

TEST_F(agent_prints, a_line_for_each_url_of_each_service) {
    EXPECT_EQ(print([this](agent_log& watcher) { watcher.service_open("web", urls_); }),
              "service web http://app.localhost:8080\nservice web http://app.example:8080\n");
}

TEST_F(agent_prints, nothing_but_urls_where_that_is_asked_for) {
    output_.what = agent_output::form::urls;
    EXPECT_EQ(print([this](agent_log& watcher) {
                  watcher.connected("127.0.0.1:7443");
                  watcher.service_open("web", urls_);
                  watcher.upstream_down("web", "connection refused");
                  request_report what;
                  watcher.request_ended(what);
              }),
              "http://app.localhost:8080\nhttp://app.example:8080\n");
}

TEST_F(agent_prints, urls_again_only_when_they_are_others) {
    EXPECT_EQ(print([this](agent_log& watcher) {
                  const std::span<const std::string> both{urls_};
                  watcher.service_open("web", both.first(1));
                  watcher.disconnected("127.0.0.1:7443", "gone");
                  watcher.service_open("web", both.first(1));
                  watcher.service_open("web", both.last(1));
              }),
              "service web http://app.localhost:8080\nservice web http://app.example:8080\n");
}

TEST_F(agent_prints, where_urls_lead_and_then_each_request_for_a_person) {
    output_.what = agent_output::form::requests;
    const std::string text = print([this](agent_log& watcher) {
        watcher.connected("127.0.0.1:7443");
        watcher.service_open("web", urls_);
        request_report what;
        what.method = "GET";
        what.target = "/";
        what.status = 403;
        what.whole = true;
        what.advice = "say --host-header upstream";
        watcher.request_ended(what);
        watcher.request_ended(what);
    });
    EXPECT_TRUE(
        text.starts_with("Public      http://app.localhost:8080  ->  http://localhost:3000\n"
                         "            http://app.example:8080  ->  http://localhost:3000\n"
                         "Relay       127.0.0.1:7443  connected  (Ctrl+C to quit)\n\n"))
        << text;
    const std::size_t advice = text.find("\n              -> say --host-header upstream\n");
    EXPECT_NE(advice, std::string::npos) << text;
    EXPECT_EQ(text.find("say --host-header", advice + 30), std::string::npos) << "said once";
    EXPECT_NE(text.find("403  GET   / ", advice), std::string::npos) << text;
}

TEST_F(agent_prints, no_request_that_went_well_where_access_is_off) {
    output_.what = agent_output::form::requests;
    log_.access = false;
    EXPECT_EQ(print([](agent_log& watcher) {
                  request_report what;
                  what.status = 200;
                  what.whole = true;
                  watcher.request_ended(what);
              }),
              "");
}

TEST_F(agent_prints, a_warning_of_an_upstream_that_is_down) {
    log_.level = log_level::warn;
    log_.format = log_format::logfmt;
    configure_log(log_);
    testing::internal::CaptureStderr();
    print([](agent_log& watcher) { watcher.upstream_down("web", "Connection refused"); });
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_NE(
        text.find("level=warn event=upstream.down msg=\"Connection refused; start it: visitors "
                  "are refused until it answers\" service=web upstream=3000"),
        std::string::npos)
        << text;
}

TEST_F(agent_prints, a_line_of_what_a_pool_notices) {
    log_.level = log_level::info;
    log_.format = log_format::logfmt;
    configure_log(log_);
    testing::internal::CaptureStderr();
    print([](agent_log& watcher) {
        watcher.breaker_opened("web", "Connection refused");
        watcher.breaker_closed("web");
        watcher.preconnect_stopped("web");
        watcher.lease_overdue("web", "upstream.cpp:70", std::chrono::hours{1});
    });
    const std::string text = testing::internal::GetCapturedStderr();
    for (const char* words :
         {"level=warn event=breaker.open msg=\"Connection refused; it is asked again",
          "level=info event=breaker.closed msg=\"the service is back\" service=web",
          "level=warn event=pool.preconnect_off msg=\"the service serves one connection at a time",
          "level=warn event=pool.lease_overdue", "taken_at=upstream.cpp:70"})
        EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
}

TEST(agent_log, gives_up_when_it_is_refused_before_anything_worked_and_not_later) {
    const agent_config config;
    log_config log;
    log.level = log_level::error;
    configure_log(log);
    agent_output output;
    output.what = agent_output::form::urls;
    const std::vector<std::string> urls{"http://a"};
    for (const bool worked : {false, true}) {
        const unblocked_signals after;
        stop_signals signals;
        agent_log watcher{config, log, output, signals};
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        if (worked) watcher.service_open("web", urls);
        watcher.service_refused("web", 1, "another agent has this name");
        testing::internal::GetCapturedStdout();
        testing::internal::GetCapturedStderr();
        EXPECT_EQ(watcher.gave_up(), !worked);
        EXPECT_EQ(signals.stop().requested(), !worked);
    }
}

TEST(upstream_text, is_a_url_or_the_path_of_a_socket) {
    service_config service;
    service.type = service_kind::http;
    service.upstream = "127.0.0.1:3000";
    EXPECT_EQ(upstream_text(service), "http://127.0.0.1:3000");
    service.upstream = "unix:/run/app.sock";
    EXPECT_EQ(upstream_text(service), "unix:/run/app.sock");
    service.type = service_kind::tcp;
    service.upstream = "5432";
    EXPECT_EQ(upstream_text(service), "tcp://localhost:5432");
}

}  // namespace
}  // namespace tunnel_uring
