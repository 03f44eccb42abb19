#include "ring/timer_wheel.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {
constexpr duration tick = 1ms;
}

std::uint64_t timer_wheel::ticks(time_point when) const noexcept {
    if (when <= start_) return 0;
    return static_cast<std::uint64_t>((when - start_) / tick);
}

void timer_wheel::arm(timer& what, time_point when) noexcept {
    what.unlink();
    // Rounded up, so that nothing fires early; at least one tick ahead, so that a slot being fired
    // never grows.
    const time_point limit = start_ + tick * static_cast<std::int64_t>(current_ + 0xFFFFFFFEU);
    const std::uint64_t due = ticks(std::min(when, limit) + (tick - 1ns));
    what.due_ = std::max(due, current_ + 1);
    place(what);
}

void timer_wheel::place(timer& what) noexcept {
    const std::uint64_t delay = what.due_ - current_;
    unsigned level = 0;
    while (level + 1 < levels_count && delay >> (level_bits * (level + 1)) != 0) ++level;
    const std::uint64_t position = what.due_ >> (level_bits * level);
    levels_[level][position & (slots_count - 1)].push_back(what);
    soonest_ = std::min(soonest_, position << (level_bits * level));
}

void timer_wheel::advance(time_point now) noexcept {
    const std::uint64_t target = ticks(now);
    while (current_ < target) {
        const time_point upcoming = next();
        const std::uint64_t step = upcoming == time_point::max() ? target : ticks(upcoming);
        if (step > target) {
            current_ = target;
            return;
        }
        current_ = std::max(step, current_ + 1);
        for (unsigned level = levels_count - 1; level > 0; --level) {
            if ((current_ & ((std::uint64_t{1} << (level_bits * level)) - 1)) != 0) continue;
            slot& due = levels_[level][(current_ >> (level_bits * level)) & (slots_count - 1)];
            slot moving;
            while (!due.empty()) moving.push_back(due.pop_front());
            while (!moving.empty()) place(moving.pop_front());
        }
        slot& due = levels_[0][current_ & (slots_count - 1)];
        while (!due.empty()) due.pop_front().expired();
    }
}

time_point timer_wheel::next() noexcept {
    if (soonest_ <= current_) soonest_ = find_soonest();
    if (soonest_ == UINT64_MAX) return time_point::max();
    return start_ + tick * static_cast<std::int64_t>(soonest_);
}

std::uint64_t timer_wheel::find_soonest() const noexcept {
    std::uint64_t soonest = UINT64_MAX;
    for (unsigned level = 0; level < levels_count; ++level) {
        const unsigned shift = level_bits * level;
        const std::uint64_t here = current_ >> shift;
        for (std::uint64_t ahead = 1; ahead <= slots_count; ++ahead) {
            if (levels_[level][(here + ahead) & (slots_count - 1)].empty()) continue;
            soonest = std::min(soonest, (here + ahead) << shift);
            break;
        }
    }
    return soonest;
}

}  // namespace tunnel_uring
