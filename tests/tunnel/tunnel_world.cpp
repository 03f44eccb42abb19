#include "tunnel/tunnel_world.hpp"

namespace tunnel_uring::sim {

namespace {

constexpr std::size_t piece_bytes = 24 * 1024;
constexpr std::uint16_t relay_port = 7000;
constexpr std::uint16_t public_port = 8000;

// No scenario takes longer in virtual time unless something hangs.
constexpr duration patience = 120s;

}  // namespace

task<heard> listen_to(stream& from, std::uint64_t key, std::uint64_t limit, duration pause,
                      cancel_token stop) {
    heard out;
    std::vector<std::byte> memory(piece_bytes);
    while (out.bytes < limit) {
        const result<std::size_t> got = co_await from.receive(memory, stop);
        if (!got) co_return out;
        if (*got == 0) {
            out.clean = true;
            co_return out;
        }
        for (std::size_t i = 0; i < *got; ++i)
            out.wrong = out.wrong || memory[i] != pattern(key, out.bytes + i);
        out.bytes += *got;
        if (pause == duration{}) continue;
        const result<void> slept = co_await from.io().sleep(pause, stop);
        static_cast<void>(slept);
    }
    co_return out;
}

task<bool> say(stream& to, std::uint64_t key, std::uint64_t bytes, cancel_token stop) {
    std::vector<std::byte> memory;
    for (std::uint64_t at = 0; at < bytes; at += memory.size()) {
        memory.resize(std::min<std::uint64_t>(piece_bytes, bytes - at));
        for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = pattern(key, at + i);
        const result<void> sent = co_await to.send_all(memory, stop);
        if (!sent) co_return false;
    }
    co_return true;
}

world::world(io_context& context, run_facts& known)
    : io{context}, facts{known}, names_{context}, upstream_over_{known.stopping.token()} {
    relay_config_.control_listen = "127.0.0.1:" + std::to_string(relay_port);
    relay_config_.tcp_ports_first = public_port;
    relay_config_.tcp_ports_last = public_port;
    relay_config_.insecure_open = true;
    relay_config_.io_uring.buffers = 64;
    agent_config_.name = "agent";
    agent_config_.relays = {relay_config_.control_listen};
    agent_config_.lanes.shared = 2;
    agent_config_.io_uring.buffers = 64;
    service_config service;
    service.name = "service";
    service.remote_port = public_port;
    service.pool.warm_up_size = 2;
    service.pool.max_pool_size = 4;
    agent_config_.services.push_back(service);
}

// ── roles ──

task<bool> world::start_relay() {
    relay_drain_.emplace();
    relay_stop_.emplace(facts.stopping.token());
    relay_.emplace(io, relay_config_, watcher_);
    result<void> listening = co_await relay_->listen();
    for (int tries = 0; !listening && facts.faulty && tries < 3; ++tries) {
        listening = co_await relay_->listen();
    }
    EXPECT_TRUE(listening) << listening.error().message();
    relay_task_.emplace();
    relay_task_->start(relay_->run(relay_drain_->token(), relay_stop_->token()));
    co_return listening.has_value();
}

task<> world::stop_relay(bool at_once) {
    relay_drain_->request();
    if (at_once) relay_stop_->request();
    co_await relay_task_->join();
    relay_.reset();
}

void world::start_agent() {
    agent_drain_.emplace();
    agent_stop_.emplace(facts.stopping.token());
    agent_.emplace(io, agent_config_, names_, watcher_, facts.seed);
    agent_task_.emplace();
    agent_task_->start(agent_->run(agent_drain_->token(), agent_stop_->token()));
}

task<> world::stop_agent(bool at_once) {
    agent_drain_->request();
    if (at_once) agent_stop_->request();
    co_await agent_task_->join();
    agent_.reset();
    watcher_.open = false;
}

task<bool> world::wait_open() {
    deadline limit{io, patience, facts.stopping.token()};
    while (!watcher_.open && !limit.token().requested()) {
        const result<void> woken = co_await watcher_.changed.wait(limit.token());
        static_cast<void>(woken);
    }
    EXPECT_FALSE(limit.expired_first()) << "the service was not open in time";
    co_return watcher_.open;
}

task<bool> world::start(habit what, std::uint64_t bytes) {
    host_port any;
    any.host = "127.0.0.1";
    for (int tries = 0; !upstream_ && tries < 3; ++tries) {
        result<listener> opened = listener::open(io, to_socket_address(any));
        if (opened) upstream_.emplace(std::move(*opened));
    }
    agent_config_.services[0].upstream = format(upstream_->address());
    upstream_tasks_.start(serve_upstream(what, bytes));
    const bool up = co_await start_relay();
    start_agent();
    if (!up) co_return false;
    const bool open = co_await wait_open();
    co_return open;
}

task<bool> world::start_refused() {
    agent_config_.services[0].upstream = "127.0.0.1:9";
    agent_config_.services[0].pool.warm_up_size = 0;
    const bool up = co_await start_relay();
    start_agent();
    if (!up) co_return false;
    const bool open = co_await wait_open();
    co_return open;
}

task<> world::finish() {
    co_await stop_agent(false);
    co_await stop_relay(false);
    upstream_over_.request();
    co_await upstream_tasks_.join();
    upstream_.reset();
}

// ── the upstream ──

task<> world::serve_upstream(habit what, std::uint64_t bytes) {
    acceptor incoming{*upstream_};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(upstream_over_.token());
        if (!accepted) break;
        upstream_tasks_.start(serve_one(std::move(*accepted), what, bytes));
    }
    co_await incoming.stop();
}

task<> world::serve_one(stream visitor, habit what, std::uint64_t bytes) {
    const cancel_token stop = upstream_over_.token();
    visitor.set_linger_reset(true);
    bool fine = true;
    std::vector<std::byte> memory(piece_bytes);
    if (what == habit::speak_first || what == habit::speak_and_end)
        fine = co_await say(visitor, 2, bytes, stop);
    if (fine && what == habit::speak_and_end) fine = visitor.shutdown_send().has_value();
    bool ended = false;
    std::uint64_t heard = 0;
    while (fine && !ended) {
        const result<std::size_t> got = co_await visitor.receive(memory, stop);
        fine = got.has_value() && what != habit::hang_up;
        ended = got && *got == 0;
        for (std::size_t i = 0; got && i < *got; ++i)
            EXPECT_EQ(memory[i], pattern(1, heard + i)) << "at the upstream, at " << heard + i;
        heard += got ? *got : 0;
        if (!fine || ended || what != habit::echo) continue;
        const bytes_view said = bytes_view{memory}.first(*got);
        const result<void> sent = co_await visitor.send_all(said, stop);
        fine = sent.has_value();
    }
    // A reset that a write was told of comes as an end here.
    fine = fine && !visitor.was_broken();
    // A warm socket that nobody used heard nothing.
    EXPECT_TRUE(!fine || heard == 0 || promised_.contains(heard))
        << "cut at " << heard << " looks whole upstream";
    if (fine && what == habit::answer_at_end) fine = co_await say(visitor, 2, bytes, stop);
    if (fine && what != habit::speak_and_end) fine = visitor.shutdown_send().has_value();
    if (fine) {
        visitor.set_linger_reset(false);
        visitor.close();
    } else {
        visitor.abort();
    }
}

// ── visitors ──

task<result<stream>> world::visit() {
    const result<host_port> where = parse_host_port(watcher_.where);
    if (!where) co_return where.error();
    co_return co_await stream::connect(io, to_socket_address(*where), facts.stopping.token());
}

namespace {

// A visitor that cannot say all it has to say gives up visibly.
task<> say_and_end(stream& visitor, std::uint64_t bytes, cancel_source& leaving, bool& broken) {
    const bool said = co_await say(visitor, 1, bytes, leaving.token());
    broken = !said || !visitor.shutdown_send();
    if (broken) leaving.request();
}

}  // namespace

task<bool> world::converse(std::uint64_t up, std::uint64_t down, duration pause) {
    result<stream> visitor = co_await visit();
    if (!visitor) co_return false;
    visitor->set_linger_reset(true);
    promised_.insert(up);
    deadline limit{io, patience, facts.stopping.token()};
    cancel_source leaving{limit.token()};
    nursery saying;
    bool broken = false;
    saying.start(say_and_end(*visitor, up, leaving, broken));
    // The upstream's own words have key 2, the echo the visitor's.
    const std::uint64_t key = up == down ? 1 : 2;
    const heard answer = co_await listen_to(*visitor, key, UINT64_MAX, pause, leaving.token());
    EXPECT_FALSE(limit.expired_first()) << "an exchange hangs";
    if (!answer.clean || answer.bytes != down) leaving.request();
    co_await saying.join();
    // A reset is told once: when the writer was told, the reader sees an end.
    const bool clean = answer.clean && !broken;
    const bool complete = clean && answer.bytes == down;
    EXPECT_FALSE(answer.wrong);
    EXPECT_TRUE(complete || !clean) << "cut at " << answer.bytes << " looks whole";
    EXPECT_TRUE(complete || facts.faulty) << "cut at " << answer.bytes;
    if (!complete) visitor->abort();
    else visitor->set_linger_reset(false);
    co_return complete;
}

}  // namespace tunnel_uring::sim
