#include "net/dialer.hpp"

#include "coro/nursery.hpp"

namespace tunnel_uring {

namespace {

constexpr duration head_start = 250ms;  // RFC 8305, section 5.

// The addresses of each family in turn, beginning with the resolver's first.
std::vector<socket_address> interleave(const std::vector<socket_address>& found) {
    std::vector<socket_address> first;
    std::vector<socket_address> other;
    for (const socket_address& address : found)
        (address.family() == found.front().family() ? first : other).push_back(address);
    std::vector<socket_address> out;
    for (std::size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
        if (i < first.size()) out.push_back(first[i]);
        if (i < other.size()) out.push_back(other[i]);
    }
    return out;
}

struct race {
    io_context& io;
    cancel_source over;
    event progress;
    stream winner;
    int failure = ECONNREFUSED;
    std::size_t running = 0;
};

task<> attempt(race& all, socket_address to) {
    all.running += 1;
    result<stream> made = co_await stream::connect(all.io, to, all.over.token());
    all.running -= 1;
    if (made && !all.winner.valid()) {
        all.winner = std::move(*made);
        all.over.request();
    } else if (!made && !made.error().cancelled()) {
        all.failure = made.error().code();
    }
    all.progress.notify();
}

std::string sentence(const host_port& where, int code) {
    switch (code) {
        case ECONNREFUSED:
            return where.text() + " refused the connection: is anything listening there?";
        case ENOENT: return where.text() + " does not exist: is the service running?";
        case ETIMEDOUT: return where.text() + " did not answer in time";
        default: return where.text() + " cannot be reached: " + std::strerror(code);
    }
}

}  // namespace

task<result<stream>> dial(io_context& io, name_source& names, host_port where, duration limit,
                          cancel_token stop) {
    deadline within{io, limit, stop};
    const auto found = co_await names.resolve(where, within.token());
    if (!found) {
        if (within.expired_first()) co_return error{ETIMEDOUT, sentence(where, ETIMEDOUT)};
        co_return found.error();
    }
    race all{.io = io, .over = cancel_source{within.token()}, .progress = {}, .winner = {}};
    nursery attempts;
    const std::vector<socket_address> in_turn = interleave(*found);
    for (const socket_address& address : in_turn) {
        if (all.over.requested()) break;
        attempts.start(attempt(all, address));
        if (all.running == 0) {
            // It failed at once; that is no news for the next one's wait.
            all.progress.clear();
            continue;
        }
        deadline patience{io, head_start, all.over.token()};
        const result<void> woken = co_await all.progress.wait(patience.token());
        static_cast<void>(woken);
    }
    co_await attempts.join();
    if (all.winner.valid()) co_return std::move(all.winner);
    if (within.expired_first()) co_return error{ETIMEDOUT, sentence(where, ETIMEDOUT)};
    if (stop.requested()) co_return error{ECANCELED};
    co_return error{all.failure, sentence(where, all.failure)};
}

}  // namespace tunnel_uring
