// The names that docs/protocol.md gives to values. Each list is a switch that the compiler holds
// complete: a value that is added to an enum does not build before it has its name here.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/frame.hpp"
#include "wire/handshake.hpp"
#include "wire/protocol_error.hpp"

namespace tunnel_uring {

// Empty for a number that is no value.
std::string_view name_of(frame_type value);
std::string_view name_of(reset_reason value);
std::string_view name_of(protocol_error value);
std::string_view name_of(refusal value);
std::string_view name_of(exchange_kind value);
std::string_view name_of(body_framing value);
std::string_view name_of(connection_kind value);
std::string_view name_of(bulk_direction value);
std::string_view name_of(const control_message& value);

// Every value that has a name.
template <class Enum>
std::vector<Enum> all_values() {
    std::vector<Enum> values;
    for (unsigned number = 0; number < 256; ++number)
        if (!name_of(static_cast<Enum>(number)).empty())
            values.push_back(static_cast<Enum>(number));
    return values;
}

// Every control message, by its type on the wire less one, empty.
std::vector<control_message> all_control_messages();

}  // namespace tunnel_uring
