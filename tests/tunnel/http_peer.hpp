// http_peer: one end of an HTTP connection in the simulated world, a visitor's or an upstream's. It
// reads strictly, with the parser that the tunnel uses, and knows every byte of a body beforehand.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/stream.hpp"
#include "tunnel/tunnel_world.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring::sim {

// A body to be sent.
struct http_content {
    body_framing framing = body_framing::none;
    std::uint64_t bytes = 0;
    bool trailers = false;        // With chunked.
    std::uint64_t piece = 9'000;  // Bytes of a chunk.
    duration pause{};             // After each piece.

    static http_content none() { return {}; }
    static http_content length(std::uint64_t bytes) { return {body_framing::length, bytes}; }
    static http_content chunked(std::uint64_t bytes, std::uint64_t piece = 9'000) {
        return {body_framing::chunked, bytes, false, piece};
    }
    static http_content with_trailers(std::uint64_t bytes) {
        return {body_framing::chunked, bytes, true};
    }
    static http_content until_close(std::uint64_t bytes) {
        return {body_framing::until_close, bytes};
    }
};

inline constexpr std::string_view trailer_lines = "X-Sum: 17\r\nX-Last: yes\r\n";

// A body as it was heard.
struct heard_body {
    std::uint64_t bytes = 0;
    bool wrong = false;  // A byte was not the next one.
    bool whole = false;  // The message came to its end.
    std::string text;    // Of a small one.
    std::string trailers;
};

class http_peer {
  public:
    http_peer(stream socket, http_reader::kind reads);
    // With a reset, unless it was closed.
    ~http_peer() { connection.abort(); }
    http_peer(const http_peer&) = delete;
    http_peer& operator=(const http_peer&) = delete;

    stream connection;
    http_reader reader;

    enum class head {
        whole,
        none,  // The stream ended between two messages.
        cut,   // It broke, or ended within a head; or the token was requested.
    };
    task<head> hear_head(cancel_token stop);
    // What has come and is not read yet; receives when there is nothing.
    task<std::string_view> peek(cancel_token stop);
    // After a head. The body's bytes follow `key`'s pattern; pauses after each piece.
    task<heard_body> hear_body(std::uint64_t key, duration pause, cancel_token stop);
    // What follows an upgrade, to the end of the stream.
    task<heard> hear_bytes(std::uint64_t key, cancel_token stop);

    // Whether nothing comes for so long.
    task<bool> hears_nothing(duration time, cancel_token stop);

    // False when the connection broke.
    task<bool> say(std::string text, cancel_token stop);
    // `most` bytes of the body at most: all of it with its end, or a beginning.
    task<bool> say_body(std::uint64_t key, http_content what, std::uint64_t most,
                        cancel_token stop);
    // With a FIN.
    void close() { connection.close(); }

  private:
    enum class got { bytes, end, broken };
    task<got> receive(cancel_token stop);

    std::vector<std::byte> memory_;
    bytes_view unread_;
    std::vector<bytes_view> pieces_;
};

// The field lines that frame it.
std::string framing_of(const http_content& what);
// The value of the first field of this name in a head's text; empty when there is none.
std::string_view field_of(std::string_view text, std::string_view name);
std::uint64_t number_of(std::string_view digits);

}  // namespace tunnel_uring::sim
