#include "net/name_cache.hpp"

#include <gtest/gtest.h>

#include "sim/sim_kernel.hpp"

namespace tunnel_uring {
namespace {

class counted_names final : public name_source {
  public:
    task<result<std::vector<socket_address>>> resolve(host_port where, cancel_token) override {
        asked += 1;
        if (failing) co_return error{ENOENT, "no such name"};
        host_port answer;
        answer.host = fmt_host(moved);
        answer.port = where.port;
        co_return std::vector<socket_address>{to_socket_address(answer)};
    }
    int asked = 0;
    bool failing = false;
    bool moved = false;

  private:
    static std::string fmt_host(bool elsewhere) { return elsewhere ? "10.0.0.2" : "10.0.0.1"; }
};

// The first address, as text; empty when there is none.
task<std::string> ask(name_cache& names, std::string host) {
    host_port where;
    where.host = std::move(host);
    where.port = 80;
    const auto found = co_await names.resolve(where, {});
    co_return found ? format(found->front()) : std::string{};
}

task<> play(io_context& io, counted_names& source) {
    name_cache names{io, source};
    std::string got = co_await ask(names, "app.internal");
    EXPECT_EQ(got, "10.0.0.1:80");
    source.moved = true;
    const result<void> early = co_await io.sleep(29s);
    EXPECT_TRUE(early);
    got = co_await ask(names, "app.internal");
    EXPECT_EQ(got, "10.0.0.1:80");
    EXPECT_EQ(source.asked, 1);
    const result<void> late = co_await io.sleep(2s);
    EXPECT_TRUE(late);
    got = co_await ask(names, "app.internal");
    EXPECT_EQ(got, "10.0.0.2:80") << "containers move";
    EXPECT_EQ(source.asked, 2);

    source.moved = false;
    names.forget();
    got = co_await ask(names, "app.internal");
    EXPECT_EQ(got, "10.0.0.1:80") << "nobody was there";
    got = co_await ask(names, "db.internal");
    EXPECT_EQ(source.asked, 4) << "another name is another question";

    names.forget();
    source.failing = true;
    got = co_await ask(names, "db.internal");
    EXPECT_EQ(got, "");
    source.failing = false;
    got = co_await ask(names, "db.internal");
    EXPECT_EQ(got, "10.0.0.1:80") << "a failure is no answer to keep";
}

TEST(name_cache, believes_an_answer_for_thirty_seconds_unless_nobody_is_there) {
    io_context io{std::make_unique<sim::kernel>(sim::options{})};
    counted_names source;
    io.run(play(io, source));
}

}  // namespace
}  // namespace tunnel_uring
