// `relay`, `agent`, `http` and `tcp`: one role in this process until a signal ends it.
#pragma once

#include <tunnel_uring/config.hpp>

#include "app/exit_status.hpp"

namespace tunnel_uring {

// Both print what scripts wait for on stdout, flushed line by line: the relay
// `listening control <address>` and, where it is told to, `listening http <address>`; the agent
// what its output says. Everything else is logged. The configs are valid.
exit_status run_relay(const relay_config& config, const log_config& log);

struct agent_output {
    enum class form {
        services,  // `service <name> <url>`, for each URL.
        urls,      // Nothing but the URLs, one a line.
        requests,  // For a person at a terminal: the URLs and where they lead, then each request.
    };
    form what = form::services;
    // A refusal of the token or of a service before anything worked ends the command: exit_refused.
    bool end_when_refused = true;
};
exit_status run_agent(const agent_config& config, const log_config& log,
                      const agent_output& output);

}  // namespace tunnel_uring
