// What the load generator can do, and what it is told on its command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace load {

enum class kind { echo, http };

struct options {
    std::uint16_t port = 0;
    kind what = kind::echo;
    std::size_t size = 64;    // Bytes of a message, or of an answer's body.
    std::size_t streams = 1;  // Conversations, or transfers, at once.
    std::size_t idle = 0;     // Connections beside them that only stand there.
    std::chrono::microseconds duration{1'000'000};
    std::size_t count = 0;  // Ends after so many, too; 0: no such limit.
    double rate = 0;        // Arrivals a second; 0: each follows an answer.
    bool connect = false;   // A connection for each.
    bool up = false;        // Of bulk.
};

// The upstream: answers for ever. Prints `listening <port>` when ready.
void serve(std::uint16_t port);

// Questions and answers, closed loop or at a fixed rate; prints a histogram.
//
// At a rate, a question's time begins when it is due, not when it is sent: what waits because the
// one before it takes long is counted as waiting.
void ask(const options& chosen);

// Streams of bulk; prints `bytes` (all that was sent arrived), `seconds` and `gb_per_s`.
void bulk(const options& chosen);

// Opens `idle` connections, prints `idle <n>` and keeps them until stdin ends.
void stand_idle(const options& chosen);

}  // namespace load
