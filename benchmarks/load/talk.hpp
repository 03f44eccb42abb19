// What the load's client and server say to each other.
//
// A connection begins with a `request`, or it is HTTP: `GET /<n>` is answered with 200 and n bytes.
// Streams of bulk are blocks, each with a first byte that says whether it is the last: so the
// sender alone decides how long it sends, and no end depends on a half-close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sockets.hpp"

namespace load {

// The first byte on the wire is one that no HTTP request begins with.
enum class job : std::uint64_t { echo = 1, pour = 2, swallow = 3 };

struct request {
    job what;
    std::uint64_t size;  // echo: bytes of a message; pour: microseconds
};
static_assert(sizeof(request) == 16);

inline constexpr std::size_t most_message_bytes = 1024 * 1024;
inline constexpr std::size_t block_bytes = 64 * 1024;
inline constexpr std::size_t chunk_bytes = 4 * block_bytes;  // Moved by one system call.
inline constexpr int turns_in_a_row = 4;  // Of one stream, before the others have theirs.
inline constexpr char filler = 'x';
inline constexpr const char* host_name = "app.localhost";

// The sending side of a stream of blocks.
class block_source {
  public:
    explicit block_source(steady::time_point until) : until_(until) {}
    // Sends some of what the socket takes now; throws when it is broken.
    void send_some(int fd);
    bool done() const { return sent_ == end_; }
    std::uint64_t bytes() const { return sent_; }

  private:
    steady::time_point until_;
    std::uint64_t sent_ = 0;
    std::uint64_t end_ = UINT64_MAX;  // Known when the time is over.
};

// The receiving side.
class block_sink {
  public:
    // Throws when these bytes cannot be the next ones of the stream.
    void take(const char* bytes, std::size_t size);
    bool done() const { return received_ == end_; }
    std::uint64_t bytes() const { return received_; }

  private:
    std::uint64_t received_ = 0;
    std::uint64_t end_ = UINT64_MAX;
};

// The question that a client asks again and again, and its answer as far as it has come.
class dialogue {
  public:
    // Of `size` bytes there and back.
    static dialogue echo(std::size_t size);
    // A GET answered with `size` bytes; `close`: nothing else follows on its connection.
    static dialogue http(std::size_t size, bool close);

    const std::string& question() const { return question_; }
    // What must be said first on a connection; empty where nothing is.
    const std::string& greeting() const { return greeting_; }

    void restart() {
        received_ = 0;
        head_.clear();
    }
    // Most bytes that may still belong to this answer.
    std::size_t room() const;
    // True when the answer is whole with these bytes; throws when it is not the right one.
    bool take(const char* bytes, std::size_t size);

  private:
    void read_head(const char*& bytes, std::size_t& size);

    std::string greeting_;
    std::string question_;
    std::string head_;
    bool has_head_ = false;  // Its answers begin with a head.
    std::size_t size_ = 0;
    std::size_t received_ = 0;
};

}  // namespace load
