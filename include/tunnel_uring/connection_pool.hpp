// connection_pool: a bounded pool of connections of any type, for programs with threads. It needs
// no agent, no relay and no io_uring: whatever can be made, checked and closed can be pooled, be it
// a socket, a database handle or a child process.
//
//     struct workers {                          // the manager
//         result<worker> create(pool_time by);  // makes one, before `by`
//         bool validate(worker& one);           // still good?
//         void close(worker& one);              // ends it
//     };
//     auto opened = connection_pool<worker, workers>::open({.max_pool_size = 8});
//     if (!opened) …
//     auto got = opened->acquire();             // waits for its turn, at most acquire_timeout
//     if (!got) …
//     use(**got);
//     got->release_clean();                     // else the connection is closed
//
// A connection that a lease ends without release_clean() is closed: an error path, an exception or
// a forgotten call never hand half-used state to the next caller.
//
// Threads: every function of the pool may be called from any thread at any time. A lease belongs to
// one thread at a time. The manager is called without a lock held, by several threads at once, for
// different connections; never twice at once for the same one. So a slow create, check or close
// holds up nobody but who needs that very connection. What a manager throws is caught: create()
// fails with EIO and what() of it, a check fails, and a close counts as done.
//
// Durations are std::chrono; those that may be 0 say what that means.
#pragma once

#include <tunnel_uring/config.hpp>
#include <tunnel_uring/result.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tunnel_uring {

// A time by which something shall be done, of CLOCK_MONOTONIC.
using pool_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

struct connection_pool_limits {
    // Connections at once, those being made and being closed included; 1 to 65536.
    std::uint32_t max_pool_size = 50;
    // So many stand idle, or are being made, as long as max_pool_size allows.
    std::uint32_t min_idle_connections = 0;
    // Threads that make connections beforehand, check and close idle ones: so many are made at a
    // time. 0: nothing happens by itself, see maintain(). At most 64.
    std::uint32_t threads = 1;

    // An acquire may wait so long for its turn, and so many callers may wait at once.
    std::chrono::nanoseconds acquire_timeout = std::chrono::seconds{2};
    std::uint32_t acquire_queue = 1024;
    // What create() is given as its time. A caller's own time may be over sooner.
    std::chrono::nanoseconds connection_timeout = std::chrono::seconds{10};

    // A connection that was used or checked less than so long ago is handed out without a check.
    // 0: each one is checked.
    std::chrono::nanoseconds trusted_for = std::chrono::milliseconds{500};
    // Not used for so long, it is closed. 0: no limit. Each has its own limit, up to 10 % less, so
    // that those made together do not end together.
    std::chrono::nanoseconds max_idle_time = std::chrono::seconds{300};
    // Made so long ago, it is closed, however often it is used; likewise.
    std::chrono::nanoseconds max_lifetime = std::chrono::minutes{30};
    // How often idle connections are looked at: those past a limit are closed, and those that were
    // neither used nor checked since the last time are checked.
    std::chrono::nanoseconds cleanup_interval = std::chrono::seconds{30};

    // After a create() failed, none is made beforehand for a random time up to retry_initial, twice
    // that after the next failure, and so on up to retry_max. Callers are not held up.
    std::chrono::nanoseconds retry_initial = std::chrono::milliseconds{100};
    std::chrono::nanoseconds retry_max = std::chrono::seconds{30};
    // Where failure_threshold is not 0: after so many failures of create() in a row nobody asks for
    // open_for, callers with no idle connection are refused at once (EHOSTDOWN); then one tries.
    circuit_breaker_config circuit_breaker{0, std::chrono::seconds{5}, std::chrono::seconds{60}};

    // A lease held longer is reported once: by on_leak, from a thread of the pool or maintain(),
    // and in the stats. 0: none.
    std::chrono::nanoseconds lease_limit{0};
    std::function<void(const std::source_location& taken_at, std::chrono::nanoseconds age)>
        on_leak = {};

    // What time it is. Tests may bring a clock of their own; waiting is in real time all the same.
    pool_time (*clock)() noexcept = nullptr;
};

// How long something took; of all since the pool was opened. A quantile is never below the exact
// one, and at most 12.5 % above it.
struct connection_pool_time {
    std::uint64_t count = 0;
    std::chrono::nanoseconds average{0};
    std::chrono::nanoseconds p50{0};
    std::chrono::nanoseconds p90{0};
    std::chrono::nanoseconds p99{0};
    std::chrono::nanoseconds p999{0};
};

struct connection_pool_stats {
    // ── now: created = idle + leased + closing + closed, in every snapshot ──
    std::uint64_t created = 0;
    std::uint64_t idle = 0;
    std::uint64_t leased = 0;  // Those on their way to a caller included.
    std::uint64_t closing = 0;
    std::uint64_t closed = 0;
    std::uint32_t creating = 0;  // With idle, leased and closing at most max_pool_size.
    std::uint32_t checking = 0;  // Of those idle and leased.
    std::uint32_t waiting = 0;   // Callers.
    std::uint32_t max_pool_size = 0;
    bool breaker_open = false;

    // ── since the pool was opened ──
    std::uint64_t acquired_idle = 0;     // Leases of a connection that was there,
    std::uint64_t acquired_new = 0;      // and of one made for the caller.
    std::uint64_t acquire_failures = 0;  // These four, and what create() failed with.
    std::uint64_t acquire_timeouts = 0;  // EBUSY
    std::uint64_t refused_full = 0;      // ENOBUFS
    std::uint64_t refused_down = 0;      // EHOSTDOWN
    std::uint64_t refused_closed = 0;    // ESHUTDOWN
    std::uint64_t waited = 0;            // Acquires that found no room at first.
    std::uint64_t create_failures = 0;
    std::uint64_t checks = 0;
    std::uint64_t check_failures = 0;
    std::uint64_t returned_clean = 0;    // Came back, and may serve again,
    std::uint64_t returned_unclean = 0;  // and those that were closed instead.
    std::uint64_t retired_idle = 0;      // Past max_idle_time.
    std::uint64_t retired_lifetime = 0;  // Past max_lifetime.
    std::uint64_t close_failures = 0;    // close() threw.
    std::uint64_t leaks = 0;             // Leases past lease_limit.

    connection_pool_time acquire;  // From the call to the lease, or to the failure.
    connection_pool_time create;   // Those that succeeded.
    connection_pool_time check;
    connection_pool_time held;  // From the lease to its end.

    // Of all leases so far, the share of connections that were there already; 0 without leases.
    double reuse_rate() const noexcept {
        const std::uint64_t all = acquired_idle + acquired_new;
        return all == 0 ? 0 : static_cast<double>(acquired_idle) / static_cast<double>(all);
    }
};

// A lease that is out.
struct connection_pool_lease {
    std::source_location taken_at;
    std::chrono::nanoseconds age{0};
};

template <class Manager, class Connection>
concept connection_manager = requires(Manager& manager, Connection& connection, pool_time by) {
    // A new connection, or why there is none. It keeps to `by` itself: nobody can interrupt it.
    { manager.create(by) } -> std::same_as<result<Connection>>;
    // Whether it can be used. Must change nothing that its next user could miss: a check that reads
    // a byte has lost it.
    { manager.validate(connection) } -> std::convertible_to<bool>;
    // Ends it; the object is destroyed right after.
    manager.close(connection);
};

// A manager may have `bool recycle(Connection&)`: called when a connection comes back clean, while
// its place is still taken; what has to be undone (a transaction, a selected database) is undone
// here. false: it is closed instead.
template <class Manager, class Connection>
concept recycling_manager =
    connection_manager<Manager, Connection> && requires(Manager& manager, Connection& connection) {
        { manager.recycle(connection) } -> std::convertible_to<bool>;
    };

namespace detail {

// What the pool does to the connection at a place, by number; nothing of it throws.
class pool_places {
  public:
    virtual ~pool_places() = default;
    virtual result<void> create(std::size_t place, pool_time by) noexcept = 0;
    virtual bool validate(std::size_t place) noexcept = 0;
    virtual bool recycle(std::size_t place) noexcept = 0;
    // False: close() threw. The place is empty in either case.
    virtual bool close(std::size_t place) noexcept = 0;
};

// All that needs no type: places, turns, limits, threads. Compiled once, in the library.
class pool_core {
  public:
    static result<std::unique_ptr<pool_core>> open(pool_places& places,
                                                   connection_pool_limits limits);
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;
    ~pool_core();

    result<std::size_t> acquire(std::chrono::nanoseconds patience,
                                const std::source_location& where);
    void release(std::size_t place, bool clean) noexcept;
    std::chrono::nanoseconds age(std::size_t place) const;
    result<void> warm_up(std::chrono::nanoseconds patience);
    std::chrono::nanoseconds maintain();
    void close();
    void join() noexcept;
    result<void> drain(std::chrono::nanoseconds patience);
    connection_pool_stats stats() const;
    std::vector<connection_pool_lease> leases() const;

  private:
    struct parts;
    explicit pool_core(std::unique_ptr<parts> made) noexcept;
    std::unique_ptr<parts> parts_;
};

template <class Connection, class Manager>
class typed_places final : public pool_places {
  public:
    typed_places(Manager manager, std::size_t count)
        : manager_{std::move(manager)}, connections_(count) {}

    Connection& at(std::size_t place) noexcept { return *connections_[place]; }
    Manager& manager() noexcept { return manager_; }

    result<void> create(std::size_t place, pool_time by) noexcept override {
        try {
            result<Connection> made = manager_.create(by);
            if (!made) return made.error();
            connections_[place].emplace(*std::move(made));
            return {};
        } catch (const std::exception& thrown) {
            return error{EIO, std::string{"create() threw: "} + thrown.what()};
        } catch (...) {
            return error{EIO, "create() threw something"};
        }
    }
    bool validate(std::size_t place) noexcept override {
        try {
            return static_cast<bool>(manager_.validate(at(place)));
        } catch (...) {
            return false;
        }
    }
    bool recycle(std::size_t place) noexcept override {
        if constexpr (recycling_manager<Manager, Connection>) {
            try {
                return static_cast<bool>(manager_.recycle(at(place)));
            } catch (...) {
                return false;
            }
        }
        return true;
    }
    bool close(std::size_t place) noexcept override {
        bool quiet = true;
        try {
            manager_.close(at(place));
        } catch (...) {
            quiet = false;
        }
        connections_[place].reset();
        return quiet;
    }

  private:
    Manager manager_;
    std::vector<std::optional<Connection>> connections_;  // One for each place; none ever moves.
};

// What leases keep alive: the pool's handle may be gone before the last of them.
template <class Connection, class Manager>
struct pool_body {
    pool_body(Manager manager, std::size_t count) : places{std::move(manager), count} {}
    typed_places<Connection, Manager> places;
    std::unique_ptr<pool_core> core;
};

}  // namespace detail

// Connection: a type whose move constructor does not throw. Manager: see connection_manager.
template <class Connection, class Manager>
    requires connection_manager<Manager, Connection> &&
             std::is_nothrow_move_constructible_v<Connection>
class connection_pool {
    using body = detail::pool_body<Connection, Manager>;
    using time = std::chrono::nanoseconds;

  public:
    // A connection on loan. It stays where it is: references to it last as long as the lease does.
    class [[nodiscard]] lease {
      public:
        lease() noexcept = default;
        lease(lease&& other) noexcept : body_{std::move(other.body_)}, place_{other.place_} {}
        lease& operator=(lease&& other) noexcept {
            if (this == &other) return *this;
            end(false);
            body_ = std::move(other.body_);
            place_ = other.place_;
            return *this;
        }
        // As discard(), where the connection has not been given back.
        ~lease() { end(false); }

        explicit operator bool() const noexcept { return body_ != nullptr; }
        Connection& operator*() const noexcept { return body_->places.at(place_); }
        Connection* operator->() const noexcept { return &body_->places.at(place_); }
        // For how long it has been out.
        time age() const { return body_->core->age(place_); }

        // The connection is as its next user wants to find it: it goes back (recycle() is called
        // first where the manager has it) and may serve again, unless its lifetime is over.
        void release_clean() noexcept { end(true); }
        // The connection is closed, on this thread; then its place is free.
        void discard() noexcept { end(false); }

      private:
        friend class connection_pool;
        lease(std::shared_ptr<body> held, std::size_t place) noexcept
            : body_{std::move(held)}, place_{place} {}
        void end(bool clean) noexcept {
            if (const std::shared_ptr<body> held = std::move(body_))
                held->core->release(place_, clean);
        }
        std::shared_ptr<body> body_;
        std::size_t place_ = 0;
    };

    // EINVAL with a sentence: a limit is out of its range. EAGAIN: no threads could be started.
    static result<connection_pool> open(connection_pool_limits limits, Manager manager = {}) {
        const std::size_t count = limits.max_pool_size > 65536 ? 0 : limits.max_pool_size;
        auto made = std::make_shared<body>(std::move(manager), count);
        auto core = detail::pool_core::open(made->places, std::move(limits));
        if (!core) return core.error();
        made->core = *std::move(core);
        return connection_pool{std::move(made)};
    }
    connection_pool(connection_pool&&) noexcept = default;
    connection_pool& operator=(connection_pool&& other) noexcept {
        if (this == &other) return *this;
        end();
        body_ = std::move(other.body_);
        return *this;
    }
    // close(), then waits for what the pool's threads are in the middle of. Leases that are out go
    // on, and close their connections when they end.
    ~connection_pool() { end(); }

    // A connection. Of those idle the most recently used one, so that what is not needed gets old
    // and is closed; of those never used the oldest. Where that is not trusted it is checked, and
    // one that fails is replaced by a new one, on this thread: others made at the same time have
    // probably failed with it. Nothing idle: below the maximum a new one is made, on this thread;
    // at the maximum the caller waits, first come first served, and nobody who comes later is
    // served before.
    //
    // ESHUTDOWN: closed, before or meanwhile. ENOBUFS, at once: acquire_queue callers wait already.
    // EBUSY: no turn within the time. EHOSTDOWN, at once: the breaker is open. Else what create()
    // failed with.
    result<lease> acquire(std::source_location where = std::source_location::current()) {
        return acquire_within(time{-1}, where);
    }
    // The same, but with this time instead of acquire_timeout; 0 waits for no turn. What create()
    // is given as its time ends with it too, where it is not 0.
    result<lease> acquire_within(time patience,
                                 std::source_location where = std::source_location::current()) {
        const result<std::size_t> place = body_->core->acquire(patience, where);
        if (!place) return place.error();
        return lease{body_, *place};
    }

    // Makes connections until min_idle_connections stand idle, together with the pool's threads.
    // ETIMEDOUT: not within the time. ESHUTDOWN: closed. Else what create() failed with.
    result<void> warm_up(time patience) { return body_->core->warm_up(patience); }

    // What the pool's threads do, done here and now, until nothing is due; returns how long until
    // something will be. For programs that want no threads (limits.threads = 0).
    time maintain() { return body_->core->maintain(); }

    // From now on acquire() fails with ESHUTDOWN, for those who wait too. Idle connections are
    // closed before this returns; those on loan when their leases end. Again: nothing.
    void close() { body_->core->close(); }

    // close(), then waits until no connection is left. ETIMEDOUT: some still are, and the sentence
    // says where the oldest lease was taken.
    result<void> drain(time patience) { return body_->core->drain(patience); }

    connection_pool_stats stats() const { return body_->core->stats(); }
    // Every lease that is out, the oldest first.
    std::vector<connection_pool_lease> leases() const { return body_->core->leases(); }
    Manager& manager() noexcept { return body_->places.manager(); }

  private:
    explicit connection_pool(std::shared_ptr<body> made) noexcept : body_{std::move(made)} {}
    void end() noexcept {
        if (!body_) return;
        body_->core->close();
        body_->core->join();
    }
    std::shared_ptr<body> body_;
};

}  // namespace tunnel_uring
