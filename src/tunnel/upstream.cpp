#include "tunnel/upstream.hpp"

#include <poll.h>

#include "base/check.hpp"
#include "wire/proxy_protocol.hpp"

namespace tunnel_uring {

namespace {

constexpr duration early_word_limit = 100ms;

host_port upstream_address(const service_config& config) {
    const result<host_port> parsed = parse_host_port(config.upstream);
    TU_ASSERT(parsed);
    host_port where = *parsed;
    if (where.host.empty() && !where.is_unix()) where.host = "localhost";
    return where;
}

// A byte stream that was used proves nothing: it never serves again. Neither does one that was told
// by a PROXY header whose it is.
pool_policy policy_of(const service_config& config) {
    pool_policy policy;
    policy.reuse =
        config.type == service_kind::http && config.proxy_protocol == proxy_protocol::off;
    policy.server_speaks_first = config.speaks_first == first_speaker::server;
    policy.max_connections = config.max_connections;
    return policy;
}

reset_reason reason_of(int code) {
    switch (code) {
        case ECONNREFUSED:
        case ENOENT: return reset_reason::upstream_refused;
        case ETIMEDOUT: return reset_reason::upstream_timeout;
        case ENOBUFS:
        case EBUSY: return reset_reason::no_room;
        case EPROTO: return reset_reason::upstream_garbage;
        case ECANCELED:
        case ESHUTDOWN: return reset_reason::shutting_down;
        default: return reset_reason::upstream_unreachable;
    }
}

}  // namespace

upstream::upstream(io_context& io, name_source& names, const service_config& config,
                   std::uint64_t seed)
    : io_{io},
      names_{names},
      config_{config},
      where_{upstream_address(config)},
      pool_{io, *this, config.pool, policy_of(config), seed} {}

task<result<stream>> upstream::connect(cancel_token stop) {
    co_return co_await dial(io_, names_, where_, config_.pool.connection_timeout, stop);
}

task<upstream::outcome> upstream::acquire(open_frame visitor, cancel_token stop) {
    outcome out;
    result<lease> acquired = co_await pool_.acquire(stop);
    result<void> ready;
    if (!acquired) {
        ready = acquired.error();
    } else {
        out.held = std::move(*acquired);
        result<stream> detached = co_await out.held.detach();
        if (!detached) {
            ready = detached.error();
        } else {
            out.socket = std::move(*detached);
            ready = co_await introduce(out.socket, visitor, stop);
        }
    }
    if (!ready) {
        out.refused = reason_of(ready.error().code());
        out.sentence = ready.error().message();
    }
    co_return std::move(out);
}

task<upstream::loan> upstream::borrow(open_frame visitor, cancel_token stop) {
    loan out;
    result<lease> acquired = co_await pool_.acquire(stop);
    result<void> ready;
    if (!acquired) {
        ready = acquired.error();
    } else {
        out.held = std::move(*acquired);
        ready = co_await listen_first(out.held, stop);
        if (ready) ready = co_await introduce(out.held.socket(), visitor, stop);
    }
    if (!ready) {
        out.refused = reason_of(ready.error().code());
        out.sentence = ready.error().message();
    }
    co_return std::move(out);
}

// What an upstream says before it is asked must not be taken for the answer. Warm sockets have been
// listened to; so is a new one, once an upstream is known for it.
task<result<void>> upstream::listen_first(const lease& held, cancel_token stop) {
    if (held.warm() || !pool_.spoke_unasked()) co_return result<void>{};
    deadline limit{io_, early_word_limit, stop};
    const result<std::size_t> spoke = co_await held.socket().poll(POLLIN, limit.token());
    if (!spoke) co_return result<void>{};
    pool_.note_early_word();
    co_return error{EPROTO, "the upstream speaks before it is asked: is it an HTTP server?"};
}

task<> upstream::renew(loan& dead, open_frame visitor, cancel_token stop) {
    result<void> ready = co_await dead.held.renew(stop);
    if (ready) ready = co_await introduce(dead.held.socket(), visitor, stop);
    if (ready) co_return;
    dead.refused = reason_of(ready.error().code());
    dead.sentence = ready.error().message();
}

std::string upstream::authority() const {
    if (where_.is_unix()) return "localhost";
    return where_.port == 80 ? where_.host : where_.text();
}

task<result<void>> upstream::probe(cancel_token stop) {
    const result<stream> made = co_await connect(stop);
    if (!made) co_return made.error();
    co_return result<void>{};
}

task<result<void>> upstream::introduce(stream& socket, const open_frame& visitor,
                                       cancel_token stop) {
    if (config_.proxy_protocol == proxy_protocol::off) co_return result<void>{};
    const std::vector<std::byte> header = config_.proxy_protocol == proxy_protocol::v1
                                              ? proxy_header_v1(visitor.visitor, visitor.reached)
                                              : proxy_header_v2(visitor.visitor, visitor.reached);
    const result<void> sent = co_await socket.send_all(header, stop);
    co_return sent;
}

}  // namespace tunnel_uring
