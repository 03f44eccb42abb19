// Provided buffers: the kernel picks one when bytes arrive, so an idle connection holds none.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "coro/event.hpp"

namespace tunnel_uring {

class buffer_group;
class io_context;

// A share in one buffer with received bytes. When the last share is gone the kernel gets the buffer
// back: keep one until the last operation that reads it has completed.
class buffer {
  public:
    buffer() noexcept = default;
    buffer(buffer_group& group, std::uint16_t id, std::uint32_t size) noexcept
        : group_{&group}, id_{id}, size_{size} {}
    buffer(buffer&& other) noexcept
        : group_{std::exchange(other.group_, nullptr)}, id_{other.id_}, size_{other.size_} {}
    buffer& operator=(buffer&& other) noexcept {
        if (this != &other) {
            reset();
            group_ = std::exchange(other.group_, nullptr);
            id_ = other.id_;
            size_ = other.size_;
        }
        return *this;
    }
    ~buffer() { reset(); }

    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return group_ == nullptr ? 0 : size_; }
    bytes_view bytes() const noexcept;
    void reset() noexcept;
    buffer share() const noexcept;

  private:
    buffer_group* group_ = nullptr;
    std::uint16_t id_ = 0;
    std::uint32_t size_ = 0;
};

class buffer_group {
  public:
    // `count` is a power of two, at most 32768. Throws nothing; ends the program when the kernel
    // refuses the ring (the probe has shown that it can).
    buffer_group(io_context& io, std::uint32_t count, std::uint32_t size);
    buffer_group(const buffer_group&) = delete;
    buffer_group& operator=(const buffer_group&) = delete;
    // All buffers must have come home.
    ~buffer_group();

    std::uint16_t id() const noexcept { return id_; }
    std::uint32_t buffer_size() const noexcept { return size_; }
    std::uint32_t lent() const noexcept { return lent_; }
    // The buffer that a completion names, with `size` bytes in it.
    buffer take(std::uint16_t id, std::uint32_t size) noexcept;
    // After ENOBUFS: returns when a buffer comes home, or soon (the kernel was out of something
    // else), or with ECANCELED.
    task<result<void>> wait_for_buffer(cancel_token stop);

  private:
    friend class buffer;
    void drop_share(std::uint16_t id) noexcept;

    io_context& io_;
    std::uint16_t id_;
    std::uint32_t count_;
    std::uint32_t size_;
    std::uint32_t lent_ = 0;
    bytes_span memory_;
    std::vector<std::uint32_t> shares_;  // By buffer.
    event came_home_;
};

}  // namespace tunnel_uring
