// A socket of the pool, from its connect to its close, and the slot of the ring that may hold it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>

#include "coro/event.hpp"
#include "net/stream.hpp"
#include "pool/circuit_breaker.hpp"
#include "pool/hangup_watch.hpp"
#include "ring/timer_wheel.hpp"

namespace tunnel_uring {

class warm_pool;
struct pool_slot;

enum class socket_state : std::uint8_t { validating, idle, leased, closing };

// Where a leased socket came from.
enum class socket_origin : std::uint8_t {
    direct,  // Connected for this caller.
    fresh,   // Waited in the pool, never used.
    served,  // Was leased before and came back clean.
};

// Stays where it is while the pool knows it: leases and operations point here.
struct pooled_socket final : timer {
    explicit pooled_socket(warm_pool& owner) noexcept : pool{owner} {}
    void expired() noexcept override;

    warm_pool& pool;
    stream connection;
    // While the slot still has a poll on the socket, or keeps its place for its return.
    pool_slot* home = nullptr;
    socket_state state = socket_state::idle;
    socket_origin origin = socket_origin::direct;
    bool outside = false;    // Counts against max_connections.
    bool past_pool = false;  // Counts against degrade.direct_max.
    bool leaving = false;    // Its lease asked for it by value.
    bool clean = true;       // Its lease ended with proof; without, the end is a reset.
    bool dead = false;       // Seen to die after it was promised to a waiter.
    event left_home;
    bool watched = false;  // The slot's poll is not over.
    event unwatched;
    time_point created;
    duration connect_time{0};
    time_point idle_since;
    time_point leased_since;
    time_point dies_at;
    duration idle_limit{};
    std::source_location taken_at;
};

// What ends a slot's wait.
enum class wake : std::uint8_t {
    dial,     // Vacant: connect a socket.
    lent,     // Vacant: a caller connects by itself and keeps the place.
    taken,    // Idle: leased.
    hung_up,  // FIN, RST or an error.
    spoke,    // Bytes nobody asked for.
    silent,   // Validating: no banner in time.
    idle_too_long,
    lived_too_long,
    surplus,  // More stand ready than are needed, or than are good.
    stopping,
};

// One reason at a time, for one coroutine: the first posted wins, later ones are dropped.
class wake_box {
  public:
    bool posted() const noexcept { return why_.has_value(); }
    void post(wake why) noexcept {
        if (why_) return;
        why_ = why;
        if (waiting_) run_queue::current().push(std::exchange(waiting_, {}));
    }

    struct awaiter {
        wake_box& box;
        bool await_ready() const noexcept { return box.why_.has_value(); }
        void await_suspend(std::coroutine_handle<> handle) const noexcept { box.waiting_ = handle; }
        wake await_resume() const noexcept { return *std::exchange(box.why_, std::nullopt); }
    };
    awaiter next() noexcept { return awaiter{*this}; }

  private:
    std::optional<wake> why_;
    std::coroutine_handle<> waiting_;
};

// One place in the ring. On at most one list: vacant, validating, or idle (fresh or served).
struct pool_slot final : list_link<pool_slot>, hangup_listener {
    explicit pool_slot(warm_pool& owner) noexcept : pool{owner} {}
    void hung_up() noexcept override;
    void spoke() noexcept override;
    void watched_again() noexcept override;

    warm_pool& pool;
    wake_box woken;
    event came_back;
    pooled_socket* held = nullptr;
    breaker_permit permit = breaker_permit::none;  // Of its dial, until the socket is validated.
};

}  // namespace tunnel_uring
