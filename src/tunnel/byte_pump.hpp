// byte_pump: a socket's bytes into an exchange and back, as they are: a TCP connection, or an HTTP
// connection after its upgrade.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/reset_watch.hpp"

namespace tunnel_uring {

class byte_pump final : private local_end {
  public:
    // Both outlive it.
    byte_pump(exchange& both, stream& local) noexcept
        : both_{both}, local_{local}, watch_{both, local} {}

    // Moves bytes until both directions are over; exchange::complete() tells how. A FIN becomes an
    // end and the other way round, each direction for itself.
    task<> run();

  private:
    stream& source() noexcept override { return local_; }
    void left_unread() override { watch_.begin(); }
    void offer(bytes_view& fragment) override;

    task<> send_side();
    task<> read_local(std::size_t most);
    task<> read_into_run();
    task<> splice_into_run();
    void end_run() noexcept;
    void end_of_local();
    task<> receive_side();
    task<> write_queue();
    task<> receive_run();
    task<> splice_run(splice_pipe& pipe);
    bool may_splice() noexcept;
    void write_failed(const error& why);

    exchange& both_;
    stream& local_;
    reset_watch watch_;
    nursery sides_;
    bool local_ended_ = false;
    // Of a run, while it lasts: one of both.
    std::optional<splice_pipe> out_pipe_;
    std::unique_ptr<std::byte[]> out_memory_;
    std::optional<bool> is_tcp_;
    std::array<iovec, full_window / block_pool::block_bytes + 1> vectors_;
};

// Moves bytes between `both` and `local` until both directions are over, and closes `local`: with a
// FIN when both ended clean, else with a RST, so that a cut stream never looks whole.
task<> carry_stream(exchange& both, stream local);

}  // namespace tunnel_uring
