// The tables of states and the traces of docs/protocol.md, "A direction", played against the code.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "wire/direction.hpp"
#include "wire/names.hpp"
#include "wire/protocol_document.hpp"

namespace tunnel_uring {
namespace {

using outcome = std::optional<protocol_error>;

constexpr std::uint64_t limit = 64;
constexpr std::uint64_t far_away = std::numeric_limits<std::uint64_t>::max();

std::string state_of(const send_direction& sender) {
    if (sender.ended()) return "ended";
    if (sender.in_run()) return "run";
    return sender.may_claim() ? "framing" : "awaiting";
}

std::string state_of(const receive_direction& receiver) {
    if (receiver.in_run() && receiver.marked()) return "marked run";
    if (receiver.marked()) return "marked";
    if (!receiver.in_run()) return receiver.resumes() ? "released" : "framed";
    // Whether the run's end has been told shows only in what a release is answered with.
    receive_direction copy = receiver;
    return copy.on_release(far_away) ? "told" : "run";
}

// ── tables ──

// What a cell says: an error, a state, or "—" where the event cannot be.
template <class Direction>
using event_row = std::function<std::string(Direction&)>;

template <class Direction>
std::string after(const Direction& direction, const outcome& wrong) {
    return wrong ? std::string{name_of(*wrong)} : state_of(direction);
}

template <class Direction>
void expect_table(std::string_view title, const std::string& first_state,
                  const std::map<std::string, Direction>& states,
                  const std::map<std::string, event_row<Direction>>& events) {
    const auto table = protocol_document::get().rows(title, first_state);
    ASSERT_FALSE(table.empty());
    ASSERT_EQ(table[0].size(), states.size() + 1);
    EXPECT_EQ(table.size(), events.size() + 1);
    for (std::size_t row = 1; row < table.size(); ++row) {
        const auto event = events.find(table[row][0]);
        ASSERT_NE(event, events.end()) << "nobody plays: " << table[row][0];
        ASSERT_EQ(table[row].size(), table[0].size()) << table[row][0];
        for (std::size_t column = 1; column < table[0].size(); ++column) {
            const auto state = states.find(table[0][column]);
            ASSERT_NE(state, states.end()) << table[0][column];
            Direction direction = state->second;
            ASSERT_EQ(state_of(direction), state->first);
            EXPECT_EQ(event->second(direction), table[row][column])
                << table[row][0] << ", in " << table[0][column];
        }
    }
}

std::map<std::string, send_direction> sender_states() {
    send_direction framing{limit};
    framing.sent(8);
    send_direction run = framing;
    run.claim();
    send_direction awaiting = run;
    awaiting.release();
    send_direction ended = framing;
    ended.end();
    return {{"framing", framing}, {"run", run}, {"awaiting", awaiting}, {"ended", ended}};
}

// An action of ours where the sender allows it, else "—".
event_row<send_direction> action(bool (*allowed)(const send_direction&),
                                 void (*act)(send_direction&)) {
    return [=](send_direction& sender) {
        if (!allowed(sender)) return std::string{"—"};
        act(sender);
        return state_of(sender);
    };
}

using sender_events = std::map<std::string, event_row<send_direction>>;

sender_events sender_actions() {
    const auto has_not_ended = [](const send_direction& one) { return !one.ended(); };
    const auto is_running = [](const send_direction& one) { return one.in_run() && !one.ended(); };
    const auto may_frame = [](const send_direction& one) {
        return !one.ended() && one.available() > 0;
    };
    const auto may_claim = [](const send_direction& one) {
        return !one.ended() && !one.in_run() && one.may_claim();
    };
    return {
        {"sends data within the limit", action(may_frame, [](auto& one) { one.sent(1); })},
        {"sends bytes on the bulk lane", action(is_running, [](auto& one) { one.sent(1000); })},
        {"sends claim", action(may_claim, [](auto& one) { one.claim(); })},
        {"sends release", action(is_running, [](auto& one) { one.release(); })},
        {"sends end", action(has_not_ended, [](auto& one) { one.end(); })},
    };
}

sender_events sender_hears() {
    return {
        {"hears credit, the limit as before or higher",
         [](send_direction& one) {
             const outcome same = one.on_credit(limit, false);
             return after(one, same ? same : one.on_credit(limit + 1, false));
         }},
        {"hears credit, the limit lower",
         [](send_direction& one) { return after(one, one.on_credit(limit - 1, false)); }},
        {"hears credit with resume",
         [](send_direction& one) { return after(one, one.on_credit(limit, true)); }},
        {"hears the first stop", [](send_direction& one) { return after(one, one.on_stop()); }},
        {"hears a second stop",
         [](send_direction& one) {
             const outcome first = one.on_stop();
             return after(one, first ? first : one.on_stop());
         }},
    };
}

TEST(protocol_document, table_of_the_sender_is_what_the_sender_does) {
    sender_events events = sender_actions();
    events.merge(sender_hears());
    expect_table<send_direction>("sender", "framing", sender_states(), events);
}

// 8 bytes have come in frames, and 8 more by the run where there is one; a run ends at 24.
std::map<std::string, receive_direction> receiver_states() {
    receive_direction framed{limit};
    EXPECT_FALSE(framed.on_data(8));
    receive_direction run = framed;
    EXPECT_FALSE(run.on_claim(8));
    EXPECT_FALSE(run.on_run_bytes(8));
    receive_direction told = run;
    EXPECT_FALSE(told.on_release(24));
    receive_direction released = told;
    EXPECT_FALSE(released.on_run_bytes(8));
    released.took(24);
    released.run_closed();
    receive_direction marked_run = run;
    EXPECT_FALSE(marked_run.on_end(24, false));
    receive_direction marked = framed;
    EXPECT_FALSE(marked.on_end(8, false));
    return {{"framed", framed},         {"run", run},      {"told", told}, {"released", released},
            {"marked run", marked_run}, {"marked", marked}};
}

std::uint64_t arrived(const receive_direction& one) {
    const std::string state = state_of(one);
    if (state == "released") return 24;
    return state == "framed" || state == "marked" ? 8 : 16;
}
std::uint64_t right_total(const receive_direction& one) {
    return state_of(one) == "told" ? 24 : arrived(one);
}

using receiver_events = std::map<std::string, event_row<receive_direction>>;

receiver_events receiver_hears() {
    return {
        {"hears data within the limit",
         [](receive_direction& one) { return after(one, one.on_data(1)); }},
        {"hears data beyond the limit",
         [](receive_direction& one) { return after(one, one.on_data(limit)); }},
        {"hears claim at the offset that has come",
         [](receive_direction& one) { return after(one, one.on_claim(arrived(one))); }},
        {"hears claim at another offset",
         [](receive_direction& one) { return after(one, one.on_claim(arrived(one) + 1)); }},
        {"hears release at or above what has come",
         [](receive_direction& one) { return after(one, one.on_release(arrived(one))); }},
        {"hears release below what has come",
         [](receive_direction& one) { return after(one, one.on_release(arrived(one) - 1)); }},
        {"hears end, the total right",
         [](receive_direction& one) { return after(one, one.on_end(right_total(one), false)); }},
        {"hears end, the total below what has come",
         [](receive_direction& one) { return after(one, one.on_end(arrived(one) - 1, false)); }},
        {"hears end, the total another",
         [](receive_direction& one) { return after(one, one.on_end(30, false)); }},
        {"hears end with cut, after no stop",
         [](receive_direction& one) { return after(one, one.on_end(right_total(one), true)); }},
        {"hears end with cut, after a stop",
         [](receive_direction& one) {
             one.stop();
             return after(one, one.on_end(right_total(one), true));
         }},
    };
}

receiver_events receiver_does() {
    const auto read = [](std::uint64_t count) {
        return [count](receive_direction& one) {
            if (!one.in_run()) return std::string{"—"};
            return after(one, one.on_run_bytes(count));
        };
    };
    return {
        {"reads bytes of the run up to its end", read(8)},
        {"reads bytes beyond the run's end", read(9)},
        {"has taken the run's last byte",
         [](receive_direction& one) {
             if (one.in_run()) {
                 EXPECT_FALSE(one.on_run_bytes(8));
             }
             one.took(one.held());
             if (!one.run_over()) return std::string{"—"};
             one.run_closed();
             return state_of(one);
         }},
        {"sends credit",
         [](receive_direction& one) {
             one.took(one.held());
             if (!one.grant_due(4 * limit)) return std::string{"—"};
             one.grant(limit);
             return state_of(one);
         }},
        {"sends stop",
         [](receive_direction& one) {
             if (one.marked()) return std::string{"—"};
             one.stop();
             return state_of(one);
         }},
    };
}

TEST(protocol_document, table_of_the_receiver_is_what_the_receiver_does) {
    receiver_events events = receiver_hears();
    events.merge(receiver_does());
    expect_table<receive_direction>("receiver", "framed", receiver_states(), events);
}

// ── traces ──

struct step {
    std::string what;
    std::uint64_t value = 0;
};

step step_of(const std::string& word) {
    const std::size_t equals = word.find('=');
    step one{.what = word.substr(0, equals)};
    if (equals != std::string::npos)
        std::from_chars(word.data() + equals + 1, word.data() + word.size(), one.value);
    return one;
}

// An event that the test does not know ends the program: it is a mistake of the document's.
outcome play(send_direction& sender, const step& next) {
    const std::map<std::string, std::function<outcome()>> events{
        {"data", [&]() { return sender.sent(next.value), outcome{}; }},
        {"run", [&]() { return sender.sent(next.value), outcome{}; }},
        {"claim", [&]() { return sender.claim(), outcome{}; }},
        {"release", [&]() { return sender.release(), outcome{}; }},
        {"end", [&]() { return sender.end(), outcome{}; }},
        {"credit", [&]() { return sender.on_credit(next.value, false); }},
        {"resume", [&]() { return sender.on_credit(next.value, true); }},
        {"stop", [&]() { return sender.on_stop(); }},
    };
    return events.at(next.what)();
}

outcome play(receive_direction& receiver, const step& next) {
    const std::map<std::string, std::function<outcome()>> events{
        {"data", [&]() { return receiver.on_data(next.value); }},
        {"claim", [&]() { return receiver.on_claim(next.value); }},
        {"run", [&]() { return receiver.on_run_bytes(next.value); }},
        {"release", [&]() { return receiver.on_release(next.value); }},
        {"end", [&]() { return receiver.on_end(next.value, false); }},
        {"cut", [&]() { return receiver.on_end(next.value, true); }},
        {"took", [&]() { return receiver.took(next.value), outcome{}; }},
        {"back", [&]() { return receiver.run_closed(), outcome{}; }},
        {"grant", [&]() { return receiver.grant(next.value), outcome{}; }},
        {"stop", [&]() { return receiver.stop(), outcome{}; }},
    };
    return events.at(next.what)();
}

std::string told(const send_direction& sender) {
    if (sender.ended())
        return fmt::format("ended offset={}{}", sender.offset(),
                           sender.complete() ? " complete" : "");
    return fmt::format("{} offset={} available={}", state_of(sender), sender.offset(),
                       sender.available());
}

std::string told(const receive_direction& receiver) {
    return fmt::format("{} held={}{}{}", state_of(receiver), receiver.held(),
                       receiver.finished() ? " finished" : "",
                       receiver.complete() ? " complete" : "");
}

// Nothing follows an error: a trace that goes on after one is wrong.
template <class Direction>
std::string outcome_of(const test_vector& trace) {
    std::vector<std::string> words = trace.words();
    Direction direction{step_of(words.at(0)).value};
    for (std::size_t i = 1; i < words.size(); ++i) {
        const outcome wrong = play(direction, step_of(words[i]));
        if (!wrong) continue;
        return i + 1 == words.size() ? std::string{name_of(*wrong)} : "an error at " + words[i];
    }
    return told(direction);
}

TEST(protocol_document, traces_of_a_sender_end_as_it_says) {
    const auto traces = protocol_document::get().vectors("send");
    ASSERT_FALSE(traces.empty());
    for (const test_vector& one : traces)
        EXPECT_EQ(outcome_of<send_direction>(one), one.result) << one.line << ": " << one.text;
}

TEST(protocol_document, traces_of_a_receiver_end_as_it_says) {
    const auto traces = protocol_document::get().vectors("receive");
    ASSERT_FALSE(traces.empty());
    for (const test_vector& one : traces)
        EXPECT_EQ(outcome_of<receive_direction>(one), one.result) << one.line << ": " << one.text;
}

TEST(protocol_document, has_a_trace_for_every_error_that_a_direction_finds) {
    std::set<std::string> traced;
    for (const std::string_view kind : {"send", "receive"})
        for (const test_vector& one : protocol_document::get().vectors(kind))
            traced.insert(one.result);
    for (const auto& row : protocol_document::get().rows("name", "found by"))
        EXPECT_EQ(traced.contains(row[0]), row[1] == "direction") << row[0];
}

}  // namespace
}  // namespace tunnel_uring
