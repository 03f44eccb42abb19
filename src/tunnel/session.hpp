// session: one agent's presence at one relay, as either end holds it: shared lanes, bulk lanes both
// ways, and the watch over whether the peer is alive. (The control channel is its owner's: see
// agent_session and relay_session.)
#pragma once

#include <cstdint>
#include <string>

#include "coro/nursery.hpp"
#include "net/stream.hpp"
#include "tunnel/bulk_lane.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/shared_lane.hpp"
#include "tunnel/status.hpp"

namespace tunnel_uring {

struct heartbeat_limits {
    duration interval = 3s;  // A session silent this long is pinged,
    duration loss = 8s;      // and silent this long is dead.
};

// Makes the tasks that serve what the peer opens; agents only.
class exchange_host {
  public:
    virtual void opened(shared_lane& lane, std::uint32_t id, const open_frame& what) = 0;

  protected:
    ~exchange_host() = default;
};

class session final : private lane_owner {
  public:
    // `host` may be null: then an `open` from the peer is a protocol error.
    session(byte_path& path, end_role role, const heartbeat_limits& limits, exchange_host* host,
            cancel_token stop) noexcept;

    // The life of one connection of this session; returns why it ended, empty when it was retired.
    task<std::string> run_shared_lane(stream connection, std::uint32_t number);
    task<> run_bulk_sender(stream connection, std::uint32_t number);
    task<> run_bulk_receiver(stream connection, std::uint32_t number);
    // Pings when nothing is heard, and ends the session when nothing answers. Returns then, or when
    // the session is killed.
    task<> watch();

    // The usable lane with the fewest exchanges; nullptr when there is none.
    shared_lane* least_busy() noexcept;
    std::size_t shared_lanes() const noexcept { return lanes_count_; }
    std::size_t exchanges() const noexcept;
    lane_counts lanes() const noexcept;
    bulk_senders& bulk_out() noexcept { return bulk_out_; }
    bulk_receivers& bulk_in() noexcept { return bulk_in_; }

    // Whether lane `number` is there and takes new exchanges.
    bool serves(std::uint32_t number) noexcept;
    void retire_lane(std::uint32_t number) noexcept;
    // No new exchanges; the lanes end after their last one.
    void retire() noexcept;
    // Returns when every bulk lane that this end sent on has come back: what its last run carried
    // has been read, and closing loses nothing. To be awaited when the shared lanes are gone.
    task<> end_runs();
    // Everything ends now, visibly reset. Whoever is first gives the reason.
    void kill(std::string why) noexcept;
    const std::string& why_killed() const noexcept { return why_killed_; }
    cancel_token token() noexcept { return dying_.token(); }
    // True when the peer says anything within `limit`.
    task<bool> answers(duration limit);
    void heard() noexcept override { last_heard_ = path_.io.now(); }
    // Notified when a shared lane has come or gone.
    event& lanes_changed() noexcept { return lanes_changed_; }

  private:
    void opened(shared_lane& lane, std::uint32_t id, const open_frame& what) override;
    bool may_hear() noexcept;
    void ping_all() noexcept;

    byte_path& path_;
    const end_role role_;
    const heartbeat_limits limits_;
    exchange_host* const host_;
    cancel_source dying_;
    bulk_senders bulk_out_;
    bulk_receivers bulk_in_;
    intrusive_list<shared_lane> lanes_;
    std::size_t lanes_count_ = 0;
    bool retiring_ = false;
    time_point last_heard_;
    std::string why_killed_;
    event lanes_changed_;
};

}  // namespace tunnel_uring
