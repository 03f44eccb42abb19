// resolver: names to addresses, off the loop (getaddrinfo(3) blocks).
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "coro/event.hpp"
#include "net/address.hpp"
#include "net/stream.hpp"

namespace tunnel_uring {

// A seam: the simulated world has names of its own.
class name_source {
  public:
    virtual ~name_source() = default;
    // Every address of `where`, best first. The error is a sentence.
    virtual task<result<std::vector<socket_address>>> resolve(host_port where,
                                                              cancel_token stop) = 0;
};

// Numbers and unix paths without asking; `localhost` is ::1 and 127.0.0.1 (RFC 6761, section 6.3);
// other names by getaddrinfo(3) on one thread of its own, which is joined at destruction.
class resolver final : public name_source {
  public:
    explicit resolver(io_context& io) noexcept : io_{io} {}
    ~resolver() override;

    task<result<std::vector<socket_address>>> resolve(host_port where, cancel_token stop) override;

  private:
    // Shared by the waiting coroutine and the thread; whoever is last lets go of it. A cancelled
    // wait leaves it to the thread.
    struct question {
        host_port where;
        int wake_fd = -1;  // Written to, and closed, by the thread when the answer stands.
        int failure = 0;   // EAI_*
        std::vector<socket_address> answer;
    };
    void work();

    io_context& io_;
    std::mutex lock_;
    std::condition_variable asked_;
    std::deque<std::shared_ptr<question>> questions_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace tunnel_uring
