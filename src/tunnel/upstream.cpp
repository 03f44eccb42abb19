#include "tunnel/upstream.hpp"

#include "base/check.hpp"
#include "tunnel/http_check.hpp"
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

// A byte stream that was used proves nothing: it never serves again. Neither does one that was told
// by a PROXY header whose it is.
pool_kind kind_of(const service_config& config) {
    if (config.pool.reuse == pool_reuse::off) return pool_kind::off;
    if (config.type == service_kind::http && config.proxy_protocol == proxy_protocol::off)
        return pool_kind::http;
    return config.speaks_first == first_speaker::server ? pool_kind::server_first
                                                        : pool_kind::client_first;
}

bool is_checked(const service_config& config) {
    const pool_config& pool = config.pool;
    switch (config.health_check.type) {
        case health_check_type::off: return false;
        case health_check_type::tcp:
        case health_check_type::http: return true;
        case health_check_type::automatic: break;
    }
    // Where connections are made without a visitor anyway.
    return pool.reuse != pool_reuse::off && pool.warm_up_size != 0;
}

pool_policy policy_of(const service_config& config) {
    const health_check_config& check = config.health_check;
    const pool_config& pool = config.pool;
    const duration none{0};
    pool_policy policy;
    policy.kind = kind_of(config);
    policy.max_connections = config.max_connections;
    policy.check_timeout = check.timeout == none ? pool.validation_timeout : check.timeout;
    policy.max_failures = check.max_failures == 0 ? pool.max_failures : check.max_failures;
    if (is_checked(config))
        policy.check_interval =
            check.interval == none ? pool.health_check_interval : check.interval;
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

// The pool's own word, not the upstream's.
bool is_unavailable(int code) { return code == ENOBUFS || code == EBUSY || code == EHOSTDOWN; }

}  // namespace

upstream::upstream(io_context& io, name_source& names, const service_config& config,
                   std::uint64_t seed)
    : io_{io},
      names_{io, names},
      config_{config},
      where_{upstream_address(config)},
      pool_{io, *this, config.pool, policy_of(config), seed} {}

task<result<stream>> upstream::connect(cancel_token stop) {
    result<stream> made = co_await dial(io_, names_, where_, config_.pool.connection_timeout, stop);
    // It may have moved.
    if (!made) names_.forget();
    co_return std::move(made);
}

task<result<void>> upstream::check(cancel_token stop) {
    result<stream> made = co_await connect(stop);
    if (!made) co_return made.error();
    if (config_.health_check.type != health_check_type::http) co_return result<void>{};
    const open_frame nobody;
    const result<void> introduced = co_await introduce(*made, nobody, stop);
    if (!introduced) co_return introduced.error();
    co_return co_await check_http(*made, authority(), config_.health_check, stop);
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

task<upstream::loan> upstream::borrow(open_frame visitor, bool repeatable, cancel_token stop) {
    loan out;
    acquire_options how;
    how.only_young = !repeatable;
    result<lease> acquired = co_await pool_.acquire(stop, how);
    result<void> ready;
    if (!acquired) {
        ready = acquired.error();
        out.unavailable = is_unavailable(ready.error().code());
        out.retry_after = std::max(out.retry_after, pool_.asked_again_in());
    } else {
        out.held = std::move(*acquired);
        ready = co_await introduce(out.held.socket(), visitor, stop);
    }
    if (!ready) {
        out.refused = reason_of(ready.error().code());
        out.sentence = ready.error().message();
    }
    co_return std::move(out);
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
