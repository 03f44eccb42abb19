// http_front: the relay's http listener: visitors come in, and each of their requests goes to the
// service whose name it says.
#pragma once

#include <tunnel_uring/config.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_network.hpp"
#include "coro/nursery.hpp"
#include "net/listener.hpp"
#include "tunnel/byte_path.hpp"
#include "tunnel/http_names.hpp"
#include "tunnel/observer.hpp"

namespace tunnel_uring {

class http_front {
  public:
    // `exchanges` counts those of the whole relay, at most `exchanges_limit`. All outlive it; the
    // config is valid, and has `listen`.
    http_front(io_context& io, const http_front_config& config, byte_path& path,
               relay_observer& watcher, std::size_t& exchanges, std::size_t exchanges_limit);

    // The error is a sentence.
    task<result<void>> listen();
    // After listen().
    const socket_address& address() const noexcept { return source_->address(); }

    // Serves. From `drain` on idle visitors are let go, and others after the answer they wait for;
    // from `stop` on all of them at once. Returns when the last is gone.
    task<> run(cancel_token drain, cancel_token stop);

    // ── names ──
    http_names& names() noexcept { return names_; }
    const http_names& names() const noexcept { return names_; }
    // "app" → "app.<domain>".
    std::string below_domain(std::string_view name) const;
    // The part of `name` below the domain; nothing where it is elsewhere.
    std::optional<std::string_view> subdomain_of(std::string_view name) const noexcept;
    // Where visitors reach a name.
    std::string url(std::string_view name) const;

    // ── for its visitors ──
    io_context& io() noexcept { return io_; }
    const http_front_config& config() const noexcept { return config_; }
    byte_path& path() noexcept { return path_; }
    relay_observer& watcher() noexcept { return watcher_; }
    bool draining() const noexcept { return draining_; }
    std::size_t visitors() const noexcept { return visitors_count_; }
    cancel_token drain_token() noexcept { return drain_.token(); }
    cancel_token stop_token() noexcept { return visitors_.token(); }
    bool is_trusted(const ip_endpoint& who) const noexcept;
    // "http" or "https", as visitors see it.
    std::string_view scheme() const noexcept { return scheme_; }

    // A request under way, counted for the relay and for its visitor's address.
    class admission {
      public:
        // Neither limit is reached when it converts to true.
        admission(http_front& front, const ip_endpoint& visitor);
        admission(const admission&) = delete;
        admission& operator=(const admission&) = delete;
        ~admission();
        enum class verdict : std::uint8_t { admitted, relay_full, address_full };
        verdict outcome() const noexcept { return outcome_; }

      private:
        http_front& front_;
        std::map<std::array<std::byte, 16>, std::uint32_t>::iterator of_address_;
        verdict outcome_ = verdict::admitted;
    };

  private:
    task<> accept_visitors(cancel_token stop);
    task<> serve(stream connection);

    io_context& io_;
    const http_front_config& config_;
    byte_path& path_;
    relay_observer& watcher_;
    std::size_t& exchanges_;
    const std::size_t exchanges_limit_;
    std::vector<ip_network> trusted_;
    std::string scheme_ = "http";
    std::string public_port_;  // ":8080", or nothing.
    std::optional<listener> source_;
    http_names names_;
    std::map<std::array<std::byte, 16>, std::uint32_t> by_address_;
    std::size_t visitors_count_ = 0;
    bool draining_ = false;
    cancel_source drain_;
    nursery visitors_;
};

}  // namespace tunnel_uring
