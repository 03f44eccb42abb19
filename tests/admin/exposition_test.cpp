#include "admin/exposition.hpp"

#include <gtest/gtest.h>

#include "admin/json_text.hpp"

namespace tunnel_uring {
namespace {

TEST(exposition, tells_a_family_and_its_samples) {
    exposition out;
    out.begin({"things_total", metric_kind::counter, "Things."});
    out.sample({}, 3);
    out.sample(metric_label("kind", "a") + "," + metric_label("of", "b"), 0.25);
    EXPECT_EQ(out.take(),
              "# HELP things_total Things.\n# TYPE things_total counter\nthings_total 3\n"
              "things_total{kind=\"a\",of=\"b\"} 0.25\n");
}

TEST(exposition, escapes_what_would_end_a_label) {
    EXPECT_EQ(metric_label("name", "a\"b\\c\nd"), "name=\"a\\\"b\\\\c\\nd\"");
}

TEST(exposition, tells_a_histogram_whose_buckets_rise_to_its_count) {
    histogram spread;
    spread.add(1us);
    spread.add(3ms);
    spread.add(1h);
    exposition out;
    out.begin({"took_seconds", metric_kind::histogram, "Took."});
    out.samples(metric_label("a", "b"), spread);
    const std::string text = out.take();
    EXPECT_NE(text.find("took_seconds_bucket{a=\"b\",le=\"1.024e-06\"} 1\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_bucket{a=\"b\",le=\"0.004194304\"} 2\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_bucket{a=\"b\",le=\"17.179869184\"} 2\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_sum{a=\"b\"} 3600.003001\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_count{a=\"b\"} 3\n"), std::string::npos);
}

TEST(exposition, tells_a_histogram_without_labels) {
    exposition out;
    out.begin({"took_seconds", metric_kind::histogram, "Took."});
    out.samples({}, {});
    const std::string text = out.take();
    EXPECT_NE(text.find("took_seconds_bucket{le=\"+Inf\"} 0\n"), std::string::npos);
    EXPECT_NE(text.find("took_seconds_count 0\n"), std::string::npos);
}

TEST(json_text, separates_members_and_items) {
    json_text out;
    out.open_object();
    out.text("a", "x\"y");
    out.open_list("b");
    out.number({}, 1);
    out.open_object();
    out.null("c");
    out.truth("d", true);
    out.close_object();
    out.close_list();
    out.open_list("e");
    out.close_list();
    out.number("f", 0.5);
    out.close_object();
    EXPECT_EQ(out.take(), R"({"a":"x\"y","b":[1,{"c":null,"d":true}],"e":[],"f":0.5})");
}

}  // namespace
}  // namespace tunnel_uring
