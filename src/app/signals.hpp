// SIGINT and SIGTERM as events of the run loop.
#pragma once

#include <csignal>

#include "coro/cancel.hpp"
#include "ring/io_context.hpp"

namespace tunnel_uring {

// The first signal asks for a drain, the second ends at once. Blocks both signals for the process;
// construct it before any thread starts.
class stop_signals {
  public:
    stop_signals() noexcept;
    ~stop_signals();
    stop_signals(const stop_signals&) = delete;
    stop_signals& operator=(const stop_signals&) = delete;

    // Waits for signals until `done`.
    task<> watch(io_context& io, cancel_token done);

    cancel_token drain() noexcept { return drain_.token(); }
    cancel_token stop() noexcept { return stop_.token(); }
    // For ends that no signal asked for.
    void request_drain() noexcept { drain_.request(); }
    void request_stop() noexcept { stop_.request(); }
    // The second signal's number; 0 when there was none.
    int ended_by() const noexcept { return ended_by_; }

  private:
    int fd_;
    cancel_source drain_;
    cancel_source stop_;
    int ended_by_ = 0;
};

}  // namespace tunnel_uring
