#include "app/config_loader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <tuple>

#include "app/config_rules.hpp"
#include "app/nearest.hpp"
#include "app/toml_reader.hpp"
#include "base/check.hpp"
#include "base/log.hpp"

namespace tunnel_uring {

namespace {

constexpr std::string_view variable_prefix = "TUNNEL_URING_";
constexpr std::size_t file_limit = std::size_t{1} << 20U;

std::string_view find_variable(const config_sources& sources, std::string_view name) {
    for (const auto& [key, value] : sources.environment) {
        if (key == name) return value;
    }
    return {};
}

std::string did_you_mean(std::string_view text, std::vector<std::string_view> candidates) {
    const std::string_view meant = nearest(text, candidates);
    return meant.empty() ? std::string{} : fmt::format("; did you mean \"{}\"?", meant);
}

// What may stand in a table: its keys and its subtables.
std::vector<std::string_view> names_in(std::string_view table) {
    std::vector<std::string_view> names;
    for (const config_key& key : config_keys()) {
        if (key.table == table) names.push_back(key.name);
    }
    for (const config_table& one : config_tables()) {
        if (one.path.empty()) continue;
        const std::size_t dot = one.path.rfind('.');
        const std::string_view parent =
            dot == std::string_view::npos ? std::string_view{} : one.path.substr(0, dot);
        if (parent == table)
            names.push_back(dot == std::string_view::npos ? one.path : one.path.substr(dot + 1));
    }
    return names;
}

// "unknown key" and where it may belong.
std::string unknown_key(std::string_view table, std::string_view name) {
    const std::vector<std::string_view> here = names_in(table);
    std::string text = "unknown key" + did_you_mean(name, here);
    if (text != "unknown key") return text;
    for (const config_key& key : config_keys()) {
        // What is in [services.pool] is in [pool] too.
        if (key.name == name && !key.table.starts_with("services.pool"))
            return fmt::format("unknown key; \"{}\" belongs into [{}]", name, key.table);
    }
    return fmt::format("{}; known here: {}", text, fmt::join(here, ", "));
}

class loader {
  public:
    explicit loader(const config_sources& sources) : sources_{sources} {}

    loaded_config load() {
        out_.problems = sources_.problems;
        read_file();
        read_environment();
        for (const config_entry& entry : sources_.entries) add_entry(entry);
        for (const assignment& one : sources_.assignments) pending_.push_back(one);
        apply_all();
        require_entry_keys();
        finish();
        check_rules(out_);
        const auto before = [](const config_problem& left, const config_problem& right) {
            const value_origin& first = left.from;
            const value_origin& second = right.from;
            return std::tie(first.source, first.at.line, first.at.column, left.sentence) <
                   std::tie(second.source, second.at.line, second.at.column, right.sentence);
        };
        std::sort(out_.problems.begin(), out_.problems.end(), before);
        return std::move(out_);
    }

  private:
    // ── the file ──

    void read_file() {
        const bool told =
            sources_.file.has_value() || !find_variable(sources_, "TUNNEL_URING_CONFIG").empty();
        for (const std::string& path : config_search_path(sources_)) {
            std::ifstream file{path, std::ios::binary};
            if (!file && errno == ENOENT && !told) continue;
            std::string text(file_limit + 1, '\0');
            if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
            // Opening a directory works, reading it does not.
            if (!file.is_open() || file.bad() || (file.fail() && !file.eof()))
                return problem({value_source::file, path},
                               fmt::format("cannot read the config file: {}",
                                           std::strerror(file.is_open() ? EISDIR : errno)));
            text.resize(static_cast<std::size_t>(file.gcount()));
            if (text.size() > file_limit)
                return problem({value_source::file, path}, "the config file is larger than 1 MiB");
            out_.file = path;
            const result<raw_value> parsed = read_toml(text, path);
            if (!parsed) return problem({value_source::file, ""}, parsed.error().sentence());
            return walk("", "", *parsed);
        }
    }

    value_origin in_file(const file_position& at) const {
        return {value_source::file, fmt::format("{}:{}:{}", out_.file, at.line, at.column), at};
    }

    void walk(const std::string& table, const std::string& entry, const raw_value& content) {
        for (const raw_value::entry& one : content.entries) {
            const std::string path = table.empty() ? one.key : table + "." + one.key;
            const config_table* const below = find_table(path);
            if (find_key(table, one.key) != nullptr) {
                pending_.push_back({table, entry, one.key, one.value, in_file(one.value.at)});
            } else if (below == nullptr) {
                problem(in_file(one.at),
                        printable(path) + ": " + unknown_key(table, printable(one.key)));
            } else if (below->repeated) {
                walk_entries(path, one);
            } else if (one.value.what != raw_value::kind::table) {
                problem(in_file(one.at), fmt::format("{0}: this is a table; write [{0}]", path));
            } else {
                walk(path, entry, one.value);
            }
        }
    }

    void walk_entries(const std::string& table, const raw_value::entry& list) {
        const bool is_list = list.value.what == raw_value::kind::list;
        if (!is_list) {
            return problem(
                in_file(list.at),
                fmt::format("{0}: there may be many; write [[{0}]], in two brackets", table));
        }
        if (table == "services" && sources_.only_own_services) return;
        if (table == "alerts") out_.values.agent.alerts.clear();
        std::size_t number = 0;
        for (const raw_value& item : list.value.items) {
            number += 1;
            if (item.what != raw_value::kind::table) {
                problem(in_file(item.at), fmt::format("{0}: write [[{0}]] and its keys", table));
                continue;
            }
            config_entry made{table, fmt::format("#{}", number), in_file(item.at)};
            for (const raw_value::entry& one : item.entries) {
                if (one.key == "name" && one.value.what == raw_value::kind::text)
                    made.name = printable(one.value.text, 64);
            }
            if (add_entry(made)) walk(table, made.name, item);
        }
    }

    // ── the environment ──

    void read_environment() {
        for (const auto& [name, value] : sources_.environment) {
            if (!name.starts_with(variable_prefix) || value.empty()) continue;
            if (name == "TUNNEL_URING_CONFIG" || name == "TUNNEL_URING_CENSUS") continue;
            const config_key* const key = key_of_variable(name);
            if (key == nullptr) {
                out_.warnings.push_back(unknown_variable(name));
                continue;
            }
            raw_value word;
            word.text = value;
            pending_.push_back({std::string{key->table},
                                {},
                                std::string{key->name},
                                word,
                                {value_source::variable, name}});
        }
    }

    static const config_key* key_of_variable(std::string_view name) {
        if (name == "TUNNEL_URING_RELAY") return find_key("agent", "relays");
        if (name == "TUNNEL_URING_TOKEN") return find_key("agent", "token");
        for (const config_key& key : config_keys()) {
            if (key.variable() == name) return &key;
        }
        return nullptr;
    }

    // Not a problem: others make variables too (a Kubernetes service of our name does).
    static std::string unknown_variable(std::string_view name) {
        std::vector<std::string> known{"TUNNEL_URING_RELAY", "TUNNEL_URING_TOKEN",
                                       "TUNNEL_URING_CONFIG"};
        for (const config_key& key : config_keys()) {
            if (!key.variable().empty()) known.push_back(key.variable());
        }
        const std::vector<std::string_view> views{known.begin(), known.end()};
        return fmt::format("the variable {} means nothing{}", printable(name),
                           did_you_mean(name, views));
    }

    // ── putting values in ──

    bool add_entry(const config_entry& entry) {
        std::vector<config_entry>& known = entries_of(entry.table);
        const auto same = [&entry](const config_entry& one) { return one.name == entry.name; };
        if (std::any_of(known.begin(), known.end(), same)) {
            problem(entry.from, fmt::format("{}: two have the name \"{}\"; give each its own",
                                            entry.table, entry.name));
            return false;
        }
        known.push_back(entry);
        if (entry.table == "services") out_.values.agent.services.emplace_back();
        else if (entry.table == "alerts") out_.values.agent.alerts.emplace_back();
        else out_.values.relay.tokens.emplace_back();
        return true;
    }

    std::vector<config_entry>& entries_of(std::string_view table) noexcept {
        if (table == "services") return out_.services;
        return table == "alerts" ? out_.alerts : out_.tokens;
    }

    // Pools of services last: they start from [pool], whoever set that, and from their service's
    // type where nobody did. A profile before the keys that it presets.
    void apply_all() {
        const auto is_profile = [](const assignment& one) { return one.name == "profile"; };
        const auto of_pool = [](const assignment& one) { return one.table.starts_with("pool"); };
        const auto of_service_pool = [](const assignment& one) {
            return one.table.starts_with("services.pool");
        };
        for (const assignment& one : pending_) {
            if (of_pool(one) && is_profile(one)) apply(one);
        }
        preset(out_.values.pool);
        for (const assignment& one : pending_) {
            if (!of_service_pool(one) && !(of_pool(one) && is_profile(one))) apply(one);
        }
        for (service_config& service : out_.values.agent.services) {
            service.pool = out_.values.pool;
            if (service.type != service_kind::http) continue;
            if (!out_.origins.contains("pool.warm_up_size"))
                service.pool.warm_up_size = http_warm_up_size;
            if (!out_.origins.contains("pool.min_idle_connections"))
                service.pool.min_idle_connections = http_min_idle_connections;
        }
        for (const assignment& one : pending_) {
            if (of_service_pool(one) && is_profile(one)) apply(one);
        }
        for (std::size_t i = 0; i < out_.services.size(); ++i) {
            const std::string own = "services." + out_.services[i].name + ".pool.profile";
            if (out_.origins.contains(own)) preset(out_.values.agent.services[i].pool);
        }
        for (const assignment& one : pending_) {
            if (of_service_pool(one) && !is_profile(one)) apply(one);
        }
    }

    static void preset(pool_config& pool) {
        static_cast<profile_times&>(pool) = profile_values(pool.profile);
    }

    void apply(const assignment& one) {
        const config_key* const key = find_key(one.table, one.name);
        TU_ASSERT(key != nullptr);
        if (key->secret && one.from.source >= value_source::setting) {
            return problem(one.from, one.path() +
                                         ": every user of this host can read a command line; use "
                                         "--token-file or the variable TUNNEL_URING_TOKEN");
        }
        key_scope scope{out_.values, &out_.values.pool};
        if (!enter(one, scope)) return;
        out_.origins[one.path()] = one.from;
        if (const auto wrong = assign(*key, scope, one.value))
            out_.problems.push_back(
                {one.from, one.path() + ": " + *wrong, one.from.source == value_source::flag});
    }

    // Fills the scope with the entry that the assignment is for.
    bool enter(const assignment& one, key_scope& scope) {
        const config_table* const table = find_table(one.table);
        if (!table->repeats()) return true;
        const std::string_view owner = table->repeated ? table->path : table->owner;
        const std::vector<config_entry>& known = entries_of(owner);
        const auto found =
            std::find_if(known.begin(), known.end(),
                         [&one](const config_entry& entry) { return entry.name == one.entry; });
        if (found == known.end()) {
            std::vector<std::string_view> names;
            names.reserve(known.size());
            for (const config_entry& entry : known) names.push_back(entry.name);
            problem(one.from, fmt::format("{}: there is no entry \"{}\" in {}{}", one.path(),
                                          one.entry, owner, did_you_mean(one.entry, names)));
            return false;
        }
        const auto index = static_cast<std::size_t>(found - known.begin());
        if (owner == "alerts") {
            scope.alert = &out_.values.agent.alerts[index];
        } else if (owner == "services") {
            scope.service = &out_.values.agent.services[index];
            scope.pool = &scope.service->pool;
        } else {
            scope.grant = &out_.values.relay.tokens[index];
        }
        return true;
    }

    void require_entry_keys() {
        for (const auto* const known : {&out_.services, &out_.tokens, &out_.alerts}) {
            for (const config_entry& entry : *known) {
                for (const config_key& key : config_keys()) {
                    const std::string path =
                        fmt::format("{}.{}.{}", entry.table, entry.name, key.name);
                    if (key.table != entry.table || !key.required || out_.origins.contains(path))
                        continue;
                    problem(entry.from,
                            fmt::format("{}: missing; write {}", path, describe_type(key)));
                }
            }
        }
    }

    // What the tables of the file say once and the config structs hold in several places.
    void finish() {
        settings& all = out_.values;
        all.agent.grace = all.relay.grace = all.grace;
        all.agent.io_uring = all.relay.io_uring = all.io_uring;
        all.admin.required = out_.origins.contains("admin.listen");
        all.agent.admin = all.relay.admin = all.admin;
        for (service_config& service : all.agent.services)
            service.pool.metrics_window = all.admin.metrics_window;
        all.relay.tcp_ports_first = all.tcp_ports.first;
        all.relay.tcp_ports_last = all.tcp_ports.second;
        cap_pools();
        if (!all.agent.name.empty()) return;
        std::array<char, 65> host{};
        ::gethostname(host.data(), host.size() - 1);
        for (const char* at = host.data(); *at != '\0'; ++at) {
            const bool good = std::isalnum(static_cast<unsigned char>(*at)) != 0 || *at == '-' ||
                              *at == '.' || *at == '_';
            all.agent.name += good ? *at : '-';
        }
        if (all.agent.name.empty()) all.agent.name = "agent";
    }

    // What a small pool is told is its limit; what it was not told follows.
    void cap_pools() {
        for (std::size_t i = 0; i < out_.services.size(); ++i) {
            pool_config& pool = out_.values.agent.services[i].pool;
            const auto told = [&](std::string_view key) {
                return out_.origins.contains(fmt::format("pool.{}", key)) ||
                       out_.origins.contains(
                           fmt::format("services.{}.pool.{}", out_.services[i].name, key));
            };
            if (!told("warm_up_size"))
                pool.warm_up_size = std::min(pool.warm_up_size, pool.max_pool_size);
            if (!told("min_idle_connections"))
                pool.min_idle_connections = std::min(pool.min_idle_connections, pool.max_pool_size);
        }
    }

    void problem(value_origin from, std::string sentence) {
        out_.problems.push_back({std::move(from), std::move(sentence), false});
    }

    const config_sources& sources_;
    loaded_config out_;
    std::vector<assignment> pending_;
};

}  // namespace

std::string assignment::path() const {
    const config_table* const in = find_table(table);
    if (in == nullptr || !in->repeats()) return table.empty() ? name : table + "." + name;
    const std::string_view owner = in->repeated ? in->path : in->owner;
    const std::string_view below =
        in->repeated ? std::string_view{} : in->path.substr(in->owner.size());
    return fmt::format("{}.{}{}.{}", owner, entry, below, name);
}

value_origin loaded_config::origin(const std::string& path) const {
    const auto found = origins.find(path);
    return found == origins.end() ? value_origin{} : found->second;
}

loaded_config load_config(const config_sources& sources) { return loader{sources}.load(); }

std::vector<std::string> config_search_path(const config_sources& sources) {
    if (sources.file) return {*sources.file};
    if (const auto told = find_variable(sources, "TUNNEL_URING_CONFIG"); !told.empty())
        return {std::string{told}};
    std::vector<std::string> places{"tunnel-uring.toml"};
    if (const auto xdg = find_variable(sources, "XDG_CONFIG_HOME"); !xdg.empty())
        places.push_back(std::string{xdg} + "/tunnel-uring/config.toml");
    else if (const auto home = find_variable(sources, "HOME"); !home.empty())
        places.push_back(std::string{home} + "/.config/tunnel-uring/config.toml");
    places.emplace_back("/etc/tunnel-uring/config.toml");
    return places;
}

parsed_setting parse_setting(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0)
        return {{},
                fmt::format("\"{}\" is no setting; write key=value, such as "
                            "pool.max_pool_size=80",
                            printable(text, 80))};
    const std::string_view path = text.substr(0, equals);
    const std::size_t dot = path.rfind('.');
    assignment made;
    made.table = dot == std::string_view::npos ? "" : path.substr(0, dot);
    made.name = dot == std::string_view::npos ? path : path.substr(dot + 1);
    made.value.text = text.substr(equals + 1);
    made.from = {value_source::setting, "--set"};
    for (const std::string_view repeated : {"services", "relay.tokens", "alerts"}) {
        if (!path.starts_with(std::string{repeated} + ".") || made.table == repeated) continue;
        std::string_view entry = std::string_view{made.table}.substr(repeated.size() + 1);
        std::string table{repeated};
        for (const std::string_view below :
             {".pool.circuit_breaker", ".pool.degrade", ".pool", ".health_check", ".http"}) {
            if (!entry.ends_with(below)) continue;
            if (find_key(table + std::string{below}, made.name) == nullptr) continue;
            entry.remove_suffix(below.size());
            table += below;
            break;
        }
        made.entry = entry;
        made.table = table;
    }
    const config_table* const in = find_table(made.table);
    const bool named = in == nullptr || in->repeats() == !made.entry.empty();
    if (named && find_key(made.table, made.name) != nullptr) return {made, {}};
    if (!made.entry.empty() || !named)
        return {
            {},
            fmt::format("{}: unknown key; write {}.<name>.<key>, keys are {}", printable(path, 80),
                        made.table, fmt::join(names_in(made.table), ", "))};
    if (in != nullptr && !made.table.empty())
        return {{},
                fmt::format("{}: {}", printable(path, 80),
                            unknown_key(made.table, printable(made.name, 80)))};
    std::vector<std::string> known;
    for (const config_key& key : config_keys()) {
        if (!find_table(key.table)->repeats()) known.push_back(key.path());
    }
    return {{},
            fmt::format("{}: unknown key{}", printable(path, 80),
                        did_you_mean(path, {known.begin(), known.end()}))};
}

}  // namespace tunnel_uring
