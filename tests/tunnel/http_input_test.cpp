#include "tunnel/http_input.hpp"

#include "ring/both_kernels.hpp"

namespace tunnel_uring::test {
namespace {

class http_input_of : public both_kernels {};
TU_ON_BOTH_KERNELS(http_input_of);

TEST_P(http_input_of, a_connection_holds_what_came_until_it_is_consumed) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        EXPECT_TRUE(input.empty());
        say(both.far, "hello");
        const result<bool> got = co_await input.receive(0, {});
        EXPECT_TRUE(got && *got);
        EXPECT_EQ(as_text(input.unread()).substr(0, 1), "h");
        EXPECT_EQ(w.io.census().buffers, 1U);
        input.consume(1);
        EXPECT_EQ(w.io.census().buffers, input.empty() ? 0U : 1U);
        input.consume(input.unread().size());
        EXPECT_TRUE(input.empty());
        EXPECT_EQ(w.io.census().buffers, 0U);
    });
}

TEST_P(http_input_of, a_connection_receives_no_more_than_it_is_asked_for) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        say(both.far, "hello");
        const result<bool> got = co_await input.receive(2, {});
        EXPECT_TRUE(got && *got);
        EXPECT_LE(input.unread().size(), 2U);
    });
}

TEST_P(http_input_of, a_connection_tells_its_end_and_tells_it_again) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        both.far.close();
        for (int i = 0; i < 2; ++i) {
            const result<bool> got = co_await input.receive(0, {});
            EXPECT_TRUE(got);
            EXPECT_FALSE(*got);
        }
        EXPECT_TRUE(input.empty());
    });
}

TEST_P(http_input_of, a_broken_connection_never_looks_like_one_that_ended) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        both.far.abort();
        for (int i = 0; i < 2; ++i) {
            const result<bool> got = co_await input.receive(0, {});
            EXPECT_FALSE(got);
        }
    });
}

TEST_P(http_input_of, what_is_kept_holds_no_buffer_and_stays) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        say(both.far, "h");
        const result<bool> got = co_await input.receive(0, {});
        EXPECT_TRUE(got && *got);
        {
            const buffer share = input.share();
            EXPECT_FALSE(share.empty());
        }
        input.keep();
        EXPECT_EQ(w.io.census().buffers, 0U);
        EXPECT_EQ(as_text(input.unread()), "h");
        EXPECT_TRUE(input.share().empty());
        input.consume(1);
        EXPECT_TRUE(input.empty());
    });
}

TEST_P(http_input_of, bytes_that_came_by_other_means_stand_behind_what_was_there) {
    run([](world& w) -> task<> {
        buffer_group group{w.io, 4, 4096};
        connection both = co_await connect(w.io);
        http_input input{both.near, group};
        const std::string_view nothing;
        input.put(as_bytes(nothing));
        EXPECT_TRUE(input.empty());
        say(both.far, "a");
        const result<bool> got = co_await input.receive(0, {});
        EXPECT_TRUE(got && *got);
        {
            const std::string gone = "bc";
            input.put(as_bytes(gone));
        }
        EXPECT_EQ(as_text(input.unread()), "abc");
        EXPECT_EQ(w.io.census().buffers, 0U);
        input.consume(2);
        EXPECT_EQ(as_text(input.unread()), "c");
    });
}

}  // namespace
}  // namespace tunnel_uring::test
