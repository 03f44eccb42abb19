#include "app/check.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/host_checks.hpp"

namespace tunnel_uring {
namespace {

// A TCP socket bound to a free port of loopback, listening if asked to.
class loopback_socket {
  public:
    explicit loopback_socket(bool listening) : fd_{::socket(AF_INET, SOCK_STREAM, 0)} {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof where;
        EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&where), length), 0);
        if (listening) {
            EXPECT_EQ(::listen(fd_, 8), 0);
        }
        EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&where), &length), 0);
        port_ = ntohs(where.sin_port);
    }
    ~loopback_socket() { ::close(fd_); }
    loopback_socket(const loopback_socket&) = delete;
    loopback_socket& operator=(const loopback_socket&) = delete;
    // Takes one connection, says `first` and closes it.
    void greet(std::string_view first) const {
        const int accepted = ::accept(fd_, nullptr, nullptr);
        EXPECT_EQ(::write(accepted, first.data(), first.size()),
                  static_cast<ssize_t>(first.size()));
        ::close(accepted);
    }
    std::uint16_t port() const noexcept { return port_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  private:
    int fd_;
    std::uint16_t port_ = 0;
};

TEST(check_rows, are_lines_with_their_remedy) {
    EXPECT_EQ(row_text({verdict::ok, "config", "fine", "", exit_ok}), "[ OK ] config: fine");
    EXPECT_EQ(row_text({verdict::warn, "files", "few", "ulimit -n 5", exit_host}),
              "[WARN] files: few -> ulimit -n 5");
    EXPECT_EQ(row_text({verdict::skip, "relay", "a", "", exit_ok}), "[SKIP] relay: a");
}

TEST(check_rows, are_one_json_object_that_is_ok_unless_one_failed) {
    const check_row good{verdict::warn, "a", "x\xff\n", "do", exit_host};
    const check_row bad{verdict::fail, "b", "y", "", exit_host};
    const std::string first = rows_json({good});
    EXPECT_NE(first.find("\"ok\":true"), std::string::npos) << first;
    EXPECT_NE(first.find("\"verdict\":\"warn\""), std::string::npos) << first;
    EXPECT_EQ(first.find('\n'), std::string::npos);
    EXPECT_NE(rows_json({good, bad}).find("\"ok\":false"), std::string::npos);
}

TEST(check_reachable, tells_who_answers_and_who_does_not) {
    const loopback_socket listening{true};
    const loopback_socket closed{false};
    std::vector<check_row> rows;
    check_reachable("relay", listening.address(), verdict::fail, rows);
    check_reachable("relay", closed.address(), verdict::fail, rows);
    check_reachable("service", "unix:/nonexistent/x", verdict::warn, rows);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].what, verdict::ok);
    EXPECT_EQ(rows[1].what, verdict::fail);
    EXPECT_NE(rows[1].text.find("Connection refused"), std::string::npos);
    EXPECT_EQ(rows[2].what, verdict::warn);
}

TEST(check_http_upstream, tells_who_answers_and_who_speaks_first) {
    const loopback_socket silent{true};
    const loopback_socket closed{false};
    const loopback_socket talker{true};
    const loopback_socket gone{true};
    std::vector<check_row> rows;
    check_http_upstream("service web", silent.address(), rows);
    check_http_upstream("service web", closed.address(), rows);
    std::thread greeting{[&talker] { talker.greet("220 mail\r\n"); }};
    check_http_upstream("service web", talker.address(), rows);
    greeting.join();
    std::thread leaving{[&gone] { gone.greet(""); }};
    check_http_upstream("service web", gone.address(), rows);
    leaving.join();
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(row_text(rows[0]), "[ OK ] service web: " + silent.address() + ": answers");
    EXPECT_EQ(rows[1].what, verdict::warn);
    EXPECT_NE(rows[1].text.find("Connection refused"), std::string::npos);
    EXPECT_EQ(rows[2].what, verdict::warn);
    EXPECT_NE(rows[2].text.find("this upstream spoke first"), std::string::npos);
    EXPECT_NE(rows[2].remedy.find("type = \"tcp\""), std::string::npos);
    EXPECT_EQ(rows[3].what, verdict::warn);
    EXPECT_NE(rows[3].text.find("hung up"), std::string::npos);
}

TEST(check_domain, has_a_row_where_there_is_http) {
    http_front_config config;
    std::vector<check_row> rows;
    check_domain(config, false, rows);
    EXPECT_TRUE(rows.empty());
    config.listen = "0.0.0.0:8080";
    check_domain(config, false, rows);
    config.domain = "tunnel.example.com";
    check_domain(config, true, rows);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].what, verdict::ok);
    EXPECT_EQ(rows[1].what, verdict::skip);
}

TEST(check_relay_ports, tells_which_are_taken) {
    const loopback_socket taken{true};
    relay_config config;
    config.control_listen = taken.address();
    config.tcp_ports_first = config.tcp_ports_last = taken.port();
    std::vector<check_row> rows;
    check_relay_ports(config, rows);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].what, verdict::fail);
    EXPECT_EQ(rows[0].status, exit_host);
    EXPECT_NE(rows[0].text.find(taken.address()), std::string::npos);
    EXPECT_EQ(rows[1].what, verdict::fail) << "none of the public ports is left";

    config.control_listen = "127.0.0.1:0";
    config.tcp_ports_last = static_cast<std::uint16_t>(taken.port() + 1);
    rows.clear();
    check_relay_ports(config, rows);
    EXPECT_EQ(rows[0].what, verdict::ok);

    config.http.listen = taken.address();
    rows.clear();
    check_relay_ports(config, rows);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[1].what, verdict::fail);
    EXPECT_NE(rows[1].text.find(taken.address() + " for visitors by HTTP"), std::string::npos);
}

TEST(check_token_file, wants_it_to_be_readable_by_its_owner_only) {
    std::string directory = (std::filesystem::temp_directory_path() / "tu-check-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    const std::string path = directory + "/token";
    std::ofstream{path} << "x";
    std::vector<check_row> rows;
    ::chmod(path.c_str(), 0600);
    check_token_file(path, rows);
    ::chmod(path.c_str(), 0644);
    check_token_file(path, rows);
    std::filesystem::remove_all(directory);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].what, verdict::ok);
    EXPECT_EQ(rows[1].what, verdict::warn);
    EXPECT_EQ(rows[1].remedy, "chmod 600 " + path);
}

TEST(files_needed, grows_with_what_may_be_open) {
    agent_config agent;
    const std::uint64_t idle = files_needed(agent);
    agent.relays.emplace_back("a:1");
    EXPECT_EQ(files_needed(agent), idle + 1 + agent.lanes.shared + 2 * agent.lanes.bulk_max);
    const std::uint64_t with_relay = files_needed(agent);
    agent.services.emplace_back();
    EXPECT_EQ(files_needed(agent), with_relay + agent.services[0].pool.max_pool_size +
                                       agent.services[0].max_connections);
}

TEST(files_needed, of_a_small_relay_is_small_and_of_a_big_one_what_a_ring_holds) {
    relay_config relay;
    const std::uint64_t most = files_needed(relay);
    relay.max_agents = 2;
    relay.max_exchanges = 10;
    EXPECT_LT(files_needed(relay), 100U);
    EXPECT_LE(most, 20'064U);
    const std::uint64_t small = files_needed(relay);
    relay.http.listen = "127.0.0.1:8080";
    relay.http.max_visitors = 50;
    EXPECT_EQ(files_needed(relay), small + 50);
}

}  // namespace
}  // namespace tunnel_uring
