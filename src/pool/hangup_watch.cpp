#include "pool/hangup_watch.hpp"

#include <poll.h>

namespace tunnel_uring {

namespace {
// POLLRDHUP alone is blind to data, POLLIN alone cannot tell data from a FIN behind it.
constexpr std::uint32_t watched = POLLIN | POLLRDHUP;  // POLLERR and POLLHUP always come along.
constexpr std::int32_t fatal = POLLRDHUP | POLLHUP | POLLERR | POLLNVAL;
}  // namespace

hangup_watch::hangup_watch(io_context& io, const descriptor& target, hangup_listener& listener)
    : op{io}, target_{target}, listener_{listener} {
    arm();
}

void hangup_watch::arm() {
    request what;
    what.code = opcode::poll;
    what.multishot = true;
    what.poll_events = watched;
    what.target = target_;
    submit(what);
}

task<> hangup_watch::stop() {
    stopping_ = true;
    request_cancel();
    while (in_flight()) {
        const result<void> woken = co_await over_.wait();
        TU_ASSERT(woken);
    }
}

void hangup_watch::completed(const completion& what) noexcept {
    if (what.result >= 0 && (what.result & fatal) == 0) {
        if ((what.result & POLLIN) != 0) listener_.spoke();
    } else if (what.result != -ECANCELED || !stopping_) {
        lost_ = true;
        listener_.hung_up();
    }
    if (in_flight()) return;
    if (stopping_) {
        over_.notify();
    } else if (!lost_) {
        // Arming looks at the state of now: nothing that happened in between is missed.
        arm();
        listener_.watched_again();
    }
}

}  // namespace tunnel_uring
