#include "app/token_command.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/config_loader.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {
namespace {

class token_command : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "tu-token-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        options_.name = "laptop";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::string run(exit_status expected = exit_ok) {
        testing::internal::CaptureStdout();
        EXPECT_EQ(run_token(options_), expected);
        return testing::internal::GetCapturedStdout();
    }
    static std::string read(const std::filesystem::path& path) {
        std::stringstream text;
        text << std::ifstream{path}.rdbuf();
        return text.str();
    }

    std::filesystem::path directory_;
    token_options options_;
};

TEST_F(token_command, prints_one_object_for_machines) {
    options_.json = true;
    const nlohmann::json out = nlohmann::json::parse(run());
    EXPECT_EQ(out["name"], "laptop");
    const result<token> made = token::parse(out["token"].get<std::string>());
    ASSERT_TRUE(made);
    EXPECT_EQ(out["public_key"], format_public_key(made->key()));
    EXPECT_FALSE(out.contains("subdomains"));
    EXPECT_FALSE(out.contains("hostnames"));
    options_.subdomains = {"app", "app-*"};
    options_.hostnames = {"*"};
    const nlohmann::json limited = nlohmann::json::parse(run());
    EXPECT_EQ(limited["subdomains"], options_.subdomains);
    EXPECT_EQ(limited["hostnames"], options_.hostnames);
}

TEST_F(token_command, prints_a_stanza_that_the_relay_reads) {
    options_.tcp_ports = {{15000, 15010}};
    options_.subdomains = {"app", "app-*"};
    options_.hostnames = {"*.example.com"};
    const std::string out = run();
    const std::size_t begin = out.find("[[relay.tokens]]");
    ASSERT_NE(begin, std::string::npos) << out;
    const std::string path = directory_ / "relay.toml";
    std::ofstream{path} << out.substr(begin);
    config_sources sources;
    sources.file = path;
    const loaded_config config = load_config(sources);
    EXPECT_TRUE(config.problems.empty());
    ASSERT_EQ(config.values.relay.tokens.size(), 1U);
    EXPECT_EQ(config.values.relay.tokens[0].name, "laptop");
    EXPECT_EQ(config.values.relay.tokens[0].tcp_ports, options_.tcp_ports);
    EXPECT_EQ(config.values.relay.tokens[0].subdomains, options_.subdomains);
    EXPECT_EQ(config.values.relay.tokens[0].hostnames, options_.hostnames);
}

TEST_F(token_command, writes_the_token_where_only_its_owner_reads_it_and_does_not_print_it) {
    options_.out = directory_ / "token";
    const std::string out = run();
    const std::string text = read(options_.out);
    EXPECT_TRUE(token::parse(text));
    EXPECT_EQ(out.find(text.substr(0, text.size() - 1)), std::string::npos);
    struct stat found{};
    ASSERT_EQ(::stat(options_.out.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
}

TEST_F(token_command, never_overwrites_a_token) {
    options_.out = directory_ / "token";
    run();
    const std::string before = read(options_.out);
    testing::internal::CaptureStderr();
    EXPECT_EQ(run(exit_failed), "");
    EXPECT_NE(testing::internal::GetCapturedStderr().find("exists"), std::string::npos);
    EXPECT_EQ(read(options_.out), before);
}

}  // namespace
}  // namespace tunnel_uring
