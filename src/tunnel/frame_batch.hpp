// frame_batch: the frames that leave a shared lane in one vectored send.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "ring/buffer_group.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

class exchange;

// Filled, sent to the last byte, cleared; nothing is allocated once it has been full. What it
// points to (its own headers, the shares in buffers) stays until clear().
class frame_batch {
  public:
    // A send of this many bytes is as cheap a byte as any larger one (docs/ARCHITECTURE.md).
    static constexpr std::size_t bytes_limit = 256 * 1024;
    static constexpr std::size_t frames_limit = 256;

    frame_batch();

    bool empty() const noexcept { return frames_ == 0; }
    // A full batch has room for what one more exchange can add at once.
    bool full() const noexcept { return bytes_ >= bytes_limit || frames_ >= frames_limit; }
    std::size_t frames() const noexcept { return frames_; }
    // What is left to send; consumed in place.
    std::span<iovec> vectors() noexcept {
        return {vectors_.data() + first_, vectors_.size() - first_};
    }
    void consume(std::size_t sent) noexcept;

    // `text` is the head of an http request, or its beginning when `more` follows.
    void add_open(std::uint32_t id, const open_frame& what, std::string text, bool more);
    // A head, trailers, or data that lies in no buffer.
    void add_text(std::uint32_t id, frame_type type, std::string text, bool more);
    void add_data(std::uint32_t id, bytes_view payload, buffer keep);
    void add_end(std::uint32_t id, std::uint64_t total, bool cut);
    void add_reset(std::uint32_t id, reset_reason reason);
    void add_stop(std::uint32_t id);
    void add_credit(std::uint32_t id, std::uint64_t limit, bool resume);
    void add_claim(std::uint32_t id, std::uint32_t lane, std::uint64_t offset);
    void add_release(std::uint32_t id, std::uint64_t offset);
    void add_lane_frame(frame_type type);  // ping, pong, retire

    // `who` is told when this batch has reached the kernel.
    void carry_mark(exchange& who) { marks_.push_back(&who); }
    // `who` is gone before the batch is.
    void forget(const exchange& who) noexcept;
    std::span<exchange* const> marks() const noexcept { return marks_; }
    void clear() noexcept;

  private:
    // One exchange adds at most an open, a credit, a stop, a claim and a release; or data and end.
    static constexpr std::size_t frames_room = frames_limit + 8;

    control_frame& next_header();
    void add_header(std::size_t length);
    void keep_text(std::string text);

    std::vector<control_frame> headers_;
    std::vector<iovec> vectors_;
    std::size_t first_ = 0;
    std::size_t frames_ = 0;
    std::size_t bytes_ = 0;
    std::vector<buffer> kept_;
    std::deque<std::string> texts_;
    std::vector<exchange*> marks_;
};

}  // namespace tunnel_uring
