// hangup_watch: notices that an idle connection is no longer what it was, by one multishot poll.
#pragma once

#include "coro/event.hpp"
#include "ring/io_context.hpp"

namespace tunnel_uring {

class hangup_listener {
  public:
    // FIN, RST, an error, or a poll that cannot be had: nothing can vouch for the connection.
    virtual void hung_up() noexcept = 0;
    // Bytes arrived.
    virtual void spoke() noexcept = 0;
    // The poll had ended by itself (CQ overflow, poll without F_MORE) and was armed again.
    virtual void watched_again() noexcept {}

  protected:
    ~hangup_listener() = default;
};

// Calls `listener` while a batch of completions is applied, before any coroutine resumes; perhaps
// more than once, and until stop() has ended. Poll completions are edges
// (io_uring_prep_poll_add(3)).
class hangup_watch final : private op {
  public:
    // Watches from now on; the descriptor stays open until stop() has ended.
    hangup_watch(io_context& io, const descriptor& target, hangup_listener& listener);

    // Ends the poll and waits for its last completion. Before destruction, always.
    task<> stop();

  private:
    void arm();
    void completed(const completion& what) noexcept override;

    const descriptor target_;
    hangup_listener& listener_;
    bool stopping_ = false;
    bool lost_ = false;
    event over_;
};

}  // namespace tunnel_uring
