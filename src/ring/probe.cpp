// What this kernel does, found out by doing it once on a socket pair; version numbers lie (features
// are carried to older kernels and forbidden on newer ones).
#include <liburing.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "ring/backend.hpp"
#include "ring/uring_setup.hpp"

namespace tunnel_uring {

namespace {

constexpr int group = 0;
constexpr unsigned buffers_count = 4;
constexpr unsigned buffer_size = 64;

// A ring, a connected pair and a few provided buffers, all gone with it.
class probe_ring {
  public:
    ~probe_ring() {
        if (shared_ != nullptr) io_uring_free_buf_ring(&ring_, shared_, buffers_count, group);
        if (ready_) io_uring_queue_exit(&ring_);
        for (const int fd : pair_) {
            if (fd >= 0) ::close(fd);
        }
    }

    int open(unsigned flags) {
        io_uring_params params{};
        params.flags = flags;
        const int code = io_uring_queue_init_params(8, &ring_, &params);
        ready_ = code == 0;
        if (!ready_) return code;
        return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_.data());
    }

    bool provide_buffers() {
        int code = 0;
        shared_ = io_uring_setup_buf_ring(&ring_, buffers_count, group, 0, &code);
        if (shared_ == nullptr) return false;
        for (unsigned id = 0; id < buffers_count; ++id) {
            io_uring_buf_ring_add(shared_, memory_.data() + std::size_t{id} * buffer_size,
                                  buffer_size, static_cast<unsigned short>(id),
                                  io_uring_buf_ring_mask(buffers_count), static_cast<int>(id));
        }
        io_uring_buf_ring_advance(shared_, buffers_count);
        return true;
    }

    // True when a receive of `ioprio` flags (besides multishot) brings bytes and lives on.
    bool receive_multishot(unsigned short ioprio) {
        io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
        io_uring_prep_recv_multishot(sqe, pair_[0], nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = group;
        sqe->ioprio = static_cast<unsigned short>(sqe->ioprio | ioprio);
        if (::send(pair_[1], "x", 1, MSG_NOSIGNAL) != 1) return false;
        const io_uring_cqe cqe = finish();
        return cqe.res == 1 && (cqe.flags & IORING_CQE_F_MORE) != 0;
    }

    bool send_zero_copy() {
        io_uring_probe* const known = io_uring_get_probe_ring(&ring_);
        if (known == nullptr) return false;
        const bool supported = io_uring_opcode_supported(known, IORING_OP_SEND_ZC) != 0;
        io_uring_free_probe(known);
        return supported;
    }

  private:
    io_uring_cqe finish() {
        io_uring_cqe* cqe = nullptr;
        io_uring_cqe copy{};
        __kernel_timespec limit{.tv_sec = 1, .tv_nsec = 0};
        if (io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &limit, nullptr) >= 0 &&
            cqe != nullptr) {
            copy.res = cqe->res;
            copy.flags = cqe->flags;
            io_uring_cqe_seen(&ring_, cqe);
        }
        return copy;
    }

    io_uring ring_{};
    io_uring_buf_ring* shared_ = nullptr;
    bool ready_ = false;
    std::array<int, 2> pair_{-1, -1};
    std::array<std::byte, std::size_t{buffers_count} * buffer_size> memory_{};
};

}  // namespace

result<kernel_features> probe_kernel() {
    kernel_features found;
    utsname system{};
    uname(&system);
    found.release = system.release;

    probe_ring plain;
    if (const int code = plain.open(0); code < 0) return error{-code, ring_setup_sentence(-code)};
    probe_ring deferred;
    found.defer_taskrun =
        deferred.open(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) == 0;
    found.buffer_ring = plain.provide_buffers();
    found.multishot_receive = found.buffer_ring && plain.receive_multishot(0);
    found.send_zero_copy = plain.send_zero_copy();
    probe_ring bundling;
    found.receive_bundles = bundling.open(0) == 0 && bundling.provide_buffers() &&
                            bundling.receive_multishot(IORING_RECVSEND_BUNDLE);
    // Multishot accept (5.19) came before multishot receive (6.0).
    found.multishot_accept = found.multishot_receive;
    return found;
}

}  // namespace tunnel_uring
