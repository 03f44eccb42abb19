// connection_book: the policy of connection_pool: who gets which place, what is due and when, and
// the accounts. Pure: it calls nobody, locks nothing, and time is an input.
//
// A place is vacant, or holds a connection from the moment somebody sets out to make it until
// somebody has closed it: so places are the permits, and there are max_pool_size of them.
//
//   vacant ─► creating ─► idle ⇄ leased ─► closing ─► vacant
//
// A caller's way is a chain of steps. Each step but `use` and `refuse` is done without the lock,
// and then reported by the function of its name, which says the next.
#pragma once

#include <tunnel_uring/connection_pool.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <source_location>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/histogram.hpp"
#include "base/intrusive_list.hpp"
#include "pool/circuit_breaker.hpp"

namespace tunnel_uring {

struct pool_turn {
    enum class step : std::uint8_t {
        use,      // The place is the caller's.
        check,    // Look whether its connection is good: checked().
        replace,  // Close its connection: replaced().
        create,   // Make one: made().
        wait,     // Enqueue a pool_waiter.
        refuse,   // With `code`.
    };
    step what = step::refuse;
    std::uint32_t place = 0;
    int code = 0;
};

// A caller in the queue. Stays where it is until it has its turn or was removed.
class pool_waiter : public list_link<pool_waiter> {
  public:
    // Its turn is there. Called with the pool's lock held.
    virtual void called() noexcept = 0;
    std::optional<pool_turn> turn;

  protected:
    ~pool_waiter() = default;
};

// What the pool does by itself: done without the lock, then reported.
struct pool_job {
    enum class kind : std::uint8_t {
        create,  // made_ahead()
        check,   // checked_ahead()
        close,   // closed()
    };
    kind what = kind::close;
    std::uint32_t place = 0;
};

class connection_book {
  public:
    connection_book(const connection_pool_limits& limits, time_point now, std::uint64_t seed);

    // ── a caller ──
    pool_turn ask(time_point now) noexcept;
    pool_turn checked(std::uint32_t place, bool good, duration took, time_point now) noexcept;
    pool_turn replaced(std::uint32_t place, bool quiet, time_point now) noexcept;
    // Refused with code 0: the caller knows better what its create() failed with.
    pool_turn made(std::uint32_t place, bool good, duration took, time_point now) noexcept;
    void enqueue(pool_waiter& caller) noexcept;
    // It waits no longer; its turn has not come.
    void give_up(pool_waiter& caller) noexcept;
    // The caller has what it came for, or not; `began` is when it came.
    void lend(std::uint32_t place, time_point began, time_point now,
              const std::source_location& where) noexcept;
    void failed(int code, time_point began, time_point now) noexcept;

    // The lease is over. True: its connection is to be closed, then closed() is called.
    bool returned(std::uint32_t place, bool clean, time_point now) noexcept;
    void closed(std::uint32_t place, bool quiet, time_point now) noexcept;

    // ── by itself ──
    std::optional<pool_job> next_job(time_point now) noexcept;
    void made_ahead(std::uint32_t place, bool good, duration took, time_point now) noexcept;
    // A close job where the connection failed.
    std::optional<pool_job> checked_ahead(std::uint32_t place, bool good, duration took,
                                          time_point now) noexcept;
    // Whether next_job() would make a connection.
    bool wants_one(time_point now) const noexcept;
    // When to call next_job() again, if nothing happens before.
    time_point next_due(time_point now) const noexcept;
    // Leases that became too old since the last time.
    std::vector<connection_pool_lease> leaks(time_point now);

    // No more leases; those who wait are refused, and what is idle becomes jobs.
    void close() noexcept;
    bool is_closed() const noexcept { return closing_down_; }
    // Every place is vacant.
    bool empty() const noexcept;
    // As many stand idle as are wanted, or as there can be.
    bool warm() const noexcept;

    connection_pool_stats stats(time_point now) const noexcept;
    std::vector<connection_pool_lease> leases(time_point now) const;
    duration age(std::uint32_t place, time_point now) const noexcept;

  private:
    enum class state : std::uint8_t { vacant, creating, idle, leased, closing };
    struct place_entry : list_link<place_entry> {
        std::uint32_t number = 0;
        state now = state::vacant;
        bool checking = false;
        bool lent = false;    // Leased, and its caller has it.
        bool is_new = false;  // Made for the caller who has it.
        bool served = false;  // Came back from a lease.
        bool leak_told = false;
        breaker_permit permit = breaker_permit::none;  // Of its making.
        time_point idle_since;
        time_point trusted_since;  // Made, used or checked.
        time_point leased_since;
        time_point dies_at;
        duration idle_limit{};
        std::source_location taken_at;
    };

    void enter(place_entry& entry, state next) noexcept;
    std::uint64_t* gauge(state which) noexcept;
    void check_accounts() const noexcept;
    void offer(place_entry& entry, time_point now) noexcept;
    std::optional<pool_turn> find(time_point now) noexcept;
    pool_turn take(place_entry& entry, time_point now) noexcept;
    pool_turn begin_create(place_entry& entry, time_point now) noexcept;
    void begin_life(place_entry& entry, duration took, time_point now) noexcept;
    void fail_create(place_entry& entry, time_point now) noexcept;
    void serve_waiters(time_point now) noexcept;
    bool outlived(const place_entry& entry, time_point now) noexcept;
    void clean_up(time_point now) noexcept;
    place_entry* doubtful(time_point now) noexcept;
    duration jittered(duration limit) noexcept;

    const connection_pool_limits limits_;
    std::mt19937_64 random_;
    circuit_breaker breaker_;
    backoff retry_;
    time_point retry_at_;
    time_point next_cleanup_;

    intrusive_list<place_entry> vacant_;
    intrusive_list<place_entry> served_;   // Most recently used last.
    intrusive_list<place_entry> unused_;   // Oldest first.
    intrusive_list<place_entry> closing_;  // To be closed by a job.
    std::deque<place_entry> places_;       // Gone before the lists that they are on.
    std::uint32_t ahead_ = 0;              // Being made by jobs.
    intrusive_list<pool_waiter> waiters_;
    bool closing_down_ = false;

    connection_pool_stats counts_;
    histogram acquire_;
    histogram create_;
    histogram check_;
    histogram held_;
};

}  // namespace tunnel_uring
