// relay: the public end. Agents come in on the control address, visitors on a port per service.
#pragma once

#include <tunnel_uring/config.hpp>

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "coro/nursery.hpp"
#include "net/listener.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/control_channel.hpp"
#include "tunnel/http_front.hpp"
#include "tunnel/observer.hpp"
#include "tunnel/session.hpp"
#include "tunnel/status.hpp"
#include "wire/handshake.hpp"

namespace tunnel_uring {

class relay {
  public:
    // `config` and `watcher` outlive it. The config is valid: keys parse, ranges are in order.
    relay(io_context& io, const relay_config& config, relay_observer& watcher);
    ~relay();

    // Binds the control address, and that of http visitors. The error is a sentence.
    task<result<void>> listen();
    // After listen(): with the port that was chosen for 0.
    const socket_address& control_address() const noexcept { return control_at_; }
    // Where http visitors come in; nothing without `http.listen`.
    std::optional<socket_address> http_address() const noexcept;
    // Serves. From `drain` on it takes nothing new, and returns when every exchange is over or the
    // grace has passed; from `stop` on it returns at once, its exchanges visibly reset.
    task<> run(cancel_token drain, cancel_token stop);

    const byte_counters& counters() const noexcept { return path_.counters; }
    std::size_t agents() const noexcept { return by_id_.size(); }
    relay_status status() const;
    // It takes nothing new.
    bool draining() const noexcept { return draining_; }

  private:
    struct agent_link;    // One agent's session.
    struct place;         // What a service has: a port, or names.
    struct public_port;   // One service's port.
    struct public_names;  // One service's names.
    using place_key = std::variant<std::uint16_t, std::string>;

    task<> accept_agents(cancel_token stop);
    task<> greet(stream connection, cancel_token stop);
    task<> greet_control(stream connection, std::string from, cancel_token limit,
                         cancel_token stop);
    task<std::string> authenticate(agent_link& link, hello_message hello, cancel_token limit);
    task<> greet_lane(stream connection, connection_kind kind, cancel_token limit);
    task<> serve_agent(agent_link& link);
    task<> read_control(agent_link& link);
    task<> ask_for_bulk_lanes(agent_link& link);
    task<> register_service(agent_link& link, register_message asked);
    place* find_place(const place_key& where) noexcept;
    task<bool> free_place(agent_link& link, place_key where);
    task<std::optional<register_refused_message>> open_port(agent_link& link,
                                                            register_message asked);
    static void refuse(agent_link& link, std::uint32_t service, refusal code, std::string sentence);
    task<> register_names(agent_link& link, register_names_message asked);
    task<> hold_names(agent_link& link, register_names_message asked,
                      std::vector<std::string> names);
    task<> accept_visitors(agent_link& link, listener bound, register_message asked);
    task<> serve_visitor(shared_lane& lane, stream visitor, register_message service);

    bool allowed(const agent_link& link, std::uint16_t port) const noexcept;
    // The whole name, where the agent may have it; else why not.
    result<std::string> service_name(const agent_link& link, std::string_view asked) const;
    const token_grant* find_grant(const public_key& key) const;
    socket_address visitor_address(std::uint16_t port) const;

    io_context& io_;
    const relay_config& config_;
    relay_observer& watcher_;
    byte_path path_;
    std::optional<listener> control_;
    socket_address control_at_;
    nursery connections_;
    std::unordered_map<std::uint64_t, agent_link*> by_id_;
    std::map<std::uint16_t, public_port*> ports_;
    std::optional<http_front> http_;
    std::size_t greeting_ = 0;
    std::size_t exchanges_ = 0;
    bool draining_ = false;
    event idle_;
};

}  // namespace tunnel_uring
