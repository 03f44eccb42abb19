// Dialling: a name, a number or a path to a connected stream.
#pragma once

#include "net/resolver.hpp"

namespace tunnel_uring {

// Resolves and connects within `limit`. Of several addresses each gets a head start over the next,
// families in turn, and the first to connect wins (RFC 8305, "Happy Eyeballs"); the others are
// closed. The error is a sentence; its code is that of connect(2) to the last address, or
// ETIMEDOUT.
task<result<stream>> dial(io_context& io, name_source& names, host_port where, duration limit,
                          cancel_token stop);

}  // namespace tunnel_uring
