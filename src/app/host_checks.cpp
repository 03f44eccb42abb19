#include "app/host_checks.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "app/version.hpp"
#include "base/units.hpp"
#include "net/address.hpp"
#include "ring/backend.hpp"

namespace tunnel_uring {

namespace {

// Standard streams, ring, signals, listeners, resolver, and what libraries open.
constexpr std::uint64_t files_of_any_process = 64;
constexpr int connect_patience_ms = 3000;
// Who speaks first does it at once: a greeting needs no disk and no network.
constexpr int greeting_patience_ms = 250;

class owned_fd {
  public:
    explicit owned_fd(int fd) noexcept : fd_{fd} {}
    ~owned_fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    owned_fd(const owned_fd&) = delete;
    owned_fd& operator=(const owned_fd&) = delete;
    int get() const noexcept { return fd_; }

  private:
    int fd_;
};

std::string read_line(const char* path) {
    std::ifstream file{path};
    std::string line;
    std::getline(file, line);
    return line;
}

void add(std::vector<check_row>& rows, verdict what, std::string_view name, std::string text,
         std::string remedy = {}, exit_status status = exit_host) {
    rows.push_back({what, std::string{name}, std::move(text), std::move(remedy), status});
}

// The sysctl of Linux 6.6 and newer; elsewhere there is none.
void check_sysctl(std::vector<check_row>& rows) {
    const std::string value = read_line("/proc/sys/kernel/io_uring_disabled");
    constexpr std::string_view name = "kernel.io_uring_disabled";
    constexpr std::string_view remedy = "sysctl kernel.io_uring_disabled=0";
    if (value.empty()) return;
    if (value == "0") add(rows, verdict::ok, name, "0, everybody may use io_uring");
    else if (value == "1")
        add(rows, verdict::warn, name, "1, only a privileged process or group may use io_uring",
            std::string{remedy});
    else add(rows, verdict::fail, name, value + ", nobody may use io_uring", std::string{remedy});
}

void check_ring_size(const io_uring_config& config, std::vector<check_row>& rows) {
    uring_limits limits;
    limits.entries = config.entries;
    rlimit locked{};
    ::getrlimit(RLIMIT_MEMLOCK, &locked);
    const std::string limit =
        locked.rlim_cur == RLIM_INFINITY ? "unlimited" : format_size(locked.rlim_cur);
    const auto ring = make_uring_backend(limits);
    const std::string what =
        fmt::format("a ring of {} entries with RLIMIT_MEMLOCK {}", config.entries, limit);
    if (ring) add(rows, verdict::ok, "memory", what);
    else
        add(rows, verdict::fail, "memory", what + ": " + ring.error().message(),
            "ulimit -l unlimited (LimitMEMLOCK= in a unit), or lower io_uring.entries");
}

void check_files(std::string_view role, std::uint64_t needed, std::string_view why,
                 std::vector<check_row>& rows) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    // The role raises its own limit to the hard one.
    const std::uint64_t have = files.rlim_max;
    const std::string text = fmt::format("{}: RLIMIT_NOFILE {} (hard {}), at most {} needed: {}",
                                         role, files.rlim_cur, files.rlim_max, needed, why);
    if (have >= needed) add(rows, verdict::ok, "files", text);
    else
        add(rows, verdict::warn, "files", text,
            fmt::format("ulimit -Hn {} (LimitNOFILE= in a unit), or lower those limits", needed));
}

int try_to_bind(const socket_address& where) {
    const owned_fd fd{::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (fd.get() < 0) return errno;
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), where.get(), where.length) != 0) return errno;
    return ::listen(fd.get(), 1) == 0 ? 0 : errno;
}

std::string bind_remedy(int code, std::uint16_t port) {
    if (code == EACCES)
        return fmt::format(
            "ports below 1024 need CAP_NET_BIND_SERVICE: setcap "
            "cap_net_bind_service=+ep, or take another port than {}",
            port);
    if (code == EADDRNOTAVAIL) return "this host has no such address";
    return fmt::format("ss -ltnp 'sport = :{}' shows who has it", port);
}

void check_listener(const std::string& address, std::string_view whom,
                    std::vector<check_row>& rows) {
    const result<host_port> where = parse_host_port(address);
    if (!where || !is_numeric(*where)) return;
    if (const int code = try_to_bind(to_socket_address(*where)); code != 0)
        return add(rows, verdict::fail, "ports",
                   fmt::format("{} for {}: {}", address, whom, std::strerror(code)),
                   bind_remedy(code, where->port));
    add(rows, verdict::ok, "ports", fmt::format("{} for {}: free", address, whom));
}

void check_public_ports(const relay_config& config, socket_address where,
                        std::vector<check_row>& rows) {
    const std::string text =
        fmt::format("ports for visitors {}-{}", config.tcp_ports_first, config.tcp_ports_last);
    std::uint32_t taken = 0;
    std::uint16_t first_taken = 0;
    int code = 0;
    for (std::uint32_t port = config.tcp_ports_first; port <= config.tcp_ports_last; ++port) {
        set_port(where, static_cast<std::uint16_t>(port));
        const int failure = try_to_bind(where);
        if (failure == 0) continue;
        if (taken == 0) {
            first_taken = static_cast<std::uint16_t>(port);
            code = failure;
        }
        taken += 1;
    }
    const std::uint32_t count = config.tcp_ports_last - config.tcp_ports_first + 1U;
    if (taken == 0) return add(rows, verdict::ok, "ports", text + ": all free");
    const bool none_left = taken == count;
    add(rows, none_left ? verdict::fail : verdict::warn, "ports",
        fmt::format("{}: {} of {} not to be had, {} first ({})", text, taken, count, first_taken,
                    std::strerror(code)),
        bind_remedy(code, first_taken));
}

struct free_addresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

// What an upstream does to a connection on which nothing has been said.
enum class greeting { silent, spoke, hung_up };

greeting wait_for_greeting(int fd) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, greeting_patience_ms) != 1) return greeting::silent;
    char first = 0;
    return ::recv(fd, &first, 1, MSG_DONTWAIT) == 1 ? greeting::spoke : greeting::hung_up;
}

// 0, or the errno of the connect. With `heard`, also listens for a while.
int try_to_connect(int family, const sockaddr* address, socklen_t length, greeting* heard) {
    const owned_fd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (fd.get() < 0) return errno;
    if (::connect(fd.get(), address, length) != 0) {
        if (errno != EINPROGRESS) return errno;
        pollfd waiting{.fd = fd.get(), .events = POLLOUT, .revents = 0};
        if (::poll(&waiting, 1, connect_patience_ms) != 1) return ETIMEDOUT;
        int code = 0;
        socklen_t size = sizeof code;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &size);
        if (code != 0) return code;
    }
    if (heard != nullptr) *heard = wait_for_greeting(fd.get());
    return 0;
}

// Empty, or why not.
std::string try_to_reach(const host_port& where, greeting* heard) {
    if (where.is_unix()) {
        const socket_address path = to_socket_address(where);
        const int code = try_to_connect(path.family(), path.get(), path.length, heard);
        return code == 0 ? std::string{} : std::strerror(code);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string host = where.host.empty() ? "localhost" : where.host;
    const int failure =
        ::getaddrinfo(host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
    if (failure != 0) return ::gai_strerror(failure);
    const std::unique_ptr<addrinfo, free_addresses> list{found};
    int code = EHOSTUNREACH;
    for (const addrinfo* one = list.get(); one != nullptr && code != 0; one = one->ai_next)
        code = try_to_connect(one->ai_family, one->ai_addr, one->ai_addrlen, heard);
    return code == 0 ? std::string{} : std::strerror(code);
}

}  // namespace

void check_io_uring(const io_uring_config& config, std::vector<check_row>& rows) {
    check_sysctl(rows);
    const result<kernel_features> kernel = probe_kernel();
    if (!kernel) return add(rows, verdict::fail, "io_uring", kernel.error().message());
    const std::string unused = features_unused(*kernel);
    const std::string text = fmt::format("kernel {}, liburing {}: {}{}", kernel->release,
                                         liburing_version(), features_in_use(*kernel),
                                         unused.empty() ? "" : "; there, not used yet: " + unused);
    if (kernel->multishot_accept && kernel->multishot_receive && kernel->buffer_ring &&
        kernel->defer_taskrun) {
        add(rows, verdict::ok, "io_uring", text);
        check_ring_size(config, rows);
    } else {
        add(rows, verdict::fail, "io_uring", text, "Linux 6.1 or newer is needed");
    }
}

std::uint64_t files_needed(const agent_config& config) noexcept {
    const lanes_config& lanes = config.lanes;
    std::uint64_t needed = config.relays.size() * (1ULL + lanes.shared + 2ULL * lanes.bulk_max);
    std::uint64_t visitors = 0;
    for (const service_config& service : config.services) {
        needed += service.pool.max_pool_size;
        visitors += service.max_connections;
    }
    return files_of_any_process + needed + std::min<std::uint64_t>(visitors, config.max_exchanges);
}

std::uint64_t files_needed(const relay_config& config) noexcept {
    // The control channel and as many shared lanes as an agent has by default; bulk lanes and
    // listeners come with use.
    const std::uint64_t of_agents =
        std::uint64_t{config.max_agents} * (1 + lanes_config{}.shared) + config.max_exchanges;
    const std::uint64_t of_visitors = config.http.listen.empty() ? 0 : config.http.max_visitors;
    return files_of_any_process +
           std::min<std::uint64_t>(of_agents + of_visitors, uring_limits{}.files);
}

void check_agent_files(const agent_config& config, std::vector<check_row>& rows) {
    check_files("agent", files_needed(config), "lanes, max_pool_size and max_connections", rows);
}

void check_relay_files(const relay_config& config, std::vector<check_row>& rows) {
    check_files("relay", files_needed(config),
                fmt::format("max_agents and max_exchanges, {} in one ring", uring_limits{}.files),
                rows);
}

void check_relay_ports(const relay_config& config, std::vector<check_row>& rows) {
    const result<host_port> where = parse_host_port(config.control_listen);
    if (!where || !is_numeric(*where)) return;
    check_listener(config.control_listen, "agents", rows);
    if (!config.http.listen.empty()) check_listener(config.http.listen, "visitors by HTTP", rows);
    socket_address control = to_socket_address(*where);
    if (!config.tcp_host.empty()) {
        host_port host;
        host.host = config.tcp_host;
        control = to_socket_address(host);
    }
    check_public_ports(config, control, rows);
}

void check_token_file(const std::string& path, std::vector<check_row>& rows) {
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0) return;
    const unsigned mode = found.st_mode & 0777U;
    if ((mode & 077U) == 0)
        add(rows, verdict::ok, "token file", fmt::format("{}: mode {:04o}", path, mode));
    else
        add(rows, verdict::warn, "token file",
            fmt::format("{}: mode {:04o}, others may read it", path, mode), "chmod 600 " + path);
}

void check_reachable(std::string_view name, const std::string& address, verdict when_not,
                     std::vector<check_row>& rows) {
    const result<host_port> where = parse_host_port(address);
    if (!where) return;
    const std::string trouble = try_to_reach(*where, nullptr);
    if (trouble.empty()) return add(rows, verdict::ok, name, address + ": answers");
    add(rows, when_not, name, address + ": " + trouble,
        when_not == verdict::fail ? "is the relay running, and does a firewall let you through?"
                                  : "start it; visitors are refused until then",
        exit_limit);
}

void check_http_upstream(std::string_view name, const std::string& address,
                         std::vector<check_row>& rows) {
    const result<host_port> where = parse_host_port(address);
    if (!where) return;
    greeting heard = greeting::silent;
    const std::string trouble = try_to_reach(*where, &heard);
    if (!trouble.empty())
        return add(rows, verdict::warn, name, address + ": " + trouble,
                   "start it; visitors are answered with 502 until then", exit_limit);
    if (heard == greeting::silent) return add(rows, verdict::ok, name, address + ": answers");
    const bool spoke = heard == greeting::spoke;
    add(rows, verdict::warn, name,
        address + (spoke ? ": this upstream spoke first, which no web server does"
                         : ": it hung up on a connection before anything was said"),
        spoke ? "is it what you mean? For ssh, smtp or mysql say type = \"tcp\""
              : "look into its log; a server that wants TLS is not spoken to yet",
        exit_limit);
}

void check_domain(const http_front_config& config, bool offline, std::vector<check_row>& rows) {
    if (config.listen.empty()) return;
    const std::string& domain = config.domain;
    if (domain == "localhost" || domain.ends_with(".localhost"))
        return add(rows, verdict::ok, "domain",
                   fmt::format("{}: names below it are this host, for browsers and curl", domain));
    if (offline) return add(rows, verdict::skip, "domain", domain + ": --offline");
    const std::string probe = "tunnel-uring-check." + domain;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int failure = ::getaddrinfo(probe.c_str(), nullptr, &hints, &found);
    const std::unique_ptr<addrinfo, free_addresses> list{found};
    if (failure != 0)
        return add(
            rows, verdict::warn, "domain",
            fmt::format("{}: names below it are not found: {}", domain, ::gai_strerror(failure)),
            fmt::format("make a DNS record *.{} that leads visitors to this relay", domain),
            exit_limit);
    socket_address first;
    std::memcpy(&first.storage, list->ai_addr, list->ai_addrlen);
    first.length = list->ai_addrlen;
    set_port(first, 0);
    std::string number = format(first);
    number.resize(number.rfind(':'));
    add(rows, verdict::ok, "domain",
        fmt::format("{}: names below it lead visitors to {}; is that this relay?", domain, number));
}

void raise_file_limit() noexcept {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace tunnel_uring
