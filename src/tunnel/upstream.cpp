#include "tunnel/upstream.hpp"

#include "base/check.hpp"

namespace tunnel_uring {

upstream::upstream(io_context& io, name_source& names, const service_config& config,
                   std::uint64_t)
    : io_{io}, names_{names}, config_{config} {
    const result<host_port> where = parse_host_port(config.upstream);
    TU_ASSERT(where);
    where_ = *where;
    if (where_.host.empty() && !where_.is_unix()) where_.host = "localhost";
}

task<upstream::outcome> upstream::acquire(const open_frame&, cancel_token stop) {
    outcome out;
    if (connections_ >= config_.max_connections) {
        out.refused = reset_reason::no_room;
        out.sentence = "max_connections is reached";
        co_return std::move(out);
    }
    connections_ += 1;
    result<stream> dialed =
        co_await dial(io_, names_, where_, config_.pool.connection_timeout, stop);
    if (dialed) {
        out.socket = std::move(*dialed);
    } else {
        connections_ -= 1;
        out.refused = reset_reason::upstream_refused;
        out.sentence = dialed.error().message();
    }
    co_return std::move(out);
}

}  // namespace tunnel_uring
