// A relay, an agent, upstreams and visitors in one simulated world, and what must hold of every
// byte between them.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/listener.hpp"
#include "net/resolver.hpp"
#include "sim/drivers.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/relay.hpp"

namespace tunnel_uring::sim {

// The bytes of one direction, by position: whoever receives can tell what was sent.
inline std::byte pattern(std::uint64_t key, std::uint64_t position) {
    return static_cast<std::byte>((key * 131 + position * 7 + position / 251) & 0xFFU);
}

// How one direction of a connection ended for the one who reads it.
struct heard {
    std::uint64_t bytes = 0;
    bool wrong = false;  // A byte was not the next one.
    bool clean = false;  // The end of the stream, and no error.
};

// Reads to the end, or `limit` bytes; pauses `pause` after each piece.
task<heard> listen_to(stream& from, std::uint64_t key, std::uint64_t limit, duration pause,
                      cancel_token stop);
// False when the connection broke.
task<bool> say(stream& to, std::uint64_t key, std::uint64_t bytes, cancel_token stop);

// What the upstream does with each connection; it breaks visibly when something fails.
enum class habit {
    echo,           // Says back what it hears, to the end.
    answer_at_end,  // Hears all, then says `bytes`.
    speak_first,    // Says `bytes` at once, then hears all.
    speak_and_end,  // Says `bytes` and ends, hearing all meanwhile.
    hang_up,        // Resets after the first bytes.
};

// Knows where a service is open.
class service_watcher final : public relay_observer, public agent_observer {
  public:
    void agent_connected(std::string_view, std::string_view) override {}
    void agent_gone(std::string_view, std::string_view) override {}
    void connection_refused(std::string_view, std::string_view) override {}
    void port_opened(std::string_view, std::string_view, std::string_view) override {}
    void port_closed(std::string_view, std::string_view, std::string_view) override {}
    void connected(std::string_view) override {}
    void disconnected(std::string_view, std::string_view) override { open = false; }
    void retrying(std::string_view, std::string_view, std::uint32_t, duration) override {}
    void refused(std::string_view, std::uint16_t, std::string_view) override {}
    void service_open(std::string_view, std::span<const std::string> urls) override {
        open = true;
        where = urls.front().substr(std::string_view{"tcp://"}.size());
        changed.notify_all();
    }
    void service_refused(std::string_view, std::uint16_t, std::string_view) override {}
    void upstream_down(std::string_view, std::string_view) override {}
    void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
    void request_ended(const request_report&) override {}

    bool open = false;
    std::string where;
    event changed;
};

class world {
  public:
    world(io_context& io, run_facts& facts);

    // Relay up, agent connected, its service open; false when that failed (only with faults).
    task<bool> start(habit what, std::uint64_t bytes = 0);
    // A service whose upstream refuses.
    task<bool> start_refused();
    // Everything drained and joined.
    task<> finish();

    task<result<stream>> visit();
    // A visitor that says `up` bytes, half-closes, and must hear `down` (the echo, or what the
    // habit says); checks what it hears. True when the exchange was complete.
    task<bool> converse(std::uint64_t up, std::uint64_t down, duration pause = {});
    void start_agent();
    task<> stop_agent(bool at_once);
    task<bool> start_relay();
    task<> stop_relay(bool at_once);
    task<bool> wait_open();

    io_context& io;
    run_facts& facts;
    const relay& front() const { return *relay_; }
    const agent& back() const { return *agent_; }

  private:
    task<> serve_upstream(habit what, std::uint64_t bytes);
    task<> serve_one(stream visitor, habit what, std::uint64_t bytes);

    relay_config relay_config_;
    agent_config agent_config_;
    service_watcher watcher_;
    resolver names_;
    std::optional<listener> upstream_;
    cancel_source upstream_over_;
    nursery upstream_tasks_;
    std::set<std::uint64_t> promised_;  // How many bytes a visitor may have said in all.
    std::optional<relay> relay_;
    std::optional<agent> agent_;
    std::optional<cancel_source> relay_drain_;
    std::optional<cancel_source> relay_stop_;
    std::optional<cancel_source> agent_drain_;
    std::optional<cancel_source> agent_stop_;
    std::optional<nursery> relay_task_;
    std::optional<nursery> agent_task_;
};

}  // namespace tunnel_uring::sim
