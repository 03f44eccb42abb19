// The books of the warm pool, and what is told from them.
#include "pool/warm_pool.hpp"

namespace tunnel_uring {

void warm_pool::end_lease(pooled_socket& socket, bool clean) noexcept {
    socket.timer::unlink();
    socket.clean = clean;
    if (std::exchange(socket.past_pool, false)) past_pool_ -= 1;
    if (clean) counters_.returned_clean += 1;
    // A clean one counts as leased until its slot has looked at it.
    const bool serves = clean && policy_.reuses() && socket.home != nullptr;
    if (!serves) enter(socket, socket_state::closing);
    if (socket.home != nullptr) socket.home->came_back.notify();
    else close_socket(socket);
}

pooled_socket& warm_pool::adopt(stream connection, socket_origin origin) {
    if (spare_.empty()) {
        spare_.push_back(&sockets_.emplace_back(*this));
        spare_.reserve(sockets_.size());
    }
    pooled_socket& socket = *spare_.back();
    spare_.pop_back();
    socket.state = socket_state::validating;
    socket.outside = socket.past_pool = socket.leaving = socket.watched = false;
    socket.clean = true;
    socket.left_home.clear();
    begin_life(socket, std::move(connection), origin);
    census_.created += 1;
    census_.validating += 1;
    check_accounts();
    return socket;
}

void warm_pool::begin_life(pooled_socket& socket, stream connection, socket_origin origin) {
    socket.connection = std::move(connection);
    socket.origin = origin;
    socket.dead = false;
    const duration none{0};
    socket.created = io_.now();
    socket.dies_at = limits_.max_lifetime == none ? time_point::max()
                                                  : socket.created + jittered(limits_.max_lifetime);
    socket.idle_limit =
        limits_.max_idle_time == none ? duration::max() : jittered(limits_.max_idle_time);
}

duration warm_pool::jittered(duration limit) {
    std::uniform_real_distribution<double> factor{0.9, 1.1};
    return std::chrono::duration_cast<duration>(limit * factor(random_));
}

std::uint64_t& warm_pool::gauge(socket_state state) noexcept {
    switch (state) {
        case socket_state::validating: return census_.validating;
        case socket_state::idle: return census_.idle;
        case socket_state::leased: return census_.leased;
        case socket_state::closing: break;
    }
    return census_.closing;
}

void warm_pool::enter(pooled_socket& socket, socket_state next) noexcept {
    gauge(socket.state) -= 1;
    socket.state = next;
    gauge(next) += 1;
    check_accounts();
}

void warm_pool::close_socket(pooled_socket& socket) noexcept {
    if (socket.state != socket_state::closing) enter(socket, socket_state::closing);
    if (!socket.clean) {
        socket.connection.abort();
    } else if (socket.connection.valid()) {
        // Without it some kernels keep the FIN back while any request on the file table lives
        // (liburing issue 1192).
        static_cast<void>(socket.connection.shutdown_send());
        socket.connection.close();
    }
    spare_.push_back(&socket);
    census_.closing -= 1;
    census_.closed += 1;
    if (socket.outside) outside_open_ -= 1;
    check_accounts();
    if (socket.outside) left_outside();
}

void warm_pool::check_accounts() const noexcept {
    const pool_census& c = census_;
    const std::uint64_t open = c.validating + c.idle + c.leased + c.closing;
    TU_ASSERT(c.created == open + c.closed);
    TU_ASSERT(sockets_.size() - spare_.size() == open);
    TU_ASSERT(outside_open_ <= outside_ && outside_open_ <= c.leased + c.closing);
}

pool_census warm_pool::census() const noexcept {
    pool_census now = census_;
    now.dialing = dialing_ - static_cast<std::uint32_t>(census_.validating);
    now.outside = outside_;
    now.waiters = waiting_;
    return now;
}

// ── what is told ──

void pool_window::add(const pool_window& other) noexcept {
    acquire.add(other.acquire);
    create.add(other.create);
    acquires += other.acquires;
    reused += other.reused;
    timeouts += other.timeouts;
    validations += other.validations;
    validation_failures += other.validation_failures;
}

void warm_pool::account_acquire(duration took, socket_origin origin) noexcept {
    times_.acquire.add(took);
    pool_window& now = window_.at(io_.now());
    now.acquire.add(took);
    now.acquires += 1;
    const bool reused =
        policy_.reuses() ? origin == socket_origin::served : origin != socket_origin::direct;
    if (reused) now.reused += 1;
}

void warm_pool::account_failure(duration took, int code) noexcept {
    if (code == ECANCELED || code == ESHUTDOWN) return;
    counters_.acquire_failures += 1;
    pool_window& now = window_.at(io_.now());
    now.acquires += 1;
    if (code != ETIMEDOUT && code != EBUSY) return;
    now.timeouts += 1;
    // Nobody should think that acquiring is fast because the slow ones gave up.
    times_.acquire.add(took);
    now.acquire.add(took);
}

void warm_pool::account_validation(bool valid) noexcept {
    counters_.validations += 1;
    window_.at(io_.now()).validations += 1;
    if (valid) return;
    counters_.validation_failures += 1;
    window_.at(io_.now()).validation_failures += 1;
}

namespace {

std::optional<double> share(std::uint64_t part, std::uint64_t all) {
    if (all == 0) return std::nullopt;
    return static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

pool_stats warm_pool::snapshot() const {
    pool_stats out;
    out.census = census();
    const std::uint64_t open = census_.created - census_.closed;
    out.size_current = policy_.reuses() ? open - outside_open_ : open;
    out.size_max = policy_.reuses() ? limits_.max_pool_size : policy_.max_connections;
    out.idle_current = census_.idle;
    out.idle_target = idle_target();
    out.demand_rate = target_.rate();
    out.preconnects = preconnects_;
    out.breaker = breaker_.state();
    out.breaker_opened = breaker_.times_opened();
    out.idle_limit_unused = learned_unused_.limit();
    out.idle_limit_served = learned_served_.limit();
    out.counters = counters_;
    out.times = times_;
    out.leak_detected = counters_.leaks;
    const pool_window recent = window_.total(io_.now());
    if (recent.acquire.count() != 0) out.acquire_time_p99 = recent.acquire.quantile(0.99);
    if (recent.create.count() != 0) out.create_time_avg = recent.create.average();
    out.reuse_rate = share(recent.reused, recent.acquires);
    out.validation_failure_rate = share(recent.validation_failures, recent.validations);
    out.timeout_rate = share(recent.timeouts, recent.acquires);
    return out;
}

}  // namespace tunnel_uring
