// The warm pool: a fixed ring of connected sockets to one upstream, kept full, kept honest, handed
// out without a system call.
//
// Every idle socket has a multishot poll. A hang-up, an error or bytes that nobody asked for take
// it off the ready list while the batch of completions is applied, before any coroutine runs: what
// try_acquire() returns was alive when the loop last looked.
//
// Two kinds, by what a used socket proves (pool_policy::reuse):
// - `reuse` (http): a lease keeps its slot until it is given back clean or closed; never more than
//   max_pool_size sockets.
// - else (a byte stream): a leased socket leaves the ring, its slot is refilled meanwhile, and it
//   counts against max_connections until its lease ends.
//
// For one thread, that of `io`. created = idle + leased + closing + closed, asserted at each step.
#pragma once

#include <tunnel_uring/config.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <source_location>
#include <vector>

#include "base/backoff.hpp"
#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "pool/pooled_socket.hpp"

namespace tunnel_uring {

// How the pool gets a connected socket.
class dial_source {
  public:
    virtual ~dial_source() = default;
    // Ends soon after `stop` is requested; the pool requests it at connection_timeout.
    virtual task<result<stream>> connect(cancel_token stop) = 0;
};

struct pool_policy {
    bool reuse = false;
    // A readable idle socket is a banner for the visitor who gets it, not a sign of death.
    bool server_speaks_first = false;
    // Leases at once of sockets that have left the ring.
    std::uint32_t max_connections = 1000;
    // A lease older than this is reported as leaked, once; 0: never.
    duration lease_limit{0};
};

// Sockets now.
struct pool_census {
    std::uint32_t dialing = 0;  // By the pool itself.
    std::uint64_t created = 0;
    std::uint64_t idle = 0;
    std::uint64_t leased = 0;
    std::uint64_t closing = 0;
    std::uint64_t closed = 0;
    std::uint32_t waiters = 0;
};

// Events since the start.
struct pool_counters {
    std::uint64_t acquired_fresh = 0;
    std::uint64_t acquired_served = 0;
    std::uint64_t acquired_direct = 0;
    std::uint64_t returned_clean = 0;
    std::uint64_t renewed = 0;  // Leases whose socket had died, and was replaced.
    std::uint64_t waited = 0;   // Acquires that found the pool at its maximum.
    std::uint64_t wait_timeouts = 0;
    std::uint64_t refused = 0;  // The queue of waiters was full.
    std::uint64_t dials = 0;
    std::uint64_t dial_failures = 0;  // The upstream's doing, time-outs included.
    std::uint64_t dial_timeouts = 0;
    std::uint64_t local_failures = 0;  // This host's: no ports, descriptors or memory left.
    std::uint64_t evicted_hung_up = 0;
    std::uint64_t evicted_spoke = 0;
    std::uint64_t retired_idle = 0;
    std::uint64_t retired_lifetime = 0;
    std::uint64_t polls_rearmed = 0;
    std::uint64_t leaks = 0;
};

// A socket on loan. Its end resets the connection, so that a cut stream never looks whole, unless
// it was given back or detached. The pool outlives it.
class [[nodiscard]] lease {
  public:
    lease() noexcept = default;
    lease(lease&& other) noexcept : held_{std::exchange(other.held_, nullptr)} {}
    lease& operator=(lease&& other) noexcept {
        if (this != &other) {
            end(false);
            held_ = std::exchange(other.held_, nullptr);
        }
        return *this;
    }
    ~lease() { end(false); }

    bool valid() const noexcept { return held_ != nullptr; }
    // To be used, not closed, aborted or moved from: that is the lease's part. Every operation on
    // it is over before the lease ends.
    stream& socket() const noexcept { return held_->connection; }
    socket_origin origin() const noexcept { return held_->origin; }
    bool warm() const noexcept { return origin() != socket_origin::direct; }
    duration age() const noexcept;

    // The socket by value, closed by whoever has it. The lease stays, as what counts it, and ends
    // after the socket. Waits for the pool's poll to end: one turn of the loop for a socket that
    // was idle, none for others. EBUSY: a reuse pool's max_connections are out, and the lease is as
    // before.
    task<result<stream>> detach();

    // Closes the socket, which proved dead, and connects another in its place, never a warm one: a
    // batch of sockets goes stale together. When that fails the lease has no socket; it only ends.
    task<result<void>> renew(cancel_token stop);

    // With proof that the protocol ended cleanly on both sides and no byte is left over: the socket
    // serves again if the pool's policy allows, else it is closed with a FIN.
    void release_clean() noexcept { end(true); }

  private:
    friend class warm_pool;
    explicit lease(pooled_socket& held) noexcept : held_{&held} {}
    void end(bool clean) noexcept;
    pooled_socket* held_ = nullptr;
};

class warm_pool {
  public:
    // `dial` outlives it. `seed` makes its jitter. max_pool_size is at least 1.
    warm_pool(io_context& io, dial_source& dial, const pool_config& limits, pool_policy policy,
              std::uint64_t seed);
    warm_pool(const warm_pool&) = delete;
    warm_pool& operator=(const warm_pool&) = delete;
    // Not started, or closed.
    ~warm_pool();

    // Begins to warm up and to tend the slots. Once, from a coroutine of `io`.
    void start();
    // Ends when the first warm-up is complete: idle_target() sockets were connected. At once where
    // none is asked for. ECANCELED: the token, or close(), was first.
    task<result<void>> warmed_up(cancel_token stop);
    // Retires what is idle, ends waiters (ESHUTDOWN) and dials, then waits for every lease to end.
    // From its call on acquire() fails with ESHUTDOWN. Once.
    task<> close();

    // A warm socket or nothing: no system call, no allocation, O(1). Nothing too while others wait.
    // Of sockets that have served the newest, else of the never used ones the oldest.
    std::optional<lease> try_acquire(
        std::source_location where = std::source_location::current()) noexcept;

    // A socket, warm or connected at once within connection_timeout; at the maximum it waits, first
    // come first served, for acquire_timeout. Cancelling ends it with ECANCELED, or with a lease
    // all the same. ENOBUFS: acquire_queue callers wait already. ETIMEDOUT: no room, or no
    // connection, in time. ESHUTDOWN: closed. Else the dial's error.
    task<result<lease>> acquire(cancel_token stop,
                                std::source_location where = std::source_location::current());

    // Whether an unused socket has spoken as soon as it was connected, not long ago: an upstream
    // that does not wait to be asked.
    bool spoke_unasked() const noexcept;
    void note_early_word() noexcept { early_word_ = io_.now(); }

    // How many idle sockets the pool keeps. A byte stream is connected beforehand only if
    // warm_up_size asks for it.
    std::uint32_t idle_target() const noexcept { return idle_target_; }
    pool_census census() const noexcept;
    const pool_counters& counters() const noexcept { return counters_; }
    // Called for each lease that has passed lease_limit: where it was taken, and its age.
    void on_leak(std::function<void(const std::source_location&, duration)> report) {
        report_leak_ = std::move(report);
    }

  private:
    friend class lease;
    friend struct pooled_socket;
    friend struct pool_slot;
    class waiter;
    // A warm socket; else the right to connect one, for `room` or, without, outside the ring.
    struct grant {
        pooled_socket* warm = nullptr;
        pool_slot* room = nullptr;
    };
    struct refill_alarm final : timer {
        explicit refill_alarm(warm_pool& owner) noexcept : pool{owner} {}
        void expired() noexcept override { pool.refill(); }
        warm_pool& pool;
    };
    // A caller's coroutine is inside: close() waits for it.
    struct presence {
        explicit presence(warm_pool& owner) noexcept : pool{owner} { pool.present_ += 1; }
        presence(const presence&) = delete;
        presence& operator=(const presence&) = delete;
        ~presence();
        warm_pool& pool;
    };

    // ── the ring ──
    task<> tend(pool_slot& s);
    void install(pool_slot& s, result<stream> made);
    task<> await_return(pool_slot& s);
    void become_vacant(pool_slot& s) noexcept;
    void offer(pool_slot& s) noexcept;
    void let_go(pool_slot& s) noexcept;
    void close_held(pool_slot& s) noexcept;
    void evict(pool_slot& s, wake why) noexcept;
    void take_off(pool_slot& s, wake why) noexcept;
    bool may_serve_again(pooled_socket& socket) noexcept;
    void aged(pooled_socket& socket) noexcept;

    // ── keeping it full ──
    void refill() noexcept;
    void note_failure() noexcept;
    void note_success() noexcept;
    void note_loss(const pooled_socket& lost) noexcept;

    // ── callers ──
    std::optional<grant> find(bool warm_only) noexcept;
    task<result<grant>> wait_for_room(cancel_token stop);
    task<result<stream>> dial(cancel_token stop);
    void give_up(const grant& unused) noexcept;
    void serve_waiters() noexcept;
    task<result<void>> renew(pooled_socket& socket, cancel_token stop);
    lease lend(pooled_socket& socket, const std::source_location& where) noexcept;
    void end_lease(pooled_socket& socket, bool clean) noexcept;
    void left_outside() noexcept;

    // ── accounts ──
    pooled_socket& adopt(stream connection, socket_origin origin);
    void begin_life(pooled_socket& socket, stream connection, socket_origin origin);
    void enter(pooled_socket& socket, socket_state next) noexcept;
    void close_socket(pooled_socket& socket) noexcept;
    std::uint64_t& gauge(socket_state state) noexcept;
    void check_accounts() const noexcept;
    duration jittered(duration limit);

    io_context& io_;
    dial_source& dial_;
    const pool_config limits_;
    const pool_policy policy_;
    const std::uint32_t idle_target_;
    std::mt19937_64 random_;
    backoff retry_;
    refill_alarm alarm_{*this};
    std::function<void(const std::source_location&, duration)> report_leak_;

    std::deque<pool_slot> ring_;
    intrusive_list<pool_slot> vacant_;
    intrusive_list<pool_slot> fresh_;   // Oldest first.
    intrusive_list<pool_slot> served_;  // Newest last.
    std::uint32_t ready_ = 0;           // On fresh_ and served_.
    std::uint32_t dialing_ = 0;         // Slots that connect.
    std::uint32_t outside_ = 0;         // Leases, and dials of callers, beyond the ring.

    std::deque<pooled_socket> sockets_;
    std::vector<pooled_socket*> spare_;
    intrusive_list<waiter> waiters_;
    std::uint32_t waiting_ = 0;

    bool failing_ = false;
    time_point last_failure_;
    time_point next_dial_;
    time_point recovering_until_;
    time_point losses_since_;
    std::uint32_t losses_ = 0;  // Idle sockets that died since then.
    std::optional<time_point> early_word_;
    std::uint32_t warmed_ = 0;
    event warm_;

    pool_census census_;
    pool_counters counters_;
    bool started_ = false;
    bool closed_ = false;
    std::uint32_t present_ = 0;
    event calm_;  // Nobody present, or nothing outside.
    nursery tending_;
};

inline void lease::end(bool clean) noexcept {
    if (held_ == nullptr) return;
    pooled_socket& held = *std::exchange(held_, nullptr);
    held.pool.end_lease(held, clean);
}

}  // namespace tunnel_uring
