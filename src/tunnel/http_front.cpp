#include "tunnel/http_front.hpp"

#include "base/check.hpp"
#include "net/address.hpp"
#include "tunnel/http_visitor.hpp"

namespace tunnel_uring {

http_front::http_front(io_context& io, const http_front_config& config, byte_path& path,
                       relay_observer& watcher, std::size_t& exchanges, std::size_t exchanges_limit)
    : io_{io},
      config_{config},
      path_{path},
      watcher_{watcher},
      exchanges_{exchanges},
      exchanges_limit_{exchanges_limit} {
    for (const std::string& text : config.trusted_proxies) {
        const std::optional<ip_network> network = ip_network::parse(text);
        TU_ASSERT(network);
        trusted_.push_back(*network);
    }
}

task<result<void>> http_front::listen() {
    const result<host_port> where = parse_host_port(config_.listen);
    if (!where) co_return where.error();
    if (!is_numeric(*where)) {
        co_return error{EINVAL,
                        "relay.http_listen wants a numeric address to listen on, such as "
                        "0.0.0.0:8080, not \"" +
                            config_.listen + "\""};
    }
    const socket_address to = to_socket_address(*where);
    result<listener> bound = co_await listener::open_patiently(io_, to, {});
    if (!bound) co_return bound.error();
    source_.emplace(std::move(*bound));
    const std::uint16_t port = port_of(address());
    if (port != 80) public_port_ = ":" + std::to_string(port);
    if (!config_.public_url.empty()) {
        const std::size_t end = config_.public_url.find("://");
        scheme_ = config_.public_url.substr(0, end);
        const std::string authority = config_.public_url.substr(end + 3);
        const std::size_t colon = authority.rfind(':');
        public_port_ = colon == std::string::npos ? "" : authority.substr(colon);
    }
    co_return result<void>{};
}

std::string http_front::below_domain(std::string_view name) const {
    return std::string{name} + "." + config_.domain;
}

std::optional<std::string_view> http_front::subdomain_of(std::string_view name) const noexcept {
    const std::size_t rest = config_.domain.size() + 1;
    if (name == config_.domain) return std::string_view{};
    if (name.size() <= rest || !name.ends_with(config_.domain)) return {};
    if (name[name.size() - rest] != '.') return {};
    return name.substr(0, name.size() - rest);
}

std::string http_front::url(std::string_view name) const {
    return scheme_ + "://" + std::string{name} + public_port_;
}

bool http_front::is_trusted(const ip_endpoint& who) const noexcept {
    for (const ip_network& network : trusted_) {
        if (network.contains(who)) return true;
    }
    return false;
}

task<> http_front::run(cancel_token drain, cancel_token stop) {
    const on_cancel draining{drain, [this]() noexcept {
                                 draining_ = true;
                                 drain_.request();
                             }};
    const on_cancel stopping{stop, [this]() noexcept {
                                 draining_ = true;
                                 drain_.request();
                                 visitors_.cancel();
                             }};
    co_await accept_visitors(drain_.token());
    co_await visitors_.join();
}

task<> http_front::accept_visitors(cancel_token stop) {
    acceptor incoming{*source_};
    for (;;) {
        result<stream> visitor = co_await incoming.accept(stop);
        if (!visitor) break;
        if (visitors_count_ >= config_.max_visitors) visitor->abort();
        else visitors_.start(serve(std::move(*visitor)));
    }
    co_await incoming.stop();
}

task<> http_front::serve(stream connection) {
    visitors_count_ += 1;
    http_visitor visitor{*this, std::move(connection)};
    co_await visitor.run();
    visitors_count_ -= 1;
}

http_front::admission::admission(http_front& front, const ip_endpoint& visitor)
    : front_{front}, of_address_{front.by_address_.try_emplace(visitor.bytes, 0).first} {
    if (front.exchanges_ >= front.exchanges_limit_) outcome_ = verdict::relay_full;
    else if (of_address_->second >= front.config_.max_exchanges_per_address)
        outcome_ = verdict::address_full;
    front.exchanges_ += 1;
    of_address_->second += 1;
}

http_front::admission::~admission() {
    front_.exchanges_ -= 1;
    of_address_->second -= 1;
    if (of_address_->second == 0) front_.by_address_.erase(of_address_);
}

}  // namespace tunnel_uring
