// Names and places that tests of net/ dial.
#pragma once

#include <vector>

#include "net/dialer.hpp"
#include "ring/both_kernels.hpp"

namespace tunnel_uring::test {

// Knows one answer to every question.
class one_answer final : public name_source {
  public:
    explicit one_answer(result<std::vector<socket_address>> answer) : answer_{std::move(answer)} {}
    task<result<std::vector<socket_address>>> resolve(host_port, cancel_token) override {
        co_return answer_;
    }

  private:
    result<std::vector<socket_address>> answer_;
};

// Never answers.
class no_answer final : public name_source {
  public:
    task<result<std::vector<socket_address>>> resolve(host_port, cancel_token stop) override {
        co_await cancelled(stop);
        co_return error{ECANCELED};
    }
};

inline host_port place(std::string host, std::uint16_t port) {
    host_port where;
    where.host = std::move(host);
    where.port = port;
    return where;
}

}  // namespace tunnel_uring::test
