// What the demo's visitors do, and what they saw.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "ring/io_context.hpp"
#include "ring/socket_address.hpp"

namespace tunnel_uring {

inline constexpr std::size_t demo_request_bytes = 1024;

struct demo_load {
    std::uint32_t requests;
    std::uint32_t concurrency;
};

// A way to the echo service, and what connections on it were like.
struct tcp_shape {
    explicit tcp_shape(std::string title) : name{std::move(title)} {}

    std::string name;
    socket_address to;
    std::vector<duration> connect;     // Until the visitor is connected.
    std::vector<duration> first_byte;  // From then to the first byte of the answer.
    std::uint32_t right = 0;
    std::uint32_t wrong = 0;
    std::uint32_t left = 0;  // Not begun.
};
// A connection for each request, bytes there and back, compared by SHA-256.
task<> ask_tcp(io_context& io, tcp_shape& what, demo_load load, cancel_token stop);

// A way to the HTTP service, and what requests on it were like.
struct http_shape {
    explicit http_shape(std::string title) : name{std::move(title)} {}

    std::string name;
    socket_address to;
    std::string host;            // What visitors ask for there.
    std::vector<duration> took;  // From a request to the last byte of its answer.
    std::uint32_t right = 0;
    std::uint32_t wrong = 0;
    std::uint32_t left = 0;
    duration whole{};
};
// GET /hello and POST /echo in turn, on connections that stay; bodies compared by SHA-256.
task<> ask_http(io_context& io, http_shape& what, demo_load load, cancel_token stop);

struct bulk_check {
    std::uint64_t bytes = 0;
    bool right = false;
    duration took{};
};
// So many bytes there and back at the same time, on one connection.
task<> check_bulk(io_context& io, socket_address to, bulk_check& check, cancel_token stop);

// One GET, for showing.
struct hello_check {
    std::string url;
    std::string status;  // "200"
    std::string body;
    duration took{};
};
task<> say_hello(io_context& io, socket_address to, std::string host, hello_check& check,
                 cancel_token stop);

}  // namespace tunnel_uring
