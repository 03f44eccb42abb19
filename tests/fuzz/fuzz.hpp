// What every fuzzer here stands on: one entry for libFuzzer and for the replay of the corpus, and
// an input that is taken apart from its front.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/check.hpp"

// https://llvm.org/docs/LibFuzzer.html
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tunnel_uring {

class fuzz_input {
  public:
    fuzz_input(const std::uint8_t* data, std::size_t size) noexcept
        : left_{reinterpret_cast<const std::byte*>(data), size} {}

    bool empty() const noexcept { return left_.empty(); }
    bytes_view rest() const noexcept { return left_; }
    // At most `count` bytes.
    bytes_view take(std::size_t count) noexcept {
        const bytes_view front = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(front.size());
        return front;
    }
    // Zero when nothing is left.
    std::uint8_t byte() noexcept {
        const bytes_view front = take(1);
        return front.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(front[0]);
    }

  private:
    bytes_view left_;
};

}  // namespace tunnel_uring
