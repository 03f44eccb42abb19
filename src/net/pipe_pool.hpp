// Pipes for splice(2): bytes go from one socket to another without being copied through this
// process.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "net/stream.hpp"

namespace tunnel_uring {

// The kernel gives an unprivileged user 64 pipes of 1 MiB (pipe-user-pages-soft, pipe(7)); later
// ones are small, and splicing through a small pipe is slower than copying.
class pipe_pool {
  public:
    static constexpr std::size_t wanted_bytes = 1024 * 1024;
    static constexpr std::size_t least_bytes = 128 * 1024;
    static constexpr std::size_t limit = 48;

    // Without `enabled` it has none.
    pipe_pool(backend& kernel, bool enabled) noexcept : kernel_{kernel}, enabled_{enabled} {}
    pipe_pool(const pipe_pool&) = delete;
    pipe_pool& operator=(const pipe_pool&) = delete;
    // All pipes have come home.
    ~pipe_pool();

    // An empty pipe; nothing when there is none to be had: then bytes are copied.
    std::optional<pipe_ends> take();
    // One with bytes in it is closed. Empty ones are kept for use again while others are out.
    void give_back(const pipe_ends& which, bool is_empty) noexcept;

  private:
    backend& kernel_;
    const bool enabled_;
    std::size_t out_ = 0;
    std::vector<pipe_ends> kept_;
};

// One pipe on loan, and the bytes in it.
class splice_pipe {
  public:
    explicit splice_pipe(pipe_pool& pool) : pool_{pool}, ends_{pool.take()} {}
    splice_pipe(const splice_pipe&) = delete;
    splice_pipe& operator=(const splice_pipe&) = delete;
    // What is left in it is lost.
    ~splice_pipe() {
        if (ends_) pool_.give_back(*ends_, held_ == 0);
    }

    bool usable() const noexcept { return ends_.has_value(); }
    // Takes what is there, at most `most` bytes, without waiting: EAGAIN when nothing is; 0 is the
    // end of the stream. Only when it is empty.
    result<std::size_t> fill(stream& from, std::size_t most);
    // Gives `to` all that it holds. An error leaves the rest in it.
    task<result<void>> drain(stream& to, cancel_token stop);

  private:
    pipe_pool& pool_;
    std::optional<pipe_ends> ends_;
    std::size_t held_ = 0;
};

}  // namespace tunnel_uring
