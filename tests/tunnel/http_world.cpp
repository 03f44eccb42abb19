#include "tunnel/http_world.hpp"

#include <algorithm>
#include <array>

namespace tunnel_uring::sim {

namespace {

constexpr std::uint16_t control_port = 7000;
constexpr std::uint16_t http_port = 8000;

// No scenario takes longer in virtual time unless something hangs.
constexpr duration patience = 120s;

}  // namespace

http_world::http_world(io_context& context, run_facts& known)
    : io{context}, facts{known}, names_{context}, upstreams_over_{known.stopping.token()} {
    relay_config_.control_listen = "127.0.0.1:" + std::to_string(control_port);
    relay_config_.http.listen = "127.0.0.1:" + std::to_string(http_port);
    relay_config_.insecure_open = true;
    relay_config_.io_uring.buffers = 64;
    relay_config_.io_uring.splice = known.seed % 2 == 0;
    agent_config_.name = "agent";
    agent_config_.relays = {relay_config_.control_listen};
    agent_config_.lanes.shared = 2;
    agent_config_.io_uring.buffers = 64;
    agent_config_.io_uring.splice = known.seed % 3 == 0;
    for (const std::string_view name : http_services) {
        service_config& service = agent_config_.services.emplace_back();
        service.name = service.subdomain = name;
        service.type = service_kind::http;
        service.pool.warm_up_size = 1;
        service.pool.max_pool_size = 4;
    }
}

// ── roles ──

task<bool> http_world::start_relay() {
    result<void> listening = error{ENOTCONN};
    for (int tries = 0; !listening && tries < 3; ++tries) {
        relay_.emplace(io, relay_config_, watcher_);
        listening = co_await relay_->listen();
        if (!facts.faulty) break;
    }
    EXPECT_TRUE(listening) << listening.error().message();
    relay_drain_.emplace();
    relay_stop_.emplace(facts.stopping.token());
    relay_task_.emplace();
    relay_task_->start(relay_->run(relay_drain_->token(), relay_stop_->token()));
    co_return listening.has_value();
}

task<> http_world::stop_relay(bool at_once) {
    relay_drain_->request();
    if (at_once) relay_stop_->request();
    co_await relay_task_->join();
    relay_.reset();
}

void http_world::start_agent() {
    agent_drain_.emplace();
    agent_stop_.emplace(facts.stopping.token());
    agent_.emplace(io, agent_config_, names_, watcher_, facts.seed);
    agent_task_.emplace();
    agent_task_->start(agent_->run(agent_drain_->token(), agent_stop_->token()));
}

task<> http_world::stop_agent(bool at_once) {
    agent_drain_->request();
    if (at_once) agent_stop_->request();
    co_await agent_task_->join();
    agent_.reset();
    watcher_.open = 0;
}

task<bool> http_world::wait_open() {
    deadline limit{io, patience, facts.stopping.token()};
    while (watcher_.open < http_services.size() && !limit.token().requested()) {
        const result<void> woken = co_await watcher_.changed.wait(limit.token());
        static_cast<void>(woken);
    }
    EXPECT_FALSE(limit.expired_first()) << "the services were not open in time";
    co_return watcher_.open >= http_services.size();
}

task<bool> http_world::start() {
    host_port any;
    any.host = "127.0.0.1";
    for (std::size_t service = 0; service < http_services.size(); ++service) {
        result<listener> opened = listener::open(io, to_socket_address(any));
        if (!opened) opened = listener::open(io, to_socket_address(any));
        EXPECT_TRUE(opened);
        upstreams_.push_back(std::move(*opened));
        agent_config_.services[service].upstream = format(upstreams_.back().address());
    }
    for (std::size_t service = 0; service < http_services.size(); ++service)
        upstream_tasks_.start(serve_upstream(service));
    const bool up = co_await start_relay();
    start_agent();
    if (!up) co_return false;
    const bool open = co_await wait_open();
    co_return open;
}

task<> http_world::finish() {
    const time_point before = io.now();
    co_await stop_agent(false);
    co_await stop_relay(false);
    EXPECT_TRUE(facts.faulty || io.now() - before < 5s) << "an exchange was not over";
    upstreams_over_.request();
    co_await upstream_tasks_.join();
    upstreams_.clear();
    for (const auto& [tag, one] : plans_) {
        const bool may_repeat =
            is_idempotent(one.what.method) && (one.what.repeats || facts.faulty);
        EXPECT_LE(one.reached, may_repeat ? 2 : 1)
            << one.what.method << " " << tag << " reached upstreams too often";
        if (one.reached > 1) repeated += 1;
    }
}

task<> http_world::until_upstreams_know() {
    deadline limit{io, 1s, facts.stopping.token()};
    const auto busy = [](const auto& one) { return one.second.reached > one.second.left; };
    co_await pass(5ms);  // What is on its way arrives.
    while (std::any_of(plans_.begin(), plans_.end(), busy) && !limit.token().requested())
        co_await pass(1ms);
    // A watch that could not be had is no reason to end an exchange.
    EXPECT_TRUE(facts.faulty || !limit.expired_first()) << "nobody told that the visitor left";
}

task<> http_world::pass(duration time) {
    const result<void> slept = co_await io.sleep(time, facts.stopping.token());
    static_cast<void>(slept);
}

// ── visitors ──

std::uint64_t http_world::plan(const http_ask& what) {
    const std::uint64_t tag = plans_.size() + 1;
    plans_.emplace(tag, planned{what});
    return tag;
}

std::string http_world::request_head_of(std::uint64_t tag, const http_ask& what) const {
    std::string head{what.method};
    head += " /t" + std::to_string(tag) + (what.visitor_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    head += "Host: " + std::string{http_services.at(what.service)} + ".localhost\r\n";
    head += "X-Forwarded-For: 203.0.113.99\r\n";  // A lie.
    if (what.padding > 0) head += "X-Pad: " + std::string(what.padding, 'p') + "\r\n";
    if (what.closes) head += "Connection: close\r\n";
    if (what.expects) head += "Expect: 100-continue\r\n";
    if (what.upgrades) head += "Connection: upgrade\r\nUpgrade: echo\r\n";
    return head + framing_of(what.up) + "\r\n";
}

task<std::unique_ptr<http_peer>> http_world::visit() {
    host_port where;
    where.host = "127.0.0.1";
    where.port = http_port;
    const socket_address to = to_socket_address(where);
    result<stream> made = co_await stream::connect(io, to, facts.stopping.token());
    EXPECT_TRUE(made || facts.faulty);
    if (!made) co_return std::unique_ptr<http_peer>{};
    co_return std::make_unique<http_peer>(std::move(*made), http_reader::kind::response);
}

task<bool> http_world::say_request(http_peer& visitor, talk& with, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = with.leaving.token();
    std::string head = request_head_of(tag, what);
    const bool said = co_await visitor.say(std::move(head), stop);
    if (!said) co_return false;
    if (what.expects) {
        const result<void> may = co_await with.continued.wait(stop);
        if (!may) co_return false;
    }
    const bool all = co_await visitor.say_body(tag * 2, what.up, what.leaves_at, stop);
    if (what.leaves_at >= what.up.bytes || !all) co_return all;
    // What was said may arrive before the visitor leaves.
    co_await pass(1ms);
    with.leaving.request();
    co_return false;
}

// A visitor that cannot say all it has to say gives up.
task<> http_world::say_requests(http_peer& visitor, talk& with) {
    for (const std::uint64_t tag : with.tags) {
        const bool said = co_await say_request(visitor, with, tag);
        if (said) continue;
        with.broken = true;
        with.leaving.request();
        co_return;
    }
}

task<heard_answer> http_world::hear_answer(http_peer& visitor, talk& with, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = with.leaving.token();
    heard_answer out;
    visitor.reader.expect(what.method == "HEAD", what.upgrades);
    for (;;) {
        const http_peer::head got = co_await visitor.hear_head(stop);
        if (got != http_peer::head::whole) co_return out;
        const response_head& head = visitor.reader.response();
        out.status = head.status;
        if (!head.interim()) break;
        if (head.status == 100) with.continued.notify();
        else out.interims += 1;
        bytes_view nothing;
        std::vector<bytes_view> pieces;
        visitor.reader.read(nothing, pieces);
    }
    const response_head& head = visitor.reader.response();
    out.stays = head.keep_alive;
    if (const std::string_view said = field_of(head.text, "X-Tag"); !said.empty())
        out.tag = number_of(said);
    out.service = field_of(head.text, "X-Service");
    EXPECT_TRUE(!out.tag || field_of(head.text, "X-Pad").size() == what.padding);
    out.switched = head.switches();
    if (out.switched) {
        out.whole = true;
        co_return out;
    }
    const std::uint64_t key = out.tag.value_or(0) * 2 + 1;
    out.body = co_await visitor.hear_body(key, what.pause, stop);
    out.whole = out.body.whole;
    co_return out;
}

void http_world::judge(std::uint64_t tag, const heard_answer& heard) {
    const planned& plan = plans_.at(tag);
    const http_ask& what = plan.what;
    SCOPED_TRACE("request " + std::to_string(tag) + ", status " + std::to_string(heard.status));
    EXPECT_EQ(heard.tag.value_or(tag), tag) << "the answer is another's";
    EXPECT_FALSE(heard.tag && heard.body.wrong) << "at " << heard.body.bytes;
    if (!heard.whole || !heard.tag) {
        EXPECT_TRUE(facts.faulty || what.may_fail || what.must_fail) << heard.body.text;
        if (!heard.whole) return;
        own_answers += 1;
        EXPECT_GE(heard.status, 400);
        // "Try again" is for what the upstream has never begun to do.
        EXPECT_TRUE(facts.faulty || plan.reached == 0 || heard.status != 503);
        return;
    }
    EXPECT_FALSE(what.must_fail) << "cut at " << heard.body.bytes << " looks whole";
    EXPECT_EQ(heard.status, what.status);
    EXPECT_EQ(heard.service, http_services.at(what.service));
    const bool has_body = may_have_body(what.status, what.method == "HEAD") && !heard.switched;
    EXPECT_EQ(heard.body.bytes, has_body ? what.down.bytes : 0);
    const bool trailers = has_body && what.down.trailers && !what.visitor_1_0;
    EXPECT_EQ(heard.body.trailers, trailers ? trailer_lines : "");
    // Of many, some may be left out.
    const int interims = what.visitor_1_0 ? 0 : what.interims;
    EXPECT_LE(heard.interims, interims);
    EXPECT_GE(heard.interims, std::min(interims, 8));
    EXPECT_TRUE(plan.reached > 0 || what.how == manner::answers_unheard);
    whole_answers += 1;
}

task<bool> http_world::ask(http_peer& visitor, std::vector<http_ask> what) {
    deadline limit{io, patience, facts.stopping.token()};
    const duration waits = what.front().gives_up;
    deadline tired{io, waits == duration{} ? patience : waits, limit.token()};
    talk with{tired.token()};
    for (const http_ask& one : what) with.tags.push_back(plan(one));
    nursery saying;
    saying.start(say_requests(visitor, with));
    bool stays = true;
    for (std::size_t i = 0; i < what.size() && stays; ++i) {
        const heard_answer heard = co_await hear_answer(visitor, with, with.tags[i]);
        judge(with.tags[i], heard);
        stays = heard.whole && heard.stays;
    }
    EXPECT_FALSE(limit.expired_first()) << "an answer hangs";
    if (!stays) with.leaving.request();
    co_await saying.join();
    co_return stays && !with.broken;
}

task<bool> http_world::ask_alone(http_ask what) {
    const std::unique_ptr<http_peer> visitor = co_await visit();
    if (!visitor) co_return false;
    const std::uint64_t before = whole_answers;
    std::vector<http_ask> one{what};
    const bool stays = co_await ask(*visitor, std::move(one));
    static_cast<void>(stays);
    const bool whole = whole_answers > before;
    if (whole) visitor->close();
    co_return whole;
}

// After an upgrade: the bytes, and a FIN.
task<> http_world::say_raw(http_peer& visitor, talk& with, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = with.leaving.token();
    const bool said = co_await visitor.say_body(tag * 2, http_content::until_close(what.raw_up),
                                                what.raw_up, stop);
    with.broken = !said || !visitor.connection.shutdown_send();
    if (with.broken) with.leaving.request();
}

task<bool> http_world::converse(http_ask what) {
    const std::unique_ptr<http_peer> visitor = co_await visit();
    if (!visitor) co_return false;
    deadline limit{io, patience, facts.stopping.token()};
    talk with{limit.token()};
    const std::uint64_t tag = plan(what);
    with.tags.push_back(tag);
    nursery saying;
    saying.start(say_requests(*visitor, with));
    if (what.eager) {
        co_await saying.join();
        saying.start(say_raw(*visitor, with, tag));
    }
    const heard_answer heard_head = co_await hear_answer(*visitor, with, tag);
    judge(tag, heard_head);
    heard raw;
    if (heard_head.switched) {
        if (!what.eager) saying.start(say_raw(*visitor, with, tag));
        raw = co_await visitor->hear_bytes(tag * 2 + 1, with.leaving.token());
    }
    EXPECT_FALSE(limit.expired_first()) << "an upgraded connection hangs";
    if (raw.bytes != what.raw_down) with.leaving.request();
    co_await saying.join();
    const bool clean = raw.clean && !with.broken;
    const bool whole = clean && raw.bytes == what.raw_down;
    EXPECT_FALSE(raw.wrong);
    EXPECT_TRUE(whole || !clean) << "cut at " << raw.bytes << " looks whole";
    EXPECT_TRUE(whole || facts.faulty || !heard_head.switched) << "cut at " << raw.bytes;
    if (whole) visitor->close();
    co_return whole;
}

}  // namespace tunnel_uring::sim
