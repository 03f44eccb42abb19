#include "pool/connection_book.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {

using step = pool_turn::step;

connection_pool_time summary(const histogram& times) noexcept {
    return {times.count(),       times.average(),      times.quantile(0.5),
            times.quantile(0.9), times.quantile(0.99), times.quantile(0.999)};
}

pool_turn refusal(int code) noexcept { return {step::refuse, 0, code}; }

}  // namespace

connection_book::connection_book(const connection_pool_limits& limits, time_point now,
                                 std::uint64_t seed)
    : limits_{limits},
      random_{seed},
      breaker_{limits.circuit_breaker},
      retry_{limits.retry_initial, limits.retry_max, 2.0, seed + 1},
      retry_at_{now},
      next_cleanup_{now + limits.cleanup_interval} {
    for (std::uint32_t i = 0; i < limits.max_pool_size; ++i) {
        places_.emplace_back().number = i;
        vacant_.push_back(places_.back());
    }
    counts_.max_pool_size = limits.max_pool_size;
}

// ── accounts ──

std::uint64_t* connection_book::gauge(state which) noexcept {
    switch (which) {
        case state::idle: return &counts_.idle;
        case state::leased: return &counts_.leased;
        case state::closing: return &counts_.closing;
        case state::creating:
        case state::vacant: break;
    }
    return nullptr;
}

void connection_book::enter(place_entry& entry, state next) noexcept {
    const state before = std::exchange(entry.now, next);
    if (std::uint64_t* const left = gauge(before)) *left -= 1;
    if (std::uint64_t* const joined = gauge(next)) *joined += 1;
    if (before == state::creating) {
        counts_.creating -= 1;
        if (next != state::vacant) counts_.created += 1;
    }
    if (before == state::closing) counts_.closed += 1;
    if (next == state::creating) counts_.creating += 1;
    if (next == state::vacant) vacant_.push_back(entry);
    check_accounts();
}

void connection_book::check_accounts() const noexcept {
    const std::uint64_t open = counts_.idle + counts_.leased + counts_.closing;
    TU_ASSERT(counts_.created == open + counts_.closed);
    TU_ASSERT(counts_.creating + open <= limits_.max_pool_size);
}

duration connection_book::jittered(duration limit) noexcept {
    std::uniform_int_distribution<std::int64_t> draw{0, limit.count() / 10};
    return limit - duration{draw(random_)};
}

// ── callers ──

pool_turn connection_book::ask(time_point now) noexcept {
    if (closing_down_) return refusal(ESHUTDOWN);
    if (waiters_.empty())
        if (const std::optional<pool_turn> found = find(now)) return *found;
    if (counts_.waiting >= limits_.acquire_queue) return refusal(ENOBUFS);
    counts_.waited += 1;
    return {step::wait, 0, 0};
}

// What the next caller gets, if there is anything.
std::optional<pool_turn> connection_book::find(time_point now) noexcept {
    if (!served_.empty()) return take(served_.pop_back(), now);
    if (!unused_.empty()) return take(unused_.pop_front(), now);
    if (!vacant_.empty()) return begin_create(vacant_.pop_front(), now);
    return std::nullopt;
}

pool_turn connection_book::take(place_entry& entry, time_point now) noexcept {
    entry.is_new = false;
    if (outlived(entry, now)) {
        enter(entry, state::closing);
        return {step::replace, entry.number, 0};
    }
    enter(entry, state::leased);
    const duration since = now - entry.trusted_since;
    if (limits_.trusted_for != duration{0} && since < limits_.trusted_for)
        return {step::use, entry.number, 0};
    entry.checking = true;
    counts_.checking += 1;
    return {step::check, entry.number, 0};
}

pool_turn connection_book::begin_create(place_entry& entry, time_point now) noexcept {
    entry.permit = breaker_.ask(now);
    if (entry.permit == breaker_permit::none) {
        vacant_.push_front(entry);
        return refusal(EHOSTDOWN);
    }
    enter(entry, state::creating);
    return {step::create, entry.number, 0};
}

pool_turn connection_book::checked(std::uint32_t place, bool good, duration took,
                                   time_point now) noexcept {
    place_entry& entry = places_[place];
    entry.checking = false;
    counts_.checking -= 1;
    counts_.checks += 1;
    check_.add(took);
    if (!good) counts_.check_failures += 1;
    if (good && !closing_down_) {
        entry.trusted_since = now;
        return {step::use, place, 0};
    }
    enter(entry, state::closing);
    return {step::replace, place, 0};
}

// The caller keeps its place, and so its turn.
pool_turn connection_book::replaced(std::uint32_t place, bool quiet, time_point now) noexcept {
    place_entry& entry = places_[place];
    if (!quiet) counts_.close_failures += 1;
    enter(entry, state::vacant);
    if (closing_down_) return refusal(ESHUTDOWN);
    entry.unlink();
    const pool_turn next = begin_create(entry, now);
    if (next.what == step::refuse) serve_waiters(now);
    return next;
}

pool_turn connection_book::made(std::uint32_t place, bool good, duration took,
                                time_point now) noexcept {
    place_entry& entry = places_[place];
    if (!good) {
        fail_create(entry, now);
        return refusal(0);
    }
    begin_life(entry, took, now);
    entry.is_new = true;
    if (closing_down_) {
        enter(entry, state::closing);
        return {step::replace, place, 0};
    }
    enter(entry, state::leased);
    return {step::use, place, 0};
}

void connection_book::begin_life(place_entry& entry, duration took, time_point now) noexcept {
    breaker_.succeeded(entry.permit);
    retry_.reset();
    retry_at_ = now;
    create_.add(took);
    entry.served = entry.leak_told = false;
    entry.trusted_since = now;
    entry.dies_at = limits_.max_lifetime == duration{0} ? time_point::max()
                                                        : now + jittered(limits_.max_lifetime);
    entry.idle_limit =
        limits_.max_idle_time == duration{0} ? duration::max() : jittered(limits_.max_idle_time);
}

void connection_book::fail_create(place_entry& entry, time_point now) noexcept {
    breaker_.failed(entry.permit, now);
    retry_at_ = now + retry_.next();
    counts_.create_failures += 1;
    enter(entry, state::vacant);
    serve_waiters(now);
}

void connection_book::enqueue(pool_waiter& caller) noexcept {
    waiters_.push_back(caller);
    counts_.waiting += 1;
}

void connection_book::give_up(pool_waiter& caller) noexcept {
    caller.unlink();
    counts_.waiting -= 1;
}

void connection_book::serve_waiters(time_point now) noexcept {
    while (!waiters_.empty()) {
        const std::optional<pool_turn> found = closing_down_ ? refusal(ESHUTDOWN) : find(now);
        if (!found) return;
        pool_waiter& first = waiters_.pop_front();
        counts_.waiting -= 1;
        first.turn = found;
        first.called();
    }
}

void connection_book::lend(std::uint32_t place, time_point began, time_point now,
                           const std::source_location& where) noexcept {
    place_entry& entry = places_[place];
    TU_ASSERT(entry.now == state::leased && !entry.lent);
    entry.lent = true;
    entry.leased_since = now;
    entry.taken_at = where;
    entry.leak_told = false;
    (entry.is_new ? counts_.acquired_new : counts_.acquired_idle) += 1;
    acquire_.add(now - began);
}

void connection_book::failed(int code, time_point began, time_point now) noexcept {
    counts_.acquire_failures += 1;
    if (code == EBUSY) counts_.acquire_timeouts += 1;
    if (code == ENOBUFS) counts_.refused_full += 1;
    if (code == EHOSTDOWN) counts_.refused_down += 1;
    if (code == ESHUTDOWN) counts_.refused_closed += 1;
    acquire_.add(now - began);
}

bool connection_book::returned(std::uint32_t place, bool clean, time_point now) noexcept {
    place_entry& entry = places_[place];
    TU_ASSERT(entry.lent);
    entry.lent = false;
    held_.add(now - entry.leased_since);
    (clean ? counts_.returned_clean : counts_.returned_unclean) += 1;
    entry.idle_since = entry.trusted_since = now;
    const bool over = clean && !closing_down_ && outlived(entry, now);
    if (!clean || closing_down_ || over) {
        enter(entry, state::closing);
        return true;
    }
    entry.served = true;
    offer(entry, now);
    return false;
}

void connection_book::closed(std::uint32_t place, bool quiet, time_point now) noexcept {
    if (!quiet) counts_.close_failures += 1;
    enter(places_[place], state::vacant);
    serve_waiters(now);
}

void connection_book::offer(place_entry& entry, time_point now) noexcept {
    enter(entry, state::idle);
    (entry.served ? served_ : unused_).push_back(entry);
    serve_waiters(now);
}

// Counts why, if it is.
bool connection_book::outlived(const place_entry& entry, time_point now) noexcept {
    const bool old = now >= entry.dies_at;
    const bool idle = now - entry.idle_since >= entry.idle_limit;
    if (old) counts_.retired_lifetime += 1;
    else if (idle) counts_.retired_idle += 1;
    return old || idle;
}

// ── by itself ──

std::optional<pool_job> connection_book::next_job(time_point now) noexcept {
    if (!closing_down_ && now >= next_cleanup_) clean_up(now);
    if (!closing_.empty()) return pool_job{pool_job::kind::close, closing_.pop_front().number};
    if (wants_one(now)) {
        const pool_turn turn = begin_create(vacant_.pop_front(), now);
        if (turn.what == step::create) {
            ahead_ += 1;
            return pool_job{pool_job::kind::create, turn.place};
        }
    }
    place_entry* const entry = closing_down_ ? nullptr : doubtful(now);
    if (entry == nullptr) return std::nullopt;
    entry->unlink();
    entry->checking = true;
    counts_.checking += 1;
    return pool_job{pool_job::kind::check, entry->number};
}

// Those being made by callers do not count: they will be leased.
bool connection_book::wants_one(time_point now) const noexcept {
    return !closing_down_ && counts_.idle + ahead_ < limits_.min_idle_connections &&
           now >= retry_at_ && breaker_.lets_through(now) &&
           counts_.creating + counts_.idle + counts_.leased + counts_.closing <
               limits_.max_pool_size;
}

void connection_book::clean_up(time_point now) noexcept {
    next_cleanup_ = now + limits_.cleanup_interval;
    for (intrusive_list<place_entry>* const each : {&served_, &unused_})
        each->for_each([&](place_entry& entry) {
            if (!outlived(entry, now)) return;
            entry.unlink();
            enter(entry, state::closing);
            closing_.push_back(entry);
        });
}

// One that was not looked at for a whole interval. The last one that is idle is left to callers: a
// check that hangs must not keep it from them.
connection_book::place_entry* connection_book::doubtful(time_point now) noexcept {
    place_entry* found = nullptr;
    std::uint32_t ready = 0;
    for (intrusive_list<place_entry>* const each : {&served_, &unused_})
        each->for_each([&](place_entry& entry) {
            ready += 1;
            const bool due = now - entry.trusted_since >= limits_.cleanup_interval;
            if (due && found == nullptr) found = &entry;
        });
    return ready < 2 ? nullptr : found;
}

void connection_book::made_ahead(std::uint32_t place, bool good, duration took,
                                 time_point now) noexcept {
    place_entry& entry = places_[place];
    ahead_ -= 1;
    if (!good) return fail_create(entry, now);
    begin_life(entry, took, now);
    entry.idle_since = now;
    if (!closing_down_) return offer(entry, now);
    enter(entry, state::closing);
    closing_.push_back(entry);
}

std::optional<pool_job> connection_book::checked_ahead(std::uint32_t place, bool good,
                                                       duration took, time_point now) noexcept {
    place_entry& entry = places_[place];
    entry.checking = false;
    counts_.checking -= 1;
    counts_.checks += 1;
    check_.add(took);
    if (!good) counts_.check_failures += 1;
    if (!good || closing_down_) {
        enter(entry, state::closing);
        return pool_job{pool_job::kind::close, place};
    }
    entry.trusted_since = now;
    // Among the coldest, as it was: a check is no use.
    (entry.served ? served_ : unused_).push_front(entry);
    serve_waiters(now);
    return std::nullopt;
}

time_point connection_book::next_due(time_point now) const noexcept {
    const bool short_of_some = counts_.idle + ahead_ < limits_.min_idle_connections;
    time_point due = next_cleanup_;
    if (short_of_some && retry_at_ > now) due = std::min(due, retry_at_);
    if (short_of_some && breaker_.state() == breaker_state::open)
        due = std::min(due, std::max(breaker_.opens_until(), retry_at_));
    if (limits_.lease_limit != duration{0}) {
        due = std::min(due, now + limits_.lease_limit);  // For leases that begin after this.
        for (const place_entry& each : places_)
            if (each.lent && !each.leak_told)
                due = std::min(due, each.leased_since + limits_.lease_limit);
    }
    return due;
}

std::vector<connection_pool_lease> connection_book::leaks(time_point now) {
    std::vector<connection_pool_lease> found;
    if (limits_.lease_limit == duration{0}) return found;
    for (place_entry& each : places_) {
        if (!each.lent || each.leak_told) continue;
        const duration age = now - each.leased_since;
        if (age < limits_.lease_limit) continue;
        each.leak_told = true;
        counts_.leaks += 1;
        found.push_back({each.taken_at, age});
    }
    return found;
}

void connection_book::close() noexcept {
    closing_down_ = true;
    for (intrusive_list<place_entry>* const each : {&served_, &unused_})
        while (!each->empty()) {
            place_entry& entry = each->pop_front();
            enter(entry, state::closing);
            closing_.push_back(entry);
        }
    serve_waiters(time_point{});
}

bool connection_book::empty() const noexcept {
    return counts_.creating + counts_.idle + counts_.leased + counts_.closing == 0;
}

bool connection_book::warm() const noexcept {
    const std::uint64_t busy = counts_.creating + counts_.leased + counts_.closing;
    return counts_.idle >= limits_.min_idle_connections ||
           (counts_.creating == 0 && counts_.idle + busy >= limits_.max_pool_size);
}

// ── for people ──

connection_pool_stats connection_book::stats(time_point now) const noexcept {
    connection_pool_stats all = counts_;
    all.breaker_open = !breaker_.lets_through(now);
    all.acquire = summary(acquire_);
    all.create = summary(create_);
    all.check = summary(check_);
    all.held = summary(held_);
    return all;
}

std::vector<connection_pool_lease> connection_book::leases(time_point now) const {
    std::vector<connection_pool_lease> all;
    for (const place_entry& each : places_)
        if (each.lent) all.push_back({each.taken_at, now - each.leased_since});
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.age > b.age; });
    return all;
}

duration connection_book::age(std::uint32_t place, time_point now) const noexcept {
    return now - places_[place].leased_since;
}

}  // namespace tunnel_uring
