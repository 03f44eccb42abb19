#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "modes.hpp"
#include "talk.hpp"

namespace load {

namespace {

bool says_close(const std::string& head) {
    static const std::string field = "\r\nconnection: close\r\n";
    for (std::size_t at = 0; (at = head.find("\r\n", at)) != std::string::npos; at += 2) {
        if (::strncasecmp(head.c_str() + at, field.c_str(), field.size()) == 0) return true;
    }
    return false;
}

// A whole response with a body of `size` bytes; of the last size that was asked for.
const std::string& response(std::size_t size) {
    static std::string made;
    static std::size_t made_size = SIZE_MAX;
    if (size != made_size) {
        made = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
               std::to_string(size) + "\r\n\r\n" + std::string(size, filler);
        made_size = size;
    }
    return made;
}

// One connection, from its first byte to its end.
class served {
  public:
    explicit served(socket_fd connection) : connection_(std::move(connection)) {}

    // Everything that can be done now; false when the connection is over.
    bool advance(std::vector<char>& scratch) {
        if (!source_ && !sink_ && message_.empty() && !http_) return begin(scratch);
        if (source_) return pour();
        if (sink_) return swallow(scratch);
        return http_ ? answer(scratch) : echo();
    }

    bool wants_to_write() const { return unsent_ > 0 || (source_ && !source_->done()); }

  private:
    bool begin(std::vector<char>& scratch) {
        char* at = reinterpret_cast<char*>(&head_) + head_size_;
        const ssize_t got = ::recv(connection_.get(), at, sizeof head_ - head_size_, 0);
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        head_size_ += static_cast<std::size_t>(got);
        if (reinterpret_cast<const char*>(&head_)[0] == 'G') {
            http_ = true;
            asked_.assign(reinterpret_cast<const char*>(&head_), head_size_);
        } else if (head_size_ < sizeof head_) {
            return true;
        } else if (head_.what == job::pour) {
            source_.emplace(steady::now() + std::chrono::microseconds(head_.size));
        } else if (head_.what == job::swallow) {
            sink_.emplace();
        } else if (head_.what == job::echo && head_.size > 0) {
            message_.resize(std::min(head_.size, most_message_bytes));
        } else {
            return false;
        }
        return advance(scratch);
    }

    // The client ends each connection: so its ports are the ones that wait.
    bool client_is_there(std::vector<char>& scratch) {
        return ::recv(connection_.get(), scratch.data(), 1, 0) < 0 && errno == EAGAIN;
    }

    bool pour() {
        char byte;
        source_->send_some(connection_.get());
        const ssize_t got = ::recv(connection_.get(), &byte, 1, 0);
        return got < 0 && errno == EAGAIN;
    }

    bool swallow(std::vector<char>& scratch) {
        for (int turn = 0; turn < turns_in_a_row && !sink_->done(); ++turn) {
            const ssize_t got = ::recv(connection_.get(), scratch.data(), scratch.size(), 0);
            if (got < 0) return errno == EAGAIN;
            if (got == 0) return false;
            sink_->take(scratch.data(), static_cast<std::size_t>(got));
            if (!sink_->done()) continue;
            const std::uint64_t total = sink_->bytes();
            send_all(connection_.get(), &total, sizeof total);
        }
        return !sink_->done() || client_is_there(scratch);
    }

    // A message is answered when it is whole, in one send.
    bool echo() {
        if (unsent_ > 0) return send_rest(message_.data() + (gathered_ - unsent_));
        const std::size_t room = message_.size() - gathered_;
        const ssize_t got = ::recv(connection_.get(), message_.data() + gathered_, room, 0);
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        gathered_ += static_cast<std::size_t>(got);
        if (gathered_ < message_.size()) return true;
        unsent_ = gathered_;
        return send_rest(message_.data());
    }

    bool send_rest(const char* from) {
        const ssize_t sent = ::send(connection_.get(), from, unsent_, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        unsent_ -= static_cast<std::size_t>(sent);
        if (unsent_ == 0) gathered_ = 0;
        return unsent_ > 0 || !closing_;
    }

    bool answer(std::vector<char>& scratch) {
        const std::string& whole = response(body_bytes_);
        if (unsent_ > 0) return send_rest(whole.data() + (whole.size() - unsent_));
        const ssize_t got = ::recv(connection_.get(), scratch.data(), 4096, 0);
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        asked_.append(scratch.data(), static_cast<std::size_t>(got));
        if (!asked_.ends_with("\r\n\r\n")) return asked_.size() < 64 * 1024;
        body_bytes_ = std::min<std::size_t>(std::strtoull(asked_.c_str() + 5, nullptr, 10),
                                            most_message_bytes);
        closing_ = says_close(asked_);
        asked_.clear();
        unsent_ = response(body_bytes_).size();
        return send_rest(response(body_bytes_).data());
    }

    socket_fd connection_;
    request head_{};
    std::size_t head_size_ = 0;
    std::optional<block_source> source_;
    std::optional<block_sink> sink_;
    std::vector<char> message_;
    std::size_t gathered_ = 0;
    std::size_t unsent_ = 0;
    bool http_ = false;
    bool closing_ = false;
    std::string asked_;
    std::size_t body_bytes_ = 0;
};

class server {
  public:
    explicit server(socket_fd listener) : listener_(std::move(listener)), scratch_(chunk_bytes) {
        poll_.watch(listener_.get(), EPOLLIN, tag(listener_.get()));
    }

    void turn() {
        poll_.turn(steady::now() + std::chrono::hours(1), [&](std::uint64_t which) {
            if (which == tag(listener_.get())) accept_all();
            else advance(static_cast<std::size_t>(which));
        });
    }

  private:
    struct entry {
        std::unique_ptr<served> connection;
        bool writing = false;
    };

    static std::uint64_t tag(int fd) { return static_cast<std::uint64_t>(fd); }

    void accept_all() {
        int fd;
        while ((fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
               0) {
            tune(fd);
            poll_.watch(fd, EPOLLIN, tag(fd));
            const auto place = static_cast<std::size_t>(fd);
            if (place >= open_.size()) open_.resize(place + 64);
            open_[place] = {std::make_unique<served>(socket_fd{fd}), false};
        }
    }

    void advance(std::size_t place) {
        entry& one = open_[place];
        bool going_on = false;
        try {
            going_on = one.connection->advance(scratch_);
        } catch (const std::runtime_error&) {
            // It left in the middle: normal for a server.
        }
        if (!going_on) {
            one.connection.reset();
        } else if (one.connection->wants_to_write() != one.writing) {
            one.writing = !one.writing;
            poll_.watch(static_cast<int>(place), one.writing ? EPOLLIN | EPOLLOUT : EPOLLIN, place,
                        EPOLL_CTL_MOD);
        }
    }

    socket_fd listener_;
    std::vector<char> scratch_;
    std::vector<entry> open_;  // By descriptor.
    poller poll_;
};

}  // namespace

void serve(std::uint16_t port) {
    auto [listener, chosen] = listen_on(port);
    std::printf("listening %d\n", chosen);
    std::fflush(stdout);
    server all{std::move(listener)};
    while (true) all.turn();
}

}  // namespace load
