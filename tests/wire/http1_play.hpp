// Plays bytes to an http_reader in pieces, and tells all that it said in a form that does not
// depend on the pieces.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

class http_player {
  public:
    using kind = http_reader::kind;
    using event = http_reader::event;

    struct message {
        std::string head;   // As it travels, and what is known of it.
        std::string start;  // Only as it travels.
        http_body framing;  // Of responses: declared.
        bool has_body = false;
        bool upgrade = false;
        std::string body;
        std::string trailers;
        int status = 0;  // Of responses; 200 for requests.
        bool complete = false;
        bool operator==(const message&) const = default;
    };

    http_player(kind what, const http_limits& limits = {}) : what_{what}, reader_{what, limits} {}
    http_reader& reader() { return reader_; }

    // A piece, in memory of its own and gone afterwards.
    void feed(bytes_view piece) {
        const std::vector<std::byte> own{piece.begin(), piece.end()};
        bytes_view input{own};
        std::vector<bytes_view> body;
        while (!failed) {
            const event came = reader_.read(input, body);
            for (const bytes_view one : body) messages.back().body += as_text(one);
            body.clear();
            if (came == event::head) on_head();
            if (came == event::complete) on_complete();
            failed = came == event::failed;
            if (came != event::more) continue;
            TU_ASSERT(input.empty());
            break;
        }
    }
    void end() {
        ended = reader_.end();
        if (ended == event::complete) on_complete();
    }
    void play(std::string_view all, std::size_t step) {
        for (bytes_view left = as_bytes(all); !left.empty();) {
            const bytes_view piece = left.first(std::min(step, left.size()));
            feed(piece);
            left = left.subspan(piece.size());
        }
    }

    // The statuses of a corpus' line.
    std::string verdict() const {
        std::string told;
        const auto add = [&told](const std::string& word) {
            told += (told.empty() ? "" : " ") + word;
        };
        for (const message& one : messages)
            if (one.complete) add(std::to_string(one.status));
        if (failed) add(std::to_string(reader_.fault().status));
        if (reader_.framing() == body_framing::until_close) add("open");
        return told;
    }
    bool same_as(const http_player& other) const {
        return messages == other.messages && failed == other.failed && ended == other.ended &&
               reader_.fault().sentence == other.reader_.fault().sentence;
    }

    std::vector<message> messages;
    bool failed = false;
    event ended = event::more;

  private:
    void on_head() {
        message& now = messages.emplace_back();
        now.has_body = reader_.framing() != body_framing::none;
        if (what_ == kind::request) {
            const request_head& head = reader_.request();
            now.start = head.text;
            now.framing = head.body;
            now.status = 200;
            now.upgrade = head.upgrade;
            now.head = head.text;
            for (const text_range part : {head.method, head.target, head.host})
                now.head.append(part.in(head.text)).append("\n");
            for (const bool flag : {head.http_1_0, head.keep_alive, head.expects_continue,
                                    head.upgrade, head.accepts_trailers})
                now.head += flag ? '1' : '0';
            now.head +=
                head.forwarded_for + "\n" + head.forwarded_proto + "\n" + head.forwarded_host;
        } else {
            const response_head& head = reader_.response();
            now.start = head.text;
            now.framing = head.declared;
            now.status = head.status;
            now.upgrade = head.switches();
            now.head = head.text + (head.keep_alive ? "1" : "0");
        }
    }
    void on_complete() {
        messages.back().complete = true;
        messages.back().trailers = reader_.trailers();
    }

    kind what_;
    http_reader reader_;
};

}  // namespace tunnel_uring
