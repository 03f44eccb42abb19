// What an agent answers an http visitor whom the service's pool cannot serve.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.hpp"

namespace tunnel_uring {

class exchange;

// Queues the answer: `status` with Retry-After, and the sentence for its body unless it answers a
// HEAD. The exchange's outgoing direction is then to be ended.
void send_fallback(exchange& both, std::uint16_t status, std::string_view sentence,
                   duration retry_after, bool to_head);

}  // namespace tunnel_uring
