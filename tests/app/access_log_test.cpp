#include "app/access_log.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"

namespace tunnel_uring {
namespace {

request_report good() {
    request_report what;
    what.service = "web";
    what.visitor = "192.0.2.1:5000";
    what.method = "GET";
    what.host = "app.localhost:8080";
    what.target = "/api/items?page=2";
    what.status = 200;
    what.took = 380us;
    what.body_bytes = 1234;
    what.whole = true;
    return what;
}

std::string line(const request_report& what) {
    const std::string text = request_line(what, std::chrono::system_clock::time_point{204ms});
    EXPECT_EQ(text.substr(2, 1) + text.substr(5, 1) + text.substr(8, 4), "::.204") << text;
    return text.substr(12);
}

// What is logged of it, as logfmt.
std::string logged(const request_report& what, bool access = true) {
    log_config config;
    config.access = access;
    config.format = log_format::logfmt;
    configure_log(config);
    testing::internal::CaptureStderr();
    log_request(config, what);
    const std::string text = testing::internal::GetCapturedStderr();
    config.level = log_level::warn;
    configure_log(config);
    return text.substr(std::min(text.find(" level"), text.size()));
}

TEST(request_line, has_all_that_went_well_in_columns) {
    EXPECT_EQ(line(good()), "  200  GET   /api/items?page=2           0.38 ms  1.2 KB");
}

TEST(request_line, has_what_went_wrong_in_place_of_the_size) {
    request_report what = good();
    what.method = "POST";
    what.status = 502;
    what.sentence = "upstream refused (127.0.0.1:3000)";
    EXPECT_EQ(line(what),
              "  502  POST  /api/items?page=2           0.38 ms  upstream refused "
              "(127.0.0.1:3000)");
    what.sentence = {};
    what.whole = false;
    EXPECT_TRUE(line(what).ends_with("0.38 ms  cut")) << line(what);
    what.status = 0;
    EXPECT_TRUE(line(what).starts_with("  ---  POST")) << line(what);
    EXPECT_TRUE(line(what).ends_with("no answer")) << line(what);
}

TEST(request_line, obeys_no_visitor) {
    request_report what = good();
    const std::string target = "/\x1b[2J" + std::string(5000, 'x');
    what.target = target;
    const std::string text = line(what);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_NE(text.find("/\\x1b[2Jxxx"), std::string::npos) << text;
    EXPECT_LT(text.size(), 400U);
}

TEST(request_line, tells_long_times_in_seconds) {
    request_report what = good();
    what.took = 61s;
    EXPECT_NE(line(what).find("    61.0 s  "), std::string::npos) << line(what);
}

TEST(approximate_size, has_one_unit) {
    EXPECT_EQ(approximate_size(0), "0 B");
    EXPECT_EQ(approximate_size(999), "999 B");
    EXPECT_EQ(approximate_size(1000), "1.0 KB");
    EXPECT_EQ(approximate_size(999'949), "999.9 KB");
    EXPECT_EQ(approximate_size(999'960), "1.0 MB");
    EXPECT_EQ(approximate_size(3'400'000'000), "3.4 GB");
    EXPECT_EQ(approximate_size(UINT64_MAX), "18446744.1 TB");
}

TEST(log_request, has_a_field_for_each_thing) {
    EXPECT_EQ(logged(good()),
              " level=info event=request.ended msg=\"answered\" service=web visitor=192.0.2.1:5000 "
              "method=GET host=app.localhost:8080 path=\"/api/items?page=2\" status=200 ms=0.38 "
              "bytes=1234\n");
}

TEST(log_request, warns_of_what_went_wrong_with_its_sentence_and_advice) {
    request_report what = good();
    what.status = 403;
    what.sentence = "the upstream refuses this Host";
    what.advice = "say --host-header upstream";
    const std::string text = logged(what);
    EXPECT_NE(text.find("level=warn event=request.ended msg=\"the upstream refuses this Host\""),
              std::string::npos)
        << text;
    EXPECT_NE(text.find(" advice=\"say --host-header upstream\"\n"), std::string::npos) << text;
}

TEST(log_request, hides_only_what_went_well_where_access_is_off) {
    EXPECT_EQ(logged(good(), false), "");
    request_report what = good();
    what.whole = false;
    EXPECT_NE(logged(what, false), "");
    what = good();
    what.status = 500;
    EXPECT_EQ(logged(what, false), "") << "an answer of the service's own";
}

}  // namespace
}  // namespace tunnel_uring
