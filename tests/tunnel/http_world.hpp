// A relay with an http front, an agent with two services, HTTP upstreams and HTTP visitors in one
// simulated world, and what must hold of every message between them: it is the right one, whole to
// the last byte, or visibly broken.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/listener.hpp"
#include "net/resolver.hpp"
#include "tunnel/agent.hpp"
#include "tunnel/http_peer.hpp"
#include "tunnel/relay.hpp"

namespace tunnel_uring::sim {

inline constexpr std::array<std::string_view, 2> http_services{"one", "two"};

// What the upstream does with a request.
enum class manner {
    answers,             // When it has heard all of it.
    answers_unheard,     // As soon as it sees the target, and hears no more.
    answers_at_once,     // After the head, and hears the rest then.
    answers_and_leaves,  // After the head, with Connection: close; of the rest it takes nothing in.
    answers_and_resets,  // After the head; a reset may overtake the answer.
    resets,              // In the middle of its answer's body.
    ends,                // Likewise, with a FIN.
    keeps_silent,        // Hears it, and never answers.
    drops_if_served,     // Where the connection has served before: resets without a word.
    times_out_if_served,  // Likewise: says 408 and leaves.
    switches,             // 101 and raw bytes at once; it ends when it has heard the visitor's end.
    switches_and_ends,    // Likewise, but its FIN comes first.
};

// A visitor's request and the upstream's answer.
struct http_ask {
    std::string_view method = "GET";
    std::size_t service = 0;
    http_content up = http_content::none();
    http_content down = http_content::length(100);
    manner how = manner::answers;
    std::uint16_t status = 200;
    int interims = 0;         // Of 103, before the answer.
    std::size_t padding = 0;  // Bytes of a field in both heads.
    bool expects = false;     // Expect: 100-continue; the upstream says so when it answers.
    bool upgrades = false;
    std::uint64_t raw_up = 0;  // Bytes after an upgrade.
    std::uint64_t raw_down = 0;
    bool eager = false;  // The visitor does not wait for the 101.
    bool visitor_1_0 = false;
    bool upstream_1_0 = false;
    bool closes = false;                   // The visitor says Connection: close.
    bool repeats = false;                  // May reach upstreams twice (only idempotent ones).
    bool may_fail = false;                 // Something is done to it that may cut it.
    bool must_fail = false;                // Something is done to it that must.
    duration pause{};                      // Of its reader, after each piece.
    std::uint64_t leaves_at = UINT64_MAX;  // The visitor leaves after so many bytes of its body,
    duration gives_up{};                   // or after so long (0: never).
};

// An answer as the visitor heard it.
struct heard_answer {
    bool whole = false;
    std::uint16_t status = 0;
    std::optional<std::uint64_t> tag;  // None of what the relay itself says.
    std::string service;
    heard_body body;
    int interims = 0;
    bool switched = false;
    bool stays = false;
};

class http_world {
  public:
    http_world(io_context& io, run_facts& facts);

    // Upstreams and relay up, agent connected, both services open; false when that failed (only
    // with faults).
    task<bool> start();
    // Everything drained and joined, and the books closed.
    task<> finish();
    void start_agent();
    task<> stop_agent(bool at_once);
    task<bool> start_relay();
    task<> stop_relay(bool at_once);
    task<bool> wait_open();
    task<> pass(duration time);
    // Until no upstream is busy with a request any more: all have heard that their visitor left.
    task<> until_upstreams_know();

    // A visitor's connection; none when it could not be made.
    task<std::unique_ptr<http_peer>> visit();
    // The visitor asks one thing after another without waiting, and hears the answers in order.
    // Checks all. True when the connection may be used again.
    task<bool> ask(http_peer& visitor, std::vector<http_ask> what);
    // On a connection of its own; true when the answer was whole.
    task<bool> ask_alone(http_ask what);
    // An upgrade, and its raw bytes. True when all of them came.
    task<bool> converse(http_ask what);

    io_context& io;
    run_facts& facts;
    const agent& back() const { return *agent_; }
    const relay& front() const { return *relay_; }
    agent_config& agent_settings() { return agent_config_; }
    relay_config& relay_settings() { return relay_config_; }
    // The upstreams close a connection with a FIN that is silent so long after an answer; 0: never.
    duration upstream_patience{0};

    // ── what was seen ──
    std::uint64_t whole_answers = 0;
    std::uint64_t repeated = 0;     // Requests that reached an upstream twice.
    std::uint64_t own_answers = 0;  // Answers of the relay itself.
    // Requests that reached an upstream to their end.
    std::uint64_t heard_requests = 0;

  private:
    class watcher final : public relay_observer, public agent_observer {
      public:
        void agent_connected(std::string_view, std::string_view) override {}
        void agent_gone(std::string_view, std::string_view) override {}
        void connection_refused(std::string_view, std::string_view) override {}
        void port_opened(std::string_view, std::string_view, std::string_view) override {}
        void port_closed(std::string_view, std::string_view, std::string_view) override {}
        void connected(std::string_view) override {}
        void disconnected(std::string_view, std::string_view) override { open = 0; }
        void retrying(std::string_view, std::string_view, std::uint32_t, duration) override {}
        void refused(std::string_view, std::uint16_t, std::string_view) override {}
        void service_open(std::string_view, std::span<const std::string>) override {
            open += 1;
            changed.notify_all();
        }
        void service_refused(std::string_view, std::uint16_t, std::string_view) override {}
        void upstream_down(std::string_view, std::string_view) override {}
        void exchange_ended(std::string_view, std::string_view, const exchange_end&) override {}
        void request_ended(const request_report&) override {}

        std::size_t open = 0;
        event changed;
    };
    struct planned {
        http_ask what;
        int reached = 0;  // Upstreams that heard its head,
        int left = 0;     // and are done with it.
    };

    struct talk {
        std::vector<std::uint64_t> tags;
        cancel_source leaving;
        event continued;  // The next body may go.
        bool broken = false;
        explicit talk(cancel_token stop) : leaving{stop} {}
    };

    // ── upstreams ──
    task<> serve_upstream(std::size_t service);
    task<> serve_one(stream connection, std::size_t service);
    task<bool> serve_request(http_peer& peer, std::uint64_t tag, bool served);
    std::uint64_t unheard(std::string_view seen) const;
    task<bool> answer_unheard(http_peer& peer, std::uint64_t tag);
    task<bool> hear_request(http_peer& peer, std::uint64_t tag);
    task<bool> answer(http_peer& peer, std::uint64_t tag, std::uint64_t most);
    task<bool> answer_whole(http_peer& peer, std::uint64_t tag);
    task<> leave(http_peer& peer);
    task<bool> switch_protocols(http_peer& peer, std::uint64_t tag);
    task<> say_words(http_peer& peer, talk& with, std::uint64_t tag);
    std::uint64_t check_head(const request_head& head, std::size_t service);
    std::string answer_head(std::uint64_t tag, const http_ask& what) const;

    // ── visitors ──
    task<> say_requests(http_peer& visitor, talk& with);
    task<bool> say_request(http_peer& visitor, talk& with, std::uint64_t tag);
    task<> say_raw(http_peer& visitor, talk& with, std::uint64_t tag);
    task<heard_answer> hear_answer(http_peer& visitor, talk& with, std::uint64_t tag);
    void judge(std::uint64_t tag, const heard_answer& heard);
    std::uint64_t plan(const http_ask& what);
    std::string request_head_of(std::uint64_t tag, const http_ask& what) const;

    relay_config relay_config_;
    agent_config agent_config_;
    watcher watcher_;
    resolver names_;
    std::vector<listener> upstreams_;
    cancel_source upstreams_over_;
    nursery upstream_tasks_;
    std::map<std::uint64_t, planned> plans_;
    std::optional<relay> relay_;
    std::optional<agent> agent_;
    std::optional<cancel_source> relay_drain_;
    std::optional<cancel_source> relay_stop_;
    std::optional<cancel_source> agent_drain_;
    std::optional<cancel_source> agent_stop_;
    std::optional<nursery> relay_task_;
    std::optional<nursery> agent_task_;
};

}  // namespace tunnel_uring::sim
