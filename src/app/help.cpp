#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "app/command_line.hpp"
#include "base/check.hpp"

namespace tunnel_uring {

namespace {

constexpr std::array commands{
    command_description{
        command::demo, "demo", "Try it", "",
        "relay + agent + services in one process; sends requests, prints proof",
        "Starts on free loopback ports, in one process: a relay, an agent with a warm pool, and\n"
        "sample services, HTTP and TCP echo. Sends requests through relay -> agent -> service, "
        "checks\nevery byte by SHA-256, repeats them with the pool off, prints all latencies. "
        "Needs "
        "no config.\nExit 0 only if every response was right.\n",
        ""},
    command_description{
        command::http, "http", "Expose", "<target>",
        "expose an HTTP service      tunnel-uring http 3000 --subdomain app",
        "Expose a local HTTP service and print its public URL. Ctrl+C stops it: open requests may\n"
        "end, a second Ctrl+C ends at once. On a terminal each request is a line.\n",
        "  tunnel-uring http 3000 --relay relay.example.com:7443 --token-file token --subdomain "
        "app\n"
        "  tunnel-uring http 5173 --host-header upstream    (servers that refuse names they do not "
        "know)\n"
        "  tunnel-uring http unix:/run/app.sock --url-only\n"},
    command_description{
        command::tcp, "tcp", "Expose", "<target>",
        "expose a TCP service        tunnel-uring tcp 5432 --remote-port 15432",
        "Expose a local TCP service and print its public URL. Ctrl+C stops it: open connections\n"
        "may end, a second Ctrl+C ends at once.\n",
        "  tunnel-uring tcp 5432 --relay relay.example.com:7443 --token-file token\n"
        "  tunnel-uring tcp unix:/run/app.sock --url-only\n"},
    command_description{
        command::agent, "agent", "Run from a config file or flags", "",
        "expose every [[services]] entry",
        "Expose every service of the config file, and those of --service.\n",
        "  tunnel-uring agent -c agent.toml\n"
        "  tunnel-uring agent --relay relay.example.com:7443 --token-file token \\\n"
        "      --service db=5432,remote_port=15432 --service web=3000,type=http,subdomain=app\n"},
    command_description{
        command::relay, "relay", "Run from a config file or flags", "", "run the public relay",
        "Run the public end: agents come in at one address, visitors at a port for each TCP "
        "service\n"
        "and, for HTTP services, at one address where the Host tells the service.\n",
        "  tunnel-uring relay --listen 127.0.0.1:7443 --public-key ed25519:...\n"
        "  tunnel-uring relay --http 0.0.0.0:8080 --domain tunnel.example.com --token-file token\n"
        "  tunnel-uring relay -c relay.toml\n"},
    command_description{
        command::status, "status", "Look", "", "state of the running agent or relay",
        "Ask the admin listener of the agent or relay that runs on this host, and print what it "
        "says.\nExit 0, or 1 if nothing runs there.\n",
        "  tunnel-uring status\n"
        "  tunnel-uring status --watch 1s\n"
        "  tunnel-uring status --json --admin unix:/run/tunnel-uring/admin.sock\n"},
    command_description{
        command::check, "check", "Check", "", "validate the config and this host; try the relay",
        "Look at the config file and at this host: what is right, what is not, and the remedy.\n"
        "Exit 0 if nothing is in the way, 3 if the config is wrong, 4 if this host has no "
        "io_uring,\n6 if another check failed.\n",
        ""},
    command_description{
        command::token, "token", "Manage", "",
        "make an agent token and its public key for the relay",
        "Make a token for an agent and print what to give to the relay. The token is a secret: "
        "it\nstays with the agent. The relay needs only the public key.\n",
        "  tunnel-uring token --name laptop --tcp-ports 15000-15010 --subdomains app,app-* --out "
        "token\n"},
};

constexpr std::size_t help_column = 28;

// "  -c, --config <file>   default: …", continued below the first line's help.
std::string flag_lines(const command_flag& flag) {
    std::string head = "  --";
    if (flag.letter != '\0') head = fmt::format("  -{}, --", flag.letter);
    else if (flag.commands == 0) head = "      --";
    head += flag.name;
    if (!flag.operand.empty()) head += fmt::format(" {}", flag.operand);
    std::string text;
    const bool fits = head.size() + 2 <= help_column;
    text += fits ? fmt::format("{:<{}}", head, help_column)
                 : fmt::format("{}\n{:{}}", head, "", help_column);
    for (const char character : flag.help) {
        text += character;
        if (character == '\n') text.append(help_column, ' ');
    }
    return text + '\n';
}

std::string shared_flags(command what) {
    std::string text;
    for (const command_flag& flag : command_flags()) {
        const bool is_json = flag.name == "json";
        if (flag.commands == 0 || (is_json && (what == command::none || flag.of(what))))
            text += flag_lines(flag);
    }
    return text;
}

std::string overview() {
    std::string text = "tunnel-uring " TUNNEL_URING_VERSION
                       " - expose a local service through a public relay, on io_uring\n\n"
                       "Usage:  tunnel-uring <command> [options]\n\n";
    std::string_view group;
    for (const command_description& one : commands) {
        if (one.group != group) text += fmt::format("{}:\n", one.group);
        group = one.group;
        const std::string head =
            fmt::format("  {}{}{}", one.name, one.arguments.empty() ? "" : " ", one.arguments);
        text += fmt::format("{:<{}}{}\n", head, help_column, one.summary);
    }
    text += "\nOptions for every command:\n" + shared_flags(command::none);
    text +=
        "\n<target> is 3000, host:3000, http://host:3000 (http only) or unix:/run/app.sock\n"
        "Exit status: 0 ok, 1 failed, 2 usage, 3 bad config, 4 host cannot run it, 5 refused by "
        "the relay,\n"
        "             6 a check was not met, 130 or 143 ended at once by a second signal\n"
        "Docs: README.md, docs/configuration.md, docs/metrics.md\n";
    return text;
}

}  // namespace

std::span<const command_description> command_descriptions() noexcept { return commands; }

const command_description& describe(command what) noexcept {
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [what](const auto& one) { return one.what == what; });
    TU_ASSERT(found != commands.end());
    return *found;
}

std::string help_text(command what) {
    if (what == command::none) return overview();
    const command_description& about = describe(what);
    std::string text =
        fmt::format("Usage:  tunnel-uring {}{}{} [options]\n\n{}\n", about.name,
                    about.arguments.empty() ? "" : " ", about.arguments, about.details);
    for (const command_flag& flag : command_flags()) {
        if (flag.commands != 0 && flag.of(what) && flag.name != "json") text += flag_lines(flag);
    }
    text += "\nOptions for every command:\n" + shared_flags(what);
    if (what == command::http)
        text += "\n<target> is 3000, host:3000, http://host:3000 or unix:/run/app.sock\n";
    if (what == command::tcp) text += "\n<target> is 3000, host:3000 or unix:/run/app.sock\n";
    if (!about.examples.empty()) text += fmt::format("\nExamples:\n{}", about.examples);
    return text;
}

}  // namespace tunnel_uring
