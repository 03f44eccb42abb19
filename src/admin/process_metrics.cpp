#include "admin/process_metrics.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <ctime>
#include <string>

namespace tunnel_uring {

namespace {

using kind = metric_kind;

double to_seconds(const timeval& time) noexcept {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// proc_pid_statm(5): its second number.
std::uint64_t resident_bytes() noexcept {
    std::array<char, 128> text{};
    const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? 0 : ::read(fd, text.data(), text.size());
    if (fd >= 0) ::close(fd);
    const std::string_view all{text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
    const std::size_t blank = all.find(' ');
    if (blank == std::string_view::npos) return 0;
    std::uint64_t pages = 0;
    std::from_chars(all.data() + blank + 1, all.data() + all.size(), pages);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// proc_pid_fd(5): since Linux 6.2 the size of the directory is their number. To read the directory
// takes milliseconds where there are many.
std::optional<std::uint64_t> open_files() noexcept {
    struct stat found{};
    if (::stat("/proc/self/fd", &found) != 0 || found.st_size == 0) return {};
    return static_cast<std::uint64_t>(found.st_size);
}

// By number; 0: none was told.
constexpr std::array<std::string_view, reset_reasons_count + 1> reason_labels{
    "unknown",          "visitor_reset",    "upstream_reset",
    "upstream_refused", "upstream_timeout", "upstream_unreachable",
    "no_such_service",  "no_room",          "agent_away",
    "lane_lost",        "protocol_error",   "shutting_down",
    "upstream_garbage",
};

void one(exposition& out, const metric_family& family, double value, std::string_view labels = {}) {
    out.begin(family);
    out.sample(labels, value);
}

double number(std::uint64_t count) noexcept { return static_cast<double>(count); }

}  // namespace

process_facts look_at_process(const io_context& io, time_point began) {
    process_facts facts;
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    facts.cpu_user = to_seconds(used.ru_utime);
    facts.cpu_system = to_seconds(used.ru_stime);
    facts.resident_bytes = resident_bytes();
    facts.open_files = open_files();
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    facts.files_limit = files.rlim_cur;
    facts.uptime = io.now() - began;
    facts.started_at = static_cast<double>(std::time(nullptr)) - seconds(facts.uptime);
    facts.loop = io.counters();
    facts.census = io.census();
    return facts;
}

void expose_process(exposition& out, const process_facts& facts, std::string_view role) {
    one(out, {"tunnel_uring_build_info", kind::gauge, "Always 1; its labels tell what runs."}, 1,
        metric_label("version", TUNNEL_URING_VERSION) + "," + metric_label("role", role));
    one(out, {"process_cpu_seconds_total", kind::counter, "CPU time of all threads, in seconds."},
        facts.cpu_user + facts.cpu_system);
    one(out, {"process_resident_memory_bytes", kind::gauge, "Memory that is resident."},
        number(facts.resident_bytes));
    out.begin({"process_open_fds", kind::gauge, "Open descriptors (from Linux 6.2 on)."});
    if (facts.open_files) out.sample({}, number(*facts.open_files));
    one(out, {"process_max_fds", kind::gauge, "The limit of open descriptors."},
        number(facts.files_limit));
    one(out, {"process_start_time_seconds", kind::gauge, "When it started, in seconds since 1970."},
        facts.started_at);
    one(out, {"tunnel_uring_loop_turns_total", kind::counter, "Turns of the run loop."},
        number(facts.loop.turns));
    one(out,
        {"tunnel_uring_ring_enters_total", kind::counter,
         "io_uring_enter(2): each submits what there is and looks or waits for completions."},
        number(facts.loop.kernel_waits));
    one(out,
        {"tunnel_uring_ring_spins_total", kind::counter,
         "Waits that began with looking again and again (`io_uring.busy_poll`)."},
        number(facts.loop.spins));
    one(out,
        {"tunnel_uring_ring_spins_paid_total", kind::counter,
         "Of those, which found something before they slept."},
        number(facts.loop.spins_paid));
    one(out,
        {"tunnel_uring_ring_operations_total", kind::counter,
         "Operations that were submitted to the ring."},
        number(facts.loop.submissions));
    one(out,
        {"tunnel_uring_ring_completions_total", kind::counter,
         "Completions that the ring brought."},
        number(facts.loop.completions));
    one(out,
        {"tunnel_uring_ring_operations_open", kind::gauge,
         "Operations that are in the kernel's hands."},
        number(facts.census.operations));
    one(out, {"tunnel_uring_sockets_open", kind::gauge, "Descriptors in the ring's file table."},
        number(facts.census.descriptors));
    one(out,
        {"tunnel_uring_buffers_lent", kind::gauge,
         "Provided buffers that are not home in their ring."},
        number(facts.census.buffers));
}

void expose_bytes(exposition& out, const byte_counters& counters) {
    const std::uint64_t ended = counters.exchanges_clean + counters.exchanges_reset;
    one(out,
        {"tunnel_uring_exchanges_opened_total", kind::counter,
         "Exchanges that have begun: tcp connections and http requests."},
        number(counters.exchanges_opened));
    one(out, {"tunnel_uring_exchanges_open", kind::gauge, "Exchanges under way."},
        number(counters.exchanges_opened - ended));
    out.begin({"tunnel_uring_exchanges_ended_total", kind::counter,
               "Exchanges that are over, by `reason`: `complete`, or why they were cut."});
    out.sample(metric_label("reason", "complete"), number(counters.exchanges_clean));
    for (std::size_t i = 0; i < reason_labels.size(); ++i)
        out.sample(metric_label("reason", reason_labels[i]), number(counters.resets[i]));
    out.begin({"tunnel_uring_local_bytes_total", kind::counter,
               "Bytes of visitors (relay) or of the upstreams (agent), by `direction`: `received` "
               "from them, `sent` to them."});
    out.sample(metric_label("direction", "received"), number(counters.bytes_from_local));
    out.sample(metric_label("direction", "sent"), number(counters.bytes_to_local));
    one(out, {"tunnel_uring_lane_sends_total", kind::counter, "Vectored sends on shared lanes."},
        number(counters.lane_sends));
    one(out, {"tunnel_uring_lane_frames_total", kind::counter, "Frames in them."},
        number(counters.frames_sent));
    one(out, {"tunnel_uring_lane_bytes_total", kind::counter, "Bytes in them, headers included."},
        number(counters.lane_bytes));
    one(out, {"tunnel_uring_bulk_runs_total", kind::counter, "Bulk lanes claimed."},
        number(counters.bulk_runs));
    one(out, {"tunnel_uring_spliced_bytes_total", kind::counter, "Bytes moved by splice(2)."},
        number(counters.spliced_bytes));
    one(out, {"tunnel_uring_splices_total", kind::counter, "Times that it moved some."},
        number(counters.splices));
}

void tell_process(json_text& out, const process_facts& facts, std::string_view role) {
    out.text("role", role);
    out.text("version", TUNNEL_URING_VERSION);
    out.number("pid", ::getpid());
    out.number("uptime_seconds", seconds(facts.uptime));
    out.number("cpu_seconds", facts.cpu_user + facts.cpu_system);
    out.number("resident_bytes", number(facts.resident_bytes));
}

void tell_bytes(json_text& out, const byte_counters& counters) {
    out.open_object("exchanges");
    out.number("open", number(counters.exchanges_opened - counters.exchanges_clean -
                              counters.exchanges_reset));
    out.number("complete", number(counters.exchanges_clean));
    out.number("cut", number(counters.exchanges_reset));
    out.close_object();
    out.open_object("bytes");
    out.number("received", number(counters.bytes_from_local));
    out.number("sent", number(counters.bytes_to_local));
    out.close_object();
}

}  // namespace tunnel_uring
