// The words for what goes wrong on the wire.
#include "wire/frame.hpp"
#include "wire/protocol_error.hpp"

namespace tunnel_uring {

std::string_view describe(reset_reason reason) noexcept {
    switch (reason) {
        case reset_reason::visitor_reset: return "the visitor's connection was reset";
        case reset_reason::upstream_reset: return "the upstream's connection was reset";
        case reset_reason::upstream_refused: return "the upstream refused the connection";
        case reset_reason::upstream_timeout: return "the upstream did not answer in time";
        case reset_reason::upstream_unreachable: return "the upstream cannot be reached";
        case reset_reason::no_such_service: return "the agent has no such service";
        case reset_reason::no_room: return "the agent has no room for another exchange";
        case reset_reason::agent_away: return "the agent is away";
        case reset_reason::lane_lost: return "the connection between relay and agent was lost";
        case reset_reason::protocol_error: return "the protocol was broken";
        case reset_reason::shutting_down: return "shutting down";
        case reset_reason::upstream_garbage: return "the upstream's answer is not valid HTTP";
    }
    return "an unknown reason";
}

std::string_view describe(protocol_error what) noexcept {
    switch (what) {
        case protocol_error::unknown_frame_type: return "a frame has an unknown type";
        case protocol_error::frame_too_long: return "a frame is longer than 16 KiB";
        case protocol_error::reserved_bits_set: return "a frame has reserved bits set";
        case protocol_error::wrong_frame_size: return "a frame has the wrong size for its type";
        case protocol_error::bad_lane_frame: return "a frame has an id that its type cannot have";
        case protocol_error::id_never_opened: return "a frame is for an exchange never opened";
        case protocol_error::id_not_rising: return "an exchange was opened with a former id";
        case protocol_error::open_from_agent: return "an exchange was opened by the agent";
        case protocol_error::open_after_retire: return "an exchange was opened on a retired lane";
        case protocol_error::data_beyond_credit: return "bytes came beyond the credit given";
        case protocol_error::data_after_end: return "bytes came after their end";
        case protocol_error::data_in_run: return "framed bytes came during a bulk run";
        case protocol_error::end_before_data: return "an end tells fewer bytes than have come";
        case protocol_error::end_total_mismatch: return "an end tells another total than came";
        case protocol_error::end_twice: return "a direction was ended twice";
        case protocol_error::cut_without_stop: return "a direction was cut that nobody stopped";
        case protocol_error::stop_twice: return "a direction was stopped twice";
        case protocol_error::claim_in_run: return "a bulk lane was claimed during a run";
        case protocol_error::claim_wrong_offset: return "a claim tells another offset than came";
        case protocol_error::bad_claim: return "a claim names a bulk lane that cannot be claimed";
        case protocol_error::release_without_run: return "a release came without a run";
        case protocol_error::release_before_data: return "a release tells fewer bytes than came";
        case protocol_error::run_beyond_end: return "a bulk lane carried bytes beyond its run";
        case protocol_error::credit_goes_back: return "a credit limit went back";
        case protocol_error::resume_without_release:
            return "a credit answers a release that was never sent";
        case protocol_error::bad_address: return "an address in a frame is malformed";
        case protocol_error::not_http: return "a tcp exchange got a head or trailers";
        case protocol_error::head_after_body: return "a head came after the body had begun";
        case protocol_error::data_before_head: return "a body came before its head";
        case protocol_error::head_too_long: return "a head is longer than the protocol allows";
        case protocol_error::too_many_heads: return "more heads came than one answer can have";
    }
    return "an unknown error";
}

}  // namespace tunnel_uring
