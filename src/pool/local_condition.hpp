#pragma once

#include <cerrno>

namespace tunnel_uring {

// A failure of this host's doing: it says nothing about the upstream.
constexpr bool is_local_condition(int code) noexcept {
    return code == EADDRNOTAVAIL || code == EMFILE || code == ENFILE || code == ENOBUFS ||
           code == ENOMEM;
}

}  // namespace tunnel_uring
