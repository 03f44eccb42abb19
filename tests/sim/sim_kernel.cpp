#include "sim/sim_kernel.hpp"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>

#include "base/check.hpp"
#include "net/address.hpp"

namespace tunnel_uring::sim {

namespace {

constexpr std::size_t socket_buffer_bytes = 96 * 1024;
constexpr std::size_t pipe_bytes = 128 * 1024;
constexpr std::size_t vectors_limit = 1024;  // UIO_MAXIOV
constexpr duration latency = 100us;
constexpr auto junk = std::byte{0xDB};

bool is_fatal(int code) {
    return code == ECONNRESET || code == EPIPE || code == ETIMEDOUT || code == ECONNREFUSED;
}

std::uint64_t checksum(std::span<const iovec> vectors) {
    std::uint64_t sum = 14695981039346656037U;
    for (const iovec& vector : vectors) {
        const auto* const bytes = static_cast<const unsigned char*>(vector.iov_base);
        for (std::size_t i = 0; i < vector.iov_len; ++i) sum = (sum ^ bytes[i]) * 1099511628211U;
    }
    return sum;
}

std::size_t total_of(std::span<const iovec> vectors) {
    std::size_t total = 0;
    for (const iovec& vector : vectors) total += vector.iov_len;
    return total;
}

}  // namespace

struct kernel::socket {
    enum class kind { fresh, listening, connected, closed };
    kind state = kind::fresh;
    int family = AF_INET;
    socket_address local;
    socket_address remote;
    std::weak_ptr<socket> peer;
    std::deque<std::byte> received;
    std::size_t under_way = 0;  // Bytes sent here that have not arrived.
    time_point last_arrival{};  // What is sent later arrives later.
    bool end_received = false;  // Told by the peer, or by a shutdown of our own.
    bool fin_received = false;  // Told by the peer.
    bool end_sent = false;
    int broken = 0;  // An errno, told once; EPIPE or the end after.
    bool was_broken = false;
    bool linger_reset = false;
    bool v6_only = false;
    std::deque<socket_ptr> backlog;
    std::size_t backlog_limit = 0;
    std::uint64_t wakes = 1;  // Edges that a multishot poll sees.
};

struct kernel::operation {
    request what;
    std::uint64_t user_data = 0;
    socket_ptr target;
    int fail_with = 0;
    bool cancelled = false;
    bool cancel_was_lost = false;
    bool held = false;     // A late completion of it is under way.
    bool waiting = false;  // It was tried before.
    std::uint64_t wakes_seen = 0;
    std::uint64_t sent_checksum = 0;
    int connect_result = 1;  // Not known yet.
};

struct kernel::group_of_buffers {
    bytes_span memory;
    std::uint32_t size = 0;
    std::deque<std::uint16_t> home;
};

kernel::kernel(options what) : options_{std::move(what)}, random_{options_.seed} {}
kernel::~kernel() { TU_ASSERT(operations_.empty() && files_.empty() && pipes_.empty()); }

int kernel::count_operation() {
    seen_->operations += 1;
    acting_ = acting_ || seen_->operations == options_.act_at;
    if (seen_->operations != options_.fail_at) return 0;
    seen_->failures_injected += 1;
    return options_.fail_with;
}

void kernel::later(duration delay, std::function<void()> what) {
    happenings_.push({now_ + delay, order_++, std::move(what)});
}

kernel::socket_ptr kernel::find(int fd) const {
    const auto found = files_.find(fd);
    TU_ASSERT(found != files_.end());
    return found->second;
}

// ── asynchronous ──

void kernel::submit(const request& what, std::uint64_t user_data) {
    auto added = std::make_unique<operation>();
    added->what = what;
    added->user_data = user_data;
    TU_ASSERT(what.target.slot < slots_.size() && slots_[what.target.slot] != nullptr);
    added->target = slots_[what.target.slot];
    added->fail_with = count_operation();
    if (what.code == opcode::send) added->sent_checksum = checksum(what.vectors);
    if (what.code == opcode::connect && added->fail_with == 0) begin_connect(*added);
    operations_.emplace(user_data, std::move(added));
}

void kernel::cancel(std::uint64_t user_data) {
    const auto found = operations_.find(user_data);
    if (found != operations_.end()) found->second->cancelled = true;
}

std::size_t kernel::wait(time_point deadline, std::span<completion> out) {
    if (std::exchange(acting_, false)) options_.act();
    for (;;) {
        while (!happenings_.empty() && happenings_.top().when <= now_) {
            const std::function<void()> what = happenings_.top().what;
            happenings_.pop();
            what();
        }
        progress();
        const std::size_t count = collect(out);
        if (count > 0 || deadline <= now_) return count;
        time_point next = deadline;
        if (!happenings_.empty()) next = std::min(next, happenings_.top().when);
        if (next == time_point::max()) {
            std::fprintf(stderr, "the simulated world hangs: seed %llu, operation %llu\n",
                         static_cast<unsigned long long>(options_.seed),
                         static_cast<unsigned long long>(options_.fail_at));
            std::abort();
        }
        now_ = next;
    }
}

// Whatever can complete now does.
void kernel::progress() {
    std::vector<std::uint64_t> ready;
    ready.reserve(operations_.size());
    for (const auto& [user_data, what] : operations_) {
        if (!what->held) ready.push_back(user_data);
    }
    if (options_.chances.shuffled) std::shuffle(ready.begin(), ready.end(), random_);
    for (const std::uint64_t user_data : ready) {
        const auto found = operations_.find(user_data);
        completion done;
        done.user_data = user_data;
        if (!attempt(*found->second, done)) continue;
        operation& what = *found->second;
        if (what.what.code == opcode::send)
            TU_ASSERT(what.sent_checksum == checksum(what.what.vectors));
        const bool late = chance(options_.chances.late_completion);
        if (late) {
            seen_->late_completions += 1;
            what.held = true;
            const bool more = done.more;
            later(duration{random_() % 2'000'000}, [this, done, more] {
                finish(done);
                if (!more) return;
                const auto again = operations_.find(done.user_data);
                if (again != operations_.end()) again->second->held = false;
            });
        } else {
            finish(done);
        }
        if (!done.more) operations_.erase(found);
    }
}

void kernel::finish(const completion& done) { completions_.push_back(done); }

std::size_t kernel::collect(std::span<completion> out) {
    const std::size_t count = std::min(out.size(), completions_.size());
    std::copy_n(completions_.begin(), count, out.begin());
    completions_.erase(completions_.begin(),
                       completions_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
}

bool kernel::attempt(operation& what, completion& out) {
    if (what.fail_with != 0) {
        const bool fatal = is_fatal(what.fail_with);
        const bool poll = what.what.code == opcode::poll;
        // A poll tells of a broken connection by its events; it fails for reasons of its own.
        out.result = fatal && poll ? -ENOMEM : -what.fail_with;
        if (fatal && !poll) fail_socket(*what.target, what.fail_with);
        return true;
    }
    if (what.cancelled) {
        const bool poll = what.what.code == opcode::poll && what.what.multishot;
        if (poll && !what.cancel_was_lost && chance(options_.chances.cancel_lost)) {
            seen_->cancels_lost += 1;
            what.cancel_was_lost = true;
            what.cancelled = false;
            out.result = static_cast<std::int32_t>(readiness(*what.target) & POLLOUT);
            out.more = true;
            return true;
        }
        const bool won = chance(options_.chances.success_after_cancel);
        if (!won) {
            out.result = -ECANCELED;
            return true;
        }
    }
    bool done = false;
    switch (what.what.code) {
        case opcode::recv: done = attempt_receive(what, out); break;
        case opcode::send: done = attempt_send(what, out); break;
        case opcode::accept: done = attempt_accept(what, out); break;
        case opcode::poll: done = attempt_poll(what, out); break;
        case opcode::connect:
            done = what.connect_result <= 0;
            out.result = what.connect_result;
            break;
    }
    if (what.cancelled) {
        if (done) seen_->successes_after_cancel += 1;
        else out.result = -ECANCELED;
        out.more = false;
        return true;
    }
    if (done && out.more && chance(options_.chances.multishot_ends)) {
        seen_->multishots_ended += 1;
        out.more = false;
    }
    return done;
}

bool kernel::attempt_receive(operation& what, completion& out) {
    socket& from = *what.target;
    const bool readable = !from.received.empty() || from.end_received || from.broken != 0 ||
                          from.was_broken || from.state != socket::kind::connected;
    const bool first_try = !std::exchange(what.waiting, true);
    const bool selects = what.what.buffer_group != request::no_buffer_group;
    // A buffer is chosen before the socket is looked at.
    if (selects && (readable || first_try) && groups_.at(what.what.buffer_group)->home.empty()) {
        seen_->out_of_buffers += 1;
        out.result = -ENOBUFS;
        return true;
    }
    if (!readable) return false;
    if (from.received.empty()) {
        out.result = -what_follows_the_bytes(from);
        return true;
    }
    bytes_span into = what.what.memory;
    if (selects) {
        group_of_buffers& group = *groups_.at(what.what.buffer_group);
        out.buffer = group.home.front();
        group.home.pop_front();
        out.has_buffer = true;
        const std::size_t limit = what.what.multishot || into.empty()
                                      ? group.size
                                      : std::min<std::size_t>(into.size(), group.size);
        into = group.memory.subspan(std::size_t{out.buffer} * group.size, group.size);
        std::fill(into.begin(), into.end(), junk);
        into = into.first(limit);
    }
    out.result = static_cast<std::int32_t>(take_bytes(from, into));
    out.more = what.what.multishot;
    return true;
}

// To a receive: an errno, 0 for the end, or EAGAIN.
int kernel::what_follows_the_bytes(socket& of) {
    if (of.fin_received) return 0;
    if (of.broken != 0) {
        of.was_broken = true;
        return std::exchange(of.broken, 0);
    }
    if (of.end_received || of.was_broken) return 0;
    return of.state == socket::kind::connected ? EAGAIN : ENOTCONN;
}

bool kernel::attempt_send(operation& what, completion& out) {
    const result<std::size_t> sent = put_bytes(what.target, what.what.vectors);
    if (sent) out.result = static_cast<std::int32_t>(*sent);
    else out.result = -sent.error().code();
    return true;
}

bool kernel::attempt_accept(operation& what, completion& out) {
    socket& on = *what.target;
    if (on.backlog.empty()) return false;
    if (no_descriptors_) {
        out.result = -EMFILE;
        return true;
    }
    const int fd = next_fd_++;
    files_.emplace(fd, on.backlog.front());
    on.backlog.pop_front();
    out.result = fd;
    out.more = true;
    return true;
}

bool kernel::attempt_poll(operation& what, completion& out) {
    const socket& of = *what.target;
    // The kernel adds these to every mask (see uring_backend's send_flags).
    const std::uint32_t wanted = what.what.poll_events | POLLERR | POLLHUP | POLLRDHUP;
    const std::uint32_t mask = readiness(of) & wanted;
    if (!what.what.multishot) {
        out.result = static_cast<std::int32_t>(mask);
        return mask != 0;
    }
    if (what.wakes_seen == of.wakes) return false;
    what.wakes_seen = of.wakes;
    out.result = static_cast<std::int32_t>(mask);
    out.more = true;
    return mask != 0;
}

std::uint32_t kernel::readiness(const socket& of) {
    std::uint32_t mask = 0;
    if (of.state == socket::kind::listening) return of.backlog.empty() ? 0 : POLLIN;
    const socket_ptr peer = of.peer.lock();
    const bool gone = of.broken != 0 || of.was_broken;
    if (!of.received.empty() || of.end_received || gone) mask |= POLLIN;
    if (of.end_received || gone) mask |= POLLRDHUP;
    if (gone) mask |= POLLHUP;
    if (of.broken != 0) mask |= POLLERR;
    if (of.end_received && of.end_sent) mask |= POLLHUP;
    if (gone || peer == nullptr ||
        peer->received.size() + peer->under_way < socket_buffer_bytes * 2 / 3)
        mask |= POLLOUT;
    return mask;
}

void kernel::begin_connect(operation& what) {
    const socket_ptr from = what.target;
    const socket_address to = *what.what.address;
    const std::uint64_t user_data = what.user_data;
    later(latency + duration{random_() % 50'000},
          [this, from, to, user_data] { knock(from, to, user_data, 1s); });
}

kernel::socket_ptr kernel::listener_at(const socket_address& where) const {
    socket_address any_v4 = to_socket_address(ip_endpoint{.family = ip_family::v4});
    socket_address any_v6 = to_socket_address(ip_endpoint{.family = ip_family::v6});
    set_port(any_v4, port_of(where));
    set_port(any_v6, port_of(where));
    const bool v4 = where.family() == AF_INET;
    if (const auto found = listeners_.find(format(where)); found != listeners_.end())
        return found->second;
    if (const auto found = listeners_.find(format(any_v4)); v4 && found != listeners_.end())
        return found->second;
    const auto found = listeners_.find(format(any_v6));
    if (found == listeners_.end() || where.family() == AF_UNIX) return nullptr;
    return v4 && found->second->v6_only ? nullptr : found->second;
}

// A full queue drops what knocks, which knocks again after 1 s, 2 s, ... 64 s (tcp(7),
// tcp_syn_retries).
void kernel::knock(const socket_ptr& from, const socket_address& to, std::uint64_t user_data,
                   duration again) {
    const auto asked = operations_.find(user_data);
    if (asked == operations_.end() || from->state != socket::kind::fresh) return;
    const socket_ptr door = listener_at(to);
    if (door == nullptr) {
        asked->second->connect_result = to.family() == AF_UNIX ? -ENOENT : -ECONNREFUSED;
        return;
    }
    if (door->backlog.size() > door->backlog_limit) {
        if (again > 64s) {
            asked->second->connect_result = -ETIMEDOUT;
            return;
        }
        later(again, [this, from, to, user_data, again] { knock(from, to, user_data, again * 2); });
        return;
    }
    const auto other = std::make_shared<socket>();
    other->state = from->state = socket::kind::connected;
    other->family = from->family;
    other->local = from->remote = to;
    from->local = to;
    set_port(from->local, next_port_++);
    other->remote = from->local;
    other->peer = from;
    from->peer = other;
    door->backlog.push_back(other);
    door->wakes += 1;
    asked->second->connect_result = 0;
}

// ── bytes ──

std::size_t kernel::take_bytes(socket& from, bytes_span into) {
    std::size_t count = std::min(into.size(), from.received.size());
    if (count > 1 && chance(options_.chances.short_receive)) {
        seen_->short_receives += 1;
        count = 1 + random_() % count;
    }
    const auto end = from.received.begin() + static_cast<std::ptrdiff_t>(count);
    std::copy(from.received.begin(), end, into.begin());
    from.received.erase(from.received.begin(), end);
    std::fill(into.begin() + static_cast<std::ptrdiff_t>(count), into.end(), junk);
    if (const socket_ptr peer = from.peer.lock()) peer->wakes += 1;
    return count;
}

result<std::size_t> kernel::put_bytes(const socket_ptr& from, std::span<const iovec> vectors) {
    if (from->broken != 0) {
        from->was_broken = true;
        return error{std::exchange(from->broken, 0)};
    }
    if (vectors.size() > vectors_limit) return error{EMSGSIZE};
    if (from->was_broken || from->end_sent) return error{EPIPE};
    const socket_ptr to = from->peer.lock();
    if (from->state != socket::kind::connected) return error{ENOTCONN};
    if (to == nullptr) {
        // Nobody is there any more: the answer is a reset.
        deliver(from, [this](socket& at) { reset_arrives(at); });
        return total_of(vectors);
    }
    const std::size_t used = to->received.size() + to->under_way;
    const std::size_t room = socket_buffer_bytes - std::min(socket_buffer_bytes, used);
    std::size_t count = std::min(total_of(vectors), room);
    if (count == 0 && total_of(vectors) > 0) {
        seen_->sends_without_room += 1;
        return error{EAGAIN};
    }
    if (count > 1 && chance(options_.chances.short_send)) {
        seen_->short_sends += 1;
        count = 1 + random_() % count;
    }
    std::vector<std::byte> bytes;
    bytes.reserve(count);
    for (const iovec& vector : vectors) {
        const auto* const first = static_cast<const std::byte*>(vector.iov_base);
        const std::size_t part = std::min(vector.iov_len, count - bytes.size());
        bytes.insert(bytes.end(), first, first + part);
    }
    to->under_way += count;
    deliver(to, [bytes = std::move(bytes)](socket& at) {
        at.under_way -= bytes.size();
        at.received.insert(at.received.end(), bytes.begin(), bytes.end());
    });
    return count;
}

void kernel::deliver(const socket_ptr& to, std::function<void(socket&)> what) {
    const duration delay = latency + duration{random_() % 200'000};
    to->last_arrival = std::max(to->last_arrival, now_ + delay);
    later(to->last_arrival - now_, [this, to, what = std::move(what)] {
        what(*to);
        to->wakes += 1;
        // What reaches a socket that is closed is answered with a reset.
        if (to->state == socket::kind::closed) send_reset(*to);
    });
}

void kernel::send_reset(socket& from) {
    const socket_ptr to = from.peer.lock();
    if (to == nullptr || to->state != socket::kind::connected) return;
    from.peer.reset();
    deliver(to, [this](socket& at) { reset_arrives(at); });
}

// After a FIN it is EPIPE, told to sends only.
void kernel::reset_arrives(socket& at) {
    if (at.broken != 0 || at.was_broken) return;
    seen_->resets += 1;
    at.broken = at.fin_received ? EPIPE : ECONNRESET;
}

void kernel::send_end(const socket_ptr& from) {
    if (std::exchange(from->end_sent, true)) return;
    const socket_ptr to = from->peer.lock();
    if (to != nullptr) deliver(to, [](socket& at) { at.end_received = at.fin_received = true; });
}

// The operation that tells of an error uses it up; EPIPE alone tells of none.
void kernel::fail_socket(socket& which, int code) {
    if (which.state != socket::kind::connected) return;
    send_reset(which);
    if (code == EPIPE && !which.end_received) which.broken = ECONNRESET;
    else which.was_broken = true;
    which.wakes += 1;
}

// ── buffers ──

result<void> kernel::add_buffers(std::uint16_t group, bytes_span memory, std::uint32_t count,
                                 std::uint32_t size) {
    auto added = std::make_unique<group_of_buffers>();
    added->memory = memory;
    added->size = size;
    for (std::uint32_t id = 0; id < count; ++id)
        added->home.push_back(static_cast<std::uint16_t>(id));
    groups_.emplace(group, std::move(added));
    return {};
}

void kernel::provide_buffer(std::uint16_t group, std::uint16_t buffer) {
    group_of_buffers& home = *groups_.at(group);
    TU_ASSERT(std::find(home.home.begin(), home.home.end(), buffer) == home.home.end());
    const bytes_span memory = home.memory.subspan(std::size_t{buffer} * home.size, home.size);
    std::fill(memory.begin(), memory.end(), junk);
    home.home.push_back(buffer);
}

void kernel::remove_buffers(std::uint16_t group) { groups_.erase(group); }

// ── immediate ──

result<int> kernel::open_socket(int family) {
    if (const int code = count_operation()) return error{code};
    if (no_descriptors_) return error{EMFILE};
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) return error{EAFNOSUPPORT};
    const auto made = std::make_shared<socket>();
    made->family = family;
    files_.emplace(next_fd_, made);
    return next_fd_++;
}

result<std::uint32_t> kernel::attach(int fd) {
    if (const int code = count_operation()) return error{code};
    if (free_slots_.empty()) {
        if (slots_.size() == options_.files) return error{ENFILE};
        free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = find(fd);
    return slot;
}

void kernel::detach(std::uint32_t slot) {
    slots_[slot].reset();
    free_slots_.push_back(slot);
}

result<void> kernel::bind(int fd, const socket_address& address) {
    if (const int code = count_operation()) return error{code};
    const socket_ptr which = find(fd);
    which->local = address;
    if (port_of(address) == 0) set_port(which->local, next_port_++);
    if (listeners_.contains(format(which->local))) return error{EADDRINUSE};
    return {};
}

result<void> kernel::listen(int fd, int backlog) {
    if (const int code = count_operation()) return error{code};
    const socket_ptr which = find(fd);
    which->state = socket::kind::listening;
    which->backlog_limit = static_cast<std::size_t>(backlog);
    if (!listeners_.emplace(format(which->local), which).second) return error{EADDRINUSE};
    return {};
}

result<socket_address> kernel::local_address(int fd) { return find(fd)->local; }

result<socket_address> kernel::peer_address(int fd) {
    const socket_ptr which = find(fd);
    if (which->state != socket::kind::connected) return error{ENOTCONN};
    return which->remote;
}

result<void> kernel::set_option(int fd, socket_option option, int value) {
    if (const int code = count_operation()) return error{code};
    if (option == socket_option::linger_reset) find(fd)->linger_reset = value != 0;
    if (option == socket_option::v6_only) find(fd)->v6_only = value != 0;
    return {};
}

result<std::size_t> kernel::try_send(int fd, std::span<const iovec> vectors) {
    const socket_ptr from = find(fd);
    if (const int code = count_operation()) {
        if (is_fatal(code)) fail_socket(*from, code);
        return error{code};
    }
    return put_bytes(from, vectors);
}

result<std::size_t> kernel::try_receive(int fd, bytes_span memory) {
    socket& from = *find(fd);
    if (const int code = count_operation()) {
        if (is_fatal(code)) fail_socket(from, code);
        return error{code};
    }
    if (!from.received.empty()) return take_bytes(from, memory);
    const int code = what_follows_the_bytes(from);
    if (code != 0) return error{code};
    return std::size_t{0};
}

result<pipe_ends> kernel::open_pipe(std::size_t wanted) {
    if (const int code = count_operation()) return error{code};
    const pipe_ends made{next_fd_ + 1, next_fd_, std::min(wanted, pipe_bytes)};
    next_fd_ += 2;
    pipes_[made.out];
    return made;
}

void kernel::close_pipe(const pipe_ends& which) { pipes_.erase(which.out); }

result<std::size_t> kernel::splice_in(int fd, const pipe_ends& to, std::size_t most) {
    std::vector<std::byte>& pipe = pipes_.at(to.out);
    std::vector<std::byte> bytes(std::min(most, to.room - pipe.size()));
    if (bytes.empty()) return error{EAGAIN};
    const result<std::size_t> got = try_receive(fd, bytes);
    if (!got) return got;
    seen_->splices += 1;
    pipe.insert(pipe.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*got));
    return got;
}

result<std::size_t> kernel::splice_out(const pipe_ends& from, int fd, std::size_t bytes) {
    std::vector<std::byte>& pipe = pipes_.at(from.out);
    const iovec all{.iov_base = pipe.data(), .iov_len = std::min(bytes, pipe.size())};
    const result<std::size_t> sent = try_send(fd, {&all, 1});
    if (sent) pipe.erase(pipe.begin(), pipe.begin() + static_cast<std::ptrdiff_t>(*sent));
    return sent;
}

result<void> kernel::shutdown(int fd, shutdown_side side) {
    if (const int code = count_operation()) return error{code};
    const socket_ptr which = find(fd);
    if (which->state != socket::kind::connected) return error{ENOTCONN};
    if (side != shutdown_side::receive) send_end(which);
    if (side != shutdown_side::send) which->end_received = true;
    which->wakes += 1;
    return {};
}

void kernel::abort(int fd) {
    socket& which = *find(fd);
    send_reset(which);
    which.received.clear();
    if (which.state == socket::kind::connected && !which.was_broken) which.broken = ECONNRESET;
    which.wakes += 1;
}

void kernel::close(int fd) {
    const socket_ptr which = find(fd);
    if (which->state == socket::kind::listening) {
        for (const socket_ptr& waiting : which->backlog) {
            send_reset(*waiting);
            waiting->state = socket::kind::closed;
        }
        listeners_.erase(format(which->local));
    } else if (which->linger_reset || !which->received.empty()) {
        send_reset(*which);
    } else if (which->state == socket::kind::connected) {
        send_end(which);
    }
    which->state = socket::kind::closed;
    files_.erase(fd);
}

}  // namespace tunnel_uring::sim
