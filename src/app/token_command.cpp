#include "app/token_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "app/values.hpp"
#include "base/log.hpp"
#include "wire/token.hpp"

namespace tunnel_uring {

namespace {

// Empty when done.
std::string write_secret(const std::string& path, const std::string& text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return fmt::format(
                "{} exists, and a token may be lost by overwriting it: remove it "
                "first or choose another file",
                printable(path));
        return fmt::format("cannot make {}: {}", printable(path), std::strerror(errno));
    }
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const bool closed = ::close(fd) == 0;
    if (written && closed) return {};
    return fmt::format("cannot write {}: {}", printable(path), std::strerror(errno));
}

std::string ports_text(const std::vector<port_range>& ranges) {
    std::string text;
    for (const port_range& one : ranges) text += (text.empty() ? "" : ",") + format_port_range(one);
    return text;
}

std::string toml_list(const std::vector<std::string>& texts) {
    std::string text;
    for (const std::string& one : texts) text += (text.empty() ? "" : ", ") + json_string(one);
    return "[" + text + "]";
}

std::string stanza(const token_options& options, const std::string& key) {
    std::string text =
        fmt::format("[[relay.tokens]]\nname = \"{}\"\npublic_key = \"{}\"\n", options.name, key);
    if (!options.tcp_ports.empty())
        text += fmt::format("tcp_ports = \"{}\"\n", ports_text(options.tcp_ports));
    if (!options.subdomains.empty())
        text += fmt::format("subdomains = {}\n", toml_list(options.subdomains));
    if (!options.hostnames.empty())
        text += fmt::format("hostnames = {}\n", toml_list(options.hostnames));
    return text;
}

}  // namespace

exit_status run_token(const token_options& options) {
    const token made = token::generate();
    const std::string key = format_public_key(made.key());
    if (!options.out.empty()) {
        const std::string trouble = write_secret(options.out, made.text() + "\n");
        if (!trouble.empty()) {
            fmt::print(stderr, "tunnel-uring: {}\n", trouble);
            return exit_failed;
        }
    }
    if (options.json) {
        nlohmann::json out{{"name", options.name}, {"public_key", key}};
        if (options.out.empty()) out["token"] = made.text();
        else out["file"] = options.out;
        if (!options.tcp_ports.empty()) out["tcp_ports"] = ports_text(options.tcp_ports);
        if (!options.subdomains.empty()) out["subdomains"] = options.subdomains;
        if (!options.hostnames.empty()) out["hostnames"] = options.hostnames;
        fmt::print("{}\n", out.dump());
    } else {
        if (options.out.empty())
            fmt::print(
                "The token, a secret: put it into a file of mode 0600 beside the agent\n"
                "(--token-file), or into the variable TUNNEL_URING_TOKEN.\n\n{}\n\n",
                made.text());
        else
            fmt::print("The token is in {}; it stays with the agent (--token-file).\n\n",
                       printable(options.out));
        fmt::print("For the relay, the flag --public-key {}\nor in its config file:\n\n{}", key,
                   stanza(options, key));
    }
    std::fflush(stdout);
    return exit_ok;
}

}  // namespace tunnel_uring
