// byte_path: what all lanes and exchanges of a process share to move bytes.
#pragma once

#include <tunnel_uring/config.hpp>

#include <array>
#include <cstdint>
#include <optional>

#include "net/pipe_pool.hpp"
#include "ring/io_context.hpp"
#include "tunnel/byte_queue.hpp"
#include "wire/frame.hpp"

namespace tunnel_uring {

// Bytes promised to peers beyond the 16 KiB that every exchange has for certain.
class memory_budget {
  public:
    explicit memory_budget(std::uint64_t limit) noexcept : left_{limit} {}
    bool reserve(std::uint64_t bytes) noexcept {
        if (bytes > left_) return false;
        left_ -= bytes;
        return true;
    }
    void release(std::uint64_t bytes) noexcept { left_ += bytes; }

  private:
    std::uint64_t left_;
};

struct byte_counters {
    std::uint64_t exchanges_opened = 0;
    std::uint64_t exchanges_clean = 0;
    std::uint64_t exchanges_reset = 0;
    // Those by reset_reason; at 0 those without one, or with one of a newer peer.
    std::array<std::uint64_t, reset_reasons_count + 1> resets{};
    std::uint64_t bytes_from_local = 0;
    std::uint64_t bytes_to_local = 0;
    std::uint64_t lane_sends = 0;
    std::uint64_t frames_sent = 0;
    std::uint64_t lane_bytes = 0;  // In those sends, headers included.
    std::uint64_t bulk_runs = 0;
    std::uint64_t spliced_bytes = 0;
    std::uint64_t splices = 0;

    void count_reset(std::optional<reset_reason> why) noexcept {
        const std::size_t number = why ? static_cast<std::size_t>(*why) : 0;
        resets[number <= reset_reasons_count ? number : 0] += 1;
        exchanges_reset += 1;
    }
    void count_splice(std::size_t bytes) noexcept {
        spliced_bytes += bytes;
        splices += 1;
    }
};

struct byte_path_limits {
    std::uint32_t buffers = 1024;  // In each of the two groups.
    std::uint32_t buffer_size = 16 * 1024;
    std::uint64_t memory_budget = 64U << 20U;
    bool splice = true;
};

inline byte_path_limits limits_of(const io_uring_config& config) {
    byte_path_limits limits;
    limits.buffers = config.buffers;
    limits.buffer_size = config.buffer_size;
    limits.splice = config.splice;
    return limits;
}

struct byte_path {
    byte_path(io_context& context, const byte_path_limits& limits)
        : io{context},
          lane_buffers{context, limits.buffers, limits.buffer_size},
          local_buffers{context, limits.buffers, limits.buffer_size},
          budget{limits.memory_budget},
          pipes{context.kernel(), limits.splice} {}

    io_context& io;
    // Lanes receive into buffers of their own, so that local sockets can never starve them: a
    // shared lane is always read.
    buffer_group lane_buffers;
    buffer_group local_buffers;
    block_pool blocks;
    memory_budget budget;
    pipe_pool pipes;  // Of bulk runs.
    byte_counters counters;
};

}  // namespace tunnel_uring
