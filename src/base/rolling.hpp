// rolling: what was counted in the last while: a window of slices, the oldest of which falls out.
#pragma once

#include <array>
#include <cstddef>

#include "base/clock.hpp"

namespace tunnel_uring {

// `T` starts empty and has `void add(const T&)`. Time never goes back.
template <class T, std::size_t Slices = 6>
class rolling {
  public:
    rolling(duration window, time_point start) noexcept
        : slice_{window / static_cast<int>(Slices)}, began_{start} {}

    // Where what happens at `now` is counted.
    T& at(time_point now) noexcept {
        move_to(now);
        return slices_[current_];
    }
    // All of the window that ends at `now`: between `window` less a slice and `window`.
    T total(time_point now) noexcept {
        move_to(now);
        T all{};
        for (const T& each : slices_) all.add(each);
        return all;
    }

  private:
    void move_to(time_point now) noexcept {
        for (std::size_t moved = 0; now - began_ >= slice_; ++moved) {
            if (moved == Slices) {  // All is older than the window.
                began_ = now;
                return;
            }
            current_ = (current_ + 1) % Slices;
            slices_[current_] = T{};
            began_ += slice_;
        }
    }
    duration slice_;
    time_point began_;  // Of the current slice.
    std::size_t current_ = 0;
    std::array<T, Slices> slices_{};
};

}  // namespace tunnel_uring
