#include "tunnel/frame_batch.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace tunnel_uring {

frame_batch::frame_batch() {
    headers_.reserve(frames_room);
    vectors_.reserve(2 * frames_room);
}

void frame_batch::consume(std::size_t sent) noexcept {
    while (sent > 0) {
        iovec& front = vectors_[first_];
        const std::size_t count = std::min(sent, front.iov_len);
        front.iov_base = static_cast<std::byte*>(front.iov_base) + count;
        front.iov_len -= count;
        sent -= count;
        if (front.iov_len == 0) ++first_;
    }
}

// Headers never move while their batch is out: they are reserved up front.
control_frame& frame_batch::next_header() {
    TU_ASSERT(headers_.size() < frames_room);
    return headers_.emplace_back();
}

void frame_batch::add_header(std::size_t length) {
    vectors_.push_back({.iov_base = headers_.back().data(), .iov_len = length});
    frames_ += 1;
    bytes_ += length;
}

void frame_batch::add_open(std::uint32_t id, const open_frame& what, std::string text, bool more) {
    add_header(encode_open(next_header(), id, what, text.size(), more));
    if (!text.empty()) keep_text(std::move(text));
}

void frame_batch::add_text(std::uint32_t id, frame_type type, std::string text, bool more) {
    const bool data = type == frame_type::data;
    control_frame& header = next_header();
    add_header(data ? encode_data(header, id, text.size())
                    : encode_text(header, type, id, text.size(), more));
    keep_text(std::move(text));
}

void frame_batch::keep_text(std::string text) {
    std::string& kept = texts_.emplace_back(std::move(text));
    vectors_.push_back({.iov_base = kept.data(), .iov_len = kept.size()});
    bytes_ += kept.size();
}

void frame_batch::add_data(std::uint32_t id, bytes_view payload, buffer keep) {
    add_header(encode_data(next_header(), id, payload.size()));
    vectors_.push_back(
        {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()});
    bytes_ += payload.size();
    kept_.push_back(std::move(keep));
}

void frame_batch::add_end(std::uint32_t id, std::uint64_t total, bool cut) {
    add_header(encode_end(next_header(), id, total, cut));
}

void frame_batch::add_reset(std::uint32_t id, reset_reason reason) {
    add_header(encode_reset(next_header(), id, reason));
}

void frame_batch::add_stop(std::uint32_t id) { add_header(encode_stop(next_header(), id)); }

void frame_batch::add_credit(std::uint32_t id, std::uint64_t limit, bool resume) {
    add_header(encode_credit(next_header(), id, limit, resume));
}

void frame_batch::add_claim(std::uint32_t id, std::uint32_t lane, std::uint64_t offset) {
    add_header(encode_claim(next_header(), id, lane, offset));
}

void frame_batch::add_release(std::uint32_t id, std::uint64_t offset) {
    add_header(encode_release(next_header(), id, offset));
}

void frame_batch::add_lane_frame(frame_type type) {
    add_header(encode_lane_frame(next_header(), type));
}

void frame_batch::forget(const exchange& who) noexcept {
    std::replace(marks_.begin(), marks_.end(), const_cast<exchange*>(&who),
                 static_cast<exchange*>(nullptr));
}

void frame_batch::clear() noexcept {
    headers_.clear();
    vectors_.clear();
    kept_.clear();
    texts_.clear();
    marks_.clear();
    first_ = frames_ = bytes_ = 0;
}

}  // namespace tunnel_uring
