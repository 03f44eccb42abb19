// single_worker_guard: watches one request on a warm socket for the sign of a server that serves
// one connection at a time, and waits on an unused one while this request waits for it.
#pragma once

#include "ring/io_context.hpp"
#include "tunnel/observer.hpp"
#include "tunnel/upstream.hpp"

namespace tunnel_uring {

// A second without a byte of the answer while sockets stand ready: those are closed. When an answer
// comes right then, that was it, and the service gets no connections ahead of its visitors, and one
// for each request; else the server is just slow, and all is as before.
class single_worker_guard final : private timer {
  public:
    // All outlive it. Its clock begins with restart().
    single_worker_guard(io_context& io, upstream& service, agent_observer& watcher) noexcept
        : io_{io}, service_{service}, watcher_{watcher} {}
    single_worker_guard(const single_worker_guard&) = delete;
    single_worker_guard& operator=(const single_worker_guard&) = delete;
    ~single_worker_guard() { end(); }

    // The request has moved on.
    void restart() noexcept;
    // A byte of the answer has come.
    void answered() noexcept;

  private:
    void expired() noexcept override;
    void end() noexcept;

    io_context& io_;
    upstream& service_;
    agent_observer& watcher_;
    bool suspects_ = false;
    bool over_ = false;
};

}  // namespace tunnel_uring
