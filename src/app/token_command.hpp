// `token`: a new token for an agent, and what the relay is to be told.
#pragma once

#include <string>
#include <vector>

#include "app/exit_status.hpp"
#include "app/keys.hpp"

namespace tunnel_uring {

struct token_options {
    std::string name;
    std::vector<port_range> tcp_ports;    // Empty: all.
    std::vector<std::string> subdomains;  // Likewise.
    std::vector<std::string> hostnames;   // Empty: none.
    std::string out;                      // The token goes into this new file; "": to stdout.
    bool json = false;
};

// exit_failed when the file cannot be made; an existing one is never overwritten.
exit_status run_token(const token_options& options);

}  // namespace tunnel_uring
