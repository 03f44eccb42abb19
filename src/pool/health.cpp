// Whether the upstream serves: what dials and checks prove, and what the pool does about it.
#include "pool/local_condition.hpp"
#include "pool/warm_pool.hpp"

namespace tunnel_uring {

namespace {

constexpr duration proof_of_suspicion = 250ms;

constexpr duration suspicion_spacing = 10min;

}  // namespace

task<result<void>> dial_source::check(cancel_token stop) {
    const result<stream> made = co_await connect(stop);
    if (!made) co_return made.error();
    co_return result<void>{};
}

// ── the breaker ──

bool warm_pool::may_ask() const noexcept {
    return !tripped_by_check_ && breaker_.lets_through(io_.now());
}

breaker_permit warm_pool::ask() noexcept {
    return may_ask() ? breaker_.ask(io_.now()) : breaker_permit::none;
}

void warm_pool::prove(breaker_permit how) noexcept {
    // That it can be connected to does not answer what the check asks.
    if (tripped_by_check_) return breaker_.undecided(how);
    const bool was_closed = breaker_.state() == breaker_state::closed;
    breaker_.succeeded(how);
    if (!was_closed && report_breaker_) report_breaker_(false, {});
}

void warm_pool::disprove(breaker_permit how, std::string_view why) noexcept {
    const bool was_closed = breaker_.state() == breaker_state::closed;
    breaker_.failed(how, io_.now());
    const bool opened = was_closed && breaker_.state() != breaker_state::closed;
    if (opened && report_breaker_) report_breaker_(true, why);
}

// The ready ones lead to an upstream that does not serve.
void warm_pool::trip(std::string_view why) noexcept {
    const bool was_closed = breaker_.state() == breaker_state::closed;
    tripped_by_check_ = true;
    breaker_.trip(io_.now());
    retire_all();
    if (was_closed && report_breaker_) report_breaker_(true, why);
}

// ── active checks ──

task<> warm_pool::watch_health() {
    const cancel_token stop = tending_.token();
    std::uint32_t failures = 0;  // In a row.
    while (!stop.requested()) {
        time_point next = io_.now() + jittered(policy_.check_interval);
        if (tripped_by_check_) next = std::min(next, breaker_.opens_until());
        const result<void> slept = co_await io_.sleep_until(next, stop);
        if (!slept) co_return;
        co_await check_health(failures);
    }
}

task<> warm_pool::check_health(std::uint32_t& failures) {
    const breaker_permit how = breaker_.ask(io_.now());
    // Open, and not yet to be probed, or somebody does that.
    if (how == breaker_permit::none) co_return;
    counters_.health_checks += 1;
    deadline limit{io_, policy_.check_timeout, tending_.token()};
    const result<void> healthy = co_await dial_.check(limit.token());
    if (closed_) {
        breaker_.undecided(how);
    } else if (healthy) {
        failures = 0;
        const bool was_tripped = std::exchange(tripped_by_check_, false);
        prove(how);
        if (!was_tripped) co_return;
        target_.raise();
        refill();
    } else if (is_local_condition(healthy.error().code())) {
        counters_.local_failures += 1;
        breaker_.undecided(how);
    } else {
        counters_.health_failures += 1;
        failures += 1;
        const bool late = limit.expired_first();
        const std::string why =
            late ? "a health check was not answered in time" : healthy.error().message();
        if (how == breaker_permit::probe) disprove(how, why);
        else if (failures >= policy_.max_failures) trip(why);
        else breaker_.undecided(how);
    }
}

// ── a single worker ──

bool warm_pool::suspect_single_worker() noexcept {
    const time_point now = io_.now();
    const bool possible = !closed_ && !single_ && !concurrent_ && !suspicious_ && ready_ != 0;
    if (!possible || now < suspect_again_) return false;
    suspicious_ = true;
    suspected_at_ = now;
    suspect_again_ = now + suspicion_spacing;
    retire_all();
    return true;
}

bool warm_pool::note_answer() noexcept {
    // A server of one connection answers on no other while one that it has served is open.
    concurrent_ = concurrent_ || !served_.empty();
    if (!suspicious_ || io_.now() - suspected_at_ > proof_of_suspicion) return false;
    suspicious_ = false;
    single_ = true;
    preconnects_ = false;
    return true;
}

void warm_pool::end_suspicion() noexcept {
    if (!std::exchange(suspicious_, false)) return;
    refill();
}

}  // namespace tunnel_uring
