// A directory for config files, and what they load to.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "app/config_loader.hpp"

namespace tunnel_uring {

class config_loader : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "tu-config-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::string write(const std::string& name, const std::string& text) {
        const std::string path = (directory_ / name).string();
        std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
        std::ofstream{path} << text;
        return path;
    }
    loaded_config load(const std::string& text) {
        sources_.file = write("c.toml", text);
        return load_config(sources_);
    }
    // The problems, a line each, without the directory.
    std::string problems(const loaded_config& config) {
        std::string text;
        for (const config_problem& one : config.problems) {
            std::string line = one.text();
            const std::string prefix = directory_.string() + "/";
            for (std::size_t at = line.find(prefix); at != std::string::npos;
                 at = line.find(prefix))
                line.erase(at, prefix.size());
            text += (text.empty() ? "" : "\n") + line;
        }
        return text;
    }
    std::string problems(const std::string& text) { return problems(load(text)); }
    void set(std::string_view setting) {
        const parsed_setting parsed = parse_setting(setting);
        ASSERT_TRUE(parsed.made) << parsed.problem;
        sources_.assignments.push_back(*parsed.made);
    }

    std::filesystem::path directory_;
    config_sources sources_;
};

}  // namespace tunnel_uring
