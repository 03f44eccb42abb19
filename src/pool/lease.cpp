// What callers of the warm pool meet.
#include "pool/local_condition.hpp"
#include "pool/warm_pool.hpp"

namespace tunnel_uring {

namespace {

// What cannot be said twice goes to no socket that was idle for longer.
constexpr duration youth = 1s;

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
    while (warmed_ < warm_goal_ && !closed_) {
        const result<void> woken = co_await warm_.wait(stop);
        if (!woken) co_return woken.error();
    }
    if (warmed_ < warm_goal_) co_return error{ECANCELED};
    co_return result<void>{};
}

task<> warm_pool::ready(cancel_token stop) {
    const presence here{*this};
    deadline patience{io_, started_at_ + limits_.validation_timeout - io_.now(), stop};
    while (warmed_ < warm_goal_ && !warm_up_failed_ && !closed_ && !patience.token().requested()) {
        const result<void> woken = co_await warm_.wait(patience.token());
        static_cast<void>(woken);
    }
}

task<> warm_pool::close() {
    TU_ASSERT(started_ && !closed_);
    closed_ = true;
    tending_.cancel();
    alarm_.unlink();
    cleanup_.unlink();
    warm_.notify_all();
    while (!waiters_.empty()) waiters_.front().fail(ESHUTDOWN);
    while (!vacant_.empty()) vacant_.pop_front().woken.post(wake::stopping);
    retire_all();
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
    account_acquire(duration{0}, found->warm->origin);
    return lend(*found->warm, where);
}

task<result<lease>> warm_pool::acquire(cancel_token stop, acquire_options how,
                                       std::source_location where) {
    TU_ASSERT(started_);
    const presence here{*this};
    if (!std::exchange(awake_, true)) refill();
    const time_point called = io_.now();
    result<lease> got = co_await provide(stop, how, where);
    if (got) account_acquire(io_.now() - called, got->origin());
    else account_failure(io_.now() - called, got.error().code());
    co_return std::move(got);
}

task<result<lease>> warm_pool::provide(cancel_token stop, acquire_options how,
                                       std::source_location where) {
    if (closed_) co_return error{ESHUTDOWN};
    if (stop.requested()) co_return error{ECANCELED};
    std::optional<grant> given;
    if (waiters_.empty()) given = find(false, how.only_young);
    if (!given) {
        const result<grant> waited = co_await wait_for_room(stop);
        if (waited) given = *waited;
        else if (waited.error().code() == EBUSY) given = pass();
        if (!given) co_return waited.error();
    }
    if (given->warm == nullptr) co_return co_await connect_for(*given, stop, where);
    lease warm = lend(*given->warm, where);
    if (given->stale) {
        const result<void> renewed = co_await warm.renew(stop);
        if (!renewed) co_return renewed.error();
    }
    co_return std::move(warm);
}

// With the room it was given, and past the breaker if it may.
task<result<lease>> warm_pool::connect_for(grant given, cancel_token stop,
                                           std::source_location where) {
    breaker_permit how = ask();
    if (how == breaker_permit::none && !given.past_pool) {
        if (!may_pass()) {
            counters_.refused_down += 1;
            give_up(given);
            co_return error{EHOSTDOWN, "the upstream is down, and is asked again soon"};
        }
        given.past_pool = true;
        past_pool_ += 1;
    }
    if (given.past_pool) counters_.degraded += 1;
    if (how == breaker_permit::none) how = breaker_permit::normal;
    result<stream> made = co_await dial(how, stop);
    if (!made) {
        give_up(given);
        co_return made.error();
    }
    prove(how);
    note_success();
    pooled_socket& socket = adopt(std::move(*made), socket_origin::direct);
    enter(socket, socket_state::leased);
    socket.past_pool = given.past_pool;
    socket.home = given.room;
    if (given.room != nullptr) given.room->held = &socket;
    else move_outside(socket);
    lease out = lend(socket, where);
    refill();
    co_return std::move(out);
}

bool warm_pool::room_to_connect() const noexcept {
    return may_ask() && (!policy_.reuses() || !vacant_.empty());
}

pool_slot* warm_pool::youngest() noexcept {
    for (intrusive_list<pool_slot>* const idle : {&served_, &fresh_}) {
        if (idle->empty()) continue;
        pool_slot& newest = idle->back();
        if (io_.now() - newest.held->idle_since < youth) return &newest;
    }
    return nullptr;
}

std::optional<warm_pool::grant> warm_pool::find(bool warm_only, bool only_young) noexcept {
    if (closed_ || (!policy_.reuses() && outside_ >= policy_.max_connections)) return std::nullopt;
    pool_slot* taken = nullptr;
    bool stale = false;
    if (ready_ != 0 && only_young) {
        taken = youngest();
        stale = taken == nullptr && !room_to_connect();
        if (stale) taken = &coldest();
        // While the breaker is open what is warm is the best there is.
        if (!may_ask()) stale = false;
    } else if (ready_ != 0) {
        taken = served_.empty() ? &fresh_.front() : &served_.back();
    }
    if (taken != nullptr) {
        pooled_socket& socket = *taken->held;
        take_off(*taken, wake::taken);
        enter(socket, socket_state::leased);
        if (!policy_.reuses()) {
            move_outside(socket);
            outside_ += 1;
        }
        return grant{&socket, nullptr, stale, false};
    }
    if (warm_only) return std::nullopt;
    if (!policy_.reuses()) {
        outside_ += 1;
        return grant{};
    }
    if (vacant_.empty()) return std::nullopt;
    pool_slot& room = vacant_.pop_front();
    room.woken.post(wake::lent);
    return grant{nullptr, &room, false, false};
}

bool warm_pool::may_pass() const noexcept {
    return limits_.degrade.direct_connect && past_pool_ < limits_.degrade.direct_max;
}

// Beyond the ring, where the ring is the limit. max_connections is one for everybody.
std::optional<warm_pool::grant> warm_pool::pass() noexcept {
    if (closed_ || !policy_.reuses() || outside_ >= policy_.max_connections || !may_pass())
        return std::nullopt;
    outside_ += 1;
    past_pool_ += 1;
    return grant{nullptr, nullptr, false, true};
}

void warm_pool::move_outside(pooled_socket& socket) noexcept {
    socket.outside = true;
    outside_open_ += 1;
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
            co_return error{EBUSY, "every connection to the upstream stayed in use"};
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

task<result<stream>> warm_pool::dial(breaker_permit how, cancel_token stop) {
    counters_.dials += 1;
    const time_point began = io_.now();
    const duration usual{limits_.connection_timeout};
    const duration limit = how == breaker_permit::probe
                               ? std::min(usual, duration{limits_.validation_timeout})
                               : usual;
    cancel_source both{stop};
    const auto end_both = [&both] { both.request(); };
    on_cancel closing{tending_.token(), end_both};
    deadline within{io_, limit, both.token()};
    result<stream> made = co_await dial_.connect(within.token());
    if (made) {
        const duration took = io_.now() - began;
        times_.create.add(took);
        window_.at(io_.now()).create.add(took);
        target_.connected(took);
        co_return std::move(made);
    }
    const int code = made.error().code();
    const bool late = within.expired_first();
    account_dial(code, late, made.error().message(), how);
    if (late && code == ECANCELED)
        co_return error{ETIMEDOUT, "the upstream did not answer in time"};
    if (!late && code == ECANCELED && closed_ && !stop.requested()) co_return error{ESHUTDOWN};
    co_return made.error();
}

void warm_pool::account_dial(int code, bool late, std::string_view why,
                             breaker_permit how) noexcept {
    if (!late && is_local_condition(code)) counters_.local_failures += 1;
    if (!late && (is_local_condition(code) || code == ECANCELED)) return breaker_.undecided(how);
    if (late) counters_.dial_timeouts += 1;
    counters_.dial_failures += 1;
    disprove(how, late ? "the upstream did not answer in time" : why);
}

void warm_pool::give_up(const grant& unused) noexcept {
    if (unused.past_pool) past_pool_ -= 1;
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
    if (limits_.lease_limit != duration{0})
        io_.timers().arm(socket, socket.leased_since + limits_.lease_limit);
    switch (socket.origin) {
        case socket_origin::direct: counters_.acquired_direct += 1; break;
        case socket_origin::fresh: counters_.acquired_fresh += 1; break;
        case socket_origin::served: counters_.acquired_served += 1; break;
    }
    if (preconnects_ && socket.origin != socket_origin::served) target_.used(io_.now());
    return lease{socket};
}

duration lease::age() const noexcept { return held_->pool.io_.now() - held_->leased_since; }

task<result<stream>> lease::detach() {
    pooled_socket& held = *held_;
    if (held.home != nullptr && held.pool.policy_.reuses()) {
        if (held.pool.outside_ >= held.pool.policy_.max_connections)
            co_return error{EBUSY, "max_connections to the upstream are open"};
        held.pool.outside_ += 1;
        held.pool.move_outside(held);
        held.leaving = true;
        held.home->came_back.notify();
    }
    while (held.home != nullptr) {
        const result<void> left = co_await held.left_home.wait();
        TU_ASSERT(left);
    }
    held.timer::unlink();  // Its age is its holder's affair now.
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
    breaker_permit how = ask();
    if (how == breaker_permit::none) how = breaker_permit::normal;
    result<stream> made = co_await dial(how, stop);
    if (!made) co_return made.error();
    prove(how);
    note_success();
    begin_life(socket, std::move(*made), socket_origin::direct);
    census_.created += 1;
    census_.closed += 1;  // The former one.
    counters_.renewed += 1;
    check_accounts();
    co_return result<void>{};
}

}  // namespace tunnel_uring
