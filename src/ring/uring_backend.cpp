// The real kernel behind the seam: one ring of this thread, requests turned into SQEs.
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

#include "base/check.hpp"
#include "ring/backend.hpp"
#include "ring/uring_setup.hpp"

namespace tunnel_uring {

namespace {

// Completions of cancel requests themselves; what they say is not needed (the target answers).
constexpr std::uint64_t cancel_user_data = 0;

// Without MSG_DONTWAIT a send that finds no room is parked behind a poll whose mask always has
// EPOLLRDHUP. When the peer has half-closed that is true for ever: the kernel tries again at once,
// 127 times, and then hands the send to a worker thread.
constexpr int send_flags = MSG_NOSIGNAL | MSG_DONTWAIT;

constexpr unsigned splice_flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

result<void> check_call(int returned) {
    if (returned < 0) return error{errno};
    return {};
}

result<std::size_t> check_count(ssize_t returned) {
    if (returned < 0) return error{errno};
    return static_cast<std::size_t>(returned);
}

class uring_backend final : public backend {
  public:
    ~uring_backend() override { io_uring_queue_exit(&ring_); }

    static result<std::unique_ptr<backend>> make(const uring_limits& limits) {
        auto made = std::unique_ptr<uring_backend>{new uring_backend};
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = limits.entries * 4;
        const int code = io_uring_queue_init_params(limits.entries, &made->ring_, &params);
        if (code < 0) {
            made->ring_.ring_fd = -1;
            return error{-code, ring_setup_sentence(-code)};
        }
        // Saves a file look-up per system call; without it everything works as well.
        io_uring_register_ring_fd(&made->ring_);
        rlimit open_files{};
        getrlimit(RLIMIT_NOFILE, &open_files);
        made->files_ =
            static_cast<std::uint32_t>(std::min<rlim_t>(limits.files, open_files.rlim_cur));
        const int files = io_uring_register_files_sparse(&made->ring_, made->files_);
        if (files < 0) return error{-files, ring_setup_sentence(-files)};
        return std::unique_ptr<backend>{std::move(made)};
    }

    void submit(const request& what, std::uint64_t user_data) override {
        io_uring_sqe* const sqe = next_sqe();
        const int slot = static_cast<int>(what.target.slot);
        switch (what.code) {
            case opcode::accept:
                io_uring_prep_multishot_accept(sqe, slot, nullptr, nullptr,
                                               SOCK_NONBLOCK | SOCK_CLOEXEC);
                break;
            case opcode::connect:
                io_uring_prep_connect(sqe, slot, what.address->get(), what.address->length);
                break;
            case opcode::recv: prepare_receive(*sqe, slot, what); break;
            case opcode::send: prepare_send(*sqe, slot, what, user_data); break;
            case opcode::poll:
                if (what.multishot) io_uring_prep_poll_multishot(sqe, slot, what.poll_events);
                else io_uring_prep_poll_add(sqe, slot, what.poll_events);
                break;
        }
        io_uring_sqe_set_flags(sqe, sqe->flags | IOSQE_FIXED_FILE);
        io_uring_sqe_set_data64(sqe, user_data);
    }

    void cancel(std::uint64_t user_data) override {
        io_uring_sqe* const sqe = next_sqe();
        io_uring_prep_cancel64(sqe, user_data, 0);
        io_uring_sqe_set_data64(sqe, cancel_user_data);
    }

    std::size_t wait(time_point deadline, std::span<completion> out) override {
        if (io_uring_cq_ready(&ring_) != 0) io_uring_submit_and_get_events(&ring_);
        else wait_for_one(deadline);
        std::size_t count = 0;
        io_uring_cqe* cqe = nullptr;
        while (count < out.size() && io_uring_peek_cqe(&ring_, &cqe) == 0) {
            if (cqe->user_data != cancel_user_data) out[count++] = take(*cqe);
            io_uring_cqe_seen(&ring_, cqe);
        }
        return count;
    }

    time_point now() override { return std::chrono::steady_clock::now(); }

    result<void> add_buffers(std::uint16_t group, bytes_span memory, std::uint32_t count,
                             std::uint32_t size) override {
        int code = 0;
        io_uring_buf_ring* const shared = io_uring_setup_buf_ring(&ring_, count, group, 0, &code);
        if (shared == nullptr) return error{-code};
        if (group >= groups_.size()) groups_.resize(group + 1U);
        groups_[group] = {.shared = shared, .memory = memory, .count = count, .size = size};
        for (std::uint32_t id = 0; id < count; ++id)
            provide_buffer(group, static_cast<std::uint16_t>(id));
        return {};
    }

    void provide_buffer(std::uint16_t group, std::uint16_t buffer) override {
        const buffer_ring& ring = groups_[group];
        io_uring_buf_ring_add(ring.shared, ring.memory.data() + std::size_t{buffer} * ring.size,
                              ring.size, buffer, io_uring_buf_ring_mask(ring.count), 0);
        io_uring_buf_ring_advance(ring.shared, 1);
    }

    void remove_buffers(std::uint16_t group) override {
        io_uring_free_buf_ring(&ring_, groups_[group].shared, groups_[group].count, group);
        groups_[group] = {};
    }

    result<int> open_socket(int family) override {
        const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) return error{errno};
        return fd;
    }

    result<std::uint32_t> attach(int fd) override {
        if (free_slots_.empty()) {
            if (used_slots_ == files_) return error{ENFILE};
            free_slots_.push_back(used_slots_++);
        }
        const std::uint32_t slot = free_slots_.back();
        const int updated = io_uring_register_files_update(&ring_, slot, &fd, 1);
        if (updated < 0) return error{-updated};
        free_slots_.pop_back();
        return slot;
    }

    void detach(std::uint32_t slot) override {
        const int none = -1;
        io_uring_register_files_update(&ring_, slot, &none, 1);
        free_slots_.push_back(slot);
    }

    result<void> bind(int fd, const socket_address& address) override {
        if (::bind(fd, address.get(), address.length) != 0) return error{errno};
        if (address.family() != AF_UNIX) return {};
        const auto* const path = reinterpret_cast<const sockaddr_un*>(address.get());
        return check_call(::chmod(path->sun_path, S_IRUSR | S_IWUSR));
    }
    result<void> listen(int fd, int backlog) override { return check_call(::listen(fd, backlog)); }

    result<socket_address> local_address(int fd) override {
        socket_address address;
        address.length = sizeof address.storage;
        if (::getsockname(fd, address.get(), &address.length) < 0) return error{errno};
        return address;
    }
    result<socket_address> peer_address(int fd) override {
        socket_address address;
        address.length = sizeof address.storage;
        if (::getpeername(fd, address.get(), &address.length) < 0) return error{errno};
        return address;
    }

    result<void> set_option(int fd, socket_option option, int value) override;
    result<duration> round_trip_time(int fd) override {
        tcp_info info{};
        socklen_t length = sizeof info;
        if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return error{errno};
        return duration{std::chrono::microseconds{info.tcpi_rtt}};
    }

    result<std::size_t> try_send(int fd, std::span<const iovec> vectors) override {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(vectors.data());
        message.msg_iovlen = vectors.size();
        return check_count(::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    result<std::size_t> try_receive(int fd, bytes_span memory) override {
        return check_count(::recv(fd, memory.data(), memory.size(), MSG_DONTWAIT));
    }

    result<pipe_ends> open_pipe(std::size_t wanted) override;
    void close_pipe(const pipe_ends& which) override {
        ::close(which.in);
        ::close(which.out);
    }
    // Never as an operation of the ring: that goes to a kernel worker thread.
    result<std::size_t> splice_in(int fd, const pipe_ends& to, std::size_t most) override {
        return check_count(::splice(fd, nullptr, to.in, nullptr, most, splice_flags));
    }
    result<std::size_t> splice_out(const pipe_ends& from, int fd, std::size_t bytes) override {
        return check_count(::splice(from.out, nullptr, fd, nullptr, bytes, splice_flags));
    }

    result<void> shutdown(int fd, shutdown_side side) override {
        constexpr std::array sides{SHUT_RD, SHUT_WR, SHUT_RDWR};
        return check_call(::shutdown(fd, sides[static_cast<std::size_t>(side)]));
    }
    void abort(int fd) override {
        sockaddr nowhere{};
        nowhere.sa_family = AF_UNSPEC;
        static_cast<void>(::connect(fd, &nowhere, sizeof nowhere));
    }
    void close(int fd) override { ::close(fd); }

  private:
    struct buffer_ring {
        io_uring_buf_ring* shared = nullptr;
        bytes_span memory;
        std::uint32_t count = 0;
        std::uint32_t size = 0;
    };

    uring_backend() = default;

    io_uring_sqe* next_sqe() {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (sqe != nullptr) return sqe;
        io_uring_submit(&ring_);
        sqe = io_uring_get_sqe(&ring_);
        TU_ASSERT(sqe != nullptr);
        return sqe;
    }

    static void prepare_receive(io_uring_sqe& sqe, int slot, const request& what) {
        if (what.buffer_group == request::no_buffer_group) {
            io_uring_prep_recv(&sqe, slot, what.memory.data(), what.memory.size(), 0);
            return;
        }
        if (what.multishot) io_uring_prep_recv_multishot(&sqe, slot, nullptr, 0, 0);
        else io_uring_prep_recv(&sqe, slot, nullptr, what.memory.size(), 0);
        sqe.flags |= IOSQE_BUFFER_SELECT;
        sqe.buf_group = what.buffer_group;
    }

    // The header is read by the kernel when the operation is issued, and again when it had to wait,
    // so it stays put until the completion. Indexed by operation, as user_data is below.
    void prepare_send(io_uring_sqe& sqe, int slot, const request& what, std::uint64_t user_data) {
        if (what.vectors.size() == 1) {
            io_uring_prep_send(&sqe, slot, what.vectors[0].iov_base, what.vectors[0].iov_len,
                               send_flags);
            return;
        }
        const auto index = static_cast<std::uint32_t>(user_data);
        while (index >= headers_.size()) headers_.emplace_back();
        msghdr& header = headers_[index];
        header = {};
        header.msg_iov = const_cast<iovec*>(what.vectors.data());
        header.msg_iovlen = what.vectors.size();
        io_uring_prep_sendmsg(&sqe, slot, &header, send_flags);
    }

    void wait_for_one(time_point deadline) {
        const duration left = deadline == time_point::max()   ? duration::max()
                              : deadline == time_point::min() ? duration::zero()
                                                              : deadline - now();
        if (left <= duration::zero()) {
            io_uring_submit_and_get_events(&ring_);
            return;
        }
        io_uring_cqe* first = nullptr;
        if (left == duration::max()) {
            io_uring_submit_and_wait(&ring_, 1);
            return;
        }
        __kernel_timespec limit{};
        limit.tv_sec = left / 1s;
        limit.tv_nsec = (left % 1s).count();
        io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
    }

    static completion take(const io_uring_cqe& cqe) {
        completion done;
        done.user_data = cqe.user_data;
        done.result = cqe.res;
        done.more = (cqe.flags & IORING_CQE_F_MORE) != 0;
        done.has_buffer = (cqe.flags & IORING_CQE_F_BUFFER) != 0;
        done.buffer = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        return done;
    }

    io_uring ring_{};
    std::uint32_t files_ = 0;
    std::uint32_t used_slots_ = 0;
    std::vector<std::uint32_t> free_slots_;
    std::vector<buffer_ring> groups_;
    std::deque<msghdr> headers_;  // A deque: addresses stay while it grows.
};

// fcntl(2), F_SETPIPE_SZ: a user has so many pages for pipes in all (pipe-user-pages-soft); beyond
// them a pipe keeps what it has.
result<pipe_ends> uring_backend::open_pipe(std::size_t wanted) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) < 0) return error{errno};
    for (std::size_t size = wanted; size >= 64 * 1024; size /= 2) {
        if (::fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(size)) >= 0) break;
    }
    const int room = ::fcntl(ends[0], F_GETPIPE_SZ);
    return pipe_ends{ends[1], ends[0], static_cast<std::size_t>(std::max(room, 0))};
}

result<void> set_integer(int fd, int level, int name, int value) {
    return check_call(::setsockopt(fd, level, name, &value, sizeof value));
}

result<void> set_congestion_control(int fd) {
    for (const std::string_view name : {"cubic", "reno"}) {
        const auto length = static_cast<socklen_t>(name.size());
        if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), length) == 0) return {};
    }
    return error{errno};
}

result<void> uring_backend::set_option(int fd, socket_option option, int value) {
    switch (option) {
        case socket_option::no_delay: return set_integer(fd, IPPROTO_TCP, TCP_NODELAY, value);
        case socket_option::keepalive_seconds: {
            result<void> set = set_integer(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
            if (set) set = set_integer(fd, IPPROTO_TCP, TCP_KEEPIDLE, value);
            if (set) set = set_integer(fd, IPPROTO_TCP, TCP_KEEPINTVL, value);
            return set;
        }
        case socket_option::user_timeout_milliseconds:
            return set_integer(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, value);
        case socket_option::notsent_lowat_bytes:
            return set_integer(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, value);
        case socket_option::linger_reset: {
            const linger reset{.l_onoff = value, .l_linger = 0};
            return check_call(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
        }
        case socket_option::reuse_address: return set_integer(fd, SOL_SOCKET, SO_REUSEADDR, value);
        case socket_option::v6_only: return set_integer(fd, IPPROTO_IPV6, IPV6_V6ONLY, value);
        case socket_option::local_congestion_control: return set_congestion_control(fd);
    }
    return error{EINVAL};
}

}  // namespace

std::string ring_setup_sentence(int code) {
    utsname system{};
    uname(&system);
    const std::string kernel = std::string{"Linux "} + system.release;
    switch (code) {
        case EPERM:
            return "io_uring is denied on " + kernel +
                   ": either the sysctl kernel.io_uring_disabled is not 0 (set it to 0), or a "
                   "container's seccomp profile forbids io_uring_setup (allow it, e.g. docker run "
                   "--security-opt seccomp=unconfined)";
        case ENOSYS: return kernel + " has no io_uring: Linux 6.1 or newer is needed";
        case ENOMEM:
            return "io_uring has no memory for its rings on " + kernel +
                   ": raise RLIMIT_MEMLOCK (ulimit -l) or lower io_uring.entries";
        case EMFILE: return "io_uring finds no free descriptor: raise RLIMIT_NOFILE (ulimit -n)";
        case EINVAL: return kernel + " is too old: Linux 6.1 or newer is needed";
        default: return "io_uring cannot start on " + kernel + ": " + std::strerror(code);
    }
}

result<std::unique_ptr<backend>> make_uring_backend(const uring_limits& limits) {
    return uring_backend::make(limits);
}

}  // namespace tunnel_uring
