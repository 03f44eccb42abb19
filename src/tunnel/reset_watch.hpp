// reset_watch: hears of the reset of a local socket that is not read for now.
#pragma once

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/exchange.hpp"

namespace tunnel_uring {

class reset_watch {
  public:
    // Both outlive it. Before destruction: co_await end().
    reset_watch(exchange& both, stream& local) noexcept : both_{both}, local_{local} {}

    // Cuts the exchange from now on when the socket breaks: a visitor that leaves must not keep its
    // exchange until somebody reads it. A FIN is no news. Further calls do nothing.
    void begin();
    // It broke, as somebody else was told.
    void cut() { both_.cut(both_.local_reset()); }
    task<> end();

  private:
    task<> watch();

    exchange& both_;
    stream& local_;
    bool begun_ = false;
    cancel_source over_;
    nursery watching_;
};

}  // namespace tunnel_uring
