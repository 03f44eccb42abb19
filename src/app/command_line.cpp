#include "app/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "app/nearest.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "base/units.hpp"

namespace tunnel_uring {

namespace {

constexpr unsigned bit(command what) { return 1U << static_cast<unsigned>(what); }
constexpr unsigned for_demo = bit(command::demo);
constexpr unsigned for_http = bit(command::http);
constexpr unsigned for_tcp = bit(command::tcp);
constexpr unsigned for_target = for_http | for_tcp;
constexpr unsigned for_agent = bit(command::agent);
constexpr unsigned for_relay = bit(command::relay);
constexpr unsigned for_status = bit(command::status);
constexpr unsigned for_check = bit(command::check);
constexpr unsigned for_token = bit(command::token);

constexpr std::array flags{
    command_flag{for_target | for_agent, '\0', "relay", "<host:port>",
                 "relay control address (repeatable)  [env TUNNEL_URING_RELAY]",
                 sets_key{"agent.relays"}},
    command_flag{for_target | for_agent, '\0', "token-file", "<file>",
                 "agent token  [env TUNNEL_URING_TOKEN holds the token]",
                 sets_key{"agent.token_file"}},
    command_flag{for_agent, '\0', "name", "<name>", "shown on the relay (default: the host's name)",
                 sets_key{"agent.name"}},
    command_flag{for_agent, '\0', "service", "<name>=<target>[,<key>=<value>...]",
                 "expose one more service; keys are those of [[services]] (repeatable)",
                 &invocation::services},
    command_flag{for_http, '\0', "subdomain", "<name>",
                 "ask for <name>.<relay domain> (default: made from token and target)",
                 sets_own_key{"services", "subdomain"}},
    command_flag{for_http, '\0', "hostname", "<name>",
                 "ask for a full host name, or *.<name> for its zone (repeatable)",
                 sets_own_key{"services", "hostnames"}},
    command_flag{for_http, '\0', "host-header", "<mode>",
                 "preserve, upstream, or a host to say to the service (default preserve)",
                 sets_own_key{"services.http", "host_header"}},
    command_flag{for_http, '\0', "no-forwarded", "",
                 "tell the service no X-Forwarded-For, -Proto, -Host",
                 sets_own_key{"services.http", "forwarded", "false"}},
    command_flag{for_http, '\0', "response-timeout", "<time>",
                 "to the first byte of an answer; 0: none (default 60s)",
                 sets_own_key{"services.http", "response_timeout"}},
    command_flag{for_tcp, '\0', "remote-port", "<port>",
                 "the relay's port for it (default 0: the relay picks one)",
                 sets_own_key{"services", "remote_port"}},
    command_flag{for_tcp, '\0', "name", "<name>", "of the service, in the log (default tcp)",
                 &invocation::name},
    command_flag{for_http, '\0', "name", "<name>", "of the service, in the log (default http)",
                 &invocation::name},
    command_flag{for_target, '\0', "pool", "<n>", "most connections of the pool (default 50)",
                 sets_own_key{"services.pool", "max_pool_size"}},
    command_flag{for_tcp, '\0', "warm", "<n>",
                 "connections opened ahead and kept ready (default 0)", sets_own_key{"", "warm"}},
    command_flag{for_http, '\0', "warm", "<n>",
                 "connections opened ahead and kept ready (default 10)", sets_own_key{"", "warm"}},
    command_flag{for_target, '\0', "proxy-protocol", "<v1|v2>",
                 "tell the service who the visitor is (default off)",
                 sets_own_key{"services", "proxy_protocol"}},
    command_flag{for_tcp, '\0', "speaks-first", "<client|server>",
                 "who says the first byte (default client; server: ssh, smtp, mysql)",
                 sets_own_key{"services", "speaks_first"}},
    command_flag{for_target | for_agent, '\0', "insecure-plaintext", "",
                 "connect without encryption to a relay beyond this host",
                 sets_key{"agent.insecure_plaintext", "true"}},
    command_flag{for_target, '\0', "url-only", "",
                 "print nothing but the URL on stdout (for scripts)", &invocation::url_only},

    command_flag{for_relay, '\0', "listen", "<addr>", "where agents come in (default 0.0.0.0:7443)",
                 sets_key{"relay.control_listen"}},
    command_flag{for_relay, '\0', "tcp-host", "<addr>",
                 "whose ports visitors come in at (default: the host of --listen)",
                 sets_key{"relay.tcp_host"}},
    command_flag{for_relay, '\0', "tcp-ports", "<a-b>",
                 "ports that agents may have (default 15000-15999)", sets_key{"relay.tcp_ports"}},
    command_flag{for_relay, '\0', "http", "<addr>",
                 "where visitors come in by HTTP, such as 0.0.0.0:8080 (default: nowhere)",
                 sets_key{"relay.http_listen"}},
    command_flag{for_relay, '\0', "domain", "<name>",
                 "services get names below it (default localhost)", sets_key{"relay.domain"}},
    command_flag{for_relay, '\0', "public-url", "<url>",
                 "scheme and port that visitors see (default: http and the port of --http)",
                 sets_key{"relay.public_url"}},
    command_flag{for_relay, '\0', "trusted-proxy", "<address or network>",
                 "whose X-Forwarded-* and PROXY headers are believed (repeatable)",
                 sets_key{"relay.trusted_proxies"}},
    command_flag{for_relay, '\0', "public-key", "<key>",
                 "let this agent in; printed by `tunnel-uring token` (repeatable)",
                 &invocation::public_keys},
    command_flag{for_relay, '\0', "token-file", "<file>", "let the agent with this token in",
                 sets_key{"agent.token_file"}},
    command_flag{for_relay, '\0', "insecure-open", "", "let agents in without a token",
                 sets_key{"relay.insecure_open", "true"}},
    command_flag{for_relay, '\0', "insecure-plaintext", "",
                 "listen for agents beyond this host without encryption",
                 sets_key{"relay.insecure_plaintext", "true"}},

    command_flag{for_demo, '\0', "requests", "<n>", "of each kind (default 2000)",
                 &invocation::requests},
    command_flag{for_demo, '\0', "concurrency", "<n>", "at once (default 16)",
                 &invocation::concurrency},
    command_flag{for_demo, '\0', "keep", "", "stay up and print the address, until Ctrl+C",
                 &invocation::keep},

    command_flag{for_status, '\0', "watch", "<interval>", "again and again, such as 1s",
                 &invocation::watch},

    command_flag{for_check, '\0', "offline", "", "ask no relay", &invocation::offline},
    command_flag{for_check, '\0', "print", "",
                 "print the config in force, with the origin of each value", &invocation::print},
    command_flag{for_check, '\0', "print-keys-markdown", "",
                 "print docs/configuration.md: every key there is",
                 &invocation::print_keys_markdown},

    command_flag{for_token, '\0', "name", "<name>", "whose it is (default: the host's name)",
                 &invocation::name},
    command_flag{for_token, '\0', "tcp-ports", "<a-b>",
                 "ports that its services may have (default: all of the relay's)",
                 &invocation::tcp_ports},
    command_flag{for_token, '\0', "subdomains", "<a,b>",
                 "names below the relay's domain that they may have, such as app,app-*\n"
                 "(default: any)",
                 &invocation::subdomains},
    command_flag{for_token, '\0', "hostnames", "<a,b>",
                 "names elsewhere that they may have: app.example.com, *.example.com,\n"
                 "* for any (default: none)",
                 &invocation::hostnames},
    command_flag{for_token, '\0', "out", "<file>",
                 "write the token into a new file of mode 0600, instead of printing it",
                 &invocation::out},

    command_flag{0, 'c', "config", "<file>",
                 "default: $TUNNEL_URING_CONFIG, ./tunnel-uring.toml,\n"
                 "$XDG_CONFIG_HOME/tunnel-uring/config.toml, /etc/tunnel-uring/config.toml",
                 is_config_file{}},
    command_flag{0, '\0', "set", "<key=value>",
                 "override one config key, e.g. --set pool.max_pool_size=80 (repeatable)",
                 is_setting{}},
    command_flag{for_target | for_agent | for_relay, '\0', "admin", "<addr>",
                 "where it tells about itself; \"off\": nowhere (default 127.0.0.1:4040)",
                 sets_key{"admin.listen"}},
    command_flag{for_status, '\0', "admin", "<addr>",
                 "where it listens (default: admin.listen, 127.0.0.1:4040)",
                 sets_key{"admin.listen"}},
    command_flag{0, '\0', "log", "<level>", "trace, debug, info, warn, error",
                 sets_key{"log.level"}},
    command_flag{0, '\0', "log-format", "<form>", "auto, text, logfmt, json",
                 sets_key{"log.format"}},
    command_flag{for_demo | for_status | for_check | for_token, '\0', "json", "",
                 "machine-readable result on stdout (demo, status, check, token)",
                 &invocation::json},
    command_flag{0, 'q', "quiet", "", "errors only", &invocation::quiet},
    command_flag{0, 'h', "help", "", "this text, or `<command> --help`", &invocation::help},
    command_flag{0, 'V', "version", "", "version, libraries, kernel features in use",
                 &invocation::version},
};

class parser {
  public:
    explicit parser(std::span<const std::string_view> arguments) : rest_{arguments} {}

    result<invocation> parse() {
        bool only_operands = false;
        while (!rest_.empty() && problem_.empty()) {
            const std::string_view argument = rest_.front();
            rest_ = rest_.subspan(1);
            if (only_operands || argument == "-" || !argument.starts_with('-')) operand(argument);
            else if (argument == "--") only_operands = true;
            else if (argument.starts_with("--")) long_flag(argument.substr(2));
            else letters(argument.substr(1));
        }
        if (problem_.empty() && !made_.help && !made_.version) complete();
        if (!problem_.empty()) return error{EINVAL, problem_};
        return std::move(made_);
    }

  private:
    void operand(std::string_view text) {
        if (made_.what == command::none) {
            std::vector<std::string_view> names;
            for (const command_description& one : command_descriptions()) {
                if (one.name == text) made_.what = one.what;
                names.push_back(one.name);
            }
            if (made_.what != command::none) return;
            const std::string_view meant = nearest(text, names);
            problem_ =
                fmt::format("there is no command \"{}\"; {}", printable(text, 80),
                            meant.empty() ? fmt::format("commands are {}", fmt::join(names, ", "))
                                          : fmt::format("did you mean {}?", meant));
        } else if (takes_target() && target_.empty()) {
            target_ = text;
        } else {
            problem_ = fmt::format("\"{}\" is too much: {} takes {}", printable(text, 80),
                                   describe(made_.what).name,
                                   takes_target() ? "one target" : "options only");
        }
    }

    bool takes_target() const noexcept {
        return made_.what == command::http || made_.what == command::tcp;
    }

    void letters(std::string_view text) {
        while (!text.empty() && problem_.empty()) {
            const auto found = std::find_if(flags.begin(), flags.end(), [&](const auto& one) {
                return one.letter == text.front();
            });
            if (found == flags.end()) {
                problem_ = fmt::format("there is no option -{}", printable(text, 8));
                return;
            }
            text.remove_prefix(1);
            if (found->operand.empty()) take(*found, {});
            else if (!text.empty()) take(*found, std::exchange(text, {}));
            else take_next(*found);
        }
    }

    void long_flag(std::string_view text) {
        const std::size_t equals = text.find('=');
        const std::string_view name = text.substr(0, equals);
        const command_flag* const flag = find(name);
        if (flag == nullptr) return unknown(name);
        if (flag->operand.empty() && equals != std::string_view::npos)
            problem_ = fmt::format("--{} takes no value", name);
        else if (flag->operand.empty()) take(*flag, {});
        else if (equals != std::string_view::npos) take(*flag, text.substr(equals + 1));
        else take_next(*flag);
    }

    const command_flag* find(std::string_view name) const {
        const auto found = std::find_if(flags.begin(), flags.end(), [&](const auto& one) {
            return one.name == name && one.of(made_.what);
        });
        return found == flags.end() ? nullptr : &*found;
    }

    void unknown(std::string_view name) {
        std::vector<std::string_view> known;
        for (const command_flag& one : flags) {
            if (one.name == name && made_.what == command::none) {
                problem_ = fmt::format("--{} belongs after its command", name);
                return;
            }
            if (one.of(made_.what)) known.push_back(one.name);
        }
        const std::string_view meant = nearest(name, known);
        problem_ = fmt::format(
            "{} no option --{}{}",
            made_.what == command::none ? "there is"
                                        : fmt::format("{} has", describe(made_.what).name),
            printable(name, 80), meant.empty() ? "" : fmt::format("; did you mean --{}?", meant));
    }

    void take_next(const command_flag& flag) {
        if (rest_.empty()) {
            problem_ =
                fmt::format("--{} needs a value: --{} {}", flag.name, flag.name, flag.operand);
            return;
        }
        const std::string_view value = rest_.front();
        rest_ = rest_.subspan(1);
        take(flag, value);
    }

    void take(const command_flag& flag, std::string_view value) {
        std::visit([&](const auto& effect) { apply(flag, effect, value); }, flag.effect);
    }

    void apply(const command_flag&, bool invocation::* const& member, std::string_view) {
        made_.*member = true;
    }
    void apply(const command_flag&, std::string invocation::* const& member,
               std::string_view value) {
        made_.*member = value;
    }
    void apply(const command_flag&, std::vector<std::string> invocation::* const& member,
               std::string_view value) {
        (made_.*member).emplace_back(value);
    }
    void apply(const command_flag& flag, std::uint32_t invocation::* const& member,
               std::string_view value) {
        std::uint32_t number = 0;
        const auto [end, failure] =
            std::from_chars(value.data(), value.data() + value.size(), number);
        constexpr std::uint32_t most = 10'000'000;
        if (failure != std::errc{} || end != value.data() + value.size() || number == 0 ||
            number > most)
            problem_ = fmt::format("--{}: \"{}\" is not a whole number from 1 to {}", flag.name,
                                   printable(value, 80), most);
        made_.*member = number;
    }
    void apply(const command_flag& flag, const sets_key& effect, std::string_view value) {
        const std::size_t dot = effect.path.rfind('.');
        assign(flag, effect.path.substr(0, dot), {}, effect.path.substr(dot + 1),
               effect.value.empty() ? value : effect.value);
    }
    void apply(const command_flag& flag, const sets_own_key& effect, std::string_view value) {
        // Kept ready from the first moment on.
        if (effect.table.empty()) {
            assign(flag, "services.pool", own, "warm_up_size", value);
            assign(flag, "services.pool", own, "min_idle_connections", value);
        } else {
            assign(flag, effect.table, own, effect.name,
                   effect.value.empty() ? value : effect.value);
        }
    }
    void apply(const command_flag&, const is_config_file&, std::string_view value) {
        made_.sources.file = value;
    }
    void apply(const command_flag&, const is_setting&, std::string_view value) {
        parsed_setting setting = parse_setting(value);
        if (setting.made) made_.sources.assignments.push_back(std::move(*setting.made));
        else made_.sources.problems.push_back({{value_source::setting, "--set"}, setting.problem});
    }

    void assign(const command_flag& flag, std::string_view table, std::string_view entry,
                std::string_view name, std::string_view value) {
        const std::string where = fmt::format("--{}", flag.name);
        const config_key* const key = find_key(table, name);
        TU_ASSERT(key != nullptr);
        // A list gathers what its flag says again and again.
        if (is_list(key->type)) {
            for (assignment& before : made_.sources.assignments) {
                if (before.from.where != where) continue;
                before.value.text += fmt::format(",{}", value);
                return;
            }
        }
        assignment one{std::string{table},
                       std::string{entry},
                       std::string{name},
                       {},
                       {value_source::flag, where}};
        one.value.text = value;
        made_.sources.assignments.push_back(std::move(one));
    }

    // ── what the words make together ──

    void complete() {
        if (made_.what == command::none) {
            problem_ = "a command is missing; try `tunnel-uring demo` or `tunnel-uring --help`";
        } else if (takes_target()) {
            complete_target();
        }
        if (!made_.watch.empty() && parse_duration(made_.watch).value_or(duration{0}) < 100ms)
            problem_ = fmt::format("--watch: \"{}\" is not a duration of 100ms or more, such as 1s",
                                   printable(made_.watch, 80));
        for (const std::string& text : made_.services) add_service(text);
        std::size_t number = 0;
        for (const std::string& key : made_.public_keys) {
            number += 1;
            const std::string name = fmt::format("key-{}", number);
            add_entry("relay.tokens", name, "--public-key");
            add_value("relay.tokens", name, "public_key", key, "--public-key");
            // Who starts the relay by hand means this agent to have what it asks for.
            add_value("relay.tokens", name, "hostnames", "*", "--public-key");
        }
        if (made_.quiet) add_value("log", {}, "level", "error", "--quiet");
    }

    void complete_target() {
        const std::string kind{describe(made_.what).name};
        if (target_.empty()) {
            problem_ =
                fmt::format("{} needs a target: 3000, host:3000 or unix:/run/app.sock", kind);
            return;
        }
        if (made_.what == command::http) target_ = without_scheme(target_);
        const std::string name = made_.name.empty() ? kind : made_.name;
        for (assignment& one : made_.sources.assignments) {
            if (one.entry == own) one.entry = name;
        }
        made_.sources.only_own_services = true;
        add_entry("services", name, made_.name.empty() ? kind : "--name");
        add_value("services", name, "type", kind, kind);
        add_value("services", name, "upstream", target_, "the target");
    }

    // "http://host:3000/" is what people copy from a browser.
    std::string without_scheme(std::string_view target) {
        constexpr std::string_view http = "http://";
        if (target.starts_with("https://")) {
            problem_ = fmt::format(
                "{}: services are spoken to without TLS; give the port where it speaks http",
                printable(target, 80));
        }
        if (!target.starts_with(http)) return std::string{target};
        std::string_view rest = target.substr(http.size());
        const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
        if (end < rest.size() && rest.substr(end) != "/")
            problem_ = fmt::format(
                "{}: a service is exposed as a whole, not below a path; end it after the port",
                printable(target, 80));
        rest = rest.substr(0, end);
        const bool has_port = rest.rfind(':') != std::string_view::npos && !rest.ends_with(']');
        return std::string{rest} + (has_port ? "" : ":80");
    }

    // "db=5432,remote_port=15432"
    void add_service(std::string_view text) {
        const std::size_t equals = text.find('=');
        if (equals == 0 || equals == std::string_view::npos) {
            problem_ =
                fmt::format("--service: \"{}\" has no name; write name=target, such as db=5432",
                            printable(text, 80));
            return;
        }
        const std::string name{text.substr(0, equals)};
        text.remove_prefix(equals + 1);
        add_entry("services", name, "--service");
        const bool http = fmt::format(",{},", text).find(",type=http,") != std::string::npos;
        if (!http) add_value("services", name, "type", "tcp", "--service");
        std::string_view key = "upstream";
        while (problem_.empty()) {
            const std::size_t comma = std::min(text.find(','), text.size());
            std::string value{text.substr(0, comma)};
            if (http && key == "upstream") value = without_scheme(value);
            if (!add_service_value(name, key, value)) return;
            if (comma == text.size()) return;
            text.remove_prefix(comma + 1);
            const std::size_t next = std::min(text.find('='), text.size());
            key = text.substr(0, next);
            text.remove_prefix(std::min(next + 1, text.size()));
        }
    }

    bool add_service_value(const std::string& name, std::string_view key, std::string_view value) {
        const std::size_t dot = key.find('.');
        const std::string table = dot == std::string_view::npos
                                      ? "services"
                                      : fmt::format("services.{}", key.substr(0, dot));
        const std::string_view bare = key.substr(dot == std::string_view::npos ? 0 : dot + 1);
        if (find_key(table, bare) == nullptr || bare == "name") {
            std::vector<std::string_view> known;
            for (const config_key& one : config_keys()) {
                if (one.table == "services" && one.name != "name") known.push_back(one.name);
            }
            problem_ =
                fmt::format("--service: unknown key \"{}\"; known: {}, pool.<key>, http.<key>",
                            printable(key, 80), fmt::join(known, ", "));
            return false;
        }
        // A list gathers: hostnames=a.example.com,hostnames=b.example.com.
        if (is_list(find_key(table, bare)->type)) {
            for (assignment& before : made_.sources.assignments) {
                if (before.table != table || before.entry != name || before.name != bare) continue;
                before.value.text += fmt::format(",{}", value);
                return true;
            }
        }
        add_value(table, name, bare, value, "--service");
        return true;
    }

    void add_entry(std::string_view table, const std::string& name, std::string_view where) {
        const value_origin from{value_source::flag, std::string{where}};
        made_.sources.entries.push_back({std::string{table}, name, from});
        add_value(table, name, "name", name, where);
    }

    void add_value(std::string_view table, const std::string& entry, std::string_view name,
                   std::string_view value, std::string_view where) {
        assignment one{std::string{table},
                       entry,
                       std::string{name},
                       {},
                       {value_source::flag, std::string{where}}};
        one.value.text = value;
        made_.sources.assignments.push_back(std::move(one));
    }

    // The service of `http` or `tcp`, until its name is known; no name of an entry.
    static constexpr std::string_view own = "\x01";

    std::span<const std::string_view> rest_;
    invocation made_;
    std::string target_;
    std::string problem_;
};

}  // namespace

std::span<const command_flag> command_flags() noexcept { return flags; }

result<invocation> parse_command_line(std::span<const std::string_view> arguments) {
    return parser{arguments}.parse();
}

}  // namespace tunnel_uring
