// An address as the kernel wants it: IPv4, IPv6 or a unix path, sized for any of them.
#pragma once

#include <sys/socket.h>

#include <cstring>

namespace tunnel_uring {

struct socket_address {
    sockaddr_storage storage{};
    socklen_t length = 0;

    sa_family_t family() const noexcept { return storage.ss_family; }
    sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    bool operator==(const socket_address& other) const noexcept {
        return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
    }
};

}  // namespace tunnel_uring
