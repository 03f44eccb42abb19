// direct_fd: owns a descriptor, both its number and its slot in the ring's file table.
#pragma once

#include <utility>

#include "ring/backend.hpp"

namespace tunnel_uring {

class io_context;

// Closing cancels nothing: every operation on it must have completed before, which is asserted.
// Order: stop, cancel, join, shutdown, close.
class direct_fd {
  public:
    direct_fd() noexcept = default;
    direct_fd(direct_fd&& other) noexcept
        : io_{std::exchange(other.io_, nullptr)}, descriptor_{other.descriptor_} {}
    direct_fd& operator=(direct_fd&& other) noexcept {
        if (this != &other) {
            reset();
            io_ = std::exchange(other.io_, nullptr);
            descriptor_ = other.descriptor_;
        }
        return *this;
    }
    ~direct_fd() { reset(); }

    // Takes `fd` over; resets and closes it when the file table is full (ENFILE).
    static result<direct_fd> adopt(io_context& io, int fd);

    bool valid() const noexcept { return io_ != nullptr; }
    const descriptor& get() const noexcept { return descriptor_; }
    int fd() const noexcept { return descriptor_.fd; }
    void reset() noexcept;

  private:
    direct_fd(io_context& io, descriptor what) noexcept : io_{&io}, descriptor_{what} {}
    io_context* io_ = nullptr;
    descriptor descriptor_;
};

}  // namespace tunnel_uring
