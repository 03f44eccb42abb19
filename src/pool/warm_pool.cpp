// The ring: the life of its slots, and keeping it full. What callers meet is in lease.cpp.
#include "pool/warm_pool.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {

// At once, so that a restarting upstream is not met by the whole ring.
constexpr std::uint32_t dial_concurrency = 4;
// While the upstream refuses: one dial at a time, after a jittered delay that doubles to the limit.
constexpr duration retry_initial = 50ms;
constexpr duration retry_limit = 2s;
constexpr double retry_multiplier = 2.0;
constexpr duration retry_reset_after = 30s;
// After it came back: one at a time and ten in the first second, which leaves room for the dials of
// callers below sixteen in all.
constexpr duration recovery = 1s;
constexpr duration recovery_spacing = 100ms;
// A socket that dies unused before this age says no more than a refused connection.
constexpr duration infancy = 1s;
// A new socket is watched for as long as its connect took, which is a way there and back, so that
// an upstream that hangs up at once is seen; and for a moment where that is next to nothing.
constexpr duration least_validation = 1ms;

bool connects_beforehand(const pool_config& limits, const pool_policy& policy) {
    if (policy.kind == pool_kind::off) return false;
    return limits.warm_up_size != 0 || (policy.reuses() && limits.min_idle_connections != 0);
}

idle_target::limits target_limits(const pool_config& limits) {
    idle_target::limits out;
    out.most = limits.max_pool_size;
    out.least =
        limits.min_idle_connections != 0 ? limits.min_idle_connections : limits.warm_up_size;
    out.start = limits.warm_up_on_start ? limits.warm_up_size : 0;
    out.half_life = limits.cleanup_interval;
    return out;
}

// Closed sooner, a socket was not closed for its idleness. An unused one that is retired is
// replaced by another one at once: where an upstream closes those within a second that must stay a
// loss, which slows the refill down. One that has served is replaced when it is asked for.
constexpr duration unused_closed_soon = 1s;
constexpr duration served_closed_soon = 100ms;

duration longest_idle(const pool_config& limits) {
    return limits.max_idle_time == duration{0} ? duration::max() : limits.max_idle_time;
}

}  // namespace

warm_pool::warm_pool(io_context& io, dial_source& dial, const pool_config& limits,
                     pool_policy policy, std::uint64_t seed)
    : io_{io},
      dial_{dial},
      limits_{limits},
      policy_{policy},
      random_{seed},
      preconnects_{connects_beforehand(limits, policy)},
      awake_{limits.warm_up_on_start},
      suspect_again_{io.now()},
      target_{target_limits(limits), io.now()},
      learned_unused_{longest_idle(limits), unused_closed_soon},
      learned_served_{longest_idle(limits), served_closed_soon},
      breaker_{limits.circuit_breaker},
      retry_{retry_initial, retry_limit, retry_multiplier, random_()},
      last_failure_{io.now()},
      next_dial_{io.now()},
      recovering_until_{io.now()},
      losses_since_{io.now()},
      window_{limits.metrics_window, io.now()},
      started_at_{io.now()} {
    TU_ASSERT(limits_.max_pool_size > 0);
}

warm_pool::~warm_pool() { TU_ASSERT(!started_ || (closed_ && tending_.running() == 0)); }

void warm_pool::start() {
    TU_ASSERT(!started_);
    started_ = true;
    started_at_ = io_.now();
    warm_goal_ = awake_ ? idle_target() : 0;
    if (policy_.check_interval != duration{0}) tending_.start(watch_health());
    // Sockets that are neither connected beforehand nor come back need no ring.
    if (!policy_.reuses() && !preconnects_) return;
    io_.timers().arm(cleanup_, io_.now() + limits_.cleanup_interval);
    for (std::uint32_t i = 0; i < limits_.max_pool_size; ++i) {
        ring_.emplace_back(*this);
        tending_.start(tend(ring_.back()));
    }
}

// The whole life of one slot, read from top to bottom, again and again.
task<> warm_pool::tend(pool_slot& s) {
    for (;;) {
        become_vacant(s);
        wake why = co_await s.woken.next();
        if (why == wake::stopping) co_return;
        if (why == wake::lent) {
            co_await await_return(s);
        } else {
            const time_point began = io_.now();
            result<stream> made = co_await dial(s.permit, tending_.token());
            install(s, std::move(made), began);
        }

        while (s.held != nullptr) {
            hangup_watch watch{io_, s.held->connection.get(), s};
            s.held->watched = true;
            // The first wake posted took the slot off its list in the same step.
            if (s.held->state == socket_state::validating) begin_validation(s);
            else offer(s);
            why = co_await s.woken.next();
            TU_ASSERT(!s.linked());
            refill();
            // The poll owns `watch` until its last completion; nothing closes the socket before.
            co_await watch.stop();
            s.held->watched = false;
            s.held->unwatched.notify();
            if (why != wake::taken) close_held(s);
            else if (!policy_.reuses() && s.held->state == socket_state::leased) let_go(s);
            else co_await await_return(s);
        }
    }
}

void warm_pool::become_vacant(pool_slot& s) noexcept {
    if (closed_) return s.woken.post(wake::stopping);
    vacant_.push_back(s);
    serve_waiters();
    refill();
}

void warm_pool::install(pool_slot& s, result<stream> made, time_point began) {
    if (!made) {
        dialing_ -= 1;
        note_failure();
        return;
    }
    s.held = &adopt(std::move(*made), socket_origin::fresh);
    s.held->home = &s;
    s.held->connect_time = io_.now() - began;
}

void warm_pool::begin_validation(pool_slot& s) noexcept {
    pooled_socket& held = *s.held;
    validating_.push_back(s);
    if (closed_ || !preconnects_ || suspicious_) return fail_validation(s, wake::stopping);
    const duration limit{limits_.validation_timeout};
    const duration watch = policy_.awaits_banner()
                               ? limit
                               : std::min(std::max(held.connect_time, least_validation), limit);
    io_.timers().arm(held, io_.now() + watch);
}

breaker_permit warm_pool::end_validation(pool_slot& s) noexcept {
    TU_ASSERT(s.linked() && s.held != nullptr);
    s.unlink();
    s.held->timer::unlink();
    dialing_ -= 1;
    return std::exchange(s.permit, breaker_permit::none);
}

void warm_pool::pass_validation(pool_slot& s) noexcept {
    const breaker_permit how = end_validation(s);
    account_validation(true);
    times_.validate.add(io_.now() - s.held->created);
    prove(how);
    note_success();
    warmed_ += 1;
    if (warmed_ >= warm_goal_) warm_.notify_all();
    offer(s);
}

void warm_pool::fail_validation(pool_slot& s, wake why) noexcept {
    const breaker_permit how = end_validation(s);
    if (why == wake::stopping) {
        breaker_.undecided(how);
    } else {
        account_validation(false);
        disprove(how, why == wake::silent  ? "the upstream says nothing on new connections"
                      : why == wake::spoke ? "the upstream speaks before it is asked"
                                           : "the upstream hangs up on new connections");
        note_failure();
    }
    enter(*s.held, socket_state::closing);
    s.woken.post(why);
}

// A lease keeps its slot: back comes a socket proven clean, or one to be closed, or none when the
// caller could not connect.
task<> warm_pool::await_return(pool_slot& s) {
    const result<void> back = co_await s.came_back.wait();
    TU_ASSERT(back);
    if (s.held == nullptr) co_return;
    if (s.held->leaving) let_go(s);
    else if (may_serve_again(*s.held)) s.held->origin = socket_origin::served;
    else close_held(s);
}

void warm_pool::offer(pool_slot& s) noexcept {
    pooled_socket& held = *s.held;
    if (closed_) return s.woken.post(wake::stopping);
    if (held.state != socket_state::idle) enter(held, socket_state::idle);
    held.dead = false;
    held.idle_since = io_.now();
    const time_point until = idle_until(held);
    if (until != time_point::max()) io_.timers().arm(held, until);
    (held.origin == socket_origin::served ? served_ : fresh_).push_back(s);
    ready_ += 1;
    serve_waiters();
    refill();  // A dial less is under way.
}

time_point warm_pool::idle_until(const pooled_socket& socket) const noexcept {
    const learned_idle_limit& known =
        socket.origin == socket_origin::served ? learned_served_ : learned_unused_;
    const duration limit = std::min(socket.idle_limit, known.retire_after());
    const time_point stale =
        limit == duration::max() ? time_point::max() : socket.idle_since + limit;
    return std::min(stale, socket.dies_at);
}

learned_idle_limit& warm_pool::learned(const pooled_socket& socket) noexcept {
    return socket.origin == socket_origin::served ? learned_served_ : learned_unused_;
}

void warm_pool::take_off(pool_slot& s, wake why) noexcept {
    TU_ASSERT(s.linked() && s.held != nullptr);
    s.unlink();
    ready_ -= 1;
    least_ready_ = std::min(least_ready_, ready_);
    s.held->timer::unlink();
    s.woken.post(why);
}

void warm_pool::retire(pool_slot& s, wake why) noexcept {
    take_off(s, why);
    enter(*s.held, socket_state::closing);
}

void warm_pool::evict(pool_slot& s, wake why) noexcept {
    if (s.held->state == socket_state::leased) s.held->dead = true;
    if (!s.linked()) return;
    if (s.held->state == socket_state::validating) return fail_validation(s, why);
    retire(s, why);
    (why == wake::spoke ? counters_.evicted_spoke : counters_.evicted_hung_up) += 1;
    learned(*s.held).closed_at(io_.now() - s.held->idle_since, io_.now());
    note_loss(*s.held);
}

void warm_pool::let_go(pool_slot& s) noexcept {
    pooled_socket& held = *std::exchange(s.held, nullptr);
    held.home = nullptr;
    held.left_home.notify();
}

void warm_pool::close_held(pool_slot& s) noexcept {
    pooled_socket& held = *std::exchange(s.held, nullptr);
    held.home = nullptr;
    close_socket(held);
}

bool warm_pool::may_serve_again(pooled_socket& socket) noexcept {
    // What its lease's end has condemned is closing.
    if (socket.state != socket_state::leased || closed_ || io_.now() >= socket.dies_at)
        return false;
    if (single_ || suspicious_) return false;
    // Between its lease and its next poll nobody watched it. A byte that can be read now proves it
    // dirty, so losing that byte is no loss.
    std::byte left_over;
    const result<std::size_t> got = socket.connection.io().kernel().try_receive(
        socket.connection.get().fd, bytes_span{&left_over, 1});
    const bool silent = !got && got.error().code() == EAGAIN;
    account_validation(silent);
    return silent;
}

void warm_pool::aged(pooled_socket& socket) noexcept {
    if (socket.state == socket_state::leased) {
        counters_.leaks += 1;
        if (report_leak_) report_leak_(socket.taken_at, io_.now() - socket.leased_since);
        return;
    }
    if (socket.state == socket_state::validating) {
        return policy_.awaits_banner() ? fail_validation(*socket.home, wake::silent)
                                       : pass_validation(*socket.home);
    }
    const bool old = io_.now() >= socket.dies_at;
    (old ? counters_.retired_lifetime : counters_.retired_idle) += 1;
    retire(*socket.home, old ? wake::lived_too_long : wake::idle_too_long);
}

void pooled_socket::expired() noexcept { pool.aged(*this); }
void pool_slot::hung_up() noexcept { pool.evict(*this, wake::hung_up); }
void pool_slot::spoke() noexcept {
    if (!pool.policy_.awaits_banner()) return pool.evict(*this, wake::spoke);
    if (linked() && held->state == socket_state::validating) pool.pass_validation(*this);
}
void pool_slot::watched_again() noexcept { pool.counters_.polls_rearmed += 1; }

void warm_pool::refill() noexcept {
    if (closed_ || !awake_) return;
    const time_point now = io_.now();
    while (!vacant_.empty() && ready_ + dialing_ < idle_target()) {
        const bool recovering = now < recovering_until_;
        if (dialing_ >= (failing_ || recovering ? 1 : dial_concurrency)) return;
        const bool may_ask = !tripped_by_check_ && breaker_.lets_through(now);
        if (!may_ask && (tripped_by_check_ || breaker_.state() == breaker_state::half_open)) return;
        const time_point soonest =
            may_ask ? next_dial_ : std::max(next_dial_, breaker_.opens_until());
        if (now < soonest) {
            io_.timers().arm(alarm_, soonest);
            return;
        }
        if (recovering) next_dial_ = now + recovery_spacing;
        dialing_ += 1;
        pool_slot& s = vacant_.pop_front();
        s.permit = ask();
        s.woken.post(wake::dial);
    }
}

// What was not needed since the last time goes, half of it at once and the coldest first: the least
// that stood ready meanwhile was never touched. (As TCMalloc shrinks the caches of its threads.)
void warm_pool::clean_up() noexcept {
    target_.age(io_.now());
    learned_unused_.age();
    learned_served_.age();
    const std::uint32_t target = idle_target();
    const std::uint32_t untouched = least_ready_ > target ? least_ready_ - target : 0;
    for (std::uint32_t closing = (untouched + 1) / 2; closing != 0; --closing) {
        counters_.retired_surplus += 1;
        retire(coldest(), wake::surplus);
    }
    least_ready_ = ready_;
    io_.timers().arm(cleanup_, io_.now() + limits_.cleanup_interval);
    refill();
}

void warm_pool::retire_all() noexcept {
    while (!validating_.empty()) fail_validation(validating_.front(), wake::stopping);
    for (intrusive_list<pool_slot>* const idle : {&fresh_, &served_})
        while (!idle->empty()) retire(idle->front(), wake::surplus);
}

pool_slot& warm_pool::coldest() noexcept {
    if (served_.empty()) return fresh_.front();
    if (fresh_.empty()) return served_.front();
    pool_slot& served = served_.front();
    pool_slot& unused = fresh_.front();
    return served.held->idle_since <= unused.held->idle_since ? served : unused;
}

void warm_pool::note_failure() noexcept {
    const time_point now = io_.now();
    warm_up_failed_ = true;
    warm_.notify_all();
    if (failing_ && now < next_dial_) return;  // Of a round that has been counted.
    if (now - last_failure_ >= retry_reset_after) retry_.reset();
    failing_ = true;
    last_failure_ = now;
    next_dial_ = now + retry_.next();
}

void warm_pool::note_success() noexcept {
    if (!std::exchange(failing_, false)) return;
    target_.raise();
    recovering_until_ = io_.now() + recovery;
    next_dial_ = io_.now() + recovery_spacing;
}

// The ring lost at once, or faster than it is dialled: the upstream restarts.
void warm_pool::note_loss(const pooled_socket& lost) noexcept {
    const time_point now = io_.now();
    if (now - losses_since_ >= recovery) {
        losses_since_ = now;
        losses_ = 0;
    }
    losses_ += 1;
    const bool unused = lost.origin != socket_origin::served;
    if (unused && now - lost.created < infancy) note_failure();
    else if (ready_ == 0 || losses_ > dial_concurrency) recovering_until_ = now + recovery;
}

}  // namespace tunnel_uring
