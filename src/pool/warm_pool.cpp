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
constexpr duration early_word_memory = 30s;

std::uint32_t idle_target_of(const pool_config& limits, const pool_policy& policy) {
    if (!policy.reuse && limits.warm_up_size == 0) return 0;
    return std::min(std::max(limits.warm_up_size, limits.min_idle_connections),
                    limits.max_pool_size);
}

}  // namespace

warm_pool::warm_pool(io_context& io, dial_source& dial, const pool_config& limits,
                     pool_policy policy, std::uint64_t seed)
    : io_{io},
      dial_{dial},
      limits_{limits},
      policy_{policy},
      idle_target_{idle_target_of(limits, policy)},
      random_{seed},
      retry_{retry_initial, retry_limit, retry_multiplier, random_()},
      last_failure_{io.now()},
      next_dial_{io.now()},
      recovering_until_{io.now()},
      losses_since_{io.now()} {
    TU_ASSERT(limits_.max_pool_size > 0);
}

warm_pool::~warm_pool() { TU_ASSERT(!started_ || (closed_ && tending_.running() == 0)); }

void warm_pool::start() {
    TU_ASSERT(!started_);
    started_ = true;
    // A byte stream that is not to be connected beforehand needs no ring.
    if (!policy_.reuse && idle_target_ == 0) return;
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
            result<stream> made = co_await dial(tending_.token());
            dialing_ -= 1;
            install(s, std::move(made));
        }

        while (s.held != nullptr) {
            hangup_watch watch{io_, s.held->connection.get(), s};
            s.held->watched = true;
            offer(s);
            // The first wake posted took the slot off its list in the same step.
            why = co_await s.woken.next();
            TU_ASSERT(!s.linked());
            refill();
            // The poll owns `watch` until its last completion; nothing closes the socket before.
            co_await watch.stop();
            s.held->watched = false;
            s.held->unwatched.notify();
            if (why != wake::taken) close_held(s);
            else if (!policy_.reuse && s.held->state == socket_state::leased) let_go(s);
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

void warm_pool::install(pool_slot& s, result<stream> made) {
    if (!made) return note_failure();
    note_success();
    s.held = &adopt(std::move(*made), socket_origin::fresh);
    s.held->home = &s;
    warmed_ += 1;
    if (warmed_ >= idle_target_) warm_.notify_all();
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
    const time_point stale =
        held.idle_limit == duration::max() ? time_point::max() : held.idle_since + held.idle_limit;
    const time_point until = std::min(stale, held.dies_at);
    if (until != time_point::max()) io_.timers().arm(held, until);
    (held.origin == socket_origin::served ? served_ : fresh_).push_back(s);
    ready_ += 1;
    serve_waiters();
    refill();  // A dial less is under way.
}

void warm_pool::take_off(pool_slot& s, wake why) noexcept {
    TU_ASSERT(s.linked() && s.held != nullptr);
    s.unlink();
    ready_ -= 1;
    s.held->timer::unlink();
    s.woken.post(why);
}

void warm_pool::evict(pool_slot& s, wake why) noexcept {
    if (s.held->state == socket_state::leased) s.held->dead = true;
    if (!s.linked()) return;
    take_off(s, why);
    enter(*s.held, socket_state::closing);
    (why == wake::spoke ? counters_.evicted_spoke : counters_.evicted_hung_up) += 1;
    if (why == wake::spoke && io_.now() - s.held->created < infancy) note_early_word();
    note_loss(*s.held);
}

bool warm_pool::spoke_unasked() const noexcept {
    return early_word_ && io_.now() - *early_word_ < early_word_memory;
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
    if (!socket.clean || closed_ || io_.now() >= socket.dies_at) return false;
    // Between its lease and its next poll nobody watched it. A byte that can be read now proves it
    // dirty, so losing that byte is no loss.
    std::byte left_over;
    const result<std::size_t> got = socket.connection.io().kernel().try_receive(
        socket.connection.get().fd, bytes_span{&left_over, 1});
    return !got && got.error().code() == EAGAIN;
}

void warm_pool::aged(pooled_socket& socket) noexcept {
    if (socket.state == socket_state::leased) {
        counters_.leaks += 1;
        if (report_leak_) report_leak_(socket.taken_at, io_.now() - socket.leased_since);
        return;
    }
    const bool old = io_.now() >= socket.dies_at;
    (old ? counters_.retired_lifetime : counters_.retired_idle) += 1;
    take_off(*socket.home, old ? wake::lived_too_long : wake::idle_too_long);
    enter(socket, socket_state::closing);
}

void pooled_socket::expired() noexcept { pool.aged(*this); }
void pool_slot::hung_up() noexcept { pool.evict(*this, wake::hung_up); }
void pool_slot::spoke() noexcept {
    if (!pool.policy_.server_speaks_first) pool.evict(*this, wake::spoke);
}
void pool_slot::watched_again() noexcept { pool.counters_.polls_rearmed += 1; }

void warm_pool::refill() noexcept {
    if (closed_) return;
    const time_point now = io_.now();
    while (!vacant_.empty() && ready_ + dialing_ < idle_target_) {
        const bool recovering = now < recovering_until_;
        if (dialing_ >= (failing_ || recovering ? 1 : dial_concurrency)) return;
        if (now < next_dial_) {
            io_.timers().arm(alarm_, next_dial_);
            return;
        }
        if (recovering) next_dial_ = now + recovery_spacing;
        dialing_ += 1;
        vacant_.pop_front().woken.post(wake::dial);
    }
}

void warm_pool::note_failure() noexcept {
    const time_point now = io_.now();
    if (failing_ && now < next_dial_) return;  // Of a round that has been counted.
    if (now - last_failure_ >= retry_reset_after) retry_.reset();
    failing_ = true;
    last_failure_ = now;
    next_dial_ = now + retry_.next();
}

void warm_pool::note_success() noexcept {
    if (!std::exchange(failing_, false)) return;
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
