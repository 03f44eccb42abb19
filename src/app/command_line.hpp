// The command line: one table of flags, from which parsing and the help texts are made. A flag that
// stands for a configuration key becomes an assignment to it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tunnel_uring/result.hpp>

#include "app/config_loader.hpp"

namespace tunnel_uring {

enum class command : unsigned { none, demo, http, tcp, agent, relay, status, check, token };

struct command_description {
    command what;
    std::string_view name;
    std::string_view group;      // The heading that it stands under in the help.
    std::string_view arguments;  // "<target>"
    std::string_view summary;    // One line of the overview.
    std::string_view details;    // The help of the command, between usage and options.
    std::string_view examples;   // Lines.
};

struct invocation {
    command what = command::none;
    bool help = false;
    bool version = false;
    bool json = false;
    bool quiet = false;
    config_sources sources;  // Without the environment.

    bool url_only = false;                 // http, tcp
    std::string name;                      // http, tcp: of the service; token: of the agent
    std::vector<std::string> public_keys;  // relay
    std::vector<std::string> services;     // agent
    std::uint32_t requests = 2000;         // demo
    std::uint32_t concurrency = 16;        // demo
    bool keep = false;                     // demo
    std::string watch;                     // status: a duration
    bool offline = false;                  // check
    bool print = false;                    // check
    bool print_keys_markdown = false;      // check
    std::string tcp_ports;                 // token
    std::string subdomains;                // token
    std::string hostnames;                 // token
    std::string out;                       // token
};

// What a flag does: sets a member, or a key; `own` keys are those of the one service of `http` or
// `tcp`.
struct sets_key {
    std::string_view path;
    std::string_view value = {};  // For a flag that takes none.
};
struct sets_own_key {
    std::string_view table;  // "services", "services.http" or "services.pool"
    std::string_view name;
    std::string_view value = {};  // For a flag that takes none.
};
struct is_setting {};  // --set
struct is_config_file {};
using flag_effect =
    std::variant<bool invocation::*, std::string invocation::*, std::uint32_t invocation::*,
                 std::vector<std::string> invocation::*, sets_key, sets_own_key, is_setting,
                 is_config_file>;

struct command_flag {
    unsigned commands;         // Bits 1 << command; 0: all.
    char letter;               // '\0': none.
    std::string_view name;     // Without dashes.
    std::string_view operand;  // "<file>"; "" when it takes none.
    std::string_view help;     // "" is not shown.
    flag_effect effect;

    bool of(command what) const noexcept {
        return commands == 0 || (commands & (1U << static_cast<unsigned>(what))) != 0;
    }
};

std::span<const command_description> command_descriptions() noexcept;
const command_description& describe(command what) noexcept;
std::span<const command_flag> command_flags() noexcept;

// `arguments` without the program's name. The error is a sentence, and means exit_usage.
result<invocation> parse_command_line(std::span<const std::string_view> arguments);

// The overview for command::none.
std::string help_text(command what);

}  // namespace tunnel_uring
