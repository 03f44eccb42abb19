#include "admin/alert_program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <thread>

#include "net/stream.hpp"

namespace tunnel_uring {

namespace {

constexpr duration time_limit = 30s;
constexpr duration reap_pause = 10ms;
constexpr std::string_view our_variables = "TUNNEL_URING_";

struct spawned {
    int failure = 0;  // An errno.
    pid_t pid = 0;
    int pid_fd = -1;
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

void add_environment(std::vector<std::string>& variables) {
    for (char** one = environ; *one != nullptr; ++one) {
        if (!std::string_view{*one}.starts_with(our_variables)) variables.emplace_back(*one);
    }
}

// In a process group of its own, so that all of it can be killed; with the signals that we block or
// ignore as they are by default.
spawned spawn(std::vector<std::string>& words, std::vector<std::string>& variables) {
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    // Our output is for whoever waits for a URL.
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    const std::vector<char*> arguments = pointers_to(words);
    const std::vector<char*> environment = pointers_to(variables);
    spawned out;
    out.failure = posix_spawnp(&out.pid, arguments.front(), &files, &attributes, arguments.data(),
                               environment.data());
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (out.failure == 0) out.pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, out.pid, 0));
    return out;
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status))
        return fmt::format("it was ended by signal {} ({})", WTERMSIG(status),
                           ::strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == 0) return {};
    return fmt::format("it ended with {}", WEXITSTATUS(status));
}

}  // namespace

task<std::string> run_alert_program(io_context& io, std::vector<std::string> words,
                                    std::vector<std::string> variables, cancel_token stop) {
    add_environment(variables);
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0)
        co_return std::string{std::strerror(errno)};
    result<stream> wake = stream::adopt(io, pair[0]);
    if (!wake) {
        ::close(pair[1]);
        co_return wake.error().message();
    }
    spawned child;
    std::thread spawner{[&child, &words, &variables, wake_fd = pair[1]] {
        child = spawn(words, variables);
        // The end of the stream is the wake-up.
        ::close(wake_fd);
    }};
    std::array<std::byte, 1> nothing{};
    const result<std::size_t> woken = co_await wake->receive(nothing, {});
    static_cast<void>(woken);
    spawner.join();
    if (child.failure != 0)
        co_return fmt::format("it cannot be started: {}", std::strerror(child.failure));
    result<direct_fd> process =
        child.pid_fd < 0 ? result<direct_fd>{error{EMFILE}} : direct_fd::adopt(io, child.pid_fd);
    bool ended = false;
    if (process) {
        deadline limit{io, time_limit, stop};
        const result<std::size_t> over = co_await io.poll(process->get(), POLLIN, limit.token());
        ended = over.has_value();
    }
    if (!ended) ::kill(-child.pid, SIGKILL);
    int status = 0;
    while (::waitpid(child.pid, &status, WNOHANG) == 0) {
        const result<void> slept = co_await io.sleep(reap_pause);
        static_cast<void>(slept);
    }
    if (ended) co_return describe_end(status);
    co_return fmt::format("it took longer than {} s and was killed", time_limit / 1s);
}

}  // namespace tunnel_uring
