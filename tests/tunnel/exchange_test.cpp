// What a peer can do wrong with the text of an http exchange, and what becomes of the lane.
#include "tunnel/exchange.hpp"

#include "ring/both_kernels.hpp"
#include "tunnel/byte_pump.hpp"
#include "tunnel/shared_lane.hpp"

namespace tunnel_uring::test {
namespace {

// The peer's frames, one after another.
class frames {
  public:
    frames& open(exchange_kind kind, std::string_view text = {}) {
        open_frame what;
        what.kind = kind;
        what.credit = full_window;
        add(encode_open(header_, 1, what, text.size()), text);
        return *this;
    }
    frames& text(frame_type type, std::string_view text, bool more = false) {
        add(encode_text(header_, type, 1, text.size(), more), text);
        return *this;
    }
    frames& data(std::string_view text) {
        add(encode_data(header_, 1, text.size()), text);
        return *this;
    }
    frames& end(std::uint64_t total) {
        add(encode_end(header_, 1, total, false), {});
        return *this;
    }
    bytes_view bytes() const noexcept { return bytes_; }

  private:
    void add(std::size_t length, std::string_view text) {
        const bytes_view header = bytes_view{header_}.first(length);
        bytes_.insert(bytes_.end(), header.begin(), header.end());
        const bytes_view more = as_bytes(text);
        bytes_.insert(bytes_.end(), more.begin(), more.end());
    }
    control_frame header_{};
    std::vector<std::byte> bytes_;
};

// One end of a shared lane with one exchange; the test is the other end.
struct one_lane final : lane_owner {
    one_lane(world& w, end_role role, stream connection)
        : path{w.io, {.buffers = 64, .splice = false}},
          lane{*this, path, bulk_out, bulk_in, role, std::move(connection), 1} {}

    void heard() noexcept override {}
    void opened(shared_lane& on, std::uint32_t id, const open_frame& what) override {
        on.exchanges().start(wait(id, what));
    }
    // Takes nothing until it is over.
    task<> wait(std::uint32_t id, open_frame what) {
        exchange both{lane, id, what.kind, what.credit, first_window};
        co_await cancelled(both.ended_token());
        why = both.why_over();
        const exchange_end how = co_await both.settle();
        static_cast<void>(how);
    }
    // An http exchange that the relay opened.
    task<> ask() {
        exchange both{lane, lane.next_id(), exchange_kind::http, first_window, 0};
        open_frame what;
        what.kind = exchange_kind::http;
        both.open(what, "GET /\r\n");
        co_await cancelled(both.ended_token());
        why = both.why_over();
        const exchange_end how = co_await both.settle();
        static_cast<void>(how);
    }
    // Likewise; its upgrade is agreed to with the first head that comes.
    task<> upgrade(stream& local) {
        exchange both{lane, lane.next_id(), exchange_kind::http, first_window, 0};
        open_frame what;
        what.kind = exchange_kind::http;
        both.open(what, "GET /\r\n");
        const result<exchange::arrival> came = co_await both.arrived();
        EXPECT_TRUE(came && *came == exchange::arrival::head);
        EXPECT_EQ(both.take_head(), "switch");
        {
            byte_pump pump{both, local};
            co_await pump.run();
        }
        why = both.why_over();
        const exchange_end how = co_await both.settle();
        static_cast<void>(how);
    }
    task<> run() { why_lost = co_await lane.run(stop.token()); }

    byte_path path;
    bulk_senders bulk_out;
    bulk_receivers bulk_in;
    shared_lane lane;
    cancel_source stop;
    std::string why_lost;
    std::optional<reset_reason> why;
};

// What a lane of `role` says of the frames of its peer; empty when it takes them.
task<std::string> verdict(world& w, end_role role, frames said) {
    connection both = co_await connect(w.io);
    one_lane one{w, role, std::move(both.near)};
    nursery running;
    running.start(one.run());
    if (role == end_role::relay) one.lane.exchanges().start(one.ask());
    const result<void> sent = co_await both.far.send_all(said.bytes(), {});
    EXPECT_TRUE(sent);
    const result<void> slept = co_await w.io.sleep(20ms);
    EXPECT_TRUE(slept);
    const bool lost = one.lane.lost();
    one.stop.request();
    co_await running.join();
    co_return lost ? one.why_lost : std::string{};
}

std::string words_of(protocol_error what) { return std::string{describe(what)}; }

class text_of_an_exchange : public testing::Test {
  protected:
    static void run(scenario what) { run_simulated(what); }
};

TEST_F(text_of_an_exchange, is_taken_in_its_order) {
    run([](world& w) -> task<> {
        frames said;
        said.text(frame_type::head, "103").text(frame_type::head, "2", true);
        said.text(frame_type::head, "00").data("body").text(frame_type::trailers, "A: b\r\n");
        said.end(16);
        const std::string wrong = co_await verdict(w, end_role::relay, std::move(said));
        EXPECT_EQ(wrong, "");
    });
}

TEST_F(text_of_an_exchange, is_not_for_tcp) {
    run([](world& w) -> task<> {
        frames said;
        said.open(exchange_kind::tcp).text(frame_type::head, "x");
        const std::string wrong = co_await verdict(w, end_role::agent, std::move(said));
        EXPECT_EQ(wrong, words_of(protocol_error::not_http));
    });
}

TEST_F(text_of_an_exchange, begins_with_a_head) {
    run([](world& w) -> task<> {
        frames data;
        data.data("body");
        std::string wrong = co_await verdict(w, end_role::relay, std::move(data));
        EXPECT_EQ(wrong, words_of(protocol_error::data_before_head));
        frames trailers;
        trailers.text(frame_type::trailers, "A: b\r\n");
        wrong = co_await verdict(w, end_role::relay, std::move(trailers));
        EXPECT_EQ(wrong, words_of(protocol_error::data_before_head));
        frames half;
        half.text(frame_type::head, "2", true).data("body");
        wrong = co_await verdict(w, end_role::relay, std::move(half));
        EXPECT_EQ(wrong, words_of(protocol_error::data_before_head));
    });
}

TEST_F(text_of_an_exchange, has_no_head_after_its_body_and_nothing_after_its_trailers) {
    run([](world& w) -> task<> {
        frames head;
        head.text(frame_type::head, "200").data("body").text(frame_type::head, "200");
        std::string wrong = co_await verdict(w, end_role::relay, std::move(head));
        EXPECT_EQ(wrong, words_of(protocol_error::head_after_body));
        frames data;
        data.text(frame_type::head, "200").text(frame_type::trailers, "A: b\r\n").data("body");
        wrong = co_await verdict(w, end_role::relay, std::move(data));
        EXPECT_EQ(wrong, words_of(protocol_error::head_after_body));
        frames twice;
        twice.text(frame_type::head, "200").text(frame_type::trailers, "A: b\r\n");
        twice.text(frame_type::trailers, "A: b\r\n");
        wrong = co_await verdict(w, end_role::relay, std::move(twice));
        EXPECT_EQ(wrong, words_of(protocol_error::head_after_body));
    });
}

TEST_F(text_of_an_exchange, has_a_limit_for_each_head) {
    run([](world& w) -> task<> {
        const std::string piece(8 * 1024, 'h');
        frames longest;
        for (std::size_t at = 0; at < head_bytes_limit; at += piece.size())
            longest.text(frame_type::head, piece, true);
        std::string wrong = co_await verdict(w, end_role::relay, longest);
        EXPECT_EQ(wrong, "");
        longest.text(frame_type::head, "h");
        wrong = co_await verdict(w, end_role::relay, std::move(longest));
        EXPECT_EQ(wrong, words_of(protocol_error::head_too_long));
    });
}

TEST_F(text_of_an_exchange, has_a_limit_for_heads_that_wait) {
    run([](world& w) -> task<> {
        frames most;
        for (std::size_t i = 0; i < most_heads; ++i) most.text(frame_type::head, "103");
        std::string wrong = co_await verdict(w, end_role::relay, most);
        EXPECT_EQ(wrong, "");
        most.text(frame_type::head, "200");
        wrong = co_await verdict(w, end_role::relay, std::move(most));
        EXPECT_EQ(wrong, words_of(protocol_error::too_many_heads));
    });
}

TEST_F(text_of_an_exchange, counts_in_the_total_of_its_direction) {
    run([](world& w) -> task<> {
        frames said;
        said.text(frame_type::head, "200").data("body").end(4);
        const std::string wrong = co_await verdict(w, end_role::relay, std::move(said));
        EXPECT_EQ(wrong, words_of(protocol_error::end_before_data));
    });
}

// After an upgrade there are bytes only; a peer that sends text all the same costs its own
// exchange.
TEST_F(text_of_an_exchange, ends_an_upgraded_one) {
    run([](world& w) -> task<> {
        for (const frame_type type : {frame_type::head, frame_type::trailers}) {
            connection both = co_await connect(w.io);
            connection local = co_await connect(w.io);
            one_lane one{w, end_role::relay, std::move(both.near)};
            nursery running;
            running.start(one.run());
            one.lane.exchanges().start(one.upgrade(local.near));
            frames said;
            said.text(frame_type::head, "switch").text(type, "text").end(10);
            const result<void> sent = co_await both.far.send_all(said.bytes(), {});
            EXPECT_TRUE(sent);
            const result<void> slept = co_await w.io.sleep(20ms);
            EXPECT_TRUE(slept);
            EXPECT_EQ(one.why, reset_reason::protocol_error);
            EXPECT_FALSE(one.lane.lost());
            one.stop.request();
            co_await running.join();
        }
    });
}

}  // namespace
}  // namespace tunnel_uring::test
