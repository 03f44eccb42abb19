// What of this host a relay or an agent needs.
#pragma once

#include <vector>

#include "app/check.hpp"

namespace tunnel_uring {

// io_uring: allowed, new enough, and a ring of the configured size can be had.
void check_io_uring(const io_uring_config& config, std::vector<check_row>& rows);
// RLIMIT_NOFILE against what the role may need at most.
void check_agent_files(const agent_config& config, std::vector<check_row>& rows);
void check_relay_files(const relay_config& config, std::vector<check_row>& rows);
// That the relay's ports are free, and that it may have them.
void check_relay_ports(const relay_config& config, std::vector<check_row>& rows);
// Where the names of http services lead; asks DNS unless `offline`. No row where there is no HTTP.
void check_domain(const http_front_config& config, bool offline, std::vector<check_row>& rows);
// That nobody else can read it.
void check_token_file(const std::string& path, std::vector<check_row>& rows);
// Connects and hangs up, within a few seconds.
void check_reachable(std::string_view name, const std::string& address, verdict when_not,
                     std::vector<check_row>& rows);

// The same of an http service's upstream, which must answer and say nothing before it is asked.
void check_http_upstream(std::string_view name, const std::string& address,
                         std::vector<check_row>& rows);

// Descriptors that a role may have open at once, besides those of every process.
std::uint64_t files_needed(const agent_config& config) noexcept;
std::uint64_t files_needed(const relay_config& config) noexcept;

// Lets this process have as many descriptors as the hard limit allows.
void raise_file_limit() noexcept;

}  // namespace tunnel_uring
