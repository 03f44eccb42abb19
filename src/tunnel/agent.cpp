#include "tunnel/agent.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/check.hpp"
#include "net/address.hpp"
#include "tunnel/byte_pump.hpp"
#include "tunnel/upstream_request.hpp"

namespace tunnel_uring {

namespace {

constexpr duration handshake_limit = 10s;
constexpr duration lane_retry_limit = 2s;

template <class Message>
result<Message> expect(result<control_message> got) {
    if (!got) return got.error();
    if (auto* const message = std::get_if<Message>(&*got)) return std::move(*message);
    if (auto* const no = std::get_if<refused_message>(&*got)) return error{EACCES, no->sentence};
    return error{EPROTO, "the relay sent a control message out of turn"};
}

}  // namespace

struct agent::relay_link {
    relay_link(host_port address, std::size_t services_count, const backoff& delays)
        : where{std::move(address)}, ports(services_count), retry{delays}, places(services_count) {}
    host_port where;
    std::vector<std::uint16_t> ports;  // By service: what it has, or had last.
    backoff retry;
    // ── for status() ──
    live* now = nullptr;  // Until its control channel ends.
    time_point since;     // Of the session, or of its loss.
    std::string trouble;
    std::vector<service_place> places;  // By service.
};

struct agent::live {
    live(agent& owner, stream connection, std::string address)
        : relay_host{std::move(address)},
          control{std::move(connection)},
          lanes{owner.path_,
                end_role::agent,
                {owner.config_.lanes.heartbeat, owner.config_.lanes.heartbeat_loss},
                &owner,
                owner.sessions_.token()},
          control_over{lanes.token()} {}

    std::string relay_host;  // Where visitors reach it, unless it says otherwise.
    control_channel control;
    session lanes;
    cancel_source control_over;
    event control_ended;
    std::string why_over;
    std::uint64_t id = 0;
    std::uint32_t relay_features = 0;
    lane_secret secret{};
    nursery connections;
    event lane_gone;
    std::uint32_t next_number = 1;
    bulk_demand_message relay_wants;
    std::array<std::uint32_t, 2> dialing{};  // Bulk lanes that agent, relay will send on.
};

agent::agent(io_context& io, const agent_config& config, name_source& names,
             agent_observer& watcher, std::uint64_t seed)
    : io_{io},
      config_{config},
      names_{names},
      watcher_{watcher},
      random_{seed},
      path_{io, limits_of(config.io_uring)} {
    for (std::byte& byte : instance_) byte = static_cast<std::byte>(random_());
    if (!config.token.empty()) {
        const result<token> parsed = token::parse(config.token);
        TU_ASSERT(parsed);
        token_ = *parsed;
    }
    for (const service_config& service : config.services)
        services_.push_back(std::make_unique<upstream>(io, names, service, random_()));
    for (const auto& service : services_) listen_to(*service);
    for (const std::string& text : config.relays) {
        const result<host_port> where = parse_host_port(text);
        TU_ASSERT(where);
        const reconnect_config& delays = config.reconnect;
        relays_.push_back(std::make_unique<relay_link>(
            *where, config.services.size(),
            backoff{delays.initial, delays.max, delays.multiplier, random_()}));
        relays_.back()->since = io.now();
    }
}

agent::~agent() { TU_ASSERT(sessions_.running() == 0); }

task<> agent::run(cancel_token drain, cancel_token stop) {
    event ending;
    {
        const on_cancel drained{drain, [&ending]() noexcept { ending.notify(); }};
        const on_cancel stopped{stop, [&ending]() noexcept { ending.notify(); }};
        for (const auto& relay : relays_) sessions_.start(supervise(*relay, drain));
        for (const auto& service : services_) {
            service->pool().start();
            if (service->config().type == service_kind::http) sessions_.start(probe(*service));
        }
        const result<void> told = co_await ending.wait();
        static_cast<void>(told);
    }
    deadline grace{io_, config_.grace, stop};
    const on_cancel expired{grace.token(), [this]() noexcept { sessions_.cancel(); }};
    co_await sessions_.join();
    for (const auto& service : services_) co_await service->pool().close();
}

// A visitor's first request should not be what tells that the service is down.
task<> agent::probe(upstream& service) {
    const result<void> there = co_await service.probe(sessions_.token());
    if (!there && !there.error().cancelled())
        watcher_.upstream_down(service.config().name, there.error().message());
}

void agent::listen_to(upstream& service) {
    const std::string_view name = service.config().name;
    service.pool().on_breaker([this, name](bool open, std::string_view why) {
        if (open) watcher_.breaker_opened(name, why);
        else watcher_.breaker_closed(name);
    });
    service.pool().on_leak([this, name](const std::source_location& where, duration age) {
        const std::string_view file = where.file_name();
        watcher_.lease_overdue(
            name, fmt::format("{}:{}", file.substr(file.rfind('/') + 1), where.line()), age);
    });
}

agent_status agent::status() const {
    agent_status out;
    out.exchanges = exchanges_;
    for (const auto& service : services_) {
        service_status& told = out.services.emplace_back();
        told.config = &service->config();
        told.pool = service->pool().snapshot();
    }
    for (const auto& relay : relays_) {
        session_status& told = out.relays.emplace_back();
        told.relay = relay->where.text();
        told.connected = relay->now != nullptr;
        told.lasting = io_.now() - relay->since;
        told.places = relay->places;
        if (relay->now == nullptr) {
            told.trouble = relay->trouble;
            continue;
        }
        told.round_trip = relay->now->control.round_trip_time();
        told.lanes = relay->now->lanes.lanes();
    }
    return out;
}

// ── sessions ──

task<> agent::supervise(relay_link& relay, cancel_token drain) {
    cancel_source leaving{sessions_.token()};
    const on_cancel drained{drain, [&leaving]() noexcept { leaving.request(); }};
    const std::string name = relay.where.text();
    while (!leaving.requested()) {
        const time_point began = io_.now();
        std::unique_ptr<live> now;
        std::string why = co_await begin(relay, now, leaving.token());
        if (why.empty()) {
            if (relay.retry.attempts() > 0) relay.retry.reset();
            live& session = *now;
            relay.now = &session;
            relay.since = io_.now();
            watcher_.connected(name);
            sessions_.start(hold(relay, std::move(now), drain));
            const result<void> over = co_await session.control_ended.wait();
            static_cast<void>(over);
            why = session.why_over;
            relay.now = nullptr;
            relay.since = io_.now();
            relay.places.assign(services_.size(), {});
            watcher_.disconnected(name, why);
            if (io_.now() - began >= config_.reconnect.reset_after) relay.retry.reset();
        }
        relay.trouble = why;
        if (leaving.requested()) break;
        const duration delay = relay.retry.next();
        watcher_.retrying(name, why, relay.retry.attempts(), delay);
        const result<void> slept = co_await io_.sleep(delay, leaving.token());
        static_cast<void>(slept);
    }
}

// Dials and proves the token; empty when `now` is a session.
task<std::string> agent::begin(relay_link& relay, std::unique_ptr<live>& now, cancel_token stop) {
    deadline limit{io_, handshake_limit, stop};
    result<stream> dialed = co_await dial(io_, names_, relay.where, handshake_limit, limit.token());
    if (!dialed) co_return dialed.error().message();
    const socket_address peer = dialed->peer_address();
    if (!config_.insecure_plaintext && !is_loopback(peer)) {
        co_return fmt::format(
            "{} is beyond loopback and the connection is not encrypted: set "
            "agent.insecure_plaintext = true (--insecure-plaintext) if the network is trusted",
            format(peer));
    }
    const preamble start = encode_preamble(connection_kind::control);
    const result<void> began = co_await dialed->send_all(start, limit.token());
    if (!began) co_return began.error().message();
    now = std::make_unique<live>(*this, std::move(*dialed), relay.where.host);
    hello_message hello;
    hello.instance = instance_;
    hello.features = feature_http;
    hello.max_exchanges = config_.max_exchanges;
    hello.name = config_.name;
    if (token_) hello.key = token_->key();
    fill_random(hello.nonce);
    now->control.send(hello);
    const result<void> said = co_await now->control.flush(limit.token());
    if (!said) co_return said.error().message();
    result<control_message> answer = co_await now->control.receive(limit.token());
    const result<challenge_message> challenge = expect<challenge_message>(std::move(answer));
    if (!challenge) co_return challenge.error().message();
    proof_message proof;
    if (token_) proof.signature = token_->sign(proof_transcript(hello, *challenge));
    now->control.send(proof);
    const result<void> proved = co_await now->control.flush(limit.token());
    if (!proved) co_return proved.error().message();
    answer = co_await now->control.receive(limit.token());
    if (answer) {
        if (const auto* const no = std::get_if<refused_message>(&*answer))
            watcher_.refused(relay.where.text(), static_cast<std::uint16_t>(no->code),
                             no->sentence);
    }
    const result<welcome_message> welcome = expect<welcome_message>(std::move(answer));
    if (!welcome) co_return welcome.error().message();
    now->control.trust();
    now->relay_features = challenge->features;
    now->id = welcome->session;
    now->secret = welcome->secret;
    co_return std::string{};
}

// A session from its welcome until its last exchange is over.
task<> agent::hold(relay_link& relay, std::unique_ptr<live> now, cancel_token drain) {
    live& session = *now;
    session.connections.start(session.lanes.watch());
    session.connections.start(session.control.write_loop(session.control_over.token()));
    session.connections.start(read_control(relay, session));
    for (std::uint32_t lane = 0; lane < config_.lanes.shared; ++lane)
        session.connections.start(keep_shared_lane(relay, session));
    while (session.lanes.shared_lanes() == 0 && !session.control_over.requested()) {
        const result<void> came =
            co_await session.lanes.lanes_changed().wait(session.control_over.token());
        static_cast<void>(came);
    }
    session.connections.start(keep_bulk_lanes(relay, session));
    // A visitor who is told of a service finds it warm, where its upstream is there at all.
    for (const auto& service : services_)
        co_await service->pool().ready(session.control_over.token());
    for (std::uint32_t number = 0; number < services_.size(); ++number)
        register_service(relay, session, number);
    {
        const on_cancel leaving{drain,
                                [&session]() noexcept { session.control.send(drain_message{}); }};
        co_await cancelled(session.control_over.token());
    }
    // Its lanes retire: what is under way goes on to its end, beside a new session.
    session.lanes.retire();
    while (session.lanes.shared_lanes() > 0 && !session.lanes.token().requested()) {
        const result<void> gone = co_await session.lane_gone.wait(session.lanes.token());
        static_cast<void>(gone);
    }
    co_await session.lanes.end_runs();
    session.lanes.kill("over");
    co_await session.connections.join();
}

task<> agent::read_control(relay_link& relay, live& now) {
    for (;;) {
        result<control_message> got = co_await now.control.receive(now.control_over.token());
        if (!got) {
            now.why_over = now.lanes.why_killed();
            if (now.why_over.empty())
                now.why_over = got.error().code() == ECONNRESET ? "the relay closed the connection"
                                                                : got.error().message();
            break;
        }
        now.lanes.heard();
        if (const auto* const open = std::get_if<registered_message>(&*got)) {
            if (open->service >= services_.size()) continue;
            relay.ports[open->service] = open->port;
            host_port where;
            where.host = open->host.empty() ? now.relay_host : open->host;
            where.port = open->port;
            const std::string url = "tcp://" + where.text();
            relay.places[open->service] = {{url}, {}};
            watcher_.service_open(services_[open->service]->config().name, {&url, 1});
        } else if (const auto* const named = std::get_if<names_registered_message>(&*got)) {
            if (named->service >= services_.size()) continue;
            relay.places[named->service] = {named->urls, {}};
            watcher_.service_open(services_[named->service]->config().name, named->urls);
        } else if (const auto* const no = std::get_if<register_refused_message>(&*got)) {
            if (no->service >= services_.size()) continue;
            relay.places[no->service] = {{}, no->sentence};
            // A former port that another has now is not worth insisting on.
            const bool insisting = services_[no->service]->config().remote_port == 0 &&
                                   std::exchange(relay.ports[no->service], 0) != 0;
            if (insisting) {
                register_service(relay, now, no->service);
            } else {
                watcher_.service_refused(services_[no->service]->config().name,
                                         static_cast<std::uint16_t>(no->code), no->sentence);
                now.connections.start(register_again(relay, now, no->service));
            }
        } else if (const auto* const wants = std::get_if<bulk_demand_message>(&*got)) {
            if (wants->sequence <= now.relay_wants.sequence) continue;
            now.relay_wants = *wants;
            now.lanes.bulk_out().changed().notify();
        } else if (!std::holds_alternative<drain_message>(*got)) {
            now.why_over = "the relay sent a control message out of turn";
            break;
        }
    }
    now.control_over.request();
    now.control_ended.notify();
}

void agent::register_service(relay_link& relay, live& now, std::uint32_t number) {
    if (services_[number]->config().type == service_kind::http) return register_names(now, number);
    register_message wanted;
    wanted.service = number;
    wanted.name = services_[number]->config().name;
    wanted.port = services_[number]->config().remote_port;
    if (wanted.port == 0) wanted.port = relay.ports[number];
    now.control.send(wanted);
}

void agent::register_names(live& now, std::uint32_t number) {
    const service_config& service = services_[number]->config();
    if ((now.relay_features & feature_http) == 0)
        return watcher_.service_refused(service.name, static_cast<std::uint16_t>(refusal::no_http),
                                        "this relay does not know http: update it");
    register_names_message wanted;
    wanted.service = number;
    wanted.forwarded = service.http.forwarded;
    wanted.name = service.name;
    wanted.names = service.hostnames;
    if (!service.subdomain.empty()) wanted.names.push_back("." + service.subdomain);
    if (wanted.names.empty()) wanted.names.push_back("." + stable_name(service));
    now.control.send(wanted);
}

// The same one every time for this token (without one, this agent's name) and this upstream, and
// nobody guesses it.
std::string agent::stable_name(const service_config& service) const {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648, section 6
    constexpr std::size_t letters_count = 12;
    std::string from = token_ ? format_public_key(token_->key()) : config_.name;
    from += "\n" + service.upstream;
    const digest sum = sha256(as_bytes(from));
    std::string name;
    for (std::size_t i = 0; i < letters_count; ++i)
        name += letters[std::to_integer<unsigned>(sum[i]) % letters.size()];
    return name;
}

// What is in the way (a port or a name that another holds) may pass.
task<> agent::register_again(relay_link& relay, live& now, std::uint32_t number) {
    std::uniform_int_distribution<int> jitter{1000, 5000};
    const result<void> slept =
        co_await io_.sleep(std::chrono::milliseconds{jitter(random_)}, now.control_over.token());
    if (slept) register_service(relay, now, number);
}

// ── lanes ──

// Dials, hands over the proof, and waits for the relay's word.
task<result<stream>> agent::dial_lane(relay_link& relay, live& now, lane_hello hello) {
    hello.session = now.id;
    deadline limit{io_, handshake_limit, now.control_over.token()};
    result<stream> dialed = co_await dial(io_, names_, relay.where, handshake_limit, limit.token());
    if (!dialed) co_return std::move(dialed);
    std::array<std::byte, preamble_bytes + lane_hello_bytes> block{};
    const preamble start = encode_preamble(hello.kind);
    const lane_hello_block proof = encode_lane_hello(hello, now.secret);
    std::copy(start.begin(), start.end(), block.begin());
    std::copy(proof.begin(), proof.end(), block.begin() + preamble_bytes);
    const result<void> sent = co_await dialed->send_all(block, limit.token());
    if (!sent) co_return sent.error();
    std::array<std::byte, 1> verdict{};
    const result<void> got = co_await dialed->read_exactly(verdict, limit.token());
    if (!got) co_return got.error();
    if (verdict[0] != static_cast<std::byte>(lane_verdict::accepted))
        co_return error{EACCES, "the relay refused a lane"};
    co_return std::move(dialed);
}

task<> agent::run_shared_lane(live& now, stream connection, std::uint32_t number) {
    const std::string why = co_await now.lanes.run_shared_lane(std::move(connection), number);
    static_cast<void>(why);
    now.lane_gone.notify_all();
}

// One of the shared lanes, and its successors: a lane is replaced when it is lost, and before it
// gets too old.
task<> agent::keep_shared_lane(relay_link& relay, live& now) {
    backoff retry{100ms, lane_retry_limit, 2.0, random_()};
    while (!now.control_over.requested()) {
        lane_hello hello;
        hello.kind = connection_kind::shared_lane;
        hello.number = now.next_number++;
        result<stream> dialed = co_await dial_lane(relay, now, hello);
        if (!dialed) {
            const result<void> slept = co_await io_.sleep(retry.next(), now.control_over.token());
            static_cast<void>(slept);
            continue;
        }
        now.connections.start(run_shared_lane(now, std::move(*dialed), hello.number));
        std::uniform_real_distribution<double> jitter{0.9, 1.1};
        const auto life =
            std::chrono::duration_cast<duration>(config_.lanes.max_lifetime * jitter(random_));
        deadline old{io_, life, now.control_over.token()};
        while (now.lanes.serves(hello.number) && !old.token().requested()) {
            const result<void> gone = co_await now.lane_gone.wait(old.token());
            static_cast<void>(gone);
        }
        if (old.expired_first()) {
            retry.reset();
            now.lanes.retire_lane(hello.number);
        } else {
            const result<void> slept = co_await io_.sleep(retry.next(), now.control_over.token());
            static_cast<void>(slept);
        }
    }
}

// As many bulk lanes each way as their senders want, up to the limit of this agent.
task<> agent::keep_bulk_lanes(relay_link& relay, live& now) {
    while (!now.control_over.requested()) {
        const std::array wanted{now.lanes.bulk_out().demand(), now.relay_wants.target};
        const std::array standing{now.lanes.bulk_out().standing(), now.lanes.bulk_in().standing()};
        for (const bulk_direction way :
             {bulk_direction::agent_sends, bulk_direction::relay_sends}) {
            const std::size_t index = way == bulk_direction::agent_sends ? 0 : 1;
            const std::uint32_t target = std::min(wanted[index], config_.lanes.bulk_max);
            std::uint32_t have = standing[index] + now.dialing[index];
            for (; have < target; ++have) now.connections.start(dial_bulk_lane(relay, now, way));
        }
        const result<void> changed =
            co_await now.lanes.bulk_out().changed().wait(now.control_over.token());
        static_cast<void>(changed);
    }
}

task<> agent::dial_bulk_lane(relay_link& relay, live& now, bulk_direction way) {
    std::uint32_t& dialing = now.dialing[way == bulk_direction::agent_sends ? 0 : 1];
    dialing += 1;
    lane_hello hello;
    hello.kind = connection_kind::bulk_lane;
    hello.number = now.next_number++;
    hello.direction = way;
    result<stream> dialed = co_await dial_lane(relay, now, hello);
    if (!dialed) {
        std::uniform_int_distribution<int> jitter{100, 1000};
        const result<void> slept = co_await io_.sleep(std::chrono::milliseconds{jitter(random_)},
                                                      now.control_over.token());
        static_cast<void>(slept);
        dialing -= 1;
    } else {
        dialing -= 1;
        if (way == bulk_direction::agent_sends)
            co_await now.lanes.run_bulk_sender(std::move(*dialed), hello.number);
        else co_await now.lanes.run_bulk_receiver(std::move(*dialed), hello.number);
    }
    now.lanes.bulk_out().changed().notify();
}

// ── exchanges ──

void agent::opened(shared_lane& lane, std::uint32_t id, const open_frame& what) {
    lane.exchanges().start(serve(lane, id, what));
}

task<> agent::serve(shared_lane& lane, std::uint32_t id, open_frame what) {
    exchange both{lane, id, what.kind, what.credit, first_window};
    const bool is_http = what.kind == exchange_kind::http;
    if (what.service >= services_.size() ||
        is_http != (services_[what.service]->config().type == service_kind::http)) {
        both.cut(reset_reason::no_such_service);
    } else if (exchanges_ >= config_.max_exchanges) {
        both.cut(reset_reason::no_room);
    } else {
        exchanges_ += 1;
        upstream& service = *services_[what.service];
        if (is_http) co_await serve_http(both, service, what);
        else co_await serve_tcp(both, service, what);
        exchanges_ -= 1;
        co_return;
    }
    const exchange_end how = co_await both.settle();
    static_cast<void>(how);
}

task<> agent::serve_http(exchange& both, upstream& service, open_frame what) {
    {
        upstream_request request{both, service, what, watcher_};
        co_await request.run();
    }
    const exchange_end how = co_await both.settle();
    static_cast<void>(how);
}

task<> agent::serve_tcp(exchange& both, upstream& service, open_frame what) {
    upstream::outcome local = co_await service.acquire(what, both.ended_token());
    if (local.refused) both.cut(*local.refused);
    else co_await carry_stream(both, std::move(local.socket));
    exchange_end how = co_await both.settle();
    how.sentence = local.sentence;
    watcher_.exchange_ended(service.config().name, format(to_socket_address(what.visitor)), how);
}

}  // namespace tunnel_uring
