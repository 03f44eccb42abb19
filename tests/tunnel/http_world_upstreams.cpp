// The upstreams of the http world.
#include "tunnel/http_world.hpp"

namespace tunnel_uring::sim {

namespace {

// So long it may take until an upstream hears that its visitor has left.
constexpr duration patience = 120s;

}  // namespace

task<> http_world::serve_upstream(std::size_t service) {
    acceptor incoming{upstreams_[service]};
    for (;;) {
        result<stream> accepted = co_await incoming.accept(upstreams_over_.token());
        if (!accepted) break;
        upstream_tasks_.start(serve_one(std::move(*accepted), service));
    }
    co_await incoming.stop();
}

task<> http_world::serve_one(stream connection, std::size_t service) {
    http_peer peer{std::move(connection), http_reader::kind::request};
    bool served = false;
    for (bool stays = true; stays;) {
        const bool tires = served && upstream_patience != duration{0};
        std::optional<deadline> idle;
        if (tires) idle.emplace(io, upstream_patience, upstreams_over_.token());
        const cancel_token stop = tires ? idle->token() : upstreams_over_.token();
        const std::string_view seen = co_await peer.peek(stop);
        if (const std::uint64_t tag = unheard(seen); tag != 0) {
            stays = co_await answer_unheard(peer, tag);
            served = true;
            continue;
        }
        const http_peer::head got = co_await peer.hear_head(stop);
        if (got != http_peer::head::whole) {
            // What it had heard of a request it forgets.
            if (got == http_peer::head::none || (tires && idle->expired_first())) peer.close();
            co_return;
        }
        const std::uint64_t tag = check_head(peer.reader.request(), service);
        stays = co_await serve_request(peer, tag, served);
        plans_.at(tag).left += 1;
        served = true;
    }
}

// The tag of a request that is to be answered before it is heard; 0 of others.
std::uint64_t http_world::unheard(std::string_view seen) const {
    const std::size_t at = seen.find(" /t");
    if (at == std::string_view::npos || seen.find(' ', at + 1) == std::string_view::npos) return 0;
    const std::uint64_t tag = number_of(seen.substr(at + 3));
    const auto found = plans_.find(tag);
    const bool is_one = found != plans_.end() && found->second.what.how == manner::answers_unheard;
    return is_one ? tag : 0;
}

// Then it hears the request, of which the tunnel may have sent but a part: then nothing follows.
task<bool> http_world::answer_unheard(http_peer& peer, std::uint64_t tag) {
    const cancel_token stop = upstreams_over_.token();
    const bool said = co_await answer(peer, tag, UINT64_MAX);
    if (!said) co_return false;
    const http_peer::head got = co_await peer.hear_head(stop);
    if (got != http_peer::head::whole) co_return false;
    EXPECT_EQ(check_head(peer.reader.request(), plans_.at(tag).what.service), tag);
    plans_.at(tag).left += 1;
    co_return co_await hear_request(peer, tag);
}

// Its tag.
std::uint64_t http_world::check_head(const request_head& head, std::size_t service) {
    const std::string_view target = head.target.in(head.text);
    EXPECT_TRUE(target.starts_with("/t")) << target;
    const std::uint64_t tag = number_of(target.substr(2));
    const auto found = plans_.find(tag);
    EXPECT_NE(found, plans_.end()) << target;
    planned& plan = found->second;
    plan.reached += 1;
    EXPECT_EQ(plan.what.service, service) << "it went to another service";
    EXPECT_EQ(head.method.in(head.text), plan.what.method);
    EXPECT_EQ(head.host.in(head.text), std::string{http_services[service]} + ".localhost");
    EXPECT_EQ(field_of(head.text, "X-Pad").size(), plan.what.padding);
    EXPECT_EQ(head.forwarded_for, "127.0.0.1");
    EXPECT_EQ(head.expects_continue, plan.what.expects);
    EXPECT_EQ(head.upgrade, plan.what.upgrades);
    EXPECT_EQ(head.body.framing, plan.what.up.framing);
    return tag;
}

std::string http_world::answer_head(std::uint64_t tag, const http_ask& what) const {
    std::string head = what.upstream_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
    head += std::to_string(what.status) + " As planned\r\n";
    head += "X-Tag: " + std::to_string(tag) + "\r\n";
    head += "X-Service: " + std::string{http_services[what.service]} + "\r\n";
    if (what.padding > 0) head += "X-Pad: " + std::string(what.padding, 'p') + "\r\n";
    if (what.how == manner::answers_and_leaves) head += "Connection: close\r\n";
    if (what.status == 101) return head + "Connection: upgrade\r\nUpgrade: echo\r\n\r\n";
    return head + framing_of(what.down) + "\r\n";
}

// False when the connection does not stay.
task<bool> http_world::serve_request(http_peer& peer, std::uint64_t tag, bool served) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = upstreams_over_.token();
    switch (what.how) {
        case manner::answers:
        case manner::resets:
        case manner::ends: break;
        case manner::answers_unheard:
        case manner::answers_at_once: {
            const bool stays = co_await answer_whole(peer, tag);
            if (!stays) co_return false;
            co_return co_await hear_request(peer, tag);
        }
        case manner::answers_and_leaves: co_return co_await answer_whole(peer, tag);
        case manner::answers_and_resets: {
            const bool said = co_await answer(peer, tag, UINT64_MAX);
            static_cast<void>(said);
            co_return false;
        }
        case manner::keeps_silent: {
            deadline limit{io, patience, stop};
            const bool whole = co_await hear_request(peer, tag);
            if (whole) {
                const http_peer::head next = co_await peer.hear_head(limit.token());
                EXPECT_NE(next, http_peer::head::whole) << "a request came before the answer";
            }
            EXPECT_FALSE(limit.expired_first()) << "nobody told that the visitor left";
            co_return false;
        }
        case manner::drops_if_served:
            if (served) co_return false;
            break;
        case manner::times_out_if_served: {
            if (!served) break;
            std::string late = "HTTP/1.1 408 Too late\r\nConnection: close\r\n\r\n";
            const bool said = co_await peer.say(std::move(late), stop);
            if (said) co_await leave(peer);
            co_return false;
        }
        case manner::switches:
        case manner::switches_and_ends: co_return co_await switch_protocols(peer, tag);
    }
    if (what.expects) {
        std::string go = "HTTP/1.1 100 Continue\r\n\r\n";
        const bool said = co_await peer.say(std::move(go), stop);
        if (!said) co_return false;
    }
    const bool heard = co_await hear_request(peer, tag);
    if (!heard) co_return false;
    if (what.how == manner::resets || what.how == manner::ends) {
        co_await answer(peer, tag, what.down.bytes / 2);
        // What was said may arrive before the end.
        co_await pass(1ms);
        if (what.how == manner::ends) peer.close();
        co_return false;
    }
    co_return co_await answer_whole(peer, tag);
}

// False when it was cut.
task<bool> http_world::hear_request(http_peer& peer, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const heard_body body = co_await peer.hear_body(tag * 2, {}, upstreams_over_.token());
    EXPECT_FALSE(body.wrong) << "at the upstream, request " << tag;
    if (!body.whole) co_return false;
    heard_requests += 1;
    EXPECT_EQ(body.bytes, what.up.bytes) << "cut at " << body.bytes << " looks whole upstream";
    EXPECT_EQ(body.trailers, what.up.trailers ? trailer_lines : "");
    co_return true;
}

// The answer, or a beginning of its body. False when it could not be said.
task<bool> http_world::answer(http_peer& peer, std::uint64_t tag, std::uint64_t most) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = upstreams_over_.token();
    std::string head;
    for (int i = 0; i < what.interims; ++i)
        head += "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    head += answer_head(tag, what);
    const bool said = co_await peer.say(std::move(head), stop);
    if (!said || !may_have_body(what.status, what.method == "HEAD")) co_return said;
    co_return co_await peer.say_body(tag * 2 + 1, what.down, most, stop);
}

// All of it. False when the connection does not stay.
task<bool> http_world::answer_whole(http_peer& peer, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const bool said = co_await answer(peer, tag, UINT64_MAX);
    if (!said) co_return false;
    if (what.how != manner::answers_and_leaves && !what.upstream_1_0 &&
        what.down.framing != body_framing::until_close)
        co_return true;
    co_await leave(peer);
    co_return false;
}

// No reset overtakes the answer: it hears what still comes.
task<> http_world::leave(http_peer& peer) {
    const result<void> told = peer.connection.shutdown_send();
    std::vector<std::byte> memory(16 * 1024);
    for (bool more = told.has_value(); more;) {
        const result<std::size_t> got =
            co_await peer.connection.receive(memory, upstreams_over_.token());
        more = got && *got > 0;
    }
    if (told) peer.close();
}

task<bool> http_world::switch_protocols(http_peer& peer, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const cancel_token stop = upstreams_over_.token();
    const bool nothing = co_await peer.hears_nothing(1ms, stop);
    EXPECT_TRUE(nothing) << "bytes came before the upgrade was agreed to";
    std::string head = answer_head(tag, what);
    const bool agreed = co_await peer.say(std::move(head), stop);
    if (!agreed) co_return false;
    talk with{stop};
    nursery saying;
    saying.start(say_words(peer, with, tag));
    const heard raw = co_await peer.hear_bytes(tag * 2, stop);
    EXPECT_FALSE(raw.wrong);
    const bool heard_all = raw.clean && raw.bytes == what.raw_up;
    if (!heard_all) with.leaving.request();
    co_await saying.join();
    const bool clean = raw.clean && !peer.connection.was_broken();
    EXPECT_TRUE(heard_all || !clean) << "cut at " << raw.bytes << " looks whole upstream";
    const bool told = heard_all && !with.broken &&
                      (what.how == manner::switches_and_ends || peer.connection.shutdown_send());
    if (told) peer.close();
    co_return false;
}

// Its own raw bytes.
task<> http_world::say_words(http_peer& peer, talk& with, std::uint64_t tag) {
    const http_ask& what = plans_.at(tag).what;
    const bool said = co_await peer.say_body(tag * 2 + 1, http_content::until_close(what.raw_down),
                                             what.raw_down, with.leaving.token());
    with.broken = !said;
    if (said && what.how == manner::switches_and_ends)
        with.broken = !peer.connection.shutdown_send();
}

}  // namespace tunnel_uring::sim
