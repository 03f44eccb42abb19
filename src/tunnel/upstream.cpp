#include "tunnel/upstream.hpp"

#include "base/check.hpp"
#include "wire/proxy_protocol.hpp"

namespace tunnel_uring {

namespace {

host_port upstream_address(const service_config& config) {
    const result<host_port> parsed = parse_host_port(config.upstream);
    TU_ASSERT(parsed);
    host_port where = *parsed;
    if (where.host.empty() && !where.is_unix()) where.host = "localhost";
    return where;
}

// A byte stream that was used proves nothing: it never serves again.
pool_policy policy_of(const service_config& config) {
    pool_policy policy;
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
    int failure = 0;
    if (!acquired) {
        failure = acquired.error().code();
        out.sentence = acquired.error().message();
    } else {
        out.held = std::move(*acquired);
        const result<void> introduced = co_await introduce(out, visitor, stop);
        if (!introduced) {
            failure = introduced.error().code();
            out.sentence = introduced.error().message();
        }
    }
    if (failure != 0) out.refused = reason_of(failure);
    co_return std::move(out);
}

task<result<void>> upstream::introduce(outcome& out, const open_frame& visitor, cancel_token stop) {
    result<stream> detached = co_await out.held.detach();
    if (!detached) co_return detached.error();
    out.socket = std::move(*detached);
    if (config_.proxy_protocol == proxy_protocol::off) co_return result<void>{};
    const std::vector<std::byte> header = config_.proxy_protocol == proxy_protocol::v1
                                              ? proxy_header_v1(visitor.visitor, visitor.reached)
                                              : proxy_header_v2(visitor.visitor, visitor.reached);
    const result<void> sent = co_await out.socket.send_all(header, stop);
    co_return sent;
}

}  // namespace tunnel_uring
