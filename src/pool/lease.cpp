// What callers of the warm pool meet, and its accounts.
#include "pool/warm_pool.hpp"

namespace tunnel_uring {

namespace {

// This host's doing: it says nothing about the upstream.
bool is_local_condition(int code) {
    return code == EADDRNOTAVAIL || code == EMFILE || code == ENFILE || code == ENOBUFS ||
           code == ENOMEM;
}

}  // namespace

// A caller that waits for a socket or for room; queued from its construction.
class warm_pool::waiter final : public list_link<waiter>, private cancel_listener {
  public:
    waiter(warm_pool& pool, cancel_token stop, bool goes_first) noexcept
        : pool_{pool}, stop_{stop} {
        if (goes_first) pool.waiters_.push_front(*this);
        else pool.waiters_.push_back(*this);
        pool.waiting_ += 1;
    }
    void serve(grant what) noexcept {
        granted_ = what;
        settle(0);
    }
    void fail(int code) noexcept { settle(code); }

    bool await_ready() noexcept {
        if (settled_) return true;
        if (stop_.requested()) settle(ECANCELED);
        return settled_;
    }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
        handle_ = handle;
        stop_.listen(*this);
    }
    result<grant> await_resume() const noexcept {
        if (failure_ != 0) return error{failure_};
        return granted_;
    }

  private:
    void cancelled() noexcept override { settle(ECANCELED); }
    void settle(int failure) noexcept {
        TU_ASSERT(!settled_);
        settled_ = true;
        failure_ = failure;
        list_link<waiter>::unlink();
        list_link<cancel_listener>::unlink();
        pool_.waiting_ -= 1;
        if (handle_) run_queue::current().push(handle_);
    }
    warm_pool& pool_;
    cancel_token stop_;
    std::coroutine_handle<> handle_;
    grant granted_;
    int failure_ = 0;
    bool settled_ = false;
};

warm_pool::presence::~presence() {
    pool.present_ -= 1;
    if (pool.present_ == 0) pool.calm_.notify();
}

task<result<void>> warm_pool::warmed_up(cancel_token stop) {
    const presence here{*this};
    while (warmed_ < idle_target_ && !closed_) {
        const result<void> woken = co_await warm_.wait(stop);
        if (!woken) co_return woken.error();
    }
    if (warmed_ < idle_target_) co_return error{ECANCELED};
    co_return result<void>{};
}

task<> warm_pool::close() {
    TU_ASSERT(started_ && !closed_);
    closed_ = true;
    tending_.cancel();
    alarm_.unlink();
    warm_.notify_all();
    while (!waiters_.empty()) waiters_.front().fail(ESHUTDOWN);
    while (!vacant_.empty()) vacant_.pop_front().woken.post(wake::stopping);
    for (intrusive_list<pool_slot>* const idle : {&fresh_, &served_}) {
        while (!idle->empty()) {
            pool_slot& s = idle->front();
            take_off(s, wake::stopping);
            enter(*s.held, socket_state::closing);
        }
    }
    co_await tending_.join();
    while (outside_ != 0 || present_ != 0) {
        const result<void> woken = co_await calm_.wait();
        TU_ASSERT(woken);
    }
    check_accounts();
}

std::optional<lease> warm_pool::try_acquire(std::source_location where) noexcept {
    if (!waiters_.empty()) return std::nullopt;
    const std::optional<grant> found = find(true);
    if (!found) return std::nullopt;
    return lend(*found->warm, where);
}

task<result<lease>> warm_pool::acquire(cancel_token stop, std::source_location where) {
    TU_ASSERT(started_);
    const presence here{*this};
    if (closed_) co_return error{ESHUTDOWN};
    if (stop.requested()) co_return error{ECANCELED};
    std::optional<grant> given;
    if (waiters_.empty()) given = find(false);
    if (!given) {
        const result<grant> waited = co_await wait_for_room(stop);
        if (!waited) co_return waited.error();
        given = *waited;
    }
    if (given->warm != nullptr) co_return lend(*given->warm, where);

    result<stream> made = co_await dial(stop);
    if (!made) {
        give_up(*given);
        co_return made.error();
    }
    note_success();
    refill();
    pooled_socket& socket = adopt(std::move(*made), socket_origin::direct);
    enter(socket, socket_state::leased);
    socket.outside = given->room == nullptr;
    socket.home = given->room;
    if (given->room != nullptr) given->room->held = &socket;
    co_return lend(socket, where);
}

std::optional<warm_pool::grant> warm_pool::find(bool warm_only) noexcept {
    if (closed_ || (!policy_.reuse && outside_ >= policy_.max_connections)) return std::nullopt;
    if (ready_ != 0) {
        pool_slot& s = served_.empty() ? fresh_.front() : served_.back();
        take_off(s, wake::taken);
        enter(*s.held, socket_state::leased);
        if (!policy_.reuse) {
            s.held->outside = true;
            outside_ += 1;
        }
        return grant{s.held, nullptr};
    }
    if (warm_only) return std::nullopt;
    if (!policy_.reuse) {
        outside_ += 1;
        return grant{};
    }
    if (vacant_.empty()) return std::nullopt;
    pool_slot& room = vacant_.pop_front();
    room.woken.post(wake::lent);
    return grant{nullptr, &room};
}

task<result<warm_pool::grant>> warm_pool::wait_for_room(cancel_token stop) {
    if (waiting_ >= limits_.acquire_queue) {
        counters_.refused += 1;
        co_return error{ENOBUFS, "too many callers wait for a connection to the upstream already"};
    }
    counters_.waited += 1;
    deadline patience{io_, limits_.acquire_timeout, stop};
    pooled_socket* died = nullptr;
    for (;;) {
        waiter self{*this, patience.token(), died != nullptr};
        // Only now that this caller stands first again: the room comes back to it.
        if (died != nullptr) end_lease(*std::exchange(died, nullptr), false);
        const result<grant> given = co_await self;
        if (!given) {
            if (!patience.expired_first()) co_return given.error();
            counters_.wait_timeouts += 1;
            co_return error{ETIMEDOUT, "every connection to the upstream stayed in use"};
        }
        if (given->warm == nullptr || !given->warm->dead) co_return *given;
        died = given->warm;
    }
}

void warm_pool::serve_waiters() noexcept {
    while (!waiters_.empty()) {
        const std::optional<grant> found = find(false);
        if (!found) return;
        waiters_.front().serve(*found);
    }
}

task<result<stream>> warm_pool::dial(cancel_token stop) {
    counters_.dials += 1;
    cancel_source both{stop};
    const auto end_both = [&both] { both.request(); };
    on_cancel closing{tending_.token(), end_both};
    deadline within{io_, limits_.connection_timeout, both.token()};
    result<stream> made = co_await dial_.connect(within.token());
    if (made) co_return std::move(made);
    const int code = made.error().code();
    if (within.expired_first()) {
        counters_.dial_timeouts += 1;
        counters_.dial_failures += 1;
        if (code == ECANCELED) co_return error{ETIMEDOUT, "the upstream did not answer in time"};
    } else if (is_local_condition(code)) {
        counters_.local_failures += 1;
    } else if (code != ECANCELED) {
        counters_.dial_failures += 1;
    } else if (closed_ && !stop.requested()) {
        co_return error{ESHUTDOWN};
    }
    co_return made.error();
}

void warm_pool::give_up(const grant& unused) noexcept {
    if (unused.room != nullptr) unused.room->came_back.notify();
    else left_outside();
}

void warm_pool::left_outside() noexcept {
    outside_ -= 1;
    serve_waiters();
    if (outside_ == 0) calm_.notify();
}

lease warm_pool::lend(pooled_socket& socket, const std::source_location& where) noexcept {
    socket.taken_at = where;
    socket.leased_since = io_.now();
    if (policy_.lease_limit != duration{0})
        io_.timers().arm(socket, socket.leased_since + policy_.lease_limit);
    switch (socket.origin) {
        case socket_origin::direct: counters_.acquired_direct += 1; break;
        case socket_origin::fresh: counters_.acquired_fresh += 1; break;
        case socket_origin::served: counters_.acquired_served += 1; break;
    }
    return lease{socket};
}

duration lease::age() const noexcept { return held_->pool.io_.now() - held_->leased_since; }

task<result<stream>> lease::detach() {
    pooled_socket& held = *held_;
    if (held.home != nullptr && held.pool.policy_.reuse) {
        if (held.pool.outside_ >= held.pool.policy_.max_connections)
            co_return error{EBUSY, "max_connections to the upstream are open"};
        held.pool.outside_ += 1;
        held.outside = true;
        held.leaving = true;
        held.home->came_back.notify();
    }
    while (held.home != nullptr) {
        const result<void> left = co_await held.left_home.wait();
        TU_ASSERT(left);
    }
    co_return std::move(held.connection);
}

task<result<void>> lease::renew(cancel_token stop) {
    co_return co_await held_->pool.renew(*held_, stop);
}

task<result<void>> warm_pool::renew(pooled_socket& socket, cancel_token stop) {
    const presence here{*this};
    while (socket.watched) {
        const result<void> woken = co_await socket.unwatched.wait();
        TU_ASSERT(woken);
    }
    socket.connection.abort();
    result<stream> made = co_await dial(stop);
    if (!made) co_return made.error();
    note_success();
    begin_life(socket, std::move(*made), socket_origin::direct);
    census_.created += 1;
    census_.closed += 1;  // The former one.
    counters_.renewed += 1;
    check_accounts();
    co_return result<void>{};
}

void warm_pool::end_lease(pooled_socket& socket, bool clean) noexcept {
    socket.timer::unlink();
    socket.clean = clean;
    if (clean) counters_.returned_clean += 1;
    // A clean one counts as leased until its slot has looked at it.
    const bool serves = clean && policy_.reuse && socket.home != nullptr;
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
    socket.state = socket_state::idle;
    socket.outside = socket.leaving = socket.watched = false;
    socket.clean = true;
    socket.left_home.clear();
    begin_life(socket, std::move(connection), origin);
    census_.created += 1;
    census_.idle += 1;
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
    check_accounts();
    if (socket.outside) left_outside();
}

void warm_pool::check_accounts() const noexcept {
    const pool_census& c = census_;
    TU_ASSERT(c.created == c.idle + c.leased + c.closing + c.closed);
    TU_ASSERT(sockets_.size() - spare_.size() == c.idle + c.leased + c.closing);
}

pool_census warm_pool::census() const noexcept {
    pool_census now = census_;
    now.dialing = dialing_;
    now.waiters = waiting_;
    return now;
}

}  // namespace tunnel_uring
