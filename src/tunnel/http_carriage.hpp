// http_carriage: one request of a visitor and its answer at the relay, by an exchange of its own.
#pragma once

#include <optional>
#include <string>

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/http_answers.hpp"
#include "tunnel/http_body.hpp"
#include "tunnel/http_front.hpp"
#include "tunnel/http_input.hpp"
#include "tunnel/http_read_ahead.hpp"
#include "tunnel/reset_watch.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

class http_carriage final : private local_end {
  public:
    // A visitor's connection, whose reader stands at the end of a request's head. Outlives it.
    struct visitor_view {
        http_front& front;
        stream& connection;
        http_input& input;
        http_reader& reader;
        http_read_ahead& ahead;
        ip_endpoint address;
        bool trusted;
    };
    http_carriage(const visitor_view& visitor, const http_service& service);

    // Until the answer is written and the exchange is over; a task of `lane`.
    task<> run(shared_lane& lane);

    // ── then ──
    // The visitor was told that the connection stays for another request.
    bool stays() const noexcept { return stays_; }
    // The request has been read to its end.
    bool body_done() const noexcept { return body_done_; }
    // The answer was cut short, or nobody is there to hear it: the connection is to be reset.
    bool cut() const noexcept { return cut_; }
    event& over() noexcept { return over_event_; }

  private:
    stream& source() noexcept override { return visitor_.connection; }
    void left_unread() override { watch_->begin(); }

    open_frame opening(const exchange& both) const;
    std::string forwarded_text();
    task<> send_request(exchange& both);
    void listen_on();
    task<> bring_answer(exchange& both);
    task<> take_head(exchange& both);
    task<> write_interim(exchange& both, std::string head);
    task<> write_answer(exchange& both, const response_info& info, std::string_view text);
    std::string answer_head(const response_info& info, std::string_view text, http_body& body);
    task<> switch_protocols(exchange& both, std::string_view text);
    task<> say(http_answer what);
    void report(const exchange& both);

    visitor_view visitor_;
    const std::uint32_t service_number_;
    const std::string service_name_;
    const bool forwarded_;
    request_head request_;
    const bool to_head_;
    const time_point began_;
    reset_watch* watch_ = nullptr;
    body_pace request_pace_;
    body_pace answer_pace_;

    bool body_done_ = false;     // The request has been read to its end.
    bool answered_ = false;      // A final head has been written, or begun.
    bool upgrade_open_ = false;  // The visitor waits whether its upgrade is agreed to.
    event upgrade_decided_;
    std::optional<http_answer> own_;  // Why the relay answers itself.
    bool stays_ = false;
    bool cut_ = false;
    std::uint16_t status_ = 0;
    std::uint64_t answer_bytes_ = 0;
    std::string trouble_;
    std::string advice_;
    event over_event_;
};

}  // namespace tunnel_uring
