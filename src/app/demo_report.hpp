// What the demo found, for people and for machines.
#pragma once

#include <array>
#include <string>

#include "app/demo_traffic.hpp"

namespace tunnel_uring {

struct demo_report {
    std::array<tcp_shape, 3> tcp{tcp_shape{"direct"}, tcp_shape{"pool on"}, tcp_shape{"pool off"}};
    std::array<http_shape, 3> http{http_shape{"http direct"}, http_shape{"http pool on"},
                                   http_shape{"http pool off"}};
    hello_check hello;
    bulk_check bulk;
    std::string relay_address;
    std::string http_address;
    std::string trouble;
    duration warm_up{};
    duration took{};

    // Something was asked in each shape, and all of it was right.
    bool ok() const;
};

std::string report_text(const demo_report& what);
std::string report_json(const demo_report& what);  // One object, with a newline.

}  // namespace tunnel_uring
