// upstream: the local service behind one [[services]] entry, and how a socket to it is had.
#pragma once

#include <tunnel_uring/config.hpp>

#include "net/dialer.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

class upstream {
  public:
    // All outlive it; config.upstream parses.
    upstream(io_context& io, name_source& names, const service_config& config,
             std::uint64_t seed);

    void start() {}
    task<> stop() { co_return; }

    const service_config& config() const noexcept { return config_; }
    // A connected socket of its own, ready for its first byte; or why there is none.
    struct outcome {
        stream socket;
        std::optional<reset_reason> refused;
        std::string sentence;
    };
    task<outcome> acquire(const open_frame& visitor, cancel_token stop);
    // Whoever had a socket of acquire() is done with it.
    void release() noexcept { connections_ -= 1; }

  private:
    io_context& io_;
    name_source& names_;
    const service_config& config_;
    host_port where_;
    std::uint32_t connections_ = 0;
};

}  // namespace tunnel_uring
