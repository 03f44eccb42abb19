// The part of connection_pool that needs no type: a lock around the book, the steps of a caller
// without it, and the threads that do what is due.
#include <tunnel_uring/connection_pool.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <string_view>
#include <system_error>
#include <thread>

#include "pool/connection_book.hpp"

namespace tunnel_uring::detail {

namespace {

using step = pool_turn::step;

pool_time steady_now() noexcept { return std::chrono::steady_clock::now(); }

// `from` and a long time is never before `from`.
pool_time after(pool_time from, duration time) noexcept {
    return time > pool_time::max() - from ? pool_time::max() : from + time;
}

error refused(int code) {
    switch (code) {
        case ENOBUFS: return error{code, "too many callers wait for a connection already"};
        case EBUSY: return error{code, "every connection stayed in use"};
        case EHOSTDOWN: return error{code, "no connection could be made; it is tried again soon"};
        default: return error{code, "the pool is closed"};
    }
}

// The sentence that tells what is wrong; empty when nothing is.
std::string flaw_of(const connection_pool_limits& limits) {
    const auto count = [](std::string_view name, std::uint32_t value, std::uint32_t least,
                          std::uint32_t most) -> std::string {
        if (value >= least && value <= most) return {};
        return std::string{name} + " is " + std::to_string(value) + "; it may be " +
               std::to_string(least) + " to " + std::to_string(most);
    };
    std::string flaw = count("max_pool_size", limits.max_pool_size, 1, 65536);
    if (flaw.empty())
        flaw = count("min_idle_connections", limits.min_idle_connections, 0, limits.max_pool_size);
    if (flaw.empty()) flaw = count("threads", limits.threads, 0, 64);
    const auto time = [&](std::string_view name, duration value, duration least) {
        if (flaw.empty() && value < least)
            flaw = std::string{name} + (least == duration{0} ? " is negative" : " is not positive");
    };
    time("acquire_timeout", limits.acquire_timeout, duration{0});
    time("connection_timeout", limits.connection_timeout, duration{1});
    time("trusted_for", limits.trusted_for, duration{0});
    time("max_idle_time", limits.max_idle_time, duration{0});
    time("max_lifetime", limits.max_lifetime, duration{0});
    time("cleanup_interval", limits.cleanup_interval, duration{1});
    time("retry_initial", limits.retry_initial, duration{1});
    if (flaw.empty() && limits.retry_max < limits.retry_initial)
        flaw = "retry_max is below retry_initial";
    time("lease_limit", limits.lease_limit, duration{0});
    return flaw;
}

struct waiting_caller final : pool_waiter {
    void called() noexcept override { turned.notify_one(); }
    std::condition_variable turned;
};

}  // namespace

struct pool_core::parts {
    parts(pool_places& owner, connection_pool_limits given)
        : places{owner},
          limits{std::move(given)},
          now{limits.clock != nullptr ? limits.clock : steady_now},
          book{limits, now(), std::random_device{}()} {}

    using lock = std::unique_lock<std::mutex>;

    result<pool_turn> walk(lock& held, pool_turn turn, pool_time create_by);
    pool_turn wait_for_turn(lock& held, pool_time began, duration patience);
    result<void> make(lock& held, std::uint32_t place, pool_time by, duration& took);
    result<void> do_job(lock& held, pool_job job, pool_time by);
    void do_jobs(lock& held);
    void tell_leaks(lock& held);
    void tend();
    void changed() noexcept;

    pool_places& places;
    const connection_pool_limits limits;
    pool_time (*const now)() noexcept;

    mutable std::mutex mutex;  // Of all below it.
    connection_book book;
    std::condition_variable work;     // Something may be due: for the threads.
    std::condition_variable settled;  // A state was left: for warm_up() and drain().
    std::vector<std::thread> threads;
};

// After whatever a caller did: who waits for something else than a turn looks again.
void pool_core::parts::changed() noexcept {
    settled.notify_all();
    if (book.is_closed() || book.wants_one(now())) work.notify_one();
}

// ── a caller ──

// From its turn to a connection. The error is what create() said.
result<pool_turn> pool_core::parts::walk(lock& held, pool_turn turn, pool_time create_by) {
    while (turn.what != step::use && turn.what != step::refuse) {
        const pool_time began = now();
        if (turn.what == step::check) {
            held.unlock();
            const bool good = places.validate(turn.place);
            held.lock();
            turn = book.checked(turn.place, good, now() - began, now());
        } else if (turn.what == step::replace) {
            held.unlock();
            const bool quiet = places.close(turn.place);
            held.lock();
            turn = book.replaced(turn.place, quiet, now());
            if (turn.what == step::refuse) changed();
        } else {
            const pool_time by = std::min(create_by, after(began, limits.connection_timeout));
            held.unlock();
            const result<void> made = places.create(turn.place, by);
            held.lock();
            turn = book.made(turn.place, made.has_value(), now() - began, now());
            changed();
            if (!made) return made.error();
        }
    }
    return turn;
}

pool_turn pool_core::parts::wait_for_turn(lock& held, pool_time began, duration patience) {
    const pool_turn too_late{step::refuse, 0, EBUSY};
    if (patience == duration{0}) return too_late;
    waiting_caller caller;
    book.enqueue(caller);
    const auto until = after(steady_now(), patience - std::min(patience, now() - began));
    while (!caller.turn) {
        if (caller.turned.wait_until(held, until) == std::cv_status::no_timeout) continue;
        if (caller.turn) break;
        book.give_up(caller);
        return too_late;
    }
    return *caller.turn;
}

result<std::size_t> pool_core::acquire(duration patience, const std::source_location& where) {
    parts& my = *parts_;
    parts::lock held{my.mutex};
    const pool_time began = my.now();
    const bool as_usual = patience < duration{0};
    if (as_usual) patience = my.limits.acquire_timeout;
    // A turn may take all of the patience; to make a connection then there is connection_timeout.
    const pool_time create_by =
        as_usual || patience == duration{0} ? pool_time::max() : after(began, patience);
    pool_turn turn = my.book.ask(began);
    if (turn.what == step::wait) turn = my.wait_for_turn(held, began, patience);
    const result<pool_turn> had = my.walk(held, turn, create_by);
    if (had && had->what == step::use) {
        my.book.lend(had->place, began, my.now(), where);
        return std::size_t{had->place};
    }
    my.book.failed(had ? had->code : 0, began, my.now());
    my.changed();
    if (!had) return had.error();
    return refused(had->code);
}

void pool_core::release(std::size_t place, bool clean) noexcept {
    parts& my = *parts_;
    const auto number = static_cast<std::uint32_t>(place);
    const bool keep = clean && my.places.recycle(place);
    parts::lock held{my.mutex};
    if (my.book.returned(number, keep, my.now())) {
        held.unlock();
        const bool quiet = my.places.close(place);
        held.lock();
        my.book.closed(number, quiet, my.now());
    }
    my.changed();
}

duration pool_core::age(std::size_t place) const {
    const parts::lock held{parts_->mutex};
    return parts_->book.age(static_cast<std::uint32_t>(place), parts_->now());
}

// ── what is due ──

result<void> pool_core::parts::do_job(lock& held, pool_job job, pool_time by) {
    const pool_time began = now();
    std::optional<pool_job> next{job};
    result<void> outcome;
    if (job.what == pool_job::kind::create) {
        held.unlock();
        outcome = places.create(job.place, std::min(by, after(began, limits.connection_timeout)));
        held.lock();
        book.made_ahead(job.place, outcome.has_value(), now() - began, now());
        next.reset();
    } else if (job.what == pool_job::kind::check) {
        held.unlock();
        const bool good = places.validate(job.place);
        held.lock();
        next = book.checked_ahead(job.place, good, now() - began, now());
    }
    if (next) {
        held.unlock();
        const bool quiet = places.close(next->place);
        held.lock();
        book.closed(next->place, quiet, now());
    }
    changed();
    return outcome;
}

void pool_core::parts::do_jobs(lock& held) {
    while (const std::optional<pool_job> job = book.next_job(now()))
        static_cast<void>(do_job(held, *job, pool_time::max()));
}

void pool_core::parts::tell_leaks(lock& held) {
    const std::vector<connection_pool_lease> found = book.leaks(now());
    if (found.empty() || !limits.on_leak) return;
    held.unlock();
    for (const connection_pool_lease& each : found) {
        try {
            limits.on_leak(each.taken_at, each.age);
        } catch (...) {  // It is told all the same, in the stats.
            continue;
        }
    }
    held.lock();
}

// A thread of the pool: until it is closed and nothing is left for threads to do.
void pool_core::parts::tend() {
    lock held{mutex};
    for (;;) {
        do_jobs(held);
        tell_leaks(held);
        if (book.is_closed()) return;
        if (book.wants_one(now())) continue;
        const pool_time current = now();
        work.wait_until(held, after(steady_now(), book.next_due(current) - current));
    }
}

duration pool_core::maintain() {
    parts& my = *parts_;
    parts::lock held{my.mutex};
    my.do_jobs(held);
    my.tell_leaks(held);
    const pool_time now = my.now();
    return std::max(my.book.next_due(now) - now, duration{0});
}

result<void> pool_core::warm_up(duration patience) {
    parts& my = *parts_;
    parts::lock held{my.mutex};
    const pool_time until = after(steady_now(), patience);
    const pool_time by = after(my.now(), patience);
    for (;;) {
        if (my.book.is_closed()) return refused(ESHUTDOWN);
        if (my.book.warm()) return {};
        if (steady_now() >= until) return error{ETIMEDOUT, "the pool is not warm yet"};
        if (my.book.wants_one(my.now())) {
            const std::optional<pool_job> job = my.book.next_job(my.now());
            const result<void> done = my.do_job(held, *job, by);
            if (!done) return done.error();
        } else {
            const pool_time now = my.now();
            const duration due = my.book.next_due(now) - now;
            my.settled.wait_until(held, std::min(until, after(steady_now(), due)));
        }
    }
}

// ── the end ──

void pool_core::close() {
    parts& my = *parts_;
    parts::lock held{my.mutex};
    if (my.book.is_closed()) return;
    my.book.close();
    my.work.notify_all();
    my.do_jobs(held);
    my.changed();
}

void pool_core::join() noexcept {
    std::vector<std::thread> ending;
    {
        const parts::lock held{parts_->mutex};
        ending.swap(parts_->threads);
    }
    for (std::thread& each : ending) each.join();
}

result<void> pool_core::drain(duration patience) {
    close();
    parts& my = *parts_;
    parts::lock held{my.mutex};
    const pool_time until = after(steady_now(), patience);
    const bool empty = my.settled.wait_until(held, until, [&] { return my.book.empty(); });
    if (empty) return {};
    const std::vector<connection_pool_lease> out = my.book.leases(my.now());
    if (out.empty()) return error{ETIMEDOUT, "connections are still being made or closed"};
    const std::source_location& oldest = out.front().taken_at;
    return error{ETIMEDOUT, std::to_string(out.size()) + " leases are still out; the oldest was " +
                                "taken at " + oldest.file_name() + ':' +
                                std::to_string(oldest.line())};
}

// ── for people ──

connection_pool_stats pool_core::stats() const {
    const parts::lock held{parts_->mutex};
    return parts_->book.stats(parts_->now());
}

std::vector<connection_pool_lease> pool_core::leases() const {
    const parts::lock held{parts_->mutex};
    return parts_->book.leases(parts_->now());
}

// ── the beginning ──

pool_core::pool_core(std::unique_ptr<parts> made) noexcept : parts_{std::move(made)} {}

pool_core::~pool_core() = default;

result<std::unique_ptr<pool_core>> pool_core::open(pool_places& places,
                                                   connection_pool_limits limits) {
    std::string flaw = flaw_of(limits);
    if (!flaw.empty()) return error{EINVAL, std::move(flaw)};
    auto made = std::make_unique<parts>(places, std::move(limits));
    parts& my = *made;
    std::unique_ptr<pool_core> core{new pool_core{std::move(made)}};
    try {
        for (std::uint32_t i = 0; i < my.limits.threads; ++i)
            my.threads.emplace_back([&my] { my.tend(); });
    } catch (const std::system_error&) {
        core->close();
        core->join();
        return error{EAGAIN, "no thread could be started for the pool"};
    }
    return core;
}

}  // namespace tunnel_uring::detail
