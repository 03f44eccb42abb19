// TOML text (toml.io, 1.0) to raw values with their places.
#pragma once

#include <string_view>

#include <tunnel_uring/result.hpp>

#include "app/values.hpp"

namespace tunnel_uring {

// The whole document as a table, entries in the order of the file. EINVAL with
// "file:line:column: what is wrong".
result<raw_value> read_toml(std::string_view text, std::string_view file);

}  // namespace tunnel_uring
