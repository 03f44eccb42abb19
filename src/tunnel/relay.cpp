#include "tunnel/relay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/check.hpp"
#include "base/log.hpp"
#include "net/address.hpp"
#include "tunnel/byte_pump.hpp"

namespace tunnel_uring {

namespace {

// A stranger gets this long to say who it is, and so many may be doing so at once.
constexpr duration greeting_limit = 5s;
constexpr std::size_t greeting_connections = 1024;
// The holder of a port is asked whether it is still there before another may have it.
constexpr duration probe_limit = 1s;
// One page of status names so many of them.
constexpr std::size_t agents_told = 100;
constexpr std::string_view not_authorised =
    "not authorised: the relay does not know this token; add its public key to [[relay.tokens]]";

task<result<preamble>> read_preamble(stream& connection, cancel_token limit) {
    preamble bytes{};
    const result<void> got = co_await connection.read_exactly(bytes, limit);
    if (!got) co_return got.error();
    co_return bytes;
}

template <class Message>
result<Message> expect(result<control_message> got) {
    if (!got) return got.error();
    if (auto* const message = std::get_if<Message>(&*got)) return std::move(*message);
    return error{EPROTO, "a control message came out of turn"};
}

}  // namespace

struct relay::agent_link {
    agent_link(relay& owner, stream connection, std::string address, cancel_token stop)
        : from{std::move(address)},
          control{std::move(connection)},
          lanes{owner.path_,
                end_role::relay,
                {owner.config_.heartbeat, owner.config_.heartbeat_loss},
                nullptr,
                stop},
          control_over{lanes.token()} {}

    std::string from;
    std::string name;
    instance_id instance{};
    const token_grant* grant = nullptr;
    std::uint64_t id = 0;
    std::uint32_t max_exchanges = 0;
    time_point since;
    lane_secret secret{};
    control_channel control;
    session lanes;
    cancel_source control_over;
    event control_ended;
    std::string why_over;
    nursery registering;
    std::size_t connections = 0;
    event connection_gone;
    nursery port_tasks;
};

struct relay::place {
    explicit place(agent_link& holder) noexcept
        : link{holder}, closing{holder.control_over.token()} {}
    agent_link& link;
    cancel_source closing;
    event closed;
};

struct relay::public_port : place {
    listener source;
    std::uint32_t service;
    std::string name;

    public_port(agent_link& holder, listener bound, const register_message& what)
        : place{holder}, source{std::move(bound)}, service{what.service}, name{what.name} {}
    std::uint16_t number() const noexcept { return port_of(source.address()); }
};

struct relay::public_names : place, http_service {
    public_names(agent_link& holder, const register_names_message& what)
        : place{holder},
          http_service{holder.lanes, what.service, holder.max_exchanges, what.forwarded,
                       what.name} {}
};

relay::relay(io_context& io, const relay_config& config, relay_observer& watcher)
    : io_{io}, config_{config}, watcher_{watcher}, path_{io, limits_of(config.io_uring)} {
    if (!config.http.listen.empty())
        http_.emplace(io, config.http, path_, watcher, exchanges_, config.max_exchanges);
}

relay::~relay() { TU_ASSERT(by_id_.empty() && ports_.empty()); }

task<result<void>> relay::listen() {
    const result<host_port> where = parse_host_port(config_.control_listen);
    if (!where) co_return where.error();
    if (!is_numeric(*where)) {
        co_return error{EINVAL,
                        "relay.control_listen wants a numeric address to listen on, such "
                        "as 0.0.0.0:7443, not \"" +
                            config_.control_listen + "\""};
    }
    const socket_address address = to_socket_address(*where);
    result<listener> bound = co_await listener::open_patiently(io_, address, {});
    if (!bound) co_return bound.error();
    control_at_ = bound->address();
    control_.emplace(std::move(*bound));
    if (!http_) co_return result<void>{};
    co_return co_await http_->listen();
}

std::optional<socket_address> relay::http_address() const noexcept {
    if (!http_) return {};
    return http_->address();
}

relay_status relay::status() const {
    relay_status out;
    out.control = control_at_;
    out.http = http_address();
    out.draining = draining_;
    out.exchanges = exchanges_;
    out.ports = ports_.size();
    if (http_) out.names = http_->names().count();
    if (http_) out.visitors = http_->visitors();
    for (const auto& [id, link] : by_id_) {
        const lane_counts lanes = link->lanes.lanes();
        out.lanes.add(lanes);
        if (out.agents.size() >= agents_told) continue;
        out.agents.push_back({link->name, link->from, io_.now() - link->since,
                              link->control.round_trip_time(), lanes});
    }
    out.agents_count = by_id_.size();
    return out;
}

task<> relay::run(cancel_token drain, cancel_token stop) {
    cancel_source accepting{drain};
    const on_cancel stopping{stop, [&accepting]() noexcept { accepting.request(); }};
    cancel_source ending{stop};
    nursery visitors;
    if (http_) visitors.start(http_->run(accepting.token(), ending.token()));
    co_await accept_agents(accepting.token());
    control_.reset();
    draining_ = true;
    for (const auto& [id, link] : by_id_) {
        link->control.send(drain_message{});
        link->control_over.request();
    }
    deadline grace{io_, config_.grace, stop};
    const on_cancel passed{grace.token(), [&ending]() noexcept { ending.request(); }};
    while (!by_id_.empty() && !grace.token().requested()) {
        const result<void> woken = co_await idle_.wait(grace.token());
        static_cast<void>(woken);
    }
    for (const auto& [id, link] : by_id_) link->lanes.kill("the relay is shutting down");
    connections_.cancel();
    co_await connections_.join();
    co_await visitors.join();
}

// ── strangers ──

task<> relay::accept_agents(cancel_token stop) {
    acceptor incoming{*control_};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(stop);
        if (!accepted) break;
        // Whoever floods us is refused, and an agent among them tries again.
        if (greeting_ >= greeting_connections) accepted->abort();
        else connections_.start(greet(std::move(*accepted), connections_.token()));
    }
    co_await incoming.stop();
}

task<> relay::greet(stream connection, cancel_token stop) {
    greeting_ += 1;
    const std::string from = format(connection.peer_address());
    deadline limit{io_, greeting_limit, stop};
    const result<preamble> began = co_await read_preamble(connection, limit.token());
    const result<connection_kind> kind =
        began ? decode_preamble(*began) : result<connection_kind>{began.error()};
    if (!kind) {
        greeting_ -= 1;
        if (limit.expired_first()) watcher_.connection_refused(from, "it said nothing in time");
        else if (kind.error().code() == EPROTO)
            watcher_.connection_refused(from, kind.error().message());
        connection.abort();
        co_return;
    }
    if (*kind == connection_kind::control)
        co_await greet_control(std::move(connection), from, limit.token(), stop);
    else co_await greet_lane(std::move(connection), *kind, limit.token());
}

task<> relay::greet_lane(stream connection, connection_kind kind, cancel_token limit) {
    lane_hello_block block{};
    const result<void> got = co_await connection.read_exactly(block, limit);
    greeting_ -= 1;
    const lane_hello hello = decode_lane_hello(kind, block);
    const auto found = by_id_.find(hello.session);
    const bool welcome = got && found != by_id_.end() && proven(block, kind, found->second->secret);
    if (!welcome) {
        if (got)
            watcher_.connection_refused(format(connection.peer_address()),
                                        "it knows no session of ours");
        connection.abort();
        co_return;
    }
    agent_link& link = *found->second;
    link.connections += 1;
    const auto verdict = static_cast<std::byte>(lane_verdict::accepted);
    const iovec answer{.iov_base = const_cast<std::byte*>(&verdict), .iov_len = 1};
    const std::span<const iovec> answers{&answer, 1};
    // The first byte on a new connection always fits.
    const result<std::size_t> sent = connection.try_send(answers);
    if (!sent) {
        connection.abort();
    } else if (kind == connection_kind::shared_lane) {
        const std::string why =
            co_await link.lanes.run_shared_lane(std::move(connection), hello.number);
        static_cast<void>(why);
    } else if (hello.direction == bulk_direction::relay_sends) {
        co_await link.lanes.run_bulk_sender(std::move(connection), hello.number);
    } else {
        co_await link.lanes.run_bulk_receiver(std::move(connection), hello.number);
    }
    link.connections -= 1;
    link.connection_gone.notify();
}

task<> relay::greet_control(stream connection, std::string from, cancel_token limit,
                            cancel_token stop) {
    agent_link link{*this, std::move(connection), std::move(from), stop};
    result<control_message> first = co_await link.control.receive(limit);
    const result<hello_message> hello = expect<hello_message>(std::move(first));
    std::string refused;
    if (!hello) refused = hello.error().message();
    else refused = co_await authenticate(link, *hello, limit);
    greeting_ -= 1;
    if (!refused.empty()) {
        watcher_.connection_refused(link.from, refused);
        link.control.close();
        co_return;
    }
    co_await serve_agent(link);
}

// Empty when the agent is in; else why not, for the log. A stranger is told one thing whatever was
// wrong.
task<std::string> relay::authenticate(agent_link& link, hello_message hello, cancel_token limit) {
    challenge_message challenge;
    challenge.features = feature_http;
    fill_random(challenge.nonce);
    link.control.send(challenge);
    // What fails to leave is missed by the receive below.
    [[maybe_unused]] const auto challenged = co_await link.control.flush(limit);
    result<control_message> answer = co_await link.control.receive(limit);
    const result<proof_message> proof = expect<proof_message>(std::move(answer));
    if (!proof) co_return proof.error().message();
    link.grant = find_grant(hello.key);
    const std::vector<std::byte> transcript = proof_transcript(hello, challenge);
    const bool genuine = verify(hello.key, transcript, proof->signature);
    std::string refused;
    refused_message message;
    if (!config_.insecure_open && (link.grant == nullptr || !genuine)) {
        refused = fmt::format("agent \"{}\" has no token of ours", hello.name);
        message.code = refusal::not_authorised;
        message.sentence = not_authorised;
    } else if (draining_ || by_id_.size() >= config_.max_agents) {
        refused = draining_ ? "the relay is shutting down" : "relay.max_agents is reached";
        message.code = draining_ ? refusal::draining : refusal::too_many;
        message.sentence = refused;
    }
    if (!refused.empty()) {
        link.control.send(message);
        // Refused all the same, heard or not.
        [[maybe_unused]] const auto told = co_await link.control.flush(limit);
        link.control.shutdown();
        co_return refused;
    }
    link.name = hello.name;
    link.instance = hello.instance;
    link.max_exchanges = hello.max_exchanges;
    welcome_message welcome;
    std::array<std::byte, sizeof welcome.session> id{};
    fill_random(id);
    fill_random(welcome.secret);
    link.id = load_big_endian<std::uint64_t>(id.data());
    link.secret = welcome.secret;
    welcome.session = link.id;
    link.since = io_.now();
    by_id_.emplace(link.id, &link);
    link.control.trust();
    link.control.send(welcome);
    co_return std::string{};
}

// ── one agent ──

task<> relay::serve_agent(agent_link& link) {
    watcher_.agent_connected(link.name, link.from);
    nursery tasks;
    tasks.start(link.lanes.watch());
    tasks.start(link.control.write_loop(link.control_over.token()));
    tasks.start(read_control(link));
    tasks.start(ask_for_bulk_lanes(link));
    const result<void> over = co_await link.control_ended.wait();
    static_cast<void>(over);

    // Its lanes retire: what is under way goes on to its end, nothing new begins.
    link.control_over.request();
    co_await link.registering.join();
    co_await link.port_tasks.join();
    link.lanes.retire();
    while (link.lanes.shared_lanes() > 0 && !link.lanes.token().requested()) {
        const result<void> gone = co_await link.connection_gone.wait(link.lanes.token());
        static_cast<void>(gone);
    }
    std::string why = link.lanes.why_killed();
    if (why.empty()) why = link.why_over;
    co_await link.lanes.end_runs();
    by_id_.erase(link.id);
    link.lanes.kill("over");
    while (link.connections > 0) {
        const result<void> gone = co_await link.connection_gone.wait();
        static_cast<void>(gone);
    }
    co_await tasks.join();
    watcher_.agent_gone(link.name, why);
    idle_.notify();
}

task<> relay::read_control(agent_link& link) {
    for (;;) {
        result<control_message> got = co_await link.control.receive(link.control_over.token());
        if (!got) {
            link.why_over = got.error().code() == EPROTO ? got.error().message()
                                                         : "its control connection ended";
            break;
        }
        link.lanes.heard();
        if (auto* const asked = std::get_if<register_message>(&*got)) {
            link.registering.start(register_service(link, std::move(*asked)));
        } else if (auto* const named = std::get_if<register_names_message>(&*got)) {
            link.registering.start(register_names(link, std::move(*named)));
        } else if (std::holds_alternative<drain_message>(*got)) {
            link.why_over = "it left";
            break;
        } else {
            link.why_over = "a control message came out of turn";
            break;
        }
    }
    link.control_ended.notify();
}

task<> relay::ask_for_bulk_lanes(agent_link& link) {
    bulk_demand_message demand;
    while (!link.control_over.requested()) {
        if (const std::uint32_t wanted = link.lanes.bulk_out().demand(); wanted != demand.target) {
            demand.sequence += 1;
            demand.target = wanted;
            link.control.send(demand);
        }
        const result<void> changed =
            co_await link.lanes.bulk_out().changed().wait(link.control_over.token());
        static_cast<void>(changed);
    }
}

// ── services ──

task<> relay::register_service(agent_link& link, register_message asked) {
    place_key where{asked.port};
    const bool is_free = co_await free_place(link, std::move(where));
    if (link.control_over.requested()) co_return;
    if (!is_free) {
        refuse(link, asked.service, refusal::port_taken,
               fmt::format("port {} is taken by another agent", asked.port));
        co_return;
    }
    const auto refused = co_await open_port(link, std::move(asked));
    if (refused) link.control.send(*refused);
}

relay::place* relay::find_place(const place_key& where) noexcept {
    if (const std::uint16_t* const port = std::get_if<std::uint16_t>(&where)) {
        const auto found = ports_.find(*port);
        return found == ports_.end() ? nullptr : found->second;
    }
    return static_cast<public_names*>(http_->names().holder(std::get<std::string>(where)));
}

// Taken over only from this same agent, or from a holder that does not answer any more.
task<bool> relay::free_place(agent_link& link, place_key where) {
    place* found = find_place(where);
    if (found == nullptr) co_return true;
    agent_link* const holder = &found->link;
    if (holder->instance != link.instance || link.instance == instance_id{}) {
        const std::uint64_t id = holder->id;
        const bool alive = co_await holder->lanes.answers(probe_limit);
        if (alive) co_return false;
        // It may have gone by itself meanwhile.
        if (by_id_.contains(id)) holder->lanes.kill("another agent took its place over");
    }
    found = find_place(where);
    while (found != nullptr && !link.control_over.requested()) {
        found->closing.request();
        const result<void> closed = co_await found->closed.wait();
        static_cast<void>(closed);
        found = find_place(where);
    }
    co_return true;
}

result<std::string> relay::service_name(const agent_link& link, std::string_view asked) const {
    std::string name{asked};
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name.starts_with('.')) name = http_->below_domain(std::string_view{name}.substr(1));
    if (!is_service_name(name))
        return error{EINVAL,
                     fmt::format("{} is no name that a service can have", printable(asked))};
    const token_grant* const grant = link.grant;
    if (grant == nullptr) return name;
    const auto below = http_->subdomain_of(name);
    const auto covers = [&](const std::string& pattern) {
        return below ? covers_label(pattern, *below) : covers_name(pattern, name);
    };
    const std::vector<std::string>& patterns = below ? grant->subdomains : grant->hostnames;
    if (below && patterns.empty()) return name;
    if (std::any_of(patterns.begin(), patterns.end(), covers)) return name;
    return error{EACCES,
                 fmt::format("{} is not among the names that this token may use{}", name,
                             patterns.empty() ? std::string{}
                                              : fmt::format(" ({})", fmt::join(patterns, ", ")))};
}

void relay::refuse(agent_link& link, std::uint32_t service, refusal code, std::string sentence) {
    register_refused_message refused;
    refused.service = service;
    refused.code = code;
    refused.sentence = std::move(sentence);
    link.control.send(refused);
}

task<> relay::register_names(agent_link& link, register_names_message asked) {
    if (!http_) {
        refuse(link, asked.service, refusal::no_http,
               "this relay has no http visitors: start it with --http <addr>");
        co_return;
    }
    const auto taken = [&link, &asked](const std::string& name) {
        refuse(link, asked.service, refusal::name_taken,
               fmt::format("the name {} is taken by another agent", name));
    };
    std::vector<std::string> names;
    for (const std::string& one : asked.names) {
        result<std::string> name = service_name(link, one);
        if (!name) {
            refuse(link, asked.service, refusal::name_not_allowed, name.error().message());
            co_return;
        }
        place_key where{*name};
        const bool is_free = co_await free_place(link, std::move(where));
        if (link.control_over.requested()) co_return;
        if (!is_free) co_return taken(*name);
        names.push_back(std::move(*name));
    }
    // Again: while one was freed, somebody else may have got another.
    for (const std::string& name : names)
        if (http_->names().holder(name) != nullptr) co_return taken(name);
    link.port_tasks.start(hold_names(link, std::move(asked), std::move(names)));
}

task<> relay::hold_names(agent_link& link, register_names_message asked,
                         std::vector<std::string> names) {
    public_names held{link, asked};
    names_registered_message registered;
    registered.service = asked.service;
    for (const std::string& name : names) {
        http_->names().add(name, held);
        registered.urls.push_back(http_->url(name));
        watcher_.port_opened(link.name, held.name, registered.urls.back());
    }
    link.control.send(registered);
    co_await cancelled(held.closing.token());
    for (std::size_t i = 0; i < names.size(); ++i) {
        http_->names().remove(names[i], held, io_.now());
        watcher_.port_closed(link.name, held.name, registered.urls[i]);
    }
    held.closed.notify_all();
}

bool relay::allowed(const agent_link& link, std::uint16_t port) const noexcept {
    const auto within = [port](const auto& range) {
        return range.first <= port && port <= range.second;
    };
    if (!within(std::pair{config_.tcp_ports_first, config_.tcp_ports_last})) return false;
    if (link.grant == nullptr || link.grant->tcp_ports.empty()) return true;
    return std::any_of(link.grant->tcp_ports.begin(), link.grant->tcp_ports.end(), within);
}

// Listens and answers the agent; or says why not.
task<std::optional<register_refused_message>> relay::open_port(agent_link& link,
                                                               register_message asked) {
    register_refused_message refused;
    refused.service = asked.service;
    refused.code = refusal::port_not_allowed;
    if (asked.port != 0) {
        refused.sentence =
            fmt::format("port {} is not among the ports that this token may use", asked.port);
        if (!allowed(link, asked.port)) co_return refused;
        const socket_address where = visitor_address(asked.port);
        result<listener> bound =
            co_await listener::open_patiently(io_, where, link.control_over.token());
        if (bound && !ports_.contains(asked.port)) {
            link.port_tasks.start(accept_visitors(link, std::move(*bound), asked));
            co_return std::nullopt;
        }
        refused.code = refusal::cannot_listen;
        if (!bound) refused.sentence = bound.error().message();
        co_return refused;
    }
    refused.sentence = "no port that this token may use is free";
    for (std::uint32_t port = config_.tcp_ports_first; port <= config_.tcp_ports_last; ++port) {
        const auto number = static_cast<std::uint16_t>(port);
        if (!allowed(link, number) || ports_.contains(number)) continue;
        result<listener> bound = listener::open(io_, visitor_address(number));
        if (!bound) continue;
        link.port_tasks.start(accept_visitors(link, std::move(*bound), asked));
        co_return std::nullopt;
    }
    co_return refused;
}

socket_address relay::visitor_address(std::uint16_t port) const {
    socket_address where = control_at_;
    if (!config_.tcp_host.empty()) {
        host_port host;
        host.host = config_.tcp_host;
        where = to_socket_address(host);
    }
    set_port(where, port);
    return where;
}

task<> relay::accept_visitors(agent_link& link, listener bound, register_message asked) {
    public_port port{link, std::move(bound), asked};
    ports_.emplace(port.number(), &port);
    const std::string address = format(port.source.address());
    watcher_.port_opened(link.name, port.name, address);
    registered_message registered;
    registered.service = port.service;
    registered.port = port.number();
    registered.host = config_.tcp_host;
    link.control.send(registered);
    acceptor incoming{port.source};
    for (;;) {
        result<stream> visitor = co_await incoming.accept(port.closing.token());
        if (!visitor) break;
        // Until its exchange has ended clean, whatever becomes of us is a reset for the visitor.
        visitor->set_linger_reset(true);
        shared_lane* const lane = link.lanes.least_busy();
        if (lane == nullptr || exchanges_ >= config_.max_exchanges ||
            link.lanes.exchanges() >= link.max_exchanges) {
            visitor->abort();
            continue;
        }
        lane->exchanges().start(serve_visitor(*lane, std::move(*visitor), asked));
    }
    co_await incoming.stop();
    ports_.erase(port.number());
    watcher_.port_closed(link.name, port.name, address);
    port.closed.notify_all();
}

task<> relay::serve_visitor(shared_lane& lane, stream visitor, register_message service) {
    exchanges_ += 1;
    const socket_address from = visitor.peer_address();
    exchange_end how;
    {
        exchange both{lane, lane.next_id(), exchange_kind::tcp, first_window, 0};
        open_frame open;
        open.service = service.service;
        open.credit = both.window();
        open.visitor = to_ip_endpoint(from);
        open.reached = to_ip_endpoint(visitor.local_address());
        both.open(open);
        co_await carry_stream(both, std::move(visitor));
        how = co_await both.settle();
    }
    exchanges_ -= 1;
    watcher_.exchange_ended(service.name, format(from), how);
}

const token_grant* relay::find_grant(const public_key& key) const {
    const std::string text = format_public_key(key);
    const auto found =
        std::find_if(config_.tokens.begin(), config_.tokens.end(),
                     [&text](const token_grant& one) { return one.public_key == text; });
    return found == config_.tokens.end() ? nullptr : &*found;
}

}  // namespace tunnel_uring
