"""Who gets a request, and what of its head."""

import contextlib
import json
import random
import socket
import struct
import threading
import unittest

import harness
import http_client
import http_peers
from harness import LOOPBACK
from http_client import Visitor
from http_scenario import Gate, HttpScenario, drained, mirror, values


@harness.through_the_tunnel
class Routing(HttpScenario):
    """Each request goes to the service that its Host names, whatever came before it."""

    def setUp(self):
        super().setUp()
        self.relay_process = self.relay(http=True, grants={"laptop": 'hostnames = ["*"]'})
        names = {"one": 'subdomain = "one"', "two": 'subdomain = "two"',
                 "zone": 'hostnames = ["*.example.com"]',
                 "exact": 'hostnames = ["exact.example.com", "example.org"]'}
        self.gate, self.upstreams = Gate(), {}

        def named(name):
            async def respond(request, writer, peer):
                await request.body()
                peer.received.put(request.target)
                if request.target == "/wait":
                    await self.gate.passed()
                writer.write(http_peers.whole(f"{name} {request.target}".encode()))
            return respond

        lines = {}
        for name, where in names.items():
            self.upstreams[name] = self.peer(named(name))
            lines[name] = f'upstream = "{LOOPBACK}:{self.upstreams[name].port}"\n{where}'
        self.agent_process = self.agent(self.relay_process, lines, kind="http")
        self.one = self.agent_process.sites["one"]

    def reach(self, host):
        return http_client.ask(self.one, host=host)

    def test_requests_on_one_connection_reach_the_services_that_they_name(self):
        port = self.one.http_port
        with Visitor(self.one) as visitor:
            for number in range(50):
                name = random.choice(("one", "two"))
                answer = visitor.ask("GET", f"/{number}", host=f"{name}.localhost:{port}")
                self.assertEqual(answer.body.decode(), f"{name} /{number}")
            answer = visitor.ask("GET", "/zone", host="anything.example.com")
            self.assertEqual(answer.body, b"zone /zone")

    def test_a_wildcard_takes_a_whole_zone_and_an_exact_name_goes_first(self):
        for host, name in (("a.example.com", "zone"), ("a.b.example.com", "zone"),
                           ("exact.example.com", "exact"), ("example.org", "exact"),
                           ("A.Example.COM:80", "zone"), ("a.example.com.", "zone")):
            with self.subTest(host=host):
                self.assertEqual(self.reach(host).body.decode(), f"{name} /")
        for host in ("example.com", "a.example.org", "xexample.com"):
            with self.subTest(host=host):
                self.assertEqual(self.reach(host).status, 404)

    def test_a_name_counts_in_any_case_and_with_any_port(self):
        for host in ("one.localhost", "ONE.LocalHost", "one.localhost:1", "one.localhost."):
            with self.subTest(host=host):
                self.assertEqual(self.reach(host).body, b"one /")

    def test_an_unknown_name_is_told_with_the_remedy_and_the_connection_goes_on(self):
        port = self.one.http_port
        with Visitor(self.one) as visitor:
            unknown = visitor.ask(host=f"nobody.localhost:{port}")
            self.assertEqual(unknown.status, 404)
            self.assertIn(b"nobody.localhost", unknown.body)
            self.assertIn(b"tunnel-uring", unknown.body)
            self.assertEqual(visitor.ask("HEAD", host="nobody.localhost").status, 404)
            self.assertEqual(visitor.ask().body, b"one /")
        asked = [t for upstream in self.upstreams.values() for t in drained(upstream.received)]
        self.assertEqual(asked, ["/"])

    def test_a_body_for_an_unknown_name_is_never_taken_for_a_request(self):
        inner = http_client.message("GET", "/inner", (), None, self.one.host)
        for body in (inner, (inner, inner)):
            with Visitor(self.one) as visitor:
                self.assertEqual(visitor.ask("POST", body=body, host="nobody.localhost").status,
                                 404)
                try:
                    self.assertEqual(visitor.ask("GET", "/outer").body, b"one /outer")
                except (http_client.Truncated, ConnectionError):
                    pass  # Ended instead of reading what nobody wants: as good.
        self.assertNotIn("/inner", drained(self.upstreams["one"].received))

    def test_an_absolute_target_reaches_the_service_in_origin_form(self):
        host = self.one.host
        with Visitor(self.one) as visitor:
            self.assertEqual(visitor.ask("GET", f"http://{host}/x?y=1").body, b"one /x?y=1")
            self.assertEqual(visitor.ask("GET", f"http://{host}").body, b"one /")

    def test_pipelined_requests_are_answered_in_order_across_services(self):
        targets = [("one", "/wait"), ("two", "/2"), ("one", "/3"), ("two", "/wait"), ("zone", "/5")]
        hosts = {"one": "one.localhost", "two": "two.localhost", "zone": "x.example.com"}
        with Visitor(self.one) as visitor:
            visitor.send(b"".join(http_client.message("GET", target, (), None, hosts[name])
                                  for name, target in targets))
            self.gate.open(2)
            self.assertEqual([visitor.read().body.decode() for _ in targets],
                             [f"{name} {target}" for name, target in targets])

    def test_many_pipelined_requests_with_bodies_are_answered_in_order(self):
        sent = b"".join(http_client.message(
            "POST", f"/{n}", (), random.choice((b"", b"x" * n, (b"x" * n, b"y"))),
            f"{('one', 'two')[n % 2]}.localhost") for n in range(1, 200))
        with Visitor(self.one) as visitor:
            sender = threading.Thread(target=visitor.send, args=(sent,))
            sender.start()
            for n in range(1, 200):
                self.assertEqual(visitor.read().body.decode(), f"{('one', 'two')[n % 2]} /{n}")
            sender.join()

    def test_connect_is_refused_and_its_connection_ends(self):
        with Visitor(self.one) as visitor:
            visitor.send(f"CONNECT {self.one.host} HTTP/1.1\r\nHost: {self.one.host}\r\n\r\n"
                         .encode())
            self.assertIn(visitor.read().status // 100, (4, 5))
            self.assertTrue(visitor.ended())


class Fields(HttpScenario):
    """What of a message's head goes on, and what does not."""

    def setUp(self):
        super().setUp()
        self.upstream, self.app = self.expose_peer(mirror)

    def seen(self, method="GET", target="/", fields=(), **options):
        answer = http_client.ask(self.app, method, target, fields, **options)
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)

    def test_fields_and_targets_arrive_as_they_were_sent(self):
        sent = [("X-Empty", ""), ("x-CaSe", "As Is"), ("X-Twice", "1"), ("X-Twice", "2"),
                ("Cookie", "a=1; b=\"2\""), ("X-Bytes", "gr\xfc\xdfe"), ("X-Long", "y" * 8000),
                ("Accept", "*/*;q=0.1, text/html"), ("X-Tab", "a\tb")]
        target = "/a%20b//../c;d=e?f=%zz&g=h+i&&=j?k~!$'()*,"
        seen = self.seen("REPORT", target, sent)
        self.assertEqual((seen["method"], seen["target"]), ("REPORT", target))
        self.assertEqual([tuple(f) for f in seen["fields"]
                          if f[0].lower() in {n.lower() for n, _ in sent}], sent)

    @harness.through_the_tunnel
    def test_hop_by_hop_fields_stay_on_their_hop(self):
        seen = self.seen(fields=[
            ("Connection", "X-Private, keep-alive"), ("X-Private", "1"),
            ("Keep-Alive", "timeout=9"), ("Proxy-Connection", "keep-alive"), ("X-Kept", "1")])
        names = {n.lower() for n, _ in seen["fields"]}
        self.assertIn("x-kept", names)
        self.assertEqual(names & {"x-private", "keep-alive", "proxy-connection", "upgrade"}, set())
        self.assertNotIn("x-private", ",".join(values(seen, "connection")).lower())

    @harness.through_the_tunnel
    def test_hop_by_hop_fields_of_an_answer_stay_on_their_hop(self):
        async def respond(request, writer, peer):
            writer.write(http_peers.whole(b"x", fields=[
                ("Connection", "X-Private"), ("X-Private", "1"), ("Keep-Alive", "timeout=1"),
                ("Set-Cookie", "a=1"), ("X-Kept", "1"), ("Set-Cookie", "b=2"),
                ("Server", "an old one")]))

        app = self.http(self.relay_process, str(self.peer(respond).port), subdomain="other")
        answer = http_client.ask(app)
        self.assertEqual(answer.fields.every("set-cookie"), ["a=1", "b=2"])
        self.assertEqual(answer["x-kept"], "1")
        self.assertEqual(answer["server"], "an old one")
        self.assertEqual((answer["x-private"], answer["keep-alive"]), (None, None))

    @harness.through_the_tunnel
    def test_an_old_visitors_request_reaches_the_upstream_as_http_1_1(self):
        with Visitor(self.app) as visitor:
            seen = json.loads(visitor.ask("POST", "/x", body=b"abc", version="1.0").body)
        self.assertEqual((seen["method"], seen["length"]), ("POST", 3))


@harness.through_the_tunnel
class Forwarded(HttpScenario):
    """X-Forwarded-* tell the upstream about its visitor; only a trusted proxy may add to them."""

    SPOOFED = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"),
               ("X-Forwarded-Host", "spoofed.example"),
               ("Forwarded", "for=203.0.113.7;host=spoofed.example"), ("X-Real-IP", "203.0.113.7")]

    def expose_mirror(self, *extra, relay=()):
        self.upstream, self.app = self.expose_peer(mirror, *extra, relay=relay)

    def seen(self, fields=(), before=b""):
        with Visitor(self.app) as visitor:
            visitor.send(before)
            answer = visitor.ask("GET", "/", fields)
            self.assertEqual(answer.status, 200, answer)
            return json.loads(answer.body)

    def test_the_upstream_is_told_of_its_visitor_and_of_nothing_that_it_made_up(self):
        self.expose_mirror()
        for fields in ((), self.SPOOFED, self.SPOOFED * 2):
            seen = self.seen(fields)
            self.assertEqual(values(seen, "x-forwarded-for"), [LOOPBACK])
            self.assertEqual(values(seen, "x-forwarded-proto"), ["http"])
            self.assertEqual(values(seen, "x-forwarded-host"), [self.app.host])
            self.assertEqual(values(seen, "forwarded"), [])

    def test_an_untrusted_neighbour_of_a_trusted_network_is_not_believed(self):
        self.expose_mirror(relay=("--set", "relay.trusted_proxies=10.0.0.0/8,127.0.0.2"))
        self.assertEqual(values(self.seen(self.SPOOFED), "x-forwarded-for"), [LOOPBACK])

    def test_a_trusted_proxy_is_believed_and_added(self):
        self.expose_mirror(relay=("--set", "relay.trusted_proxies=10.0.0.0/8,127.0.0.0/8"))
        seen = self.seen(self.SPOOFED)
        self.assertEqual(",".join(values(seen, "x-forwarded-for")).replace(" ", ""),
                         f"203.0.113.7,{LOOPBACK}")
        self.assertEqual(values(seen, "x-forwarded-proto"), ["https"])
        self.assertEqual(values(seen, "x-forwarded-host"), ["spoofed.example"])
        seen = self.seen()
        self.assertEqual(values(seen, "x-forwarded-for"), [LOOPBACK])
        self.assertEqual(values(seen, "x-forwarded-proto"), ["http"])

    def test_a_service_may_do_without(self):
        self.relay_process, self.upstream = self.relay(http=True), self.peer(mirror)
        agent = self.agent(self.relay_process, {
            "plain": f'upstream = "{LOOPBACK}:{self.upstream.port}"\nsubdomain = "app"\n'
                     "[services.http]\nforwarded = false\n"}, kind="http")
        self.app = agent.sites["plain"]
        seen = self.seen()
        for name in ("for", "proto", "host"):
            self.assertEqual(values(seen, f"x-forwarded-{name}"), [])

    # -- the PROXY protocol, from a balancer before the relay ------------------------------------

    V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 5555 80\r\n"
    V1_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 5555 80\r\n"
    SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
    V2 = (SIGNATURE + b"\x21\x11" + struct.pack(">H", 12 + 5) + socket.inet_aton("203.0.113.7")
          + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 5555, 80) + b"\x04\0\x02xx")
    V2_6 = (SIGNATURE + b"\x21\x21" + struct.pack(">H", 36)
            + socket.inet_pton(socket.AF_INET6, "2001:db8::7")
            + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">HH", 5555, 80))
    LOCAL = SIGNATURE + b"\x20\x00\0\0"

    def balanced(self, mode, trusted="127.0.0.0/8"):
        self.expose_mirror(relay=("--set", f"relay.proxy_protocol_in={mode}",
                                  "--set", f"relay.trusted_proxies={trusted}"))

    def source(self, header, fields=()):
        return values(self.seen(fields, header), "x-forwarded-for")

    def refused(self, header):
        """No answer but a refusal, and nothing at the upstream."""
        try:
            visitor = Visitor(self.app)
        except ConnectionError:
            visitor = None  # Refused before it was accepted here.
        if visitor is not None:
            self.refused_on(visitor, header)
        self.assertEqual(drained(self.upstream.received), [])

    def refused_on(self, visitor, header):
        with visitor:
            with contextlib.suppress(OSError):  # Whatever it is told of an end that has come.
                visitor.send(header + http_client.message("GET", "/", (), None, self.app.host))
                visitor.end()
            with contextlib.suppress(http_client.Truncated, ConnectionError):
                self.assertEqual(visitor.read().status // 100, 4)
            self.assertTrue(visitor.is_over())

    def test_version_1_names_the_visitor(self):
        self.balanced("v1")
        self.assertEqual(self.source(self.V1), ["203.0.113.7"])
        self.assertEqual(self.source(self.V1_6), ["2001:db8::7"])
        self.assertEqual(self.source(b"PROXY UNKNOWN\r\n"), [LOOPBACK])

    def test_version_2_names_the_visitor(self):
        self.balanced("v2")
        self.assertEqual(self.source(self.V2), ["203.0.113.7"])
        self.assertEqual(self.source(self.V2_6), ["2001:db8::7"])
        self.assertEqual(self.source(self.LOCAL), [LOOPBACK])

    def test_automatic_takes_either_and_none(self):
        self.balanced("auto")
        for header, source in ((self.V1, "203.0.113.7"), (self.V2, "203.0.113.7"),
                               (self.V2_6, "2001:db8::7"), (b"", LOOPBACK)):
            self.assertEqual(self.source(header), [source])

    def test_a_header_in_pieces_is_read_whole(self):
        self.balanced("auto")
        for header in (self.V1, self.V2):
            with Visitor(self.app) as visitor:
                for at in range(len(header)):
                    visitor.send(header[at:at + 1])
                seen = json.loads(visitor.ask().body)
                self.assertEqual(values(seen, "x-forwarded-for"), ["203.0.113.7"])

    def test_a_visitor_behind_the_balancer_is_not_trusted_as_the_balancer_is(self):
        """It sees connections, not messages: what they say is the visitor's own word."""
        self.balanced("v1")
        seen = self.seen([(n, v.replace("203.0.113.7", "198.51.100.9")) for n, v in self.SPOOFED],
                         self.V1)
        self.assertEqual(values(seen, "x-forwarded-for"), ["203.0.113.7"])
        self.assertEqual(values(seen, "x-forwarded-proto"), ["http"])
        self.assertEqual(values(seen, "x-forwarded-host"), [self.app.host])

    def test_a_header_that_is_missing_or_wrong_is_refused(self):
        self.balanced("v1")
        for header in (b"", b"PROXY TCP4 203.0.113.7\r\n",
                       b"PROXY TCP4 1.2.3.4 1.2.3.4 70000 80\r\n",
                       b"PROXY " + b"x" * 200 + b"\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n", self.V2):
            with self.subTest(header=header):
                drained(self.upstream.received)
                self.refused(header)

    def test_a_header_from_a_stranger_is_not_believed(self):
        for mode, header in (("v1", self.V1), ("v2", self.V2), ("auto", self.V1)):
            with self.subTest(mode=mode):
                self.balanced(mode, trusted="10.0.0.0/8")
                self.refused(header)


@harness.through_the_tunnel
class HostHeader(HttpScenario):
    """What the upstream gets to see as Host."""

    def host_seen(self, *mode):
        peer, app = self.expose_peer(mirror, *mode)
        seen = json.loads(http_client.ask(app).body)
        self.assertEqual(values(seen, "x-forwarded-host"), [app.host])
        self.assertEqual(len(values(seen, "host")), 1)
        return values(seen, "host")[0], app, peer

    def test_it_is_the_visitors_unless_said_otherwise(self):
        seen, app, _ = self.host_seen()
        self.assertEqual(seen, app.host)
        seen, app, _ = self.host_seen("--host-header", "preserve")
        self.assertEqual(seen, app.host)

    def test_it_may_be_the_upstreams_own(self):
        seen, _, peer = self.host_seen("--host-header", "upstream")
        self.assertEqual(seen, f"localhost:{peer.port}")

    def test_it_may_be_any_text(self):
        self.assertEqual(self.host_seen("--host-header", "localhost:3000")[0], "localhost:3000")

    def test_a_text_that_is_no_host_is_refused_at_the_start(self):
        relay = self.relay(http=True)
        for text in ("a b", "x\r\nEvil: 1", "a/b"):
            with self.subTest(text=text):
                agent = self.start_http(relay, "1", "--host-header", text)
                self.assertIn(agent.wait(), (2, 3), agent.text("err"))
                self.assertIn("host", agent.text("err").lower())


@harness.through_the_tunnel
class Health(HttpScenario):
    """Whether the relay lives, for a balancer that knows no name."""

    def test_it_is_told_on_names_of_no_service(self):
        peer, app = self.expose_peer(mirror)
        path = "/.tunnel-uring/health"
        for host in (f"{LOOPBACK}:{app.http_port}", "localhost", "any.example"):
            with self.subTest(host=host):
                self.assertEqual(http_client.ask(app, target=path, host=host).status, 200)
                self.assertEqual(http_client.ask(app, "HEAD", path, host=host).status, 200)
        self.assertEqual(drained(peer.received), [])
        self.assertEqual(json.loads(http_client.ask(app, target=path).body)["target"], path)

    def test_its_path_may_be_another_or_none(self):
        for path, status in (("/alive", 200), ("", 404)):
            with self.subTest(path=path):
                relay = self.relay("--set", f"relay.health_path={path}", http=True)
                self.assertEqual(http_client.ask(relay, target="/alive").status, status)
                self.assertEqual(http_client.ask(relay, target="/.tunnel-uring/health").status, 404)


@harness.through_the_tunnel
class Domains(HttpScenario):
    """What visitors are told to type."""

    def test_a_domain_and_a_public_url_make_up_what_is_printed(self):
        relay = self.relay("--domain", "tunnel.example.com",
                           "--set", "relay.public_url=https://tunnel.example.com", http=True)
        peer = self.peer(mirror)
        app = self.http(relay, str(peer.port))
        self.assertEqual(app.url, "https://app.tunnel.example.com")
        seen = json.loads(http_client.ask(app).body)
        self.assertEqual(values(seen, "host"), ["app.tunnel.example.com"])
        self.assertEqual(http_client.ask(app, host="app.localhost").status, 404)


if __name__ == "__main__":
    unittest.main()
