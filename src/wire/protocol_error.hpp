// What a peer can do wrong on a lane; each ends the lane, with this sentence in the log.
#pragma once

#include <cstdint>
#include <string_view>

namespace tunnel_uring {

enum class protocol_error : std::uint8_t {
    unknown_frame_type,
    frame_too_long,
    reserved_bits_set,
    wrong_frame_size,
    bad_lane_frame,  // An exchange's frame with id 0, or a lane's with another.
    id_never_opened,
    id_not_rising,
    open_from_agent,
    open_after_retire,
    data_beyond_credit,
    data_after_end,
    data_in_run,
    end_before_data,     // A total below what has arrived.
    end_total_mismatch,  // A total other than what was framed.
    end_twice,
    cut_without_stop,
    stop_twice,
    claim_in_run,
    claim_wrong_offset,
    bad_claim,  // Of a lane that is not there, or busy.
    release_without_run,
    release_before_data,
    run_beyond_end,
    credit_goes_back,
    resume_without_release,
    bad_address,
    not_http,         // A head, or trailers, of an exchange that is no http.
    head_after_body,  // Or trailers twice, or bytes after them.
    data_before_head,
    head_too_long,
    too_many_heads,  // More interim answers than are taken.
};

std::string_view describe(protocol_error what) noexcept;

}  // namespace tunnel_uring
