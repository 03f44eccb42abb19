// Addresses as people write them.
#include "net/address.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace tunnel_uring {
namespace {

host_port parsed(std::string_view text) {
    const result<host_port> where = parse_host_port(text);
    EXPECT_TRUE(where) << text;
    return where ? *where : host_port{};
}

std::string refusal_of(std::string_view text) {
    const result<host_port> where = parse_host_port(text);
    EXPECT_FALSE(where) << text;
    if (where) return {};
    EXPECT_EQ(where.error().code(), EINVAL);
    return where.error().sentence();
}

socket_address numeric(std::string_view text) { return to_socket_address(parsed(text)); }

struct form {
    const char* name;
    const char* text;
    const char* host;
    std::uint16_t port;
};

class accepted_form : public testing::TestWithParam<form> {};
INSTANTIATE_TEST_SUITE_P(of, accepted_form,
                         testing::Values(form{"a_port_alone", "3000", "", 3000},
                                         form{"a_colon_and_a_port", ":3000", "", 3000},
                                         form{"a_name", "example.com:443", "example.com", 443},
                                         form{"a_v4_number", "1.2.3.4:80", "1.2.3.4", 80},
                                         form{"a_v6_number", "[::1]:80", "::1", 80},
                                         form{"a_long_v6_number", "[2001:db8::7]:65535",
                                              "2001:db8::7", 65535},
                                         form{"the_port_0", "localhost:0", "localhost", 0}),
                         [](const auto& which) { return std::string{which.param.name}; });

TEST_P(accepted_form, is_read) {
    const host_port where = parsed(GetParam().text);
    EXPECT_EQ(where.host, GetParam().host);
    EXPECT_EQ(where.port, GetParam().port);
    EXPECT_FALSE(where.is_unix());
}

TEST_P(accepted_form, is_read_again_from_its_own_text) {
    const host_port where = parsed(GetParam().text);
    EXPECT_EQ(parsed(where.text()), where);
}

struct refused {
    const char* name;
    const char* text;
    const char* reason;
};

class refused_form : public testing::TestWithParam<refused> {};
INSTANTIATE_TEST_SUITE_P(
    of, refused_form,
    testing::Values(
        refused{"nothing", "", "a port is a number from 0 to 65535"},
        refused{"a_name_without_port", "localhost", "a port is a number from 0 to 65535"},
        refused{"a_name_and_a_colon", "localhost:", "a port is a number from 0 to 65535"},
        refused{"a_port_too_large", "localhost:65536", "a port is a number from 0 to 65535"},
        refused{"a_port_far_too_large", ":99999999999", "a port is a number from 0 to 65535"},
        refused{"a_negative_port", ":-1", "a port is a number from 0 to 65535"},
        refused{"a_port_with_a_tail", "localhost:80x", "a port is a number from 0 to 65535"},
        refused{"a_port_behind_a_space", "localhost: 80", "a port is a number from 0 to 65535"},
        refused{"a_bare_v6_number", "::1:80", "an IPv6 address stands in brackets"},
        refused{"brackets_without_port", "[::1]", "\"]:port\" is missing"},
        refused{"brackets_left_open", "[::1:80", "\"]:port\" is missing"},
        refused{"something_behind_brackets", "[::1]x:80", "\"]:port\" is missing"},
        refused{"a_name_in_brackets", "[localhost]:80", "what stands in the brackets is no IPv6"},
        refused{"a_v4_number_in_brackets", "[1.2.3.4]:80",
                "what stands in the brackets is no IPv6"},
        refused{"brackets_and_no_port", "[::1]:", "a port is a number from 0 to 65535"},
        refused{"an_url", "http://localhost:80", "an IPv6 address stands in brackets"},
        refused{"a_path", "localhost/x:80", "a host name holds no space, slash or @"},
        refused{"a_user", "root@localhost:22", "a host name holds no space, slash or @"},
        refused{"a_space", "local host:80", "a host name holds no space, slash or @"},
        refused{"a_unix_socket_without_path", "unix:", "the path is missing"}),
    [](const auto& which) { return std::string{which.param.name}; });

TEST_P(refused_form, is_refused_with_its_reason_and_what_is_accepted) {
    const std::string sentence = refusal_of(GetParam().text);
    EXPECT_NE(sentence.find('"' + std::string{GetParam().text} + "\" is no address: "),
              std::string::npos)
        << sentence;
    EXPECT_NE(sentence.find(GetParam().reason), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("write host:port, [v6]:port, a port alone, or unix:/path"),
              std::string::npos)
        << sentence;
}

TEST(unix_path, is_read_as_it_stands) {
    const host_port where = parsed("unix:/run/an app:3.sock");
    EXPECT_TRUE(where.is_unix());
    EXPECT_EQ(where.unix_path, "/run/an app:3.sock");
    EXPECT_EQ(where.text(), "unix:/run/an app:3.sock");
}

TEST(unix_path, has_at_most_107_characters) {
    const std::string longest = "unix:/" + std::string(106, 'x');
    EXPECT_EQ(format(numeric(longest)), longest);
    EXPECT_NE(refusal_of(longest + 'x').find("at most 107 characters"), std::string::npos);
}

TEST(address, of_a_number_or_a_path_needs_no_asking) {
    EXPECT_TRUE(is_numeric(parsed("1.2.3.4:80")));
    EXPECT_TRUE(is_numeric(parsed("[::1]:80")));
    EXPECT_TRUE(is_numeric(parsed("unix:/run/app.sock")));
}

TEST(address, of_a_name_or_a_port_alone_is_no_number) {
    EXPECT_FALSE(is_numeric(parsed("localhost:80")));
    EXPECT_FALSE(is_numeric(parsed("1.2.3:80")));
    EXPECT_FALSE(is_numeric(parsed("3000")));
}

class formatted : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(of, formatted,
                         testing::Values("1.2.3.4:80", "[::1]:80", "[2001:db8::7]:65535",
                                         "[fe80::1]:1", "0.0.0.0:0", "unix:/run/app.sock"));

TEST_P(formatted, address_is_what_was_written) {
    EXPECT_EQ(format(numeric(GetParam())), GetParam());
}

TEST(address, of_v6_is_written_the_shortest_way) {
    EXPECT_EQ(format(numeric("[0:0:0:0:0:0:0:1]:80")), "[::1]:80");
}

TEST(address, as_an_endpoint_and_back_is_itself) {
    for (const char* text : {"1.2.3.4:80", "[2001:db8::7]:443"}) {
        const socket_address where = numeric(text);
        EXPECT_EQ(to_socket_address(to_ip_endpoint(where)), where);
    }
}

TEST(address, of_a_unix_socket_is_no_endpoint) {
    EXPECT_EQ(to_ip_endpoint(numeric("unix:/run/app.sock")).family, ip_family::none);
}

TEST(address, has_a_port_that_can_be_set) {
    for (const char* text : {"1.2.3.4:80", "[::1]:80"}) {
        socket_address where = numeric(text);
        EXPECT_EQ(port_of(where), 80);
        set_port(where, 8080);
        EXPECT_EQ(port_of(where), 8080);
    }
}

TEST(address, of_a_unix_socket_has_no_port) {
    socket_address where = numeric("unix:/run/app.sock");
    set_port(where, 80);
    EXPECT_EQ(port_of(where), 0);
    EXPECT_EQ(format(where), "unix:/run/app.sock");
}

enum class reach { loopback, private_network, everywhere };

struct place {
    const char* text;
    reach how_far;
};

class classified : public testing::TestWithParam<place> {};
INSTANTIATE_TEST_SUITE_P(
    of, classified,
    testing::Values(
        place{"127.0.0.1:1", reach::loopback}, place{"127.255.255.255:1", reach::loopback},
        place{"128.0.0.1:1", reach::everywhere}, place{"[::1]:1", reach::loopback},
        place{"[::ffff:127.0.0.1]:1", reach::loopback},
        place{"unix:/run/app.sock", reach::loopback}, place{"0.0.0.0:1", reach::everywhere},
        place{"[::]:1", reach::everywhere}, place{"10.0.0.1:1", reach::private_network},
        place{"10.255.255.255:1", reach::private_network}, place{"11.0.0.1:1", reach::everywhere},
        place{"9.255.255.255:1", reach::everywhere}, place{"172.16.0.1:1", reach::private_network},
        place{"172.31.255.255:1", reach::private_network}, place{"172.32.0.1:1", reach::everywhere},
        place{"172.15.0.1:1", reach::everywhere}, place{"192.168.0.1:1", reach::private_network},
        place{"192.169.0.1:1", reach::everywhere}, place{"169.254.1.1:1", reach::private_network},
        place{"[fe80::1]:1", reach::private_network}, place{"[fc00::1]:1", reach::private_network},
        place{"[fdff::1]:1", reach::private_network}, place{"[fe00::1]:1", reach::everywhere},
        place{"[::ffff:10.0.0.1]:1", reach::private_network},
        place{"[::ffff:11.0.0.1]:1", reach::everywhere},
        place{"[2001:db8::1]:1", reach::everywhere}, place{"8.8.8.8:1", reach::everywhere}));

TEST_P(classified, by_how_far_it_reaches) {
    const socket_address where = numeric(GetParam().text);
    EXPECT_EQ(is_loopback(where), GetParam().how_far == reach::loopback) << GetParam().text;
    EXPECT_EQ(is_private(where), GetParam().how_far != reach::everywhere) << GetParam().text;
}

}  // namespace
}  // namespace tunnel_uring
