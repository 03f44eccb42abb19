// agent: the end beside the services. Dials everything, keeps sessions with its relays, and never
// gives up.
#pragma once

#include <tunnel_uring/config.hpp>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "coro/nursery.hpp"
#include "net/dialer.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/control_channel.hpp"
#include "tunnel/observer.hpp"
#include "tunnel/session.hpp"
#include "tunnel/status.hpp"
#include "tunnel/upstream.hpp"
#include "wire/handshake.hpp"

namespace tunnel_uring {

class agent final : private exchange_host {
  public:
    // All outlive it. `seed` makes its jitter and names; the config is valid.
    agent(io_context& io, const agent_config& config, name_source& names, agent_observer& watcher,
          std::uint64_t seed);
    ~agent();

    // Serves. From `drain` on the relays send nothing new, and it returns when every exchange is
    // over or the grace has passed; from `stop` on it returns at once, its exchanges visibly reset.
    task<> run(cancel_token drain, cancel_token stop);

    const byte_counters& counters() const noexcept { return path_.counters; }
    agent_status status() const;
    const std::vector<std::unique_ptr<upstream>>& services() const noexcept { return services_; }

  private:
    struct relay_link;  // A relay, and what is remembered of it between sessions.
    struct live;        // One session.

    task<> supervise(relay_link& relay, cancel_token drain);
    task<std::string> begin(relay_link& relay, std::unique_ptr<live>& now, cancel_token stop);
    task<> hold(relay_link& relay, std::unique_ptr<live> now, cancel_token drain);
    task<> read_control(relay_link& relay, live& now);
    void register_service(relay_link& relay, live& now, std::uint32_t number);
    void register_names(live& now, std::uint32_t number);
    std::string stable_name(const service_config& service) const;
    task<> register_again(relay_link& relay, live& now, std::uint32_t number);
    task<> run_shared_lane(live& now, stream connection, std::uint32_t number);
    task<> keep_shared_lane(relay_link& relay, live& now);
    task<> keep_bulk_lanes(relay_link& relay, live& now);
    task<> dial_bulk_lane(relay_link& relay, live& now, bulk_direction direction);
    task<result<stream>> dial_lane(relay_link& relay, live& now, lane_hello hello);
    void opened(shared_lane& lane, std::uint32_t id, const open_frame& what) override;
    task<> serve(shared_lane& lane, std::uint32_t id, open_frame what);
    task<> serve_http(exchange& both, upstream& service, open_frame what);
    task<> serve_tcp(exchange& both, upstream& service, open_frame what);
    task<> probe(upstream& service);
    void listen_to(upstream& service);

    io_context& io_;
    const agent_config& config_;
    name_source& names_;
    agent_observer& watcher_;
    std::mt19937_64 random_;
    byte_path path_;
    instance_id instance_{};
    std::optional<token> token_;
    std::vector<std::unique_ptr<relay_link>> relays_;
    std::vector<std::unique_ptr<upstream>> services_;
    nursery sessions_;
    std::size_t exchanges_ = 0;
};

}  // namespace tunnel_uring
