// HTTP through the tunnel in the simulated world: every scenario under random faults, with every
// operation failing in turn, and stopped at every operation.
#include <numeric>

#include "tunnel/http_world.hpp"

namespace tunnel_uring::sim {
namespace {

using content = http_content;

bool may_end(const http_ask& what) {
    return what.closes || what.may_fail || what.must_fail || what.upgrades || what.up.bytes > 0;
}

// One thing after another, on one connection as long as it stays. (It need not when an answer
// overtakes the news that its request's body has been sent.)
task<> ask_in_turn(http_world& all, std::vector<http_ask> what) {
    std::unique_ptr<http_peer> visitor;
    for (const http_ask& each : what) {
        if (!visitor) visitor = co_await all.visit();
        if (!visitor) co_return;
        std::vector<http_ask> one{each};
        const bool stays = co_await all.ask(*visitor, std::move(one));
        EXPECT_TRUE(stays || all.facts.faulty || may_end(each));
        if (!stays) visitor.reset();
    }
    if (visitor) visitor->close();
}

task<> keep_alive(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {},
        {.method = "POST", .up = content::length(3'000), .down = content::chunked(5'000)},
        {.method = "PUT", .up = content::chunked(20'000), .down = content::length(0)},
        {.method = "HEAD", .service = 1, .down = content::length(40'000)},
        {.method = "DELETE", .down = content::none(), .status = 204},
        {.down = content::length(10), .status = 304},
        {.down = content::with_trailers(700)},
        {.method = "POST", .up = content::with_trailers(900), .closes = true},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

// More than any window; less where every operation fails in turn.
std::uint64_t big(const run_facts& facts) { return facts.faulty ? 150'000 : 400'000; }

task<> big_bodies(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    const std::uint64_t bytes = big(facts);
    std::vector<http_ask> what{
        {.method = "POST", .up = content::length(bytes), .down = content::length(10)},
        {.down = content::length(bytes)},
        {.method = "POST", .up = content::chunked(bytes), .down = content::with_trailers(bytes)},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

// Pieces as small as these end a run; the window that a slow reader closes begins another.
task<> run_after_run(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    http_ask what;
    what.down = content::length(facts.faulty ? 300'000 : 800'000);
    what.down.piece = 12'000;
    what.down.pause = 1ms;
    what.pause = 8ms;
    std::vector<http_ask> one{what};
    if (open) co_await ask_in_turn(all, std::move(one));
    co_await all.finish();
}

task<> tiny_chunks(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.method = "POST",
         .up = content::chunked(100'000, 7),
         .down = content::chunked(100'000, 7),
         .pause = 100us},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

// All at once, to two services by turns.
task<> pipelining(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::unique_ptr<http_peer> visitor;
    if (open) visitor = co_await all.visit();
    if (visitor) {
        std::vector<http_ask> what{
            {.down = content::length(3'000)},
            {.service = 1},
            {.method = "POST", .up = content::length(2'000)},
            {.method = "HEAD", .service = 1},
            {.method = "PUT", .service = 1, .up = content::chunked(2'000)},
            {.down = content::chunked(300)},
        };
        const bool stays = co_await all.ask(*visitor, std::move(what));
        EXPECT_TRUE(stays || facts.faulty);
        if (stays) visitor->close();
    }
    co_await all.finish();
}

// The answer comes before the request is through.
task<> early_response(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    const std::uint64_t bytes = big(facts);
    std::vector<http_ask> what{
        {.method = "POST",
         .up = content::length(bytes),
         .how = manner::answers_and_leaves,
         .status = 413},
        {.method = "POST", .up = content::length(bytes), .how = manner::answers_at_once},
        {.method = "PUT", .up = content::chunked(3'000), .how = manner::answers_at_once},
        {.method = "POST",
         .up = content::chunked(bytes),
         .down = content::length(bytes),
         .how = manner::answers_at_once},
        {},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

// Big both ways, and broken while both are under way on lanes of their own.
task<> early_response_cut_off(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    http_ask what;
    what.method = "POST";
    what.up = content::length(big(facts));
    what.down = content::length(big(facts));
    what.how = manner::answers_and_resets;
    what.may_fail = true;
    http_ask unheard = what;
    unheard.how = manner::drops_if_served;
    for (const http_ask& each : {what, http_ask{}, unheard, http_ask{}, unheard, what}) {
        std::vector<http_ask> one{each};
        if (open) co_await ask_in_turn(all, std::move(one));
    }
    co_await all.finish();
}

task<> answers_before_the_head_is_through(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.how = manner::answers_unheard, .padding = 20'000},
        {},
        {.method = "POST", .how = manner::answers_unheard, .padding = 20'000},
        {.method = "POST", .up = content::length(10)},
    };
    for (http_ask& each : what) each.repeats = each.method == "GET";
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

task<> converse(http_world& all, http_ask what) {
    const bool whole = co_await all.converse(what);
    static_cast<void>(whole);
}

task<> upgrade(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    http_ask what;
    what.upgrades = true;
    what.status = 101;
    what.how = manner::switches;
    what.raw_up = 3'000;
    what.raw_down = 2'000;
    if (open) co_await converse(all, what);
    what.eager = true;
    what.padding = 5'000;
    if (open) co_await converse(all, what);
    what.how = manner::switches_and_ends;
    what.raw_up = what.raw_down = big(facts);
    if (open) co_await converse(all, what);
    // Refused; what was said too early is no request.
    what.how = manner::answers;
    what.status = 426;
    what.raw_up = 100;
    if (open) co_await converse(all, what);
    what.eager = false;
    std::vector<http_ask> refused{what, {}};
    if (open) co_await ask_in_turn(all, std::move(refused));
    co_await all.finish();
}

// Each after one that was served on the same socket.
task<> ask_after_another(http_world& all, http_ask what) {
    std::vector<http_ask> both{{}, what};
    co_await ask_in_turn(all, std::move(both));
}

// The upstream drops sockets that it has served before, or says 408 on them.
task<> retry(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    for (const manner how : {manner::drops_if_served, manner::times_out_if_served}) {
        const std::array tries{
            http_ask{.repeats = true},
            http_ask{.method = "PUT", .up = content::length(3'000), .repeats = true},
            http_ask{.method = "PUT", .up = content::chunked(50'000), .repeats = true},
            // More than is kept for a second try, perhaps.
            http_ask{.method = "PUT",
                     .up = content::chunked(big(facts)),
                     .repeats = true,
                     .may_fail = true},
            http_ask{.method = "PUT",
                     .up = content::with_trailers(100),
                     .repeats = true,
                     .may_fail = true},
            http_ask{.method = "POST", .up = content::length(3'000), .may_fail = true},
            http_ask{.method = "POST", .may_fail = true},
        };
        for (http_ask each : tries) {
            each.how = how;
            if (open) co_await ask_after_another(all, each);
        }
    }
    co_await all.finish();
}

// The upstream closes what was idle for 2 ms just when the next request may be on its way.
task<> stale_sockets(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    all.upstream_patience = 2ms;
    for (int i = 0; open && i < 8; ++i) {
        http_ask what;
        what.repeats = i % 4 != 3;
        if (i % 4 == 3) what.method = "POST";
        if (i % 4 == 2) what.method = "PUT";
        if (i % 4 >= 2) what.up = content::length(500);
        what.may_fail = !what.repeats;
        co_await all.ask_alone(what);
        co_await all.pass(1900us + std::chrono::microseconds{
                                       (facts.seed + static_cast<std::uint64_t>(i)) % 3 * 100});
    }
    co_await all.finish();
}

task<> expect_continue(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.method = "POST", .up = content::length(5'000), .expects = true},
        {.method = "PUT", .up = content::chunked(5'000), .expects = true},
        {.method = "POST",
         .up = content::length(5'000),
         .how = manner::answers_and_leaves,
         .status = 417,
         .expects = true},
        {.method = "POST",
         .up = content::chunked(5'000),
         .how = manner::answers_at_once,
         .status = 401,
         .expects = true},
        {},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

task<> long_heads_and_many(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.padding = 20'000},
        {.method = "POST", .up = content::with_trailers(30'000), .padding = 30'000},
        {.down = content::with_trailers(1'000), .interims = 3},
        {.interims = 40},
        {},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

task<> old_upstreams_and_visitors(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.down = content::until_close(20'000)},
        {.down = content::until_close(20'000), .upstream_1_0 = true},
        {.down = content::length(20'000), .upstream_1_0 = true},
        {.method = "HEAD", .down = content::none(), .upstream_1_0 = true},
        {.down = content::none(), .status = 204, .visitor_1_0 = true, .closes = true},
        {.down = content::length(3'000), .visitor_1_0 = true, .closes = true},
        {.down = content::with_trailers(20'000), .visitor_1_0 = true, .closes = true},
        {.down = content::until_close(100), .interims = 2, .visitor_1_0 = true, .closes = true},
    };
    if (open) co_await ask_in_turn(all, std::move(what));
    co_await all.finish();
}

task<> cut_bodies(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    std::vector<http_ask> what{
        {.down = content::length(30'000), .how = manner::resets},
        {.down = content::length(30'000), .how = manner::ends},
        {.down = content::chunked(30'000), .how = manner::resets},
        {.down = content::chunked(30'000), .how = manner::ends},
        {.down = content::until_close(30'000), .how = manner::resets},
        {.down = content::length(big(facts)), .how = manner::resets},
        {.down = content::chunked(big(facts)), .how = manner::ends},
    };
    for (http_ask& each : what) each.must_fail = true;
    if (open) co_await ask_in_turn(all, std::move(what));
    std::vector<http_ask> afterwards{{}};
    if (open) co_await ask_in_turn(all, std::move(afterwards));
    co_await all.finish();
}

task<> visitor_leaves(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    const std::array leaves{
        http_ask{.method = "POST", .up = content::length(50'000), .leaves_at = 20'000},
        http_ask{.method = "POST", .up = content::chunked(big(facts)), .leaves_at = 100'000},
        http_ask{.how = manner::keeps_silent, .gives_up = 20ms},
        http_ask{.method = "POST",
                 .up = content::length(3'000),
                 .how = manner::keeps_silent,
                 .gives_up = 20ms},
    };
    for (http_ask each : leaves) {
        each.may_fail = each.must_fail = true;
        if (open) co_await all.ask_alone(each);
        if (open) co_await all.until_upstreams_know();
    }
    // In the middle of an answer, and before it with another request behind the first.
    http_ask slow{.down = content::length(big(facts)), .pause = 5ms, .gives_up = 20ms};
    slow.must_fail = true;
    if (open) co_await all.ask_alone(slow);
    if (open) co_await all.until_upstreams_know();
    std::vector<http_ask> both{leaves[2], leaves[2]};
    for (http_ask& each : both) each.must_fail = true;
    std::unique_ptr<http_peer> visitor;
    if (open) visitor = co_await all.visit();
    if (visitor) co_await all.ask(*visitor, std::move(both));
    visitor.reset();
    if (open) co_await all.until_upstreams_know();
    co_await all.finish();
}

// Some requests on one connection; after one that failed on another.
task<> keep_asking(http_world& all, http_ask what) {
    std::unique_ptr<http_peer> visitor;
    for (int i = 0; i < 5; ++i) {
        if (!visitor) visitor = co_await all.visit();
        if (visitor) {
            std::vector<http_ask> one{what};
            const bool stays = co_await all.ask(*visitor, std::move(one));
            if (!stays) visitor.reset();
        }
        co_await all.pass(1ms);
    }
    if (visitor) visitor->close();
}

// Visitors while something happens to the tunnel: what is under way may be cut, visibly.
class traffic {
  public:
    explicit traffic(http_world& all) : all_{all}, faulty_{all.facts.faulty} {
        all.facts.faulty = true;
        http_ask what;
        what.repeats = true;
        visitors_.start(keep_asking(all, what));
        what.up = what.down = content::chunked(50'000);
        what.method = "PUT";
        visitors_.start(keep_asking(all, what));
        what.up = content::length(2'000);
        what.method = "POST";
        what.service = 1;
        visitors_.start(keep_asking(all, what));
    }
    task<> end() {
        co_await visitors_.join();
        all_.facts.faulty = faulty_;
    }

  private:
    http_world& all_;
    const bool faulty_;
    nursery visitors_;
};

task<> agent_restarts(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    bool open = co_await all.start();
    if (open) {
        traffic asked{all};
        co_await all.pass(3ms);
        co_await all.stop_agent(true);
        co_await all.pass(3ms);
        all.start_agent();
        open = co_await all.wait_open();
        co_await asked.end();
        std::vector<http_ask> afterwards{{}, {.service = 1}};
        if (open) co_await ask_in_turn(all, std::move(afterwards));
    }
    co_await all.finish();
}

task<> relay_restarts(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    bool open = co_await all.start();
    if (open) {
        traffic asked{all};
        co_await all.pass(3ms);
        co_await all.stop_relay(true);
        co_await all.pass(3ms);
        open = co_await all.start_relay();
        if (open) open = co_await all.wait_open();
        co_await asked.end();
        std::vector<http_ask> afterwards{{}, {.service = 1}};
        if (open) co_await ask_in_turn(all, std::move(afterwards));
    }
    co_await all.finish();
}

task<> ask_once(http_world& all, http_ask what) {
    const bool whole = co_await all.ask_alone(what);
    static_cast<void>(whole);
}

// A drain lets what is under way come to its end.
task<> drain(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    for (const bool of_agent : {true, false}) {
        nursery visitors;
        if (open) {
            http_ask what;
            what.down = content::length(100'000);
            what.pause = 500us;
            visitors.start(ask_once(all, what));
            what.method = "POST";
            what.up = what.down = content::chunked(100'000);
            visitors.start(ask_once(all, what));
            while (all.back().counters().exchanges_opened < 2 && !facts.faulty)
                co_await all.pass(1ms);
        }
        if (of_agent) co_await all.stop_agent(false);
        else co_await all.stop_relay(false);
        co_await visitors.join();
        bool again = true;
        if (of_agent) all.start_agent();
        else again = co_await all.start_relay();
        if (again) again = co_await all.wait_open();
        if (!again) break;
    }
    co_await all.finish();
}

task<> slow_reader_among_others(io_context& io, run_facts& facts) {
    http_world all{io, facts};
    const bool open = co_await all.start();
    nursery visitors;
    if (open) {
        http_ask what;
        what.down = content::length(big(facts));
        what.pause = 5ms;
        visitors.start(ask_once(all, what));
        what.method = "POST";
        what.up = what.down = content::chunked(2'000);
        what.pause = {};
        for (int i = 0; i < 3; ++i) visitors.start(ask_once(all, what));
        what.service = 1;
        visitors.start(ask_once(all, what));
    }
    co_await visitors.join();
    co_await all.finish();
}

struct named_scenario {
    const char* name;
    scenario what;
    std::uint64_t seeds;
};

constexpr std::array scenarios{
    named_scenario{"keep_alive", keep_alive, 1000},
    named_scenario{"big_bodies", big_bodies, 100},
    named_scenario{"run_after_run", run_after_run, 100},
    named_scenario{"tiny_chunks", tiny_chunks, 100},
    named_scenario{"pipelining", pipelining, 1000},
    named_scenario{"early_response", early_response, 100},
    named_scenario{"early_response_cut_off", early_response_cut_off, 100},
    named_scenario{"answers_before_the_head_is_through", answers_before_the_head_is_through, 100},
    named_scenario{"upgrade", upgrade, 100},
    named_scenario{"retry", retry, 100},
    named_scenario{"stale_sockets", stale_sockets, 100},
    named_scenario{"expect_continue", expect_continue, 100},
    named_scenario{"long_heads_and_many", long_heads_and_many, 100},
    named_scenario{"old_upstreams_and_visitors", old_upstreams_and_visitors, 100},
    named_scenario{"cut_bodies", cut_bodies, 100},
    named_scenario{"visitor_leaves", visitor_leaves, 100},
    named_scenario{"agent_restarts", agent_restarts, 100},
    named_scenario{"relay_restarts", relay_restarts, 100},
    named_scenario{"drain", drain, 100},
    named_scenario{"slow_reader_among_others", slow_reader_among_others, 100},
};

class http_sim : public testing::TestWithParam<named_scenario> {};

TEST_P(http_sim, survives_every_random_schedule) {
    random_seeds(GetParam().what, GetParam().seeds);
}

TEST_P(http_sim, survives_a_failure_of_every_operation) { torture(GetParam().what); }

TEST_P(http_sim, may_be_stopped_at_every_operation) { cancel_everywhere(GetParam().what); }

INSTANTIATE_TEST_SUITE_P(scenarios, http_sim, testing::ValuesIn(scenarios),
                         [](const auto& chosen) { return std::string{chosen.param.name}; });

}  // namespace
}  // namespace tunnel_uring::sim
