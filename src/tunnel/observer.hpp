// What happens in a relay or an agent that people want to know. Called from the run loop; must not
// block.
#pragma once

#include <cstdint>
#include <string_view>

#include "tunnel/exchange.hpp"

namespace tunnel_uring {

class relay_observer {
  public:
    virtual ~relay_observer() = default;
    virtual void agent_connected(std::string_view agent, std::string_view from) = 0;
    virtual void agent_gone(std::string_view agent, std::string_view why) = 0;
    virtual void connection_refused(std::string_view from, std::string_view why) = 0;
    virtual void port_opened(std::string_view agent, std::string_view service,
                             std::string_view address) = 0;
    virtual void port_closed(std::string_view agent, std::string_view service,
                             std::string_view address) = 0;
    virtual void exchange_ended(std::string_view service, std::string_view visitor,
                                const exchange_end& how) = 0;
};

class agent_observer {
  public:
    virtual ~agent_observer() = default;
    virtual void connected(std::string_view relay) = 0;
    virtual void disconnected(std::string_view relay, std::string_view why) = 0;
    // The first try is in `delay`.
    virtual void retrying(std::string_view relay, std::string_view why, std::uint32_t attempt,
                          duration delay) = 0;
    // The relay does not want this agent; it is asked again later all the same.
    virtual void refused(std::string_view relay, std::uint16_t code, std::string_view sentence) = 0;
    virtual void service_open(std::string_view service, std::string_view public_address) = 0;
    virtual void service_refused(std::string_view service, std::uint16_t code,
                                 std::string_view sentence) = 0;
    virtual void exchange_ended(std::string_view service, std::string_view visitor,
                                const exchange_end& how) = 0;
};

}  // namespace tunnel_uring
