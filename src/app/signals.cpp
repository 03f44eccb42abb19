#include "app/signals.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.hpp"

namespace tunnel_uring {

stop_signals::stop_signals() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    TU_ASSERT(fd_ >= 0);
}

stop_signals::~stop_signals() {
    if (fd_ >= 0) ::close(fd_);
}

task<> stop_signals::watch(io_context& io, cancel_token done) {
    result<direct_fd> source = direct_fd::adopt(io, std::exchange(fd_, -1));
    if (!source) co_return;
    for (;;) {
        const result<std::size_t> ready = co_await io.poll(source->get(), POLLIN, done);
        if (!ready) co_return;
        signalfd_siginfo info{};
        if (::read(source->fd(), &info, sizeof info) != sizeof info) continue;
        if (drain_.requested()) {
            ended_by_ = static_cast<int>(info.ssi_signo);
            stop_.request();
        }
        drain_.request();
    }
}

}  // namespace tunnel_uring
