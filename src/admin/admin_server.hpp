// admin_server: a role's admin listener: HTTP/1.1, GET and HEAD, on the role's own loop.
//
// It shares that loop with the byte path: a few connections at once, small heads, short times, and
// pages that are made from what is in memory.
#pragma once

#include <tunnel_uring/config.hpp>

#include <functional>
#include <optional>
#include <string_view>

#include "admin/admin_pages.hpp"
#include "coro/nursery.hpp"
#include "net/listener.hpp"

namespace tunnel_uring {

class admin_server {
  public:
    // All outlive it; config.listen is valid, and not empty.
    admin_server(io_context& io, const admin_config& config, admin_pages& pages)
        : io_{io}, config_{config}, pages_{pages} {}
    admin_server(const admin_server&) = delete;
    admin_server& operator=(const admin_server&) = delete;
    // A unix socket's path is gone then.
    ~admin_server();

    // Listens; the error is a sentence. A unix socket that a dead process left is replaced.
    task<result<void>> open(cancel_token stop);
    // Serves what open() listens on, until `stop`; its connections are closed then.
    task<> run(cancel_token stop);
    // After open().
    const socket_address& address() const noexcept { return source_->address(); }

    // ── for its connections ──
    io_context& io() noexcept { return io_; }
    admin_pages& pages() noexcept { return pages_; }
    // Whether a request with this Host is for us. On loopback only names and addresses of this host
    // are: a web page elsewhere that has its own name point here (DNS rebinding) is refused.
    bool knows(std::string_view host) const;

  private:
    task<> serve(stream connection);

    io_context& io_;
    const admin_config& config_;
    admin_pages& pages_;
    std::optional<listener> source_;
    nursery connections_;
};

}  // namespace tunnel_uring
