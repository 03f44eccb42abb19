#include "app/host_names.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tunnel_uring {
namespace {

using check = text_problem (*)(std::string&);

// The text as it is kept, or what is wrong with it.
std::string put(check what, std::string text) {
    const text_problem wrong = what(text);
    return wrong ? "wrong: " + *wrong : text;
}
bool takes(check what, std::string text) { return !what(text); }

TEST(domain, is_kept_in_lower_case_without_a_final_dot) {
    EXPECT_EQ(put(check_domain, "Tunnel.Example.COM."), "tunnel.example.com");
    EXPECT_EQ(put(check_domain, "localhost"), "localhost");
    EXPECT_EQ(put(check_domain, "_x.xn--bcher-kva.example"), "_x.xn--bcher-kva.example");
}

TEST(domain, is_told_what_is_wrong_with_it) {
    EXPECT_EQ(put(check_domain, ""), "wrong: a name is missing, such as tunnel.example.com");
    EXPECT_EQ(put(check_domain, "https://a.example"),
              "wrong: \"https://a.example\" is a URL; write the name alone, without scheme and "
              "path");
    EXPECT_EQ(put(check_domain, "a.example:80"),
              "wrong: \"a.example:80\" has a port; write the name alone");
    EXPECT_EQ(put(check_domain, "a.example/x"),
              "wrong: \"a.example/x\" holds a slash; write the name alone");
    EXPECT_EQ(put(check_domain, "a..b"),
              "wrong: \"a..b\" has an empty part: two dots, or one at an end");
    EXPECT_EQ(put(check_domain, "-a.b"),
              "wrong: \"-a.b\" has a part that begins or ends with \"-\"");
    EXPECT_EQ(put(check_domain, "a b"),
              "wrong: \"a b\" holds \" \"; a name has letters, digits, \"-\", \"_\" and dots");
    EXPECT_EQ(put(check_domain, "bücher.example"),
              "wrong: \"bücher.example\" has letters beyond ASCII; write it as DNS has it, "
              "\"xn--…\"");
    EXPECT_EQ(put(check_domain, "192.0.2.1"),
              "wrong: \"192.0.2.1\" is the number of an address; there are no names below one");
    EXPECT_EQ(put(check_domain, "*.example.com"),
              "wrong: \"*.example.com\" has a \"*\" where none may be; a zone is "
              "\"*.example.com\"");
}

TEST(domain, has_the_lengths_of_dns) {
    EXPECT_TRUE(takes(check_domain, std::string(63, 'a') + ".b"));
    EXPECT_EQ(put(check_domain, std::string(64, 'a')),
              "wrong: \"" + std::string(64, 'a') + "\" has a part of more than 63 characters");
    std::string name;
    for (int i = 0; i < 126; ++i) name += "a.";
    EXPECT_TRUE(takes(check_domain, name + "b"));
    EXPECT_FALSE(takes(check_domain, name + "bc"));
}

TEST(subdomain, is_a_label_or_several) {
    EXPECT_EQ(put(check_subdomain, "App"), "app");
    EXPECT_EQ(put(check_subdomain, "a.b"), "a.b");
    EXPECT_EQ(put(check_subdomain, ""), "");
    for (const char* text : {"a.", ".a", "*", "app-*", "a:1", "a-"})
        EXPECT_FALSE(takes(check_subdomain, text)) << text;
}

TEST(subdomain_pattern, has_stars_anywhere_in_a_label) {
    EXPECT_EQ(put(check_subdomain_pattern, "App-*"), "app-*");
    for (const char* text : {"*", "a*b", "*.app", "app"})
        EXPECT_TRUE(takes(check_subdomain_pattern, text)) << text;
    for (const char* text : {"", "a..b", "app-", "?"})
        EXPECT_FALSE(takes(check_subdomain_pattern, text)) << text;
}

TEST(hostname, is_a_name_or_a_zone) {
    EXPECT_EQ(put(check_hostname, "App.Example.com."), "app.example.com");
    EXPECT_EQ(put(check_hostname, "*.Example.com"), "*.example.com");
    EXPECT_TRUE(takes(check_hostname, "192.0.2.1")) << "a relay without a name has its number";
    for (const char* text : {"", ".", "*", "*.", "a.*.b", "app*.example.com", "http://a"})
        EXPECT_FALSE(takes(check_hostname, text)) << text;
    EXPECT_TRUE(takes(check_hostname_pattern, "*"));
    EXPECT_TRUE(takes(check_hostname_pattern, "*.example.com"));
    EXPECT_FALSE(takes(check_hostname_pattern, "**"));
}

TEST(network, is_an_address_or_a_prefix_of_some_in_one_form) {
    EXPECT_EQ(put(check_network, "127.0.0.1"), "127.0.0.1");
    EXPECT_EQ(put(check_network, "10.0.0.0/8"), "10.0.0.0/8");
    EXPECT_EQ(put(check_network, "0.0.0.0/0"), "0.0.0.0/0");
    EXPECT_EQ(put(check_network, "FD00:0:0::/8"), "fd00::/8");
    EXPECT_EQ(put(check_network, "::1/128"), "::1/128");
}

TEST(network, is_told_what_is_wrong_with_it) {
    EXPECT_EQ(put(check_network, "10.1.2.3/8"),
              "wrong: \"10.1.2.3/8\" has bits beyond its prefix; write 10.0.0.0/8");
    EXPECT_EQ(put(check_network, "fd00::1/64"),
              "wrong: \"fd00::1/64\" has bits beyond its prefix; write fd00::/64");
    EXPECT_EQ(put(check_network, "10.0.0.0/33"),
              "wrong: \"10.0.0.0/33\" has a prefix that is no number from 0 to 32");
    for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "proxy.example",
                             "::1/129", "[::1]", "10.0.0.0/99999999999", "10.0.0.0/8/8"})
        EXPECT_FALSE(takes(check_network, text)) << text;
}

TEST(public_url, is_a_scheme_and_a_host_and_perhaps_a_port) {
    EXPECT_EQ(put(check_public_url, "HTTPS://Tunnel.Example.com/"), "https://tunnel.example.com");
    EXPECT_EQ(put(check_public_url, "http://localhost:8080"), "http://localhost:8080");
    EXPECT_EQ(put(check_public_url, "https://[2001:db8::1]:8443"), "https://[2001:db8::1]:8443");
    EXPECT_EQ(put(check_public_url, ""), "");
}

TEST(public_url, is_told_what_is_wrong_with_it) {
    EXPECT_EQ(put(check_public_url, "https://a.example/app"),
              "wrong: \"https://a.example/app\" has a path; services are names, not paths: end it "
              "after the port");
    EXPECT_EQ(put(check_public_url, "tunnel.example.com"),
              "wrong: \"tunnel.example.com\" is no URL of http or https; write such as "
              "https://tunnel.example.com");
    EXPECT_EQ(put(check_public_url, "https://a.example:0"),
              "wrong: \"https://a.example:0\" has a port that is no number from 1 to 65535");
    for (const char* text : {"ftp://a", "http://", "http:///", "https://u@a", "https://a?x",
                             "https://a#x", "https://a:65536", "https://a:", "https://[::1",
                             "https://[x]", "https://[", "https://a b"})
        EXPECT_FALSE(takes(check_public_url, text)) << text;
}

TEST(public_url, gives_away_its_host) {
    EXPECT_EQ(host_of_url("https://tunnel.example.com:8443"), "tunnel.example.com");
    EXPECT_EQ(host_of_url("http://[::1]:80"), "[::1]");
    EXPECT_EQ(host_of_url(""), "");
}

TEST(url_path, begins_with_a_slash_and_has_no_query) {
    for (const char* text : {"", "/", "/.tunnel-uring/health", "/a%20b"})
        EXPECT_TRUE(takes(check_url_path, text)) << text;
    EXPECT_EQ(put(check_url_path, "health"),
              "wrong: \"health\" does not begin with \"/\"; write such as /health");
    for (const char* text : {"/a b", "/a?b", "/a#b", "/ü", "/\x01"})
        EXPECT_FALSE(takes(check_url_path, text)) << text;
}

TEST(host_header, is_a_mode_or_a_host) {
    for (const char* text : {"preserve", "upstream", "localhost", "localhost:3000", "[::1]:3000"})
        EXPECT_EQ(put(check_host_header, text), text);
    EXPECT_EQ(put(check_host_header, "App.Example:80"), "app.example:80");
    EXPECT_EQ(put(check_host_header, "upstraem"),
              "wrong: \"upstraem\" is neither \"preserve\" nor \"upstream\"; did you mean "
              "\"upstream\"?");
    for (const char* text : {"", "a b", "http://a", "a:x", "a\r\nb", "a/b"})
        EXPECT_FALSE(takes(check_host_header, text)) << text;
}

TEST(names, that_are_wrong_are_shown_so_that_no_terminal_obeys_them) {
    for (const check what : {check_domain, check_hostname, check_network, check_public_url,
                             check_url_path, check_host_header, check_subdomain})
        EXPECT_EQ(put(what, "\x1b[2J").find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace tunnel_uring
