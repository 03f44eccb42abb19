// http_read_ahead: one receive on an HTTP connection while its answer is under way. What comes is
// the next request, or the news that whoever asked is gone.
#pragma once

#include <optional>

#include "coro/nursery.hpp"
#include "tunnel/http_input.hpp"
#include "tunnel/reset_watch.hpp"

namespace tunnel_uring {

class http_read_ahead {
  public:
    // Before destruction: co_await end().
    explicit http_read_ahead(http_input& input) noexcept : input_{input} {}

    // Receives from now on, when nothing is unread and no former result is waiting.
    void begin();
    // While set, it is told of a reset, and watches for one itself once anything else has come.
    void report_to(reset_watch* who) noexcept { watch_ = who; }
    // Whether the connection broke, or its end came.
    bool broken() const noexcept { return got_ && !*got_; }
    bool ended() const noexcept { return got_ && *got_ && !**got_; }

    // Something is there for take(). Else it receives from now on: await news().
    bool ready();
    event::waiter news(cancel_token stop) noexcept { return came_.wait(stop); }
    // There is something to read: true; the end: false.
    result<bool> take();
    task<> end();

  private:
    task<> receive();

    http_input& input_;
    reset_watch* watch_ = nullptr;
    bool receiving_ = false;
    std::optional<result<bool>> got_;
    event came_;
    cancel_source over_;
    nursery task_;
};

}  // namespace tunnel_uring
