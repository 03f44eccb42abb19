// What was probably meant.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace tunnel_uring {

// Letters to insert, delete, replace or swap with their neighbour (the optimal string alignment
// distance) to make one of the other.
std::size_t edit_distance(std::string_view left, std::string_view right);

// The candidate nearest to `text`; "" when none is near enough to be what was meant.
std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace tunnel_uring
