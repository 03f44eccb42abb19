// http_names: which service visitors mean by a host name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.hpp"

namespace tunnel_uring {

class session;

// An http service of an agent that is here.
struct http_service {
    session& lanes;
    std::uint32_t number = 0;
    std::uint32_t max_exchanges = 0;  // Of its agent.
    bool forwarded = true;            // Gets X-Forwarded-*.
    std::string name;                 // For the log.
};

class http_names {
  public:
    // Of a DNS name, or "*." before one for all names below it; lower case.
    void add(std::string_view name, http_service& service);
    // `service` has it no more; that it was here is remembered for a while.
    void remove(std::string_view name, const http_service& service, time_point now);
    // Who has exactly this one.
    http_service* holder(std::string_view name) const;

    std::size_t count() const noexcept { return services_.size(); }

    // Whom a visitor means: the name itself, else the longest zone that it lies in.
    http_service* find(std::string_view host) const;
    // Whether somebody had it not long ago: an agent that will probably be back.
    bool was_here(std::string_view host, time_point now) const;

  private:
    template <class Look>
    static bool look_up(std::string_view host, Look look);

    std::unordered_map<std::string, http_service*> services_;
    std::map<std::string, time_point, std::less<>> departed_;
};

// Whether `name` is a DNS name that a service may have: labels of letters, digits, '-' and '_', at
// most 63 bytes each and 253 in all; lower case; perhaps with "*." before it.
bool is_service_name(std::string_view name) noexcept;
// Whether `pattern` covers `label`: '*' in it stands for any letters, digits, '-' and '_'.
bool covers_label(std::string_view pattern, std::string_view label) noexcept;
// Whether `pattern` covers `name`: that name, "*." and a zone around it, or "*" for all.
bool covers_name(std::string_view pattern, std::string_view name) noexcept;

}  // namespace tunnel_uring
