#include "tunnel/single_worker_guard.hpp"

namespace tunnel_uring {

namespace {

constexpr duration patience = 1s;
constexpr duration proof = 1s;

}  // namespace

void single_worker_guard::restart() noexcept {
    if (!over_ && !suspects_) io_.timers().arm(*this, io_.now() + patience);
}

void single_worker_guard::expired() noexcept {
    suspects_ = service_.pool().suspect_single_worker();
    suspected_at_ = io_.now();
}

void single_worker_guard::answered() noexcept {
    timer::unlink();
    over_ = true;
    end(io_.now() - suspected_at_ <= proof);
}

void single_worker_guard::end(bool right) noexcept {
    if (!std::exchange(suspects_, false)) return;
    service_.pool().end_suspicion(right);
    if (right) watcher_.preconnect_stopped(service_.config().name);
}

}  // namespace tunnel_uring
