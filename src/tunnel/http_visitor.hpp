// http_visitor: one visitor's HTTP connection at the relay, from its accept to its close. It reads
// a request, finds the service that it means, lets a carriage bring it there and its answer back,
// and goes on with the next.
#pragma once

#include <optional>
#include <vector>

#include "net/stream.hpp"
#include "tunnel/http_answers.hpp"
#include "tunnel/http_front.hpp"
#include "tunnel/http_input.hpp"
#include "tunnel/http_read_ahead.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

class shared_lane;

class http_visitor {
  public:
    http_visitor(http_front& front, stream connection);

    // Until the connection is closed: with a FIN between two messages and after a whole answer,
    // with a RST when an answer was cut.
    task<> run();

  private:
    // Whether the visitor may go on.
    task<bool> introduce();
    task<bool> read_head();
    http_reader::event read_unread();
    duration head_patience();
    task<> answer();
    std::optional<http_answer> route(std::string_view name, http_service*& service,
                                     shared_lane*& lane);
    task<> carry(const http_service& service, shared_lane& lane);
    task<bool> discard_body();
    task<> say(http_answer what);
    task<> turn_away(std::uint16_t status, std::string_view sentence);
    task<> write(std::string message);
    task<> linger();

    http_front& front_;
    stream connection_;
    ip_endpoint address_;
    bool trusted_ = false;
    http_input input_;
    http_reader reader_;
    http_read_ahead ahead_;
    std::vector<bytes_view> pieces_;
    time_point head_began_;
    bool head_begun_ = false;
    bool stays_ = true;       // Another request may come.
    bool cut_ = false;        // The end is a reset.
    bool said_last_ = false;  // The last answer has been written; it must arrive.
};

}  // namespace tunnel_uring
