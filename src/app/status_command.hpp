// `status`: what the running agent or relay says of itself.
#pragma once

#include <tunnel_uring/config.hpp>
#include <tunnel_uring/result.hpp>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/exit_status.hpp"
#include "base/clock.hpp"

namespace tunnel_uring {

struct status_options {
    bool json = false;
    duration watch{0};  // Again and again, so often; 0: once.
};

// Asks its admin listener. Where nothing runs, or something else does, a sentence and exit_failed.
exit_status run_status(const admin_config& config, const status_options& options);

// ── the parts, for tests ──

// The body of GET /status; waits for a few seconds at most.
result<std::string> ask_for_status(const admin_config& config);
// For people.
std::string status_text(const nlohmann::json& status);

}  // namespace tunnel_uring
