// listener: a bound address and the connections that come in on it.
#pragma once

#include "net/stream.hpp"

namespace tunnel_uring {

class listener {
  public:
    // Binds and listens. The error is a sentence with its remedy (port taken, not permitted, not an
    // address of this host).
    static result<listener> open(io_context& io, const socket_address& where);
    // Tries again for a second while the port is taken: a predecessor that was killed gives its
    // sockets back some time after its death (its ring is torn down behind it).
    static task<result<listener>> open_patiently(io_context& io, socket_address where,
                                                 cancel_token stop);

    listener(listener&&) noexcept = default;
    listener& operator=(listener&&) noexcept = default;

    const socket_address& address() const noexcept { return address_; }
    const descriptor& get() const noexcept { return socket_.get(); }
    io_context& io() const noexcept { return *io_; }

  private:
    listener(io_context& io, direct_fd socket, const socket_address& address) noexcept
        : io_{&io}, socket_{std::move(socket)}, address_{address} {}
    io_context* io_;
    direct_fd socket_;
    socket_address address_;
};

// Takes connections from a listener, one coroutine at a time. Before destruction: co_await stop().
class acceptor {
  public:
    explicit acceptor(listener& source) noexcept : source_{source}, incoming_{source.io()} {}

    // The next connection. When descriptors are out it waits for
    // better times; ECANCELED is the only error.
    task<result<stream>> accept(cancel_token stop);
    // Connections that nobody took are closed.
    task<> stop();

  private:
    listener& source_;
    multishot incoming_;
};

}  // namespace tunnel_uring
