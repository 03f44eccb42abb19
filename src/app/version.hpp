// What this program is made of and what it found here.
#pragma once

#include <string>

#include "ring/backend.hpp"

namespace tunnel_uring {

// Lines for --version. A kernel that refuses is told, not an error.
std::string version_text();

// "multishot accept, multishot receive, …": what of it we use.
std::string features_in_use(const kernel_features& kernel);
// What is there and not used; "" when nothing is.
std::string features_unused(const kernel_features& kernel);
std::string_view liburing_version() noexcept;

}  // namespace tunnel_uring
