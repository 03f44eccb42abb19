#include "pool/idle_target.hpp"

#include <algorithm>
#include <cmath>

namespace tunnel_uring {

idle_target::idle_target(const limits& bounds, time_point now) noexcept
    : bounds_{bounds}, value_{bounded(bounds.start)}, second_{now} {}

std::uint32_t idle_target::bounded(std::uint32_t wanted) const noexcept {
    return std::min(std::max(wanted, bounds_.least), bounds_.most);
}

void idle_target::move_to(time_point now) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - second_).count();
    if (seconds <= 0) return;
    using real = std::chrono::duration<double>;
    const double halves = real{std::chrono::seconds{seconds}} / real{bounds_.half_life};
    rate_ = std::max(rate_, count_) * std::exp2(-halves);
    count_ = 0;
    second_ += std::chrono::seconds{seconds};
}

std::uint32_t idle_target::need() const noexcept {
    const double mean = std::max(rate_, count_) * connect_time_;
    const double wanted = std::ceil(mean + 3 * std::sqrt(mean));
    return static_cast<std::uint32_t>(std::min(wanted, static_cast<double>(bounds_.most)));
}

void idle_target::used(time_point now) noexcept {
    move_to(now);
    count_ += 1;
    value_ = bounded(std::max(value_, need()));
}

void idle_target::connected(duration took) noexcept {
    const double seconds = std::chrono::duration<double>{took}.count();
    connect_time_ = connect_time_ == 0 ? seconds : connect_time_ + (seconds - connect_time_) / 8;
}

void idle_target::raise() noexcept { value_ = bounded(std::max(value_, bounds_.start)); }

void idle_target::age(time_point now) noexcept {
    move_to(now);
    const std::uint32_t goal = bounded(need());
    if (value_ > goal) value_ = goal + (value_ - goal) / 2;
}

}  // namespace tunnel_uring
