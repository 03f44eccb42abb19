// Clients that ask and wait for the answer: one alone with a blocking socket, as a simple client
// has it, or many on one epoll.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <thread>
#include <vector>

#include "histogram.hpp"
#include "modes.hpp"
#include "talk.hpp"

namespace load {

namespace {

constexpr std::size_t scratch_bytes = most_message_bytes + 64 * 1024;

dialogue dialogue_of(const options& chosen) {
    return chosen.what == kind::http ? dialogue::http(chosen.size, chosen.connect)
                                     : dialogue::echo(chosen.size);
}

// When the n-th question is due at the chosen rate.
steady::time_point due_at(steady::time_point start, double rate, std::size_t number) {
    const std::chrono::duration<double> after(static_cast<double>(number) / rate);
    return start + std::chrono::duration_cast<steady::duration>(after);
}

// Sleeps until shortly before `due` and spins from there: waking up is not part of what is
// measured.
void wait_for(steady::time_point due) {
    const auto early = due - std::chrono::microseconds(100);
    if (steady::now() < early) std::this_thread::sleep_until(early);
    while (steady::now() < due) {
    }
}

void converse(int fd, dialogue& talk, std::vector<char>& scratch) {
    talk.restart();
    while (true) {
        const ssize_t got = ::recv(fd, scratch.data(), std::min(talk.room(), scratch.size()), 0);
        if (got == 0) throw std::runtime_error("a connection ended too early");
        if (got < 0) fail("recv");
        if (talk.take(scratch.data(), static_cast<std::size_t>(got))) return;
    }
}

// A connection on which the next question can be asked; what must be said first is in `words`.
socket_fd open_one(const options& chosen, const dialogue& talk) {
    socket_fd made = begin_connect(chosen.port, 0);
    if (!chosen.connect && !talk.greeting().empty())
        send_all(made.get(), talk.greeting().data(), talk.greeting().size());
    return made;
}

std::string words_of(const options& chosen, const dialogue& talk) {
    return chosen.connect ? talk.greeting() + talk.question() : talk.question();
}

// So many connections, each proven by one answer.
std::vector<socket_fd> open_idle(const options& chosen) {
    options plain = chosen;
    plain.connect = false;
    dialogue talk = dialogue_of(plain);
    std::vector<char> scratch(scratch_bytes);
    std::vector<socket_fd> all;
    for (std::size_t i = 0; i < chosen.idle; ++i) {
        all.push_back(open_one(plain, talk));
        send_all(all.back().get(), talk.question().data(), talk.question().size());
        converse(all.back().get(), talk, scratch);
    }
    return all;
}

void ask_alone(const options& chosen) {
    dialogue talk = dialogue_of(chosen);
    const std::string words = words_of(chosen, talk);
    std::vector<char> scratch(scratch_bytes);
    socket_fd connection;
    if (!chosen.connect) connection = open_one(chosen, talk);
    const auto once = [&] {
        if (chosen.connect) connection = open_one(chosen, talk);
        send_all(connection.get(), words.data(), words.size());
        converse(connection.get(), talk, scratch);
    };
    for (int warm_up = 0; warm_up < 10; ++warm_up) once();

    histogram taken;
    const auto start = steady::now();
    const auto end = start + chosen.duration;
    for (std::size_t number = 0; chosen.count == 0 || number < chosen.count; ++number) {
        auto began = steady::now();
        if (chosen.rate > 0) {
            began = due_at(start, chosen.rate, number);
            if (began >= end) break;
            wait_for(began);
        }
        if (began >= end) break;
        once();
        taken.add(steady::now() - began);
    }
    taken.print(steady::now() - start);
}

class crowd {
  public:
    explicit crowd(const options& chosen)
        : chosen_(chosen), scratch_(scratch_bytes), talkers_(chosen.streams) {
        for (talker& one : talkers_) {
            one.talk = dialogue_of(chosen);
            if (!chosen.connect) {
                one.connection = open_one(chosen, one.talk);
                poll_.watch(one.connection.get(), EPOLLIN, number_of(one));
            }
            free_.push_back(&one);
        }
        words_ = words_of(chosen, talkers_.front().talk);
    }

    void run() {
        start_ = steady::now();
        end_ = start_ + chosen_.duration;
        while (true) {
            const bool more = begin_what_is_due();
            if (!more && free_.size() == talkers_.size()) break;
            const auto step = [&](std::uint64_t tag) {
                advance(talkers_[static_cast<std::size_t>(tag)]);
            };
            if (more && chosen_.rate > 0 && waiting_.empty()) poll_.turn(next_due(), step);
            else poll_.turn(step);
        }
        taken_.print(steady::now() - start_);
    }

  private:
    struct talker {
        socket_fd connection;
        dialogue talk = dialogue::echo(1);
        steady::time_point began{};
        bool said = false;
    };

    std::uint64_t number_of(const talker& one) const {
        return static_cast<std::uint64_t>(&one - talkers_.data());
    }
    steady::time_point next_due() const { return due_at(start_, chosen_.rate, begun_); }
    bool may_begin(steady::time_point when) const {
        return when < end_ && (chosen_.count == 0 || begun_ < chosen_.count);
    }

    // Questions that are due find a free connection or wait for one; false when none will come.
    bool begin_what_is_due() {
        const auto now = steady::now();
        if (chosen_.rate == 0) {
            while (!free_.empty() && may_begin(now)) begin(now);
            return may_begin(now);
        }
        while (may_begin(next_due()) && next_due() <= now) {
            waiting_.push_back(next_due());
            ++begun_;
        }
        while (!free_.empty() && !waiting_.empty()) {
            --begun_;  // Counted when it became due.
            begin(waiting_.front());
            waiting_.pop_front();
        }
        return may_begin(next_due()) || !waiting_.empty();
    }

    void begin(steady::time_point due) {
        talker& one = *free_.back();
        free_.pop_back();
        ++begun_;
        one.began = due;
        one.talk.restart();
        one.said = !chosen_.connect;
        if (chosen_.connect) {
            one.connection = begin_connect(chosen_.port, SOCK_NONBLOCK);
            poll_.watch(one.connection.get(), EPOLLOUT, number_of(one));
        } else {
            send_all(one.connection.get(), words_.data(), words_.size());
        }
    }

    void advance(talker& one) {
        const int fd = one.connection.get();
        if (!one.said) {
            one.said = true;
            send_all(fd, words_.data(), words_.size());
            poll_.watch(fd, EPOLLIN, number_of(one), EPOLL_CTL_MOD);
            return;
        }
        const std::size_t room = std::min(one.talk.room(), scratch_.size());
        const ssize_t got = ::recv(fd, scratch_.data(), room, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got == 0) throw std::runtime_error("a connection ended too early");
        if (got < 0) fail("recv");
        if (!one.talk.take(scratch_.data(), static_cast<std::size_t>(got))) return;
        taken_.add(steady::now() - one.began);
        if (chosen_.connect) one.connection = socket_fd{};
        free_.push_back(&one);
        begin_what_is_due();
    }

    const options& chosen_;
    std::vector<char> scratch_;
    std::string words_;
    std::vector<talker> talkers_;
    std::vector<talker*> free_;
    std::deque<steady::time_point> waiting_;  // Due, and no connection was free.
    std::size_t begun_ = 0;
    steady::time_point start_{};
    steady::time_point end_{};
    histogram taken_;
    poller poll_;
};

}  // namespace

void ask(const options& chosen) {
    const std::vector<socket_fd> idle = open_idle(chosen);
    if (chosen.streams == 1) {
        ask_alone(chosen);
    } else {
        crowd{chosen}.run();
    }
}

void stand_idle(const options& chosen) {
    const std::vector<socket_fd> idle = open_idle(chosen);
    std::printf("idle %zu\n", idle.size());
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
}

}  // namespace load
