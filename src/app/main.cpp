#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <span>
#include <string_view>
#include <vector>

#include "app/check.hpp"
#include "app/command_line.hpp"
#include "app/config_print.hpp"
#include "app/demo.hpp"
#include "app/host_checks.hpp"
#include "app/serve.hpp"
#include "app/status_command.hpp"
#include "app/token_command.hpp"
#include "app/version.hpp"
#include "base/log.hpp"
#include "base/units.hpp"

namespace tunnel_uring {

namespace {

std::vector<std::pair<std::string, std::string>> read_environment() {
    std::vector<std::pair<std::string, std::string>> found;
    for (char** one = environ; *one != nullptr; ++one) {
        const std::string_view text{*one};
        const std::size_t equals = std::min(text.find('='), text.size());
        const std::string_view name = text.substr(0, equals);
        if (name.starts_with("TUNNEL_URING_") || name == "HOME" || name == "XDG_CONFIG_HOME")
            found.emplace_back(name, text.substr(std::min(equals + 1, text.size())));
    }
    return found;
}

exit_status complain(const std::vector<config_problem>& problems) {
    bool only_usage = true;
    for (const config_problem& problem : problems) {
        fmt::print(stderr, "tunnel-uring: {}\n", problem.text());
        only_usage = only_usage && problem.of_usage;
    }
    return only_usage ? exit_usage : exit_bad_config;
}

exit_status make_token(const invocation& asked, const loaded_config& config) {
    token_options options;
    options.json = asked.json;
    options.out = asked.out;
    token_grant grant;
    settings unused;
    key_scope scope{unused};
    scope.grant = &grant;
    grant.name = config.values.agent.name;
    std::vector<config_problem> problems;
    const auto take = [&](std::string_view key, const std::string& text, const char* flag) {
        if (text.empty()) return;
        raw_value word;
        word.text = text;
        const auto wrong = assign(*find_key("relay.tokens", key), scope, word);
        if (wrong) problems.push_back({{value_source::flag, flag}, *wrong, true});
    };
    take("name", asked.name, "--name");
    take("tcp_ports", asked.tcp_ports, "--tcp-ports");
    take("subdomains", asked.subdomains, "--subdomains");
    take("hostnames", asked.hostnames, "--hostnames");
    if (!problems.empty()) return complain(problems);
    options.name = grant.name;
    options.tcp_ports = grant.tcp_ports;
    options.subdomains = grant.subdomains;
    options.hostnames = grant.hostnames;
    return run_token(options);
}

exit_status serve(const invocation& asked, loaded_config config) {
    const bool is_relay = asked.what == command::relay;
    if (is_relay) require_relay(config);
    else require_agent(config);
    if (!config.problems.empty()) return complain(config.problems);
    raise_file_limit();
    if (is_relay) return run_relay(config.values.relay, config.values.log);
    std::vector<check_row> rows;
    if (!config.token_path.empty()) check_token_file(config.token_path, rows);
    for (const check_row& row : rows) {
        if (row.what == verdict::warn) log_warn("token.readable", row.text, {{"do", row.remedy}});
    }
    if (config.values.agent.token.empty())
        log_warn("token.none", "there is no token; only a relay with --insecure-open lets us in");
    agent_output output;
    using form = agent_output::form;
    const bool at_terminal = ::isatty(STDOUT_FILENO) == 1 && !asked.url_only && !asked.quiet;
    if (asked.what == command::tcp) output.what = form::urls;
    if (asked.what == command::http) output.what = at_terminal ? form::requests : form::urls;
    return run_agent(config.values.agent, config.values.log, output);
}

exit_status run(invocation asked) {
    if (asked.help) {
        fmt::print("{}", help_text(asked.what));
        return exit_ok;
    }
    if (asked.version) {
        fmt::print("{}", version_text());
        return exit_ok;
    }
    if (asked.print_keys_markdown) {
        fmt::print("{}", keys_markdown());
        return exit_ok;
    }
    asked.sources.environment = read_environment();
    loaded_config config = load_config(asked.sources);
    const bool needs_config = asked.what == command::http || asked.what == command::tcp ||
                              asked.what == command::agent || asked.what == command::relay;
    if (!needs_config && asked.what != command::check) {
        // What a file says is no matter of theirs.
        std::erase_if(config.problems, [](const config_problem& one) {
            return one.from.source < value_source::setting;
        });
    }
    if (asked.what != command::check && !config.problems.empty()) return complain(config.problems);
    configure_log(config.values.log);
    if (asked.what != command::check) {
        for (const std::string& warning : config.warnings) log_warn("config.warning", warning);
    }
    switch (asked.what) {
        case command::demo: {
            demo_options options;
            options.requests = asked.requests;
            options.concurrency = asked.concurrency;
            options.keep = asked.keep;
            options.json = asked.json;
            return run_demo(options);
        }
        case command::status:
            return run_status(config.values.admin,
                              {asked.json, parse_duration(asked.watch).value_or(duration{0})});
        case command::check:
            return run_check(std::move(config), {asked.offline, asked.json, asked.print});
        case command::token: return make_token(asked, config);
        default: return serve(asked, std::move(config));
    }
}

}  // namespace

}  // namespace tunnel_uring

int main(int argc, char** argv) {
    using namespace tunnel_uring;
    // A reader that went away is an error of write(2), not the end.
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string_view> arguments{argv + std::min(argc, 1), argv + argc};
    result<invocation> asked = parse_command_line(arguments);
    if (!asked) {
        fmt::print(stderr, "tunnel-uring: {}\n", asked.error().sentence());
        return exit_usage;
    }
    return run(std::move(*asked));
}
