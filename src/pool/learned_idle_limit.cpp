#include "pool/learned_idle_limit.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {

constexpr std::uint32_t enough = 3;
constexpr duration one_event = 1s;

}  // namespace

void learned_idle_limit::closed_at(duration age, time_point now) noexcept {
    if (age < least_limit_) return;
    if (agreeing_ != 0 && now - last_ < one_event) return;
    last_ = now;
    const duration least = std::min(agreeing_ == 0 ? age : least_, age);
    const duration greatest = std::max(agreeing_ == 0 ? age : greatest_, age);
    const bool agrees = greatest - least <= least / 10;
    least_ = agrees ? least : age;
    greatest_ = agrees ? greatest : age;
    agreeing_ = agrees ? agreeing_ + 1 : 1;
    if (agreeing_ >= enough) limit_ = least_;
}

void learned_idle_limit::age() noexcept {
    limit_ += limit_ / 50;
    if (known() && retire_after() >= most_) limit_ = duration{0};
}

}  // namespace tunnel_uring
