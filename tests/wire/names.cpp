#include "wire/names.hpp"

#include <cstddef>
#include <utility>
#include <variant>

namespace tunnel_uring {

std::string_view name_of(frame_type value) {
    switch (value) {
        case frame_type::open: return "open";
        case frame_type::data: return "data";
        case frame_type::end: return "end";
        case frame_type::reset: return "reset";
        case frame_type::stop: return "stop";
        case frame_type::credit: return "credit";
        case frame_type::claim: return "claim";
        case frame_type::release: return "release";
        case frame_type::retire: return "retire";
        case frame_type::ping: return "ping";
        case frame_type::pong: return "pong";
        case frame_type::head: return "head";
        case frame_type::trailers: return "trailers";
    }
    return {};
}

std::string_view name_of(reset_reason value) {
    switch (value) {
        case reset_reason::visitor_reset: return "visitor_reset";
        case reset_reason::upstream_reset: return "upstream_reset";
        case reset_reason::upstream_refused: return "upstream_refused";
        case reset_reason::upstream_timeout: return "upstream_timeout";
        case reset_reason::upstream_unreachable: return "upstream_unreachable";
        case reset_reason::no_such_service: return "no_such_service";
        case reset_reason::no_room: return "no_room";
        case reset_reason::agent_away: return "agent_away";
        case reset_reason::lane_lost: return "lane_lost";
        case reset_reason::protocol_error: return "protocol_error";
        case reset_reason::shutting_down: return "shutting_down";
        case reset_reason::upstream_garbage: return "upstream_garbage";
    }
    return {};
}

std::string_view name_of(protocol_error value) {
    switch (value) {
        case protocol_error::unknown_frame_type: return "unknown_frame_type";
        case protocol_error::frame_too_long: return "frame_too_long";
        case protocol_error::reserved_bits_set: return "reserved_bits_set";
        case protocol_error::wrong_frame_size: return "wrong_frame_size";
        case protocol_error::bad_lane_frame: return "bad_lane_frame";
        case protocol_error::id_never_opened: return "id_never_opened";
        case protocol_error::id_not_rising: return "id_not_rising";
        case protocol_error::open_from_agent: return "open_from_agent";
        case protocol_error::open_after_retire: return "open_after_retire";
        case protocol_error::data_beyond_credit: return "data_beyond_credit";
        case protocol_error::data_after_end: return "data_after_end";
        case protocol_error::data_in_run: return "data_in_run";
        case protocol_error::end_before_data: return "end_before_data";
        case protocol_error::end_total_mismatch: return "end_total_mismatch";
        case protocol_error::end_twice: return "end_twice";
        case protocol_error::cut_without_stop: return "cut_without_stop";
        case protocol_error::stop_twice: return "stop_twice";
        case protocol_error::claim_in_run: return "claim_in_run";
        case protocol_error::claim_wrong_offset: return "claim_wrong_offset";
        case protocol_error::bad_claim: return "bad_claim";
        case protocol_error::release_without_run: return "release_without_run";
        case protocol_error::release_before_data: return "release_before_data";
        case protocol_error::run_beyond_end: return "run_beyond_end";
        case protocol_error::credit_goes_back: return "credit_goes_back";
        case protocol_error::resume_without_release: return "resume_without_release";
        case protocol_error::bad_address: return "bad_address";
        case protocol_error::not_http: return "not_http";
        case protocol_error::head_after_body: return "head_after_body";
        case protocol_error::data_before_head: return "data_before_head";
        case protocol_error::head_too_long: return "head_too_long";
        case protocol_error::too_many_heads: return "too_many_heads";
    }
    return {};
}

std::string_view name_of(refusal value) {
    switch (value) {
        case refusal::not_authorised: return "not_authorised";
        case refusal::port_taken: return "port_taken";
        case refusal::port_not_allowed: return "port_not_allowed";
        case refusal::too_many: return "too_many";
        case refusal::draining: return "draining";
        case refusal::cannot_listen: return "cannot_listen";
        case refusal::name_taken: return "name_taken";
        case refusal::name_not_allowed: return "name_not_allowed";
        case refusal::no_http: return "no_http";
    }
    return {};
}

std::string_view name_of(exchange_kind value) {
    switch (value) {
        case exchange_kind::tcp: return "tcp";
        case exchange_kind::http: return "http";
    }
    return {};
}

std::string_view name_of(body_framing value) {
    switch (value) {
        case body_framing::none: return "none";
        case body_framing::length: return "length";
        case body_framing::chunked: return "chunked";
        case body_framing::until_close: return "until_close";
    }
    return {};
}

std::string_view name_of(connection_kind value) {
    switch (value) {
        case connection_kind::control: return "control";
        case connection_kind::shared_lane: return "shared_lane";
        case connection_kind::bulk_lane: return "bulk_lane";
    }
    return {};
}

std::string_view name_of(bulk_direction value) {
    switch (value) {
        case bulk_direction::none: return "none";
        case bulk_direction::agent_sends: return "agent_sends";
        case bulk_direction::relay_sends: return "relay_sends";
    }
    return {};
}

namespace {

std::string_view name(const hello_message&) { return "hello"; }
std::string_view name(const challenge_message&) { return "challenge"; }
std::string_view name(const proof_message&) { return "proof"; }
std::string_view name(const welcome_message&) { return "welcome"; }
std::string_view name(const refused_message&) { return "refused"; }
std::string_view name(const register_message&) { return "register"; }
std::string_view name(const registered_message&) { return "registered"; }
std::string_view name(const register_refused_message&) { return "register_refused"; }
std::string_view name(const bulk_demand_message&) { return "bulk_demand"; }
std::string_view name(const drain_message&) { return "drain"; }
std::string_view name(const register_names_message&) { return "register_names"; }
std::string_view name(const names_registered_message&) { return "names_registered"; }

template <std::size_t... Index>
std::vector<control_message> one_of_each(std::index_sequence<Index...>) {
    return {std::variant_alternative_t<Index, control_message>{}...};
}

}  // namespace

std::string_view name_of(const control_message& value) {
    return std::visit([](const auto& message) { return name(message); }, value);
}

std::vector<control_message> all_control_messages() {
    return one_of_each(std::make_index_sequence<std::variant_size_v<control_message>>{});
}

}  // namespace tunnel_uring
