#include "app/status_command.hpp"

#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "base/units.hpp"
#include "net/address.hpp"

namespace tunnel_uring {

namespace {

using nlohmann::json;

constexpr timeval patience{3, 0};  // Of each step.
constexpr std::size_t answer_limit = std::size_t{64} << 20U;
constexpr std::string_view question =
    "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

class blocking_socket {
  public:
    explicit blocking_socket(sa_family_t family) noexcept
        : fd_{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    ~blocking_socket() {
        if (fd_ >= 0) ::close(fd_);
    }
    blocking_socket(const blocking_socket&) = delete;
    blocking_socket& operator=(const blocking_socket&) = delete;

    // 0, or why not.
    int ask(const socket_address& where) const noexcept {
        if (::connect(fd_, where.get(), where.length) != 0) return errno;
        const ssize_t sent = ::send(fd_, question.data(), question.size(), MSG_NOSIGNAL);
        return sent == static_cast<ssize_t>(question.size()) ? 0 : errno;
    }
    // To the end of the stream, or for as long as something comes.
    std::string hear() const {
        std::string all;
        std::array<char, 16 * 1024> some{};
        ssize_t got = 0;
        while (all.size() < answer_limit && (got = ::recv(fd_, some.data(), some.size(), 0)) > 0)
            all.append(some.data(), static_cast<std::size_t>(got));
        return all;
    }

  private:
    int fd_;
};

// ── for people ──

using row = std::vector<std::string>;

// Columns as wide as they need, two blanks between.
std::string aligned(const std::vector<row>& rows) {
    std::vector<std::size_t> widths;
    for (const row& one : rows) {
        widths.resize(std::max(widths.size(), one.size()));
        for (std::size_t i = 0; i < one.size(); ++i) widths[i] = std::max(widths[i], one[i].size());
    }
    std::string text;
    for (const row& one : rows) {
        std::string line;
        for (std::size_t i = 0; i < one.size(); ++i)
            line += fmt::format("{:<{}}", one[i], widths[i] + 2);
        line.resize(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

duration from_seconds(const json& value) {
    return std::chrono::duration_cast<duration>(
        std::chrono::duration<double>{value.is_number() ? value.get<double>() : 0});
}

// "1h2m3s", in whole seconds.
std::string lasting(const json& value) {
    return format_duration(std::chrono::floor<std::chrono::seconds>(from_seconds(value)));
}

std::string time_text(const json& value) {
    return value.is_number() ? approximate_duration(from_seconds(value)) : "-";
}

std::string share_text(const json& value) {
    return value.is_number() ? fmt::format("{:.1f} %", value.get<double>() * 100) : "-";
}

std::string bytes_text(double bytes) {
    constexpr std::array<std::string_view, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, units[unit]);
}

std::string count(const json& value) { return fmt::format("{:.0f}", value.get<double>()); }
std::string word(const json& value) { return printable(value.get<std::string>()); }

std::string lanes_text(const json& lanes) {
    return fmt::format(
        "{} shared + {:.0f} bulk lanes", count(lanes.at("shared")),
        lanes.at("bulk_sending").get<double>() + lanes.at("bulk_receiving").get<double>());
}

std::string headline(const json& status) {
    std::string text = fmt::format("{} {}   pid {}   up {}   {} resident, {:.1f} s CPU\n",
                                   word(status.at("role")), word(status.at("version")),
                                   count(status.at("pid")), lasting(status.at("uptime_seconds")),
                                   bytes_text(status.at("resident_bytes").get<double>()),
                                   status.at("cpu_seconds").get<double>());
    if (!status.at("ready").get<bool>())
        text += fmt::format("not ready: {}\n", word(status.at("missing")));
    return text;
}

std::string traffic(const json& status) {
    const json& exchanges = status.at("exchanges");
    const json& bytes = status.at("bytes");
    return fmt::format("exchanges  {} open, {} complete, {} cut; {} received, {} sent\n",
                       count(exchanges.at("open")), count(exchanges.at("complete")),
                       count(exchanges.at("cut")), bytes_text(bytes.at("received").get<double>()),
                       bytes_text(bytes.at("sent").get<double>()));
}

std::string relays_text(const json& relays) {
    std::vector<row> rows;
    for (const json& one : relays) {
        const bool connected = one.at("connected").get<bool>();
        std::string state;
        if (connected) {
            state = fmt::format("connected for {}", lasting(one.at("seconds")));
            if (one.at("round_trip_seconds").is_number())
                state += fmt::format(", RTT {}", time_text(one.at("round_trip_seconds")));
            state += fmt::format(", {}", lanes_text(one.at("lanes")));
        } else {
            const std::string trouble = word(one.at("trouble"));
            state = fmt::format("away for {}{}{}", lasting(one.at("seconds")),
                                trouble.empty() ? "" : ": ", trouble);
        }
        rows.push_back({"relay", word(one.at("address")), state});
    }
    return aligned(rows);
}

row service_row(const json& one) {
    const json& pool = one.at("pool");
    row cells{word(one.at("name")), word(one.at("state")), count(pool.at("idle")),
              count(pool.at("busy")), count(pool.at("max"))};
    if (const auto requests = one.find("requests"); requests != one.end()) {
        cells.push_back(fmt::format("{:.1f}", requests->at("rate").get<double>()));
        cells.push_back(time_text(requests->at("p50_seconds")));
        cells.push_back(time_text(requests->at("p99_seconds")));
    } else {
        cells.insert(cells.end(), 3, "-");
    }
    cells.push_back(share_text(pool.at("reuse_rate")));
    cells.push_back(word(pool.at("breaker")));
    std::string alerts;
    for (const json& alert : one.at("alerts")) {
        if (alert.at("state") == "firing")
            alerts += (alerts.empty() ? "" : ",") + word(alert.at("name"));
    }
    cells.push_back(alerts.empty() ? "-" : alerts);
    return cells;
}

std::string services_text(const json& services) {
    std::vector<row> rows{{"service", "state", "idle", "busy", "max", "req/s", "p50", "p99",
                           "reuse", "breaker", "alerts"}};
    for (const json& one : services) rows.push_back(service_row(one));
    std::string text = aligned(rows);
    for (const json& one : services) {
        for (const json& url : one.at("urls"))
            text += fmt::format("{}  ->  {}\n", word(url), word(one.at("upstream")));
        for (const json& refusal : one.at("refusals"))
            text += fmt::format("{}: {}\n", word(one.at("name")), word(refusal));
    }
    return text;
}

std::string agents_text(const json& status) {
    const json& requests = status.at("requests");
    std::string text = fmt::format(
        "http       {:.1f} req/s, p50 {}, p99 {}; {} answered, {} failed, {} visitors\n",
        requests.at("rate").get<double>(), time_text(requests.at("p50_seconds")),
        time_text(requests.at("p99_seconds")), count(requests.at("total")),
        count(requests.at("failed")), count(status.at("http_visitors")));
    text += fmt::format("places     {} ports, {} names; {}\n\n", count(status.at("ports")),
                        count(status.at("names")), lanes_text(status.at("lanes")));
    std::vector<row> rows{{"agent", "from", "since", "RTT", "lanes", "exchanges"}};
    for (const json& one : status.at("agents")) {
        const json& lanes = one.at("lanes");
        rows.push_back({word(one.at("name")), word(one.at("from")), lasting(one.at("seconds")),
                        time_text(one.at("round_trip_seconds")), lanes_text(lanes),
                        count(lanes.at("exchanges"))});
    }
    text += aligned(rows);
    const double all = status.at("agents_connected").get<double>();
    const double left = all - static_cast<double>(status.at("agents").size());
    if (left > 0) text += fmt::format("and {:.0f} more\n", left);
    return text;
}

std::string listening_text(const json& listening) {
    std::string text = fmt::format("listening  agents {}", word(listening.at("control")));
    if (const auto http = listening.find("http"); http != listening.end())
        text += fmt::format(", http {}", word(*http));
    return text + "\n";
}

void print_status(const std::string& body, const json& status, const status_options& options,
                  bool first) {
    const bool again = options.watch != duration{0};
    if (options.json) {
        fmt::print("{}", body);
    } else {
        if (again && ::isatty(STDOUT_FILENO) == 1) fmt::print("\x1b[H\x1b[2J");
        else if (!first) fmt::print("\n");
        fmt::print("{}", status_text(status));
    }
    std::fflush(stdout);
}

}  // namespace

std::string status_text(const json& status) {
    std::string text = headline(status);
    if (status.at("role") == "relay")
        return text + listening_text(status.at("listening")) + traffic(status) +
               agents_text(status);
    return text + relays_text(status.at("relays")) + traffic(status) + "\n" +
           services_text(status.at("services"));
}

result<std::string> ask_for_status(const admin_config& config) {
    if (config.listen.empty())
        return error{ENOENT,
                     "the admin listener is off (admin.listen, --admin), and nothing else tells"};
    const result<host_port> where = parse_host_port(config.listen);
    if (!where) return where.error();
    if (!where->is_unix() && where->port == 0)
        return error{EINVAL,
                     fmt::format("{} stands for any port; say --admin <addr>, as `listening "
                                 "admin` printed it",
                                 config.listen)};
    const socket_address to = to_socket_address(*where);
    const blocking_socket socket{to.family()};
    if (const int code = socket.ask(to); code != 0)
        return error{code, fmt::format("no agent or relay answers at {} ({}); start one, or say "
                                       "--admin <addr> where it listens",
                                       config.listen, std::strerror(code))};
    std::string answer = socket.hear();
    const std::size_t end = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.1 200 ") || end == std::string::npos)
        return error{EPROTO,
                     fmt::format("what listens at {} is no tunnel-uring, or does not answer; "
                                 "say --admin <addr> where one listens",
                                 config.listen)};
    return answer.substr(end + 4);
}

exit_status run_status(const admin_config& config, const status_options& options) {
    for (bool first = true;; first = false) {
        const result<std::string> body = ask_for_status(config);
        if (!body) {
            fmt::print(stderr, "tunnel-uring: {}\n", body.error().sentence());
            return exit_failed;
        }
        try {
            print_status(*body, json::parse(*body), options, first);
        } catch (const json::exception&) {
            fmt::print(stderr, "tunnel-uring: {} answers, but not as this version does\n",
                       config.listen);
            return exit_failed;
        }
        if (options.watch == duration{0}) return exit_ok;
        std::this_thread::sleep_for(options.watch);
    }
}

}  // namespace tunnel_uring
