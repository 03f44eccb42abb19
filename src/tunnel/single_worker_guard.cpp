#include "tunnel/single_worker_guard.hpp"

namespace tunnel_uring {

namespace {

constexpr duration patience = 1s;

}  // namespace

void single_worker_guard::restart() noexcept {
    if (!over_ && !suspects_) io_.timers().arm(*this, io_.now() + patience);
}

void single_worker_guard::expired() noexcept {
    suspects_ = service_.pool().suspect_single_worker();
}

void single_worker_guard::answered() noexcept {
    timer::unlink();
    over_ = true;
    if (service_.pool().note_answer()) watcher_.preconnect_stopped(service_.config().name);
    end();
}

void single_worker_guard::end() noexcept {
    if (std::exchange(suspects_, false)) service_.pool().end_suspicion();
}

}  // namespace tunnel_uring
