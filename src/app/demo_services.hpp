// The sample services of the demo: one says back what it is told, one speaks HTTP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/listener.hpp"

namespace tunnel_uring {

// Each connection's bytes back, until its end.
task<> serve_echo(listener& source, cancel_token stop);

// GET /hello: 200 and `hello_text`; POST /echo: 200 and the request's body; else 404. Connections
// stay for the next request.
task<> serve_http_sample(listener& source, cancel_token stop);

inline constexpr std::string_view hello_text = "hello from the sample service";

// A message with a body of Content-Length bytes, or none: all that the demo's own ends say.
struct plain_message {
    std::string start;  // The first line.
    std::string body;
};

// Reads one message after another from a connection that outlives it.
class plain_reader {
  public:
    explicit plain_reader(stream& from) : from_{from}, memory_(std::size_t{16} * 1024) {}

    // False: the connection is over, or what came is no such message.
    task<bool> read(plain_message& out, cancel_token stop);

  private:
    task<bool> receive_to(std::size_t size, cancel_token stop);

    stream& from_;
    std::vector<std::byte> memory_;
    std::string pending_;  // Received, and not of a message yet.
};

}  // namespace tunnel_uring
