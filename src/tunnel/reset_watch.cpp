#include "tunnel/reset_watch.hpp"

#include <poll.h>

#include <utility>

namespace tunnel_uring {

void reset_watch::begin() {
    if (!std::exchange(begun_, true)) watching_.start(watch());
}

task<> reset_watch::end() {
    over_.request();
    co_await watching_.join();
}

task<> reset_watch::watch() {
    multishot broken{local_.io()};
    request what;
    what.code = opcode::poll;
    what.target = local_.get();
    what.poll_events = 0;  // Errors and hang-ups come unasked.
    while (!both_.over()) {
        if (!broken.armed() && !broken.waiting_completions()) broken.start(what);
        const result<completion> edge = co_await broken.next(over_.token());
        if (!edge || edge->result < 0) break;
        if ((edge->result & POLLERR) != 0) cut();
    }
    const auto discard = [](const completion&) {};
    co_await broken.stop(discard);
}

}  // namespace tunnel_uring
