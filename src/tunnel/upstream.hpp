// upstream: the local service behind one [[services]] entry, and how a socket to it is had.
#pragma once

#include <tunnel_uring/config.hpp>

#include <optional>
#include <string>

#include "net/dialer.hpp"
#include "net/name_cache.hpp"
#include "pool/warm_pool.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

class upstream final : private dial_source {
  public:
    // All outlive it; config.upstream parses.
    upstream(io_context& io, name_source& names, const service_config& config, std::uint64_t seed);

    const service_config& config() const noexcept { return config_; }
    warm_pool& pool() noexcept { return pool_; }

    // A connected socket of its own, its PROXY header sent where one is wanted; or why there is
    // none. `held` counts it in the pool and ends after the socket.
    struct outcome {
        lease held;
        stream socket;
        std::optional<reset_reason> refused;
        std::string sentence;
    };
    task<outcome> acquire(open_frame visitor, cancel_token stop);

    // For one http message and its answer: the lease keeps its socket, which may serve again.
    struct loan {
        lease held;
        std::optional<reset_reason> refused;
        std::string sentence;
        bool unavailable = false;  // The pool could not serve: a fallback is in place.
        duration retry_after{1s};  // Of the fallback.
    };
    // `repeatable`: what is to be said can be said again on another socket.
    task<loan> borrow(open_frame visitor, bool repeatable, cancel_token stop);
    // The same loan with a new socket, after its own proved to be dead.
    task<> renew(loan& dead, open_frame visitor, cancel_token stop);
    // Whether a borrowed socket may serve more than one visitor.
    bool shares_sockets() const noexcept { return config_.proxy_protocol == proxy_protocol::off; }
    // As the upstream itself would write it in a Host field.
    std::string authority() const;
    // Whether it can be connected to at all; the error is a sentence.
    task<result<void>> probe(cancel_token stop);

  private:
    task<result<stream>> connect(cancel_token stop) override;
    task<result<void>> check(cancel_token stop) override;
    task<result<void>> introduce(stream& socket, const open_frame& visitor, cancel_token stop);

    io_context& io_;
    name_cache names_;
    const service_config& config_;
    host_port where_;
    warm_pool pool_;
};

}  // namespace tunnel_uring
