// What a warm acquire asks of the heap and of the kernel: nothing.
#include "base/allocations.hpp"
#include "pool/pool_world.hpp"

namespace tunnel_uring::test {
namespace {

class acquire_cost : public pool_test {};

TEST_F(acquire_cost, of_a_warm_socket_is_no_call_and_no_allocation_in_any_state_of_the_pool) {
    run([](world& w) -> task<> {
        warm_pool& pool = w.start(small_pool(200, 200), reusing());
        co_await w.idle(200);
        std::vector<lease> taken;
        taken.reserve(200);
        for (int round = 0; round < 3; ++round) {
            const std::uint64_t calls = w.kernel->calls();
            const std::size_t before = allocations();
            while (std::optional<lease> got = pool.try_acquire()) taken.push_back(std::move(*got));
            EXPECT_EQ(allocations(), before);
            EXPECT_EQ(w.kernel->calls(), calls);
            EXPECT_EQ(taken.size(), 200U);
            for (lease& each : taken) each.release_clean();
            taken.clear();
            co_await w.pass(70s);  // The window of the rates moves on.
            co_await w.idle(200);
        }
    });
}

}  // namespace
}  // namespace tunnel_uring::test
