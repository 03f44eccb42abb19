#include "talk.hpp"

#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace load {

namespace {

constexpr char more = 'm';
constexpr char last = 'l';
constexpr std::size_t most_head_bytes = 16 * 1024;

std::vector<char> blocks(char first, std::size_t bytes) {
    std::vector<char> made(bytes, filler);
    for (std::size_t at = 0; at < bytes; at += block_bytes) made[at] = first;
    return made;
}

const std::string& pattern() {
    static const std::string filled(most_message_bytes, filler);
    return filled;
}

// The Content-Length of a head; throws when it is not a 200 that has one.
std::size_t length_of_ok(const std::string& head) {
    if (!head.starts_with("HTTP/1.1 200 "))
        throw std::runtime_error("answered " + head.substr(0, head.find('\r')));
    static const std::string name = "\r\ncontent-length:";
    for (std::size_t at = 0; (at = head.find("\r\n", at)) != std::string::npos; at += 2) {
        if (::strncasecmp(head.c_str() + at, name.c_str(), name.size()) == 0)
            return std::strtoull(head.c_str() + at + name.size(), nullptr, 10);
    }
    throw std::runtime_error("an answer without Content-Length");
}

}  // namespace

void block_source::send_some(int fd) {
    static const std::vector<char> many = blocks(more, chunk_bytes + block_bytes);
    static const std::vector<char> final_one = blocks(last, block_bytes);
    for (int turn = 0; turn < turns_in_a_row && !done(); ++turn) {
        if (end_ == UINT64_MAX && steady::now() >= until_)
            end_ = (sent_ + block_bytes - 1) / block_bytes * block_bytes + block_bytes;
        const std::uint64_t last_begins = end_ - block_bytes;
        const bool at_last = end_ != UINT64_MAX && sent_ >= last_begins;
        const std::size_t offset = sent_ % block_bytes;
        const char* from = (at_last ? final_one : many).data() + offset;
        const std::size_t size = at_last
                                     ? block_bytes - offset
                                     : std::min<std::uint64_t>(chunk_bytes, last_begins - sent_);
        const ssize_t moved = ::send(fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (moved < 0 && errno == EAGAIN) return;
        if (moved <= 0) fail("a stream broke");
        sent_ += static_cast<std::uint64_t>(moved);
    }
}

void block_sink::take(const char* bytes, std::size_t size) {
    std::size_t at = (block_bytes - received_ % block_bytes) % block_bytes;
    for (; at < size; at += block_bytes) {
        if (end_ != UINT64_MAX) break;
        if (bytes[at] == last) end_ = received_ + at + block_bytes;
        else if (bytes[at] != more) throw std::runtime_error("a stream lost bytes");
    }
    received_ += size;
    if (received_ > end_) throw std::runtime_error("a stream goes on after its end");
}

dialogue dialogue::echo(std::size_t size) {
    dialogue made;
    const request head{job::echo, size};
    made.greeting_.assign(reinterpret_cast<const char*>(&head), sizeof head);
    made.question_ = pattern().substr(0, size);
    made.size_ = size;
    return made;
}

dialogue dialogue::http(std::size_t size, bool close) {
    dialogue made;
    made.question_ = "GET /" + std::to_string(size) + " HTTP/1.1\r\nHost: " + host_name +
                     "\r\nUser-Agent: load\r\nAccept: */*\r\n" +
                     (close ? "Connection: close\r\n\r\n" : "\r\n");
    made.has_head_ = true;
    made.size_ = size;
    return made;
}

std::size_t dialogue::room() const {
    return size_ - received_ + (has_head_ && received_ == 0 ? most_head_bytes : 0);
}

void dialogue::read_head(const char*& bytes, std::size_t& size) {
    const std::size_t before = head_.size();
    head_.append(bytes, size);
    const std::size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    if (end == std::string::npos) {
        if (head_.size() > most_head_bytes)
            throw std::runtime_error("an answer's head is too long");
        size = 0;
        return;
    }
    head_.resize(end + 4);
    if (length_of_ok(head_) != size_) throw std::runtime_error("an answer of another length");
    const std::size_t used = head_.size() - before;
    bytes += used;
    size -= used;
}

bool dialogue::take(const char* bytes, std::size_t size) {
    if (has_head_ && !head_.ends_with("\r\n\r\n")) {
        read_head(bytes, size);
        if (!head_.ends_with("\r\n\r\n")) return false;
    }
    if (size > size_ - received_) throw std::runtime_error("more bytes than an answer has");
    if (std::memcmp(bytes, pattern().data(), size) != 0) throw std::runtime_error("a wrong answer");
    received_ += size;
    return received_ == size_;
}

}  // namespace load
