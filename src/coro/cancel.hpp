// Cancellation: a request that travels down a tree of tasks. It never ends anything by itself: an
// operation that hears it asks the kernel to give up, and its own completion stays the answer.
#pragma once

#include <utility>

#include "base/intrusive_list.hpp"

namespace tunnel_uring {

class cancel_source;

// Hears one cancel request, once. Unregisters itself when destroyed. `cancelled` must not resume a
// coroutine inline (it may put one into the run queue).
class cancel_listener : public list_link<cancel_listener> {
  public:
    cancel_listener() noexcept = default;
    virtual void cancelled() noexcept = 0;

  protected:
    ~cancel_listener() = default;
};

// A view of a source; the empty token is never cancelled. The source outlives its tokens: it
// belongs to the scope that owns the tasks.
class cancel_token {
  public:
    cancel_token() noexcept = default;
    bool requested() const noexcept;
    // `listener` hears the request; at once if it was made already.
    void listen(cancel_listener& listener) const noexcept;

  private:
    friend class cancel_source;
    explicit cancel_token(cancel_source* source) noexcept : source_{source} {}
    cancel_source* source_ = nullptr;
};

class cancel_source final : private cancel_listener {
  public:
    cancel_source() noexcept = default;
    // Cancelled whenever `parent` is.
    explicit cancel_source(cancel_token parent) noexcept { parent.listen(*this); }
    cancel_source(const cancel_source&) = delete;
    cancel_source& operator=(const cancel_source&) = delete;

    void request() noexcept;
    bool requested() const noexcept { return requested_; }
    cancel_token token() noexcept { return cancel_token{this}; }

  private:
    friend class cancel_token;
    void cancelled() noexcept override { request(); }
    bool requested_ = false;
    intrusive_list<cancel_listener, cancel_listener> listeners_;
};

// Calls `action` on the cancel request; a named local, for what is not an operation.
template <class Action>
class on_cancel final : private cancel_listener {
  public:
    on_cancel(cancel_token token, Action action) noexcept : action_{std::move(action)} {
        token.listen(*this);
    }

  private:
    void cancelled() noexcept override { action_(); }
    Action action_;
};

inline bool cancel_token::requested() const noexcept {
    return source_ != nullptr && source_->requested_;
}

inline void cancel_token::listen(cancel_listener& listener) const noexcept {
    if (source_ == nullptr) return;
    if (source_->requested_) listener.cancelled();
    else source_->listeners_.push_back(listener);
}

inline void cancel_source::request() noexcept {
    if (std::exchange(requested_, true)) return;
    while (!listeners_.empty()) listeners_.pop_front().cancelled();
}

}  // namespace tunnel_uring
