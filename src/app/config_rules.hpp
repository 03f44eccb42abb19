// What values must be to each other.
#pragma once

#include "app/config_loader.hpp"

namespace tunnel_uring {

// Adds a problem for each pair of values that cannot be together, in whatever role.
void check_rules(loaded_config& config);

}  // namespace tunnel_uring
