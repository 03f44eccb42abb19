// Answers that the relay itself gives: a status, and a text that says what and the remedy.
#pragma once

#include <cstdint>
#include <string>

#include "wire/frame.hpp"

namespace tunnel_uring {

struct http_answer {
    std::uint16_t status = 0;
    std::string sentence;
    std::string advice;             // What whoever asked can do about it; may be empty.
    std::uint32_t retry_after = 0;  // Seconds; 0: not told.
};

// What a visitor is told whose exchange was reset before there was an answer.
http_answer answer_to(reset_reason why, std::string_view service);

// The whole message; without its body when it answers a HEAD.
std::string compose(const http_answer& what, bool to_head, bool stays);

}  // namespace tunnel_uring
