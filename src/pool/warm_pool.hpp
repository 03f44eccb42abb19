// The warm pool: a fixed ring of connected sockets to one upstream, kept full, kept honest, handed
// out without a system call.
//
// Every idle socket has a multishot poll. A hang-up, an error or bytes that nobody asked for take
// it off the ready list while the batch of completions is applied, before any coroutine runs: what
// try_acquire() returns was alive when the loop last looked. A socket connected beforehand counts
// only once it was validated: still connected and silent for about as long as its connect took, or,
// where the server speaks first, its banner is there within validation_timeout.
//
// Two kinds of books, by what a used socket proves (pool_kind):
// - http: a lease keeps its slot until it is given back clean or closed; never more than
//   max_pool_size sockets in the ring.
// - else (a byte stream): a leased socket leaves the ring, its slot is refilled meanwhile, and it
//   counts against max_connections until its lease ends.
//
// How many stand ready follows demand (idle_target.hpp), how long they may be idle follows the
// upstream (learned_idle_limit.hpp), and whether it is asked at all follows its failures
// (circuit_breaker.hpp).
//
// For one thread, that of `io`. created = validating + idle + leased + closing + closed, asserted
// at each step.
#pragma once

#include <tunnel_uring/config.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <source_location>
#include <string_view>
#include <vector>

#include "base/backoff.hpp"
#include "base/rolling.hpp"
#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "pool/idle_target.hpp"
#include "pool/learned_idle_limit.hpp"
#include "pool/pool_stats.hpp"
#include "pool/pooled_socket.hpp"

namespace tunnel_uring {

// How the pool gets a connected socket, and how the upstream is asked for its health.
class dial_source {
  public:
    virtual ~dial_source() = default;
    // Ends soon after `stop` is requested; the pool requests it at connection_timeout.
    virtual task<result<stream>> connect(cancel_token stop) = 0;
    // One active health check; the error is a sentence. By default: it can be connected to.
    virtual task<result<void>> check(cancel_token stop);
};

// What a used socket proves, and what a readable idle one means.
enum class pool_kind : std::uint8_t {
    http,          // Serves again when given back clean. Readable: dead.
    client_first,  // Serves one visitor. Readable: dead.
    server_first,  // Serves one visitor. Readable: a banner, for who gets the socket.
    off,           // Nothing is connected beforehand, and nothing serves again.
};

struct pool_policy {
    pool_kind kind = pool_kind::client_first;
    // Leases at once of sockets that have left the ring.
    std::uint32_t max_connections = 1000;
    // Active health checks; 0: none.
    duration check_interval{0};
    duration check_timeout{5s};
    std::uint32_t max_failures = 3;

    bool reuses() const noexcept { return kind == pool_kind::http; }
    bool awaits_banner() const noexcept { return kind == pool_kind::server_first; }
};

struct acquire_options {
    acquire_options() noexcept {}
    // What is to be said cannot be said twice: a socket idle for less than a second, else a new
    // one. At the maximum a new one takes the place of the one idle longest.
    bool only_young = false;
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

    // Closes the socket, which proved dead or may be, and connects another in its place, never a
    // warm one: a batch of sockets goes stale together. When that fails the lease has no socket; it
    // only ends.
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
    // Ends when the first warm-up is complete: idle_target() sockets were validated. At once where
    // none is asked for, at the start or at all. ECANCELED: the token, or close(), was first.
    task<result<void>> warmed_up(cancel_token stop);
    // The same, but waits for no upstream that is down or slow: ends too when a connect has failed,
    // and validation_timeout after start().
    task<> ready(cancel_token stop);
    // Retires what is idle, ends waiters (ESHUTDOWN) and dials, then waits for every lease to end.
    // From its call on acquire() fails with ESHUTDOWN. Once.
    task<> close();

    // A warm socket or nothing: no system call, no allocation, O(1). Nothing too while others wait.
    // Of sockets that have served the newest, else of the never used ones the oldest.
    std::optional<lease> try_acquire(
        std::source_location where = std::source_location::current()) noexcept;

    // A socket, warm or connected at once within connection_timeout; at the maximum it waits, first
    // come first served, for acquire_timeout. Where the pool cannot serve (that time is over, or
    // the breaker is open) it connects past the pool, for degrade.direct_max callers at once.
    // Cancelling ends it with ECANCELED, or with a lease all the same. ENOBUFS: acquire_queue
    // callers wait already. EBUSY: no room in time. EHOSTDOWN: the breaker is open, and nobody may
    // pass it by. ESHUTDOWN: closed. Else the dial's error; ETIMEDOUT: no connection in time.
    task<result<lease>> acquire(cancel_token stop, acquire_options how = {},
                                std::source_location where = std::source_location::current());

    // ── an upstream that serves one connection at a time ──
    // A request gets no answer: sockets that stand ready may be what such a server waits on. Closes
    // them, keeps none for now, and returns true; the caller then ends the suspicion. False:
    // nothing was done, for this upstream was seen to answer beside a kept one, or was suspected
    // within ten minutes.
    bool suspect_single_worker() noexcept;
    // A byte of an answer has come. True when it came as soon as the suspicion had its sockets
    // closed, and so proves it: from now on none is connected beforehand, and none kept.
    bool note_answer() noexcept;
    // Nothing has proved it: all is as before.
    void end_suspicion() noexcept;

    // How many idle sockets the pool keeps now. A byte stream is connected beforehand only if
    // warm_up_size asks for it.
    std::uint32_t idle_target() const noexcept {
        return preconnects_ && !suspicious_ ? target_.value() : 0;
    }
    breaker_state breaker() const noexcept { return breaker_.state(); }
    // While the breaker is open: when the upstream is asked again; else zero.
    duration asked_again_in() const noexcept {
        if (breaker_.state() == breaker_state::closed) return duration{0};
        return std::max(breaker_.opens_until() - io_.now(), duration{0});
    }
    pool_census census() const noexcept;
    const pool_counters& counters() const noexcept { return counters_; }
    pool_stats snapshot() const;
    // Called for each lease that has passed lease_limit with its socket: where it was taken, and
    // its age. A detached socket is its holder's affair.
    void on_leak(std::function<void(const std::source_location&, duration)> report) {
        report_leak_ = std::move(report);
    }
    // Called when the breaker opens from closed (with the reason), and when it closes.
    void on_breaker(std::function<void(bool open, std::string_view why)> report) {
        report_breaker_ = std::move(report);
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
        bool stale = false;      // `warm` is to be replaced before it is used.
        bool past_pool = false;  // Counted in past_pool_.
    };
    struct refill_alarm final : timer {
        explicit refill_alarm(warm_pool& owner) noexcept : pool{owner} {}
        void expired() noexcept override { pool.refill(); }
        warm_pool& pool;
    };
    struct cleanup_alarm final : timer {
        explicit cleanup_alarm(warm_pool& owner) noexcept : pool{owner} {}
        void expired() noexcept override { pool.clean_up(); }
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
    void install(pool_slot& s, result<stream> made, time_point began);
    task<> await_return(pool_slot& s);
    void become_vacant(pool_slot& s) noexcept;
    void begin_validation(pool_slot& s) noexcept;
    breaker_permit end_validation(pool_slot& s) noexcept;
    void pass_validation(pool_slot& s) noexcept;
    void fail_validation(pool_slot& s, wake why) noexcept;
    void offer(pool_slot& s) noexcept;
    void let_go(pool_slot& s) noexcept;
    void close_held(pool_slot& s) noexcept;
    void evict(pool_slot& s, wake why) noexcept;
    void take_off(pool_slot& s, wake why) noexcept;
    void retire(pool_slot& s, wake why) noexcept;
    bool may_serve_again(pooled_socket& socket) noexcept;
    void aged(pooled_socket& socket) noexcept;
    time_point idle_until(const pooled_socket& socket) const noexcept;
    learned_idle_limit& learned(const pooled_socket& socket) noexcept;

    // ── keeping it full, and no fuller ──
    void refill() noexcept;
    void clean_up() noexcept;
    void retire_all() noexcept;
    pool_slot& coldest() noexcept;
    pool_slot* youngest() noexcept;
    void note_failure() noexcept;
    void note_success() noexcept;
    void note_loss(const pooled_socket& lost) noexcept;

    // ── health ──
    task<> watch_health();
    task<> check_health(std::uint32_t& failures);
    bool may_ask() const noexcept;
    breaker_permit ask() noexcept;
    void prove(breaker_permit how) noexcept;
    void disprove(breaker_permit how, std::string_view why) noexcept;
    void trip(std::string_view why) noexcept;

    // ── callers ──
    task<result<lease>> provide(cancel_token stop, acquire_options how, std::source_location where);
    task<result<lease>> connect_for(grant given, cancel_token stop, std::source_location where);
    std::optional<grant> find(bool warm_only, bool only_young = false) noexcept;
    bool room_to_connect() const noexcept;
    bool may_pass() const noexcept;
    std::optional<grant> pass() noexcept;
    task<result<grant>> wait_for_room(cancel_token stop);
    task<result<stream>> dial(breaker_permit how, cancel_token stop);
    void account_dial(int code, bool late, std::string_view why, breaker_permit how) noexcept;
    void give_up(const grant& unused) noexcept;
    void serve_waiters() noexcept;
    task<result<void>> renew(pooled_socket& socket, cancel_token stop);
    lease lend(pooled_socket& socket, const std::source_location& where) noexcept;
    void end_lease(pooled_socket& socket, bool clean) noexcept;
    void left_outside() noexcept;
    void move_outside(pooled_socket& socket) noexcept;

    // ── accounts ──
    void account_acquire(duration took, socket_origin origin) noexcept;
    void account_failure(duration took, int code) noexcept;
    void account_validation(bool valid) noexcept;
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
    std::mt19937_64 random_;
    std::function<void(const std::source_location&, duration)> report_leak_;
    std::function<void(bool, std::string_view)> report_breaker_;

    // ── policy ──
    bool preconnects_;         // Sockets are connected before they are asked for.
    bool awake_;               // Not waiting for the first caller (warm_up_on_start).
    bool suspicious_ = false;  // Nothing is, for now.
    bool single_ = false;      // A socket that is kept keeps the upstream from the others.
    bool concurrent_ = false;  // It does not.
    time_point suspected_at_{};
    time_point suspect_again_;  // Not before.
    tunnel_uring::idle_target target_;
    learned_idle_limit learned_unused_;
    learned_idle_limit learned_served_;
    circuit_breaker breaker_;
    bool tripped_by_check_ = false;  // Only a check closes the breaker again.
    backoff retry_;
    refill_alarm alarm_{*this};
    cleanup_alarm cleanup_{*this};

    std::deque<pool_slot> ring_;
    intrusive_list<pool_slot> vacant_;
    intrusive_list<pool_slot> validating_;
    intrusive_list<pool_slot> fresh_;   // Oldest first.
    intrusive_list<pool_slot> served_;  // Newest last.
    std::uint32_t ready_ = 0;           // On fresh_ and served_.
    std::uint32_t least_ready_ = 0;     // Since the last clean-up.
    std::uint32_t dialing_ = 0;         // Slots that connect or validate.
    std::uint32_t outside_ = 0;         // Leases, and dials of callers, beyond the ring.
    std::uint32_t past_pool_ = 0;       // Of callers whom the pool could not serve.

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
    std::uint32_t warmed_ = 0;
    std::uint32_t warm_goal_ = 0;
    bool warm_up_failed_ = false;
    event warm_;

    pool_census census_;
    pool_counters counters_;
    pool_times times_;
    mutable rolling<pool_window> window_;
    std::uint64_t outside_open_ = 0;  // Sockets.
    time_point started_at_;
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
