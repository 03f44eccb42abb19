// The http kind of active health check.
#pragma once

#include <tunnel_uring/config.hpp>

#include <string>

#include "net/stream.hpp"

namespace tunnel_uring {

// Asks for `how.path` on a new connection and reads the head of the answer. The error says what was
// wrong with it: EPROTO another status than expected or no HTTP, ECONNRESET no answer.
task<result<void>> check_http(stream& connection, std::string authority,
                              const health_check_config& how, cancel_token stop);

}  // namespace tunnel_uring
