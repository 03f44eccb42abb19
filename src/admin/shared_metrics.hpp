// What agents and relays tell alike.
#pragma once

#include <string_view>

#include "admin/exposition.hpp"
#include "admin/json_text.hpp"
#include "admin/meters.hpp"
#include "tunnel/status.hpp"

namespace tunnel_uring {

inline constexpr metric_family http_requests_family{
    "tunnel_uring_http_requests_total", metric_kind::counter,
    "Requests that were answered, by `code`: `2xx` and so on; `none`: there was no answer."};
inline constexpr metric_family http_duration_family{
    "tunnel_uring_http_request_duration_seconds", metric_kind::histogram,
    "From a request's head to the last byte of its answer."};
inline constexpr metric_family lanes_family{
    "tunnel_uring_lanes", metric_kind::gauge,
    "Lanes that stand, by `kind`: `shared`, `bulk_sending` (this end sends on them) and "
    "`bulk_receiving`."};
inline constexpr metric_family lanes_busy_family{
    "tunnel_uring_bulk_lanes_busy", metric_kind::gauge,
    "Of the bulk lanes that this end sends on: those at work."};

// Samples of the families above; `labels` may be empty.
void expose_classes(exposition& out, std::string_view labels, const request_meter& met);
void expose_lanes(exposition& out, std::string_view labels, const lane_counts& lanes);
// Members "requests" and "lanes" of the open object.
void tell_requests(json_text& out, request_meter& met, time_point now, duration uptime);
void tell_lanes(json_text& out, const lane_counts& lanes);

}  // namespace tunnel_uring
