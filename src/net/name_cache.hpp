// name_cache: the addresses of names, for as long as they may be believed.
#pragma once

#include <cstdint>

#include "net/resolver.hpp"

namespace tunnel_uring {

// Of one name: that of its last question. An answer serves for 30 s: containers move, and
// getaddrinfo(3) tells nothing of how long it is good for. Failures are asked anew.
class name_cache final : public name_source {
  public:
    static constexpr duration lifetime = 30s;

    // Both outlive it.
    name_cache(io_context& io, name_source& source) noexcept : io_{io}, source_{source} {}

    task<result<std::vector<socket_address>>> resolve(host_port where, cancel_token stop) override;
    // Nobody is there any more: the next question is asked anew.
    void forget() noexcept { answer_.clear(); }

  private:
    io_context& io_;
    name_source& source_;
    host_port asked_;
    std::vector<socket_address> answer_;
    time_point until_{};
};

}  // namespace tunnel_uring
