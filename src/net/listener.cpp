#include "net/listener.hpp"

#include "net/address.hpp"

namespace tunnel_uring {

namespace {

constexpr int backlog = 4096;  // Capped by net.core.somaxconn.
// A full table empties as visitors leave; looking again this often costs nothing.
constexpr duration starved_pause = 50ms;
constexpr duration taken_patience = 1s;
constexpr duration taken_pause = 20ms;

error cannot_listen(const socket_address& where, int code) {
    const std::string at = format(where);
    if (where.family() == AF_UNIX)
        return error{code, "cannot listen on " + at + ": " + std::strerror(code)};
    switch (code) {
        case EADDRINUSE:
            return error{code, "cannot listen on " + at +
                                   ": the port is taken; choose another or stop what holds it"};
        case EACCES:
            return error{code, "cannot listen on " + at +
                                   ": not permitted; ports below 1024 need CAP_NET_BIND_SERVICE"};
        case EADDRNOTAVAIL:
            return error{code, "cannot listen on " + at +
                                   ": this host has no such address; 0.0.0.0 means all it has"};
        default: return error{code, "cannot listen on " + at + ": " + std::strerror(code)};
    }
}

}  // namespace

result<listener> listener::open(io_context& io, const socket_address& where) {
    backend& kernel = io.kernel();
    const result<int> fd = kernel.open_socket(where.family());
    if (!fd) return cannot_listen(where, fd.error().code());
    result<direct_fd> socket = direct_fd::adopt(io, *fd);
    if (!socket) return cannot_listen(where, socket.error().code());
    static_cast<void>(kernel.set_option(*fd, socket_option::reuse_address, 1));
    result<void> done = kernel.bind(*fd, where);
    if (done) done = kernel.listen(*fd, backlog);
    if (!done) return cannot_listen(where, done.error().code());
    const result<socket_address> bound = kernel.local_address(*fd);
    if (!bound) return cannot_listen(where, bound.error().code());
    return listener{io, std::move(*socket), *bound};
}

task<result<listener>> listener::open_patiently(io_context& io, socket_address where,
                                                cancel_token stop) {
    const time_point began = io.now();
    for (;;) {
        result<listener> opened = open(io, where);
        const bool taken = !opened && opened.error().code() == EADDRINUSE;
        if (!taken || io.now() - began >= taken_patience) co_return std::move(opened);
        const result<void> slept = co_await io.sleep(taken_pause, stop);
        if (!slept) co_return std::move(opened);
    }
}

task<result<stream>> acceptor::accept(cancel_token stop) {
    io_context& io = source_.io();
    for (;;) {
        if (!incoming_.armed() && !incoming_.waiting_completions()) {
            request what;
            what.code = opcode::accept;
            what.target = source_.get();
            incoming_.start(what);
        }
        const result<completion> got = co_await incoming_.next(stop);
        if (!got) co_return got.error();
        int failure = -got->result;
        if (got->result >= 0) {
            result<stream> accepted = stream::adopt(io, got->result);
            if (accepted) co_return std::move(accepted);
            failure = accepted.error().code();
        }
        if (failure == ECONNABORTED) continue;
        const result<void> slept = co_await io.sleep(starved_pause, stop);
        if (!slept) co_return slept.error();
    }
}

task<> acceptor::stop() {
    backend& kernel = source_.io().kernel();
    const auto discard = [&kernel](const completion& what) {
        if (what.result < 0) return;
        kernel.abort(what.result);  // A FIN would look like an answer.
        kernel.close(what.result);
    };
    co_await incoming_.stop(discard);
}

}  // namespace tunnel_uring
