// Configuration as text: what is in force, and what there is.
#pragma once

#include <string>

#include "app/config_loader.hpp"

namespace tunnel_uring {

// TOML that says the same when it is read: what is a default stands in a comment, what was set has
// its origin behind it, and of secrets it is only told that they are there.
std::string print_config(loaded_config& config);

// docs/configuration.md.
std::string keys_markdown();

}  // namespace tunnel_uring
