// From the file, the environment and the flags to settings, each value with its origin.
//
// Precedence: flag or --set, the last counts > TUNNEL_URING_* variable > file > default. A wrong
// value is a problem that names its place, its key, what is wrong and the remedy; all problems are
// found, not only the first.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/keys.hpp"
#include "app/values.hpp"

namespace tunnel_uring {

// Ordered by precedence. `setting` is --set.
enum class value_source { default_value, file, variable, setting, flag };

struct value_origin {
    value_source source = value_source::default_value;
    std::string where;      // "tunnel-uring.toml:3:7", "TUNNEL_URING_RELAY", "--relay"
    file_position at = {};  // In a file.
};

struct config_problem {
    value_origin from;
    std::string sentence;   // "pool.max_pool_size: …"
    bool of_usage = false;  // A value of a flag that is wrong on any host.
    std::string text() const {
        return from.where.empty() ? sentence : from.where + ": " + sentence;
    }
};

struct assignment {
    std::string table;
    std::string entry;  // In a repeated table: the name of the entry.
    std::string name;
    raw_value value;
    value_origin from;
    std::string path() const;
};

// An entry of a repeated table.
struct config_entry {
    std::string table;
    std::string name;
    value_origin from;
};

struct config_sources {
    std::optional<std::string> file;  // Told by a flag; else it is looked for.
    std::vector<std::pair<std::string, std::string>> environment;
    std::vector<config_entry> entries;     // That flags make.
    std::vector<assignment> assignments;   // Of flags and --set, in their order.
    std::vector<config_problem> problems;  // Of --set, found already.
    bool only_own_services = false;        // The file's [[services]] are not this command's.
};

struct loaded_config {
    settings values;
    std::string file;        // "" when there is none.
    std::string token_path;  // Where the token was read from, "" when not from a file.
    std::map<std::string, value_origin> origins;  // By path; what is not in it is a default.
    std::vector<config_entry> services;           // In the order of values.agent.services.
    std::vector<config_entry> tokens;             // In the order of values.relay.tokens.
    std::vector<config_entry> alerts;  // Of values.agent.alerts; none: those are the defaults.
    std::vector<std::string> warnings;
    // When there are any, the values are not to be used. Those of the file in its order.
    std::vector<config_problem> problems;

    value_origin origin(const std::string& path) const;
};

// Reads the file; asks nothing else of the system.
loaded_config load_config(const config_sources& sources);

// "agent.lanes.shared=8" from --set; the problem's sentence when it cannot be one.
struct parsed_setting {
    std::optional<assignment> made;
    std::string problem;
};
parsed_setting parse_setting(std::string_view text);

// Where a file is looked for, the first that there is: $TUNNEL_URING_CONFIG, ./tunnel-uring.toml,
// $XDG_CONFIG_HOME (or ~/.config)/tunnel-uring/config.toml, /etc/tunnel-uring/config.toml.
std::vector<std::string> config_search_path(const config_sources& sources);

// ── what a role needs beyond right values; adds to the problems ──

// Relays, services, a token if it is in a file (read here, into values.agent.token).
void require_agent(loaded_config& config);
void require_relay(loaded_config& config);

}  // namespace tunnel_uring
