#include "admin/admin_server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin_connection.hpp"
#include "net/address.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

namespace {

// Scrapers, a browser, a person: each has one or two.
constexpr std::size_t most_connections = 32;

// A path whose process is gone takes nobody's connection any more.
bool is_abandoned(const socket_address& path) noexcept {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    const bool refused = ::connect(fd, path.get(), path.length) != 0 && errno == ECONNREFUSED;
    ::close(fd);
    return refused;
}

}  // namespace

admin_server::~admin_server() {
    if (!source_) return;
    const result<host_port> where = parse_host_port(config_.listen);
    if (where && where->is_unix()) ::unlink(where->unix_path.c_str());
}

task<result<void>> admin_server::open(cancel_token stop) {
    const result<host_port> where = parse_host_port(config_.listen);
    if (!where) co_return where.error();
    const socket_address to = to_socket_address(*where);
    if (where->is_unix() && is_abandoned(to)) ::unlink(where->unix_path.c_str());
    result<listener> bound = co_await listener::open_patiently(io_, to, stop);
    if (!bound) co_return bound.error();
    source_.emplace(std::move(*bound));
    co_return result<void>{};
}

task<> admin_server::run(cancel_token stop) {
    const on_cancel stopping{stop, [this]() noexcept { connections_.cancel(); }};
    acceptor incoming{*source_};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        if (connections_.running() >= most_connections) accepted->abort();
        else connections_.start(serve(std::move(*accepted)));
    }
    co_await incoming.stop();
    co_await connections_.join();
}

task<> admin_server::serve(stream connection) {
    admin_connection one{*this, std::move(connection)};
    co_await one.run(connections_.token());
}

bool admin_server::knows(std::string_view host) const {
    const bool is_unix = address().family() == AF_UNIX;
    if (is_unix || !is_loopback(address())) return true;
    const std::string name = host_name(host);
    if (name == "localhost" || name.ends_with(".localhost")) return true;
    host_port number;
    number.host = name.starts_with('[') ? name.substr(1, name.size() - 2) : name;
    return !number.host.empty() && is_numeric(number) && is_loopback(to_socket_address(number));
}

}  // namespace tunnel_uring
