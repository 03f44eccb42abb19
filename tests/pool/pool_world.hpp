// A pool and its upstream in one loop; time is virtual. Ends each test with a census.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <list>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/listener.hpp"
#include "pool/observed_kernel.hpp"
#include "pool/warm_pool.hpp"
#include "sim/sim_kernel.hpp"

namespace tunnel_uring::test {

// A listener whose behaviour tests script.
class scripted_upstream final : public dial_source {
  public:
    explicit scripted_upstream(listener where) : io_{where.io()}, listener_{std::move(where)} {}
    static result<listener> listen(io_context& io);

    // ── the script: what the next dials meet ──
    int failure = 0;       // Not 0: they fail with it.
    bool hanging = false;  // They never end by themselves.
    duration delay{0};
    bool closing_at_once = false;  // Accepted, then closed.
    bool greeting = false;         // Accepted, then a banner is sent.
    int ill = 0;                   // Not 0: checks fail with it.

    // ── what was seen ──
    std::vector<time_point> dials;
    int dialing = 0;
    int most_dialing = 0;
    int checks = 0;
    std::list<stream> peers;  // The upstream's ends, in the order they came in.

    // The upstream's end of a socket; null while it has not been accepted.
    stream* peer_of(const stream& socket);
    void say(stream& peer, std::string_view words);
    void hang_up(stream& peer) { peer.close(); }
    void hang_up_all() { peers.clear(); }
    std::size_t dials_within(time_point from, duration span) const;

    task<result<stream>> connect(cancel_token stop) override;
    task<result<void>> check(cancel_token stop) override;
    task<> serve(cancel_token stop);

  private:
    io_context& io_;
    listener listener_;
};

struct world {
    world(observed_kernel* observed, listener where)
        : kernel{observed}, io{where.io()}, upstream{std::move(where)} {}

    warm_pool& start(const pool_config& limits, pool_policy policy = {}, std::uint64_t seed = 1) {
        pool.emplace(io, upstream, limits, policy, seed);
        pool->start();
        return *pool;
    }
    // Lets virtual time pass until `done`; a test that waits for ever fails instead.
    template <class Predicate>
    task<> until(Predicate done) {
        for (int tries = 0; tries < 5000 && !done(); ++tries) {
            const result<void> slept = co_await io.sleep(1ms);
            EXPECT_TRUE(slept);
        }
        EXPECT_TRUE(done());
    }
    task<> idle(std::uint64_t count) {
        const warm_pool& watched = *pool;
        const auto reached = [&watched, count] { return watched.census().idle == count; };
        co_await until(reached);
        // Their ends are accepted, and polls armed.
        const auto accepted = [this] { return upstream.peers.size() >= pool->census().idle; };
        co_await until(accepted);
    }
    task<> pass(duration time) {
        const result<void> slept = co_await io.sleep(time);
        EXPECT_TRUE(slept);
    }
    task<> close() {
        closed = true;
        co_await pool->close();
    }

    observed_kernel* kernel;  // Null in simulated worlds with faults.
    io_context& io;
    scripted_upstream upstream;
    std::optional<warm_pool> pool;
    bool closed = false;
};

using scenario = task<> (*)(world&);

class pool_test : public testing::Test {
  protected:
    // Runs it on the simulated kernel and on the real one, closes the pool, and counts: nothing is
    // left anywhere.
    void run(scenario what) {
        run_simulated(what);
        run_real(what);
    }
    void run_simulated(scenario what);
    void run_real(scenario what);
};

// Runs `what` beside its upstream and closes the pool if `what` did not.
task<> play(world& w, scenario what);

pool_config small_pool(std::uint32_t idle, std::uint32_t max = 8);
inline pool_policy of_kind(pool_kind kind) {
    pool_policy policy;
    policy.kind = kind;
    return policy;
}
inline pool_policy reusing() { return of_kind(pool_kind::http); }

}  // namespace tunnel_uring::test
