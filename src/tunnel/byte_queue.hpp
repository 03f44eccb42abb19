// byte_queue: bytes that a slow target has not taken yet, copied out of the lane's buffers.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/fifo.hpp"

namespace tunnel_uring {

// Blocks of 16 KiB, kept for use again. How many are out is bounded by the credit that was granted.
class block_pool {
  public:
    static constexpr std::size_t block_bytes = 16 * 1024;
    using block = std::unique_ptr<std::array<std::byte, block_bytes>>;

    block take();
    void give_back(block what);

  private:
    static constexpr std::size_t kept_limit = 256;  // 4 MiB; more goes back to the heap.
    std::vector<block> kept_;
};

class byte_queue {
  public:
    explicit byte_queue(block_pool& blocks) noexcept : blocks_{blocks} {}
    byte_queue(const byte_queue&) = delete;
    byte_queue& operator=(const byte_queue&) = delete;
    ~byte_queue() { clear(); }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    void append(bytes_view bytes);
    // Fills `vectors` with the first bytes, in order; they stay valid until consume() or clear().
    std::size_t gather(std::span<iovec> vectors) const noexcept;
    void consume(std::size_t count) noexcept;
    void clear() noexcept;

  private:
    block_pool& blocks_;
    fifo<block_pool::block> chain_;
    std::size_t first_ = 0;  // Consumed bytes of the first block.
    std::size_t size_ = 0;
};

}  // namespace tunnel_uring
