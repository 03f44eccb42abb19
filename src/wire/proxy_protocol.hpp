// The PROXY protocol header: towards an upstream that wants to know its visitor, and from a
// balancer before the relay that knows who came. (HAProxy, "The PROXY protocol, versions 1 & 2",
// 2020/03/05.)
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"

namespace tunnel_uring {

// `source` is the visitor, `destination` what it connected to. When either is unknown, or their
// families differ, the header says so (UNKNOWN, LOCAL).
std::vector<std::byte> proxy_header_v1(const ip_endpoint& source, const ip_endpoint& destination);
std::vector<std::byte> proxy_header_v2(const ip_endpoint& source, const ip_endpoint& destination);

struct proxy_versions {
    bool v1 = true;
    bool v2 = true;
};

// The longest headers that are read: v1, and v2 with its TLVs (section 2.2: what fits one segment).
inline constexpr std::size_t proxy_header_v1_limit = 107;
inline constexpr std::size_t proxy_header_v2_limit = 536;

struct proxy_header {
    enum class verdict {
        more,       // It may become one: what follows decides.
        whole,      // The first `length` bytes are one.
        none,       // It does not begin as one of the versions asked for.
        malformed,  // It begins as one and is none: `sentence`.
    };
    verdict what = verdict::more;
    std::size_t length = 0;
    // Family none where the header does not tell: UNKNOWN, LOCAL, other families than IPv4 and
    // IPv6.
    ip_endpoint source{};
    ip_endpoint destination{};
    std::string_view sentence{};  // Of static storage.
};

// What the front of `input` is. TLVs are passed over.
proxy_header parse_proxy_header(bytes_view input, const proxy_versions& versions) noexcept;

}  // namespace tunnel_uring
