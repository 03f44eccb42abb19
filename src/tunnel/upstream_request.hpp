// upstream_request: one http exchange at the agent: the request goes to the upstream on a socket of
// its pool, the answer comes back, and the socket serves again if that was clean.
#pragma once

#include <optional>
#include <string>

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/http_body.hpp"
#include "tunnel/http_input.hpp"
#include "tunnel/observer.hpp"
#include "tunnel/reset_watch.hpp"
#include "tunnel/single_worker_guard.hpp"
#include "tunnel/upstream.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

class upstream_request final : private local_end, private body_listener, private timer {
  public:
    // All outlive it.
    upstream_request(exchange& both, upstream& service, const open_frame& open,
                     agent_observer& watcher);

    // Until both directions are ended or cut; the exchange then settles.
    task<> run();

  private:
    // What became of the request on one socket.
    enum class attempt : std::uint8_t {
        over,   // Answered, or cut.
        stale,  // The socket had died before it was used: nothing of an answer came.
    };

    stream& source() noexcept override { return loan_.held.socket(); }
    void left_unread() override { watch_->begin(); }
    void took(std::span<const iovec> body) override;
    bool keeps() const noexcept override { return retains_; }
    void took_unseen() override { retain_no_more(); }
    void wrote() override;
    void expired() noexcept override;

    task<bool> take_request();
    void rewrite_host();
    std::string message_head() const;
    task<attempt> converse();
    task<> write_request();
    task<attempt> read_answer();
    task<result<bool>> receive();
    task<attempt> take_head();
    void send_head(const response_head& head);
    task<> send_body();
    task<> switch_protocols();
    task<> look_for_advice(std::uint16_t status);
    attempt no_answer(bool timed_out);
    bool may_try_again() const noexcept;
    void retain_no_more() noexcept;
    void restart_clock() noexcept;
    void turn_away();
    void fail(reset_reason why, std::string_view sentence);
    void report();

    io_context& io_;
    exchange& both_;
    upstream& service_;
    const open_frame open_;
    agent_observer& watcher_;
    std::string text_;  // Of the request's head.
    std::string host_;  // As the visitor said it.
    text_range method_;
    bool to_head_ = false;
    bool idempotent_ = false;
    upstream::loan loan_;

    // Of one attempt.
    std::optional<http_input> input_;
    std::optional<http_reader> reader_;
    std::vector<bytes_view> pieces_;
    std::optional<single_worker_guard> guard_;
    reset_watch* watch_ = nullptr;
    cancel_source* writing_ = nullptr;
    cancel_source* silent_ = nullptr;
    bool written_ = false;       // The request, to its end.
    bool answer_begun_ = false;  // A byte of the answer has come.
    bool answer_whole_ = false;
    bool clean_ = false;  // The socket may serve again.
    bool upgraded_ = false;

    std::string retained_;  // The body taken so far, while it might be written again.
    bool retains_ = true;
    std::size_t interims_ = 0;  // Interim answers.
    body_pace request_pace_;    // Neither has a limit: the upstream may be slow.
    body_pace answer_pace_;
    const time_point began_;
    std::uint16_t status_ = 0;
    std::string sentence_;
    std::string advice_;
};

}  // namespace tunnel_uring
