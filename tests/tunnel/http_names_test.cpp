#include "tunnel/http_names.hpp"

#include <gtest/gtest.h>

#include "sim/sim_kernel.hpp"
#include "tunnel/session.hpp"

namespace tunnel_uring {
namespace {

class http_names_of : public testing::Test {
  protected:
    io_context io_{std::make_unique<sim::kernel>(sim::options{})};
    byte_path path_{io_, {.buffers = 16}};
    session lanes_{path_, end_role::relay, {}, nullptr, {}};
    http_service app_{.lanes = lanes_, .name = "app"};
    http_service zone_{.lanes = lanes_, .name = "zone"};
    http_service inner_{.lanes = lanes_, .name = "inner"};
    http_names names_;
    time_point now_{};
};

TEST_F(http_names_of, services_find_who_has_the_name) {
    names_.add("app.example.com", app_);
    EXPECT_EQ(names_.find("app.example.com"), &app_);
    EXPECT_EQ(names_.find("example.com"), nullptr);
    EXPECT_EQ(names_.find("x.app.example.com"), nullptr);
    EXPECT_EQ(names_.find(""), nullptr);
}

TEST_F(http_names_of, zones_find_all_below_them_but_not_the_zone_itself) {
    names_.add("*.example.com", zone_);
    EXPECT_EQ(names_.find("a.example.com"), &zone_);
    EXPECT_EQ(names_.find("a.b.example.com"), &zone_);
    EXPECT_EQ(names_.find("example.com"), nullptr);
    EXPECT_EQ(names_.find("badexample.com"), nullptr);
}

TEST_F(http_names_of, zones_within_zones_find_the_longest) {
    names_.add("*.example.com", zone_);
    names_.add("*.in.example.com", inner_);
    EXPECT_EQ(names_.find("a.in.example.com"), &inner_);
    EXPECT_EQ(names_.find("in.example.com"), &zone_);
    EXPECT_EQ(names_.find("a.b.in.example.com"), &inner_);
}

TEST_F(http_names_of, services_within_zones_find_the_name_itself) {
    names_.add("*.example.com", zone_);
    names_.add("app.example.com", app_);
    EXPECT_EQ(names_.find("app.example.com"), &app_);
    EXPECT_EQ(names_.find("other.example.com"), &zone_);
}

TEST_F(http_names_of, addresses_and_literals_find_nobody_by_chance) {
    names_.add("*.example.com", zone_);
    EXPECT_EQ(names_.find("192.0.2.1"), nullptr);
    EXPECT_EQ(names_.find("[2001:db8::1]"), nullptr);
}

TEST_F(http_names_of, the_first_holder_are_not_taken_by_a_second) {
    names_.add("app.example.com", app_);
    names_.add("app.example.com", zone_);
    EXPECT_EQ(names_.holder("app.example.com"), &app_);
    names_.remove("app.example.com", zone_, now_);
    EXPECT_EQ(names_.holder("app.example.com"), &app_);
}

TEST_F(http_names_of, holders_are_told_apart_from_zones) {
    names_.add("*.example.com", zone_);
    EXPECT_EQ(names_.holder("*.example.com"), &zone_);
    EXPECT_EQ(names_.holder("a.example.com"), nullptr);
}

TEST_F(http_names_of, the_departed_are_remembered_for_ten_minutes) {
    names_.add("app.example.com", app_);
    EXPECT_FALSE(names_.was_here("app.example.com", now_));
    names_.remove("app.example.com", app_, now_);
    EXPECT_EQ(names_.find("app.example.com"), nullptr);
    EXPECT_TRUE(names_.was_here("app.example.com", now_ + 9min));
    EXPECT_FALSE(names_.was_here("app.example.com", now_ + 10min));
    EXPECT_FALSE(names_.was_here("other.example.com", now_));
}

TEST_F(http_names_of, a_departed_zone_are_remembered_below_it) {
    names_.add("*.example.com", zone_);
    names_.remove("*.example.com", zone_, now_);
    EXPECT_TRUE(names_.was_here("a.example.com", now_ + 1min));
}

TEST_F(http_names_of, those_who_came_back_are_not_departed) {
    names_.add("app.example.com", app_);
    names_.remove("app.example.com", app_, now_);
    names_.add("app.example.com", app_);
    EXPECT_EQ(names_.find("app.example.com"), &app_);
    EXPECT_FALSE(names_.was_here("app.example.com", now_));
}

TEST_F(http_names_of, ten_thousand_departed_leave_room_once_they_are_old) {
    const auto part = [this](const std::string& name, time_point when) {
        names_.add(name, app_);
        names_.remove(name, app_, when);
    };
    for (int i = 0; i < 10'000; ++i) part("a" + std::to_string(i) + ".example.com", now_);
    part("late.example.com", now_ + 1min);
    EXPECT_FALSE(names_.was_here("late.example.com", now_ + 1min));
    part("later.example.com", now_ + 11min);
    EXPECT_TRUE(names_.was_here("later.example.com", now_ + 11min));
}

// ── what may be a name, and what covers one ──

TEST(service_name, is_a_dns_name_in_lower_case_perhaps_with_a_star_before_it) {
    for (const char* const name : {"a", "app", "a-b_c9.example.com", "*.example.com", "*.a"})
        EXPECT_TRUE(is_service_name(name)) << name;
    for (const char* const name : {"", "*", "*.", ".a", "a.", "a..b", "App", "a b", "a*.b", "**.a",
                                   "a.*.b", "[::1]", "a:80"})
        EXPECT_FALSE(is_service_name(name)) << name;
}

TEST(service_name, has_labels_of_63_bytes_and_253_in_all_at_most) {
    const std::string label(63, 'a');
    EXPECT_TRUE(is_service_name(label));
    EXPECT_FALSE(is_service_name(label + "a"));
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
    EXPECT_TRUE(is_service_name(longest));
    EXPECT_FALSE(is_service_name(longest + "a"));
}

TEST(label_pattern, stands_for_any_letters_digits_and_dashes_where_it_has_a_star) {
    EXPECT_TRUE(covers_label("app", "app"));
    EXPECT_TRUE(covers_label("app-*", "app-1"));
    EXPECT_TRUE(covers_label("app-*", "app-"));
    EXPECT_TRUE(covers_label("*-x-*", "a-x-x-b"));
    EXPECT_TRUE(covers_label("*", "anything_9"));
    EXPECT_FALSE(covers_label("app", "apps"));
    EXPECT_FALSE(covers_label("app", "ap"));
    EXPECT_FALSE(covers_label("app-*", "app"));
    EXPECT_FALSE(covers_label("*", "a.b"));
    EXPECT_FALSE(covers_label("*", "*.a"));
    EXPECT_FALSE(covers_label("", "a"));
}

TEST(name_pattern, is_a_name_a_zone_or_a_star_for_all) {
    EXPECT_TRUE(covers_name("*", "app.example.com"));
    EXPECT_TRUE(covers_name("app.example.com", "app.example.com"));
    EXPECT_TRUE(covers_name("*.example.com", "app.example.com"));
    EXPECT_TRUE(covers_name("*.example.com", "*.in.example.com"));
    EXPECT_TRUE(covers_name("*.example.com", "*.example.com"));
    EXPECT_FALSE(covers_name("*.example.com", "example.com"));
    EXPECT_FALSE(covers_name("*.example.com", ".example.com"));
    EXPECT_FALSE(covers_name("*.example.com", "badexample.com"));
    EXPECT_FALSE(covers_name("app.example.com", "x.app.example.com"));
}

}  // namespace
}  // namespace tunnel_uring
