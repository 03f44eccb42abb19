#include "ring/direct_fd.hpp"

#include "ring/io_context.hpp"

namespace tunnel_uring {

result<direct_fd> direct_fd::adopt(io_context& io, int fd) {
    const result<std::uint32_t> slot = io.kernel().attach(fd);
    if (!slot) {
        // A peer that is connected already must not take this for an end.
        io.kernel().abort(fd);
        io.kernel().close(fd);
        return slot.error();
    }
    return direct_fd{io, io.open_slot(fd, *slot)};
}

void direct_fd::reset() noexcept {
    if (io_ == nullptr) return;
    std::exchange(io_, nullptr)->close_slot(descriptor_);
}

}  // namespace tunnel_uring
