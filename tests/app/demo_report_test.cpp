#include "app/demo_report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/demo_services.hpp"

namespace tunnel_uring {
namespace {

demo_report whole() {
    demo_report report;
    report.relay_address = "127.0.0.1:1";
    report.http_address = "127.0.0.1:2";
    report.hello.url = "http://demo.localhost:2/hello";
    report.hello.status = "200";
    report.hello.body = hello_text;
    report.hello.took = 310us;
    report.bulk.right = true;
    for (tcp_shape& one : report.tcp) one.right = 3;
    for (http_shape& one : report.http) {
        one.right = 2;
        one.took = {1ms, 2ms};
        one.whole = 4ms;
    }
    return report;
}

TEST(demo_report, passes_only_when_all_was_asked_and_all_was_right) {
    EXPECT_TRUE(whole().ok());
    const std::vector<void (*)(demo_report&)> ways{
        [](demo_report& report) { report.http[1].wrong = 1; },
        [](demo_report& report) { report.http[2].right = 0; },
        [](demo_report& report) { report.tcp[1].wrong = 1; },
        [](demo_report& report) { report.bulk.right = false; },
        [](demo_report& report) { report.hello.status = "502"; },
        [](demo_report& report) { report.hello.body = "other"; },
        [](demo_report& report) { report.trouble = "any"; }};
    for (const auto& spoil : ways) {
        demo_report report = whole();
        spoil(report);
        EXPECT_FALSE(report.ok());
        EXPECT_NE(report_text(report).find("\nFAIL in "), std::string::npos);
    }
}

TEST(demo_report, shows_the_request_and_every_shape) {
    const std::string text = report_text(whole());
    EXPECT_NE(text.find("relay    127.0.0.1:1   visitors http 127.0.0.1:2\n"), std::string::npos);
    EXPECT_NE(text.find("request  GET http://demo.localhost:2/hello -> 200 \"hello from the sample "
                        "service\"   0.31 ms\n"),
              std::string::npos)
        << text;
    for (const char* name :
         {"direct", "pool on", "pool off", "http direct", "http pool on", "http pool off"})
        EXPECT_NE(text.find("\n" + std::string{name} + " "), std::string::npos) << name;
    EXPECT_NE(text.find("\nPASS in "), std::string::npos);
}

TEST(demo_report, is_one_object_for_machines) {
    const nlohmann::json out = nlohmann::json::parse(report_json(whole()));
    EXPECT_EQ(out["ok"], true);
    EXPECT_EQ(out["hello"]["status"], "200");
    ASSERT_EQ(out["shapes"].size(), 6U);
    EXPECT_EQ(out["shapes"][4]["name"], "http pool on");
    EXPECT_EQ(out["shapes"][4]["right"], 2);
    EXPECT_EQ(out["shapes"][4]["request_ms_p50"], 1.0);
    EXPECT_EQ(out["shapes"][4]["requests_per_second"], 500.0);
}

}  // namespace
}  // namespace tunnel_uring
