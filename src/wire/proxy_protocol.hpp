// The PROXY protocol header, towards an upstream that wants to know its visitor.
// (HAProxy, "The PROXY protocol, versions 1 & 2", 2020/03/05.)
#pragma once

#include <cstddef>
#include <vector>

#include "base/ip_address.hpp"

namespace tunnel_uring {

// `source` is the visitor, `destination` what it connected to. When either is unknown, or their
// families differ, the header says so (UNKNOWN, LOCAL).
std::vector<std::byte> proxy_header_v1(const ip_endpoint& source, const ip_endpoint& destination);
std::vector<std::byte> proxy_header_v2(const ip_endpoint& source, const ip_endpoint& destination);

}  // namespace tunnel_uring
