// fifo: a queue that allocates nothing until something is queued, and nothing more once it has been
// as long as it gets. (std::deque takes 600 bytes when it is made, and a block now and then.)
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.hpp"

namespace tunnel_uring {

template <class T>
class fifo {
  public:
    bool empty() const noexcept { return first_ == items_.size(); }
    std::size_t size() const noexcept { return items_.size() - first_; }
    T& front() noexcept { return items_[first_]; }
    const T& front() const noexcept { return items_[first_]; }
    T& back() noexcept { return items_.back(); }
    auto begin() noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
    auto end() noexcept { return items_.end(); }
    auto begin() const noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
    auto end() const noexcept { return items_.end(); }

    // References to items are valid until the next of these.
    template <class... Arguments>
    T& emplace_back(Arguments&&... arguments) {
        if (items_.size() == items_.capacity() && first_ >= items_.size() / 2) close_gap();
        return items_.emplace_back(std::forward<Arguments>(arguments)...);
    }
    void push_back(T item) { emplace_back(std::move(item)); }
    // What the item held is released at once.
    T pop_front() {
        TU_ASSERT(!empty());
        T item = std::exchange(items_[first_], T{});
        first_ += 1;
        if (empty()) clear();
        return item;
    }
    // Keeps its memory.
    void clear() noexcept {
        items_.clear();
        first_ = 0;
    }

  private:
    void close_gap() {
        items_.erase(items_.begin(), begin());
        first_ = 0;
    }

    std::vector<T> items_;
    std::size_t first_ = 0;
};

}  // namespace tunnel_uring
