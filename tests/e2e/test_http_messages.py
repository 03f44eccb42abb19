"""Messages byte by byte: how they begin and end, and which are none."""

import functools
import hashlib
import json
import random
import re
import threading
import unittest

import harness
import http_client
import http_peers
import peers
from harness import PATIENCE, scaled
from http_client import Visitor
from http_scenario import Gate, HttpScenario, drained, mirror, together

CORPUS = harness.HERE.parent / "wire" / "http1_requests.txt"


class Messages(HttpScenario):
    """Every way in which RFC 9112 lets a message begin and end."""

    async def shapes(self, request, writer, peer):
        """Answers of every framing, on connections that stay."""
        kind = request.target.strip("/")
        to_head = request.method == "HEAD"
        if kind in ("204", "204-with-a-length", "304", "205"):
            nothing = [("Content-Length", 0)]
            fields = {"204": (), "204-with-a-length": nothing, "205": nothing,
                      "304": [("ETag", '"1"'), ("Content-Length", 4711)]}[kind]
            writer.write(http_peers.head(int(kind[:3]), fields))
        elif kind == "chunked":
            writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")]))
            if not to_head:
                for piece in (b"one ", b"two ", b"three", b""):
                    writer.write(http_peers.chunk(piece))
                    await writer.drain()
        elif kind == "hints":
            for number in range(2):
                writer.write(http_peers.head(103, [("Link", f"</{number}.css>; rel=preload")]))
                await writer.drain()
            writer.write(http_peers.whole(b"at last"))
        elif kind == "close":
            writer.write(http_peers.head() + (b"" if to_head else b"to the end"))
            return False
        else:
            body = b"" if kind == "empty" else b"x" * 1000
            writer.write(http_peers.whole(body)[:-1000 or None] if to_head and body
                         else http_peers.whole(body))
        return True

    def test_answers_without_a_body_do_not_shift_those_after_them(self):
        _, app = self.expose_peer(self.shapes)
        with Visitor(app) as visitor:
            for _ in range(3):
                for method, kind, status, body in (
                        ("HEAD", "length", 200, b""), ("GET", "304", 304, b""),
                        ("GET", "chunked", 200, b"one two three"), ("GET", "204", 204, b""),
                        ("DELETE", "204-with-a-length", 204, b""),
                        ("HEAD", "chunked", 200, b""), ("GET", "empty", 200, b""),
                        ("GET", "205", 205, b""), ("HEAD", "304", 304, b""),
                        ("GET", "length", 200, b"x" * 1000)):
                    if harness.DIRECT and kind == "204-with-a-length":
                        continue  # No server may send it; many do, and no visitor gets to see it.
                    answer = visitor.ask(method, f"/{kind}")
                    self.assertEqual((answer.status, answer.body), (status, body), (method, kind))
        with Visitor(app) as visitor:
            self.assertEqual(visitor.ask("HEAD", "/length")["content-length"], "1000")

    @harness.through_the_tunnel
    def test_a_body_to_the_end_gets_a_framing_and_the_connection_stays(self):
        _, app = self.expose_peer(self.shapes)
        with Visitor(app) as visitor:
            for _ in range(3):
                answer = visitor.ask("GET", "/close")
                self.assertEqual((answer.body, answer.framing), (b"to the end", "chunked"))
                self.assertTrue(answer.keeps)

    def test_interim_answers_come_before_the_final_one(self):
        _, app = self.expose_peer(self.shapes)
        with Visitor(app) as visitor:
            for _ in range(2):
                answer = visitor.ask("GET", "/hints")
                self.assertEqual(answer.body, b"at last")
                self.assertEqual([(i.status, i["link"]) for i in answer.interim],
                                 [(103, f"</{n}.css>; rel=preload") for n in range(2)])

    @harness.through_the_tunnel
    def test_a_visitor_of_http_1_0_gets_neither_chunks_nor_interim_answers(self):
        """The reader fails on both."""
        _, app = self.expose_peer(self.shapes)
        for kind, body in (("chunked", b"one two three"), ("hints", b"at last"),
                           ("close", b"to the end"), ("length", b"x" * 1000), ("204", b"")):
            with self.subTest(kind=kind), Visitor(app) as visitor:
                self.assertEqual(visitor.ask("GET", f"/{kind}", version="1.0").body, body)
                self.assertTrue(visitor.ended())

    def test_a_half_closed_visitor_still_gets_its_answer(self):
        gate = Gate()

        async def respond(request, writer, peer):
            body = await request.body()
            await gate.passed()
            await http_peers.send(writer, [body] * 50, "chunked", 0)

        _, app = self.expose_peer(respond)
        for body in (b"y" * 40_000, (b"z" * 20_000, b"z" * 20_000)):
            with Visitor(app) as visitor:
                visitor.say("POST", body=body)
                visitor.end()
                gate.open()
                whole = body if isinstance(body, bytes) else b"".join(body)
                self.assertEqual(visitor.read().body, whole * 50)
                self.assertTrue(visitor.ended())

    def test_bodies_cut_into_chunks_of_any_size_arrive_whole(self):
        app = self.site()
        choose = random.Random(1)
        with Visitor(app) as visitor:
            for size in (0, 1, 2, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_000):
                pieces, left = [], peers.small_pattern(size, size)
                while left:
                    cut = choose.choice((1, 7, 1000, 16384, 100_000)) if size < 5 or \
                        size > 5 and len(pieces) < 2000 else len(left)
                    pieces, left = [*pieces, left[:cut]], left[cut:]
                answer = visitor.ask("POST", "/mirror", body=tuple(pieces))
                seen = json.loads(answer.body)
                self.assertEqual((seen["length"], seen["sha256"]),
                                 (size, peers.pattern_digest(size, size)))

    def test_trailers_go_both_ways(self):
        async def respond(request, writer, peer):
            body = await request.body()
            peer.received.put(request.trailers)
            writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked"),
                                                 ("Trailer", "X-Digest")]))
            writer.write(http_peers.chunk(body) if body else b"")
            digest = hashlib.sha256(body).hexdigest().encode()
            writer.write(http_peers.chunk(b"", b"X-Digest: " + digest + b"\r\nX-Second: 2\r\n"))

        peer, app = self.expose_peer(respond)
        with Visitor(app) as visitor:
            for body in (b"said in a chunk", b""):
                head = http_client.message("POST", "/", [("TE", "trailers"), ("Connection", "TE"),
                                                         ("Trailer", "X-Checksum")], (), app.host)
                visitor.send(head.removesuffix(http_client.chunk(b""))
                             + (http_client.chunk(body) if body else b"")
                             + http_client.chunk(b"", b"X-Checksum: 1234\r\nX-Other: a b\r\n"))
                answer = visitor.read()
                self.assertEqual(answer.body, body)
                digest = hashlib.sha256(body).hexdigest()
                self.assertEqual(list(answer.trailers), [("X-Digest", digest), ("X-Second", "2")])
                self.assertEqual(peer.received.get(timeout=10 * PATIENCE),
                                 [("X-Checksum", "1234"), ("X-Other", "a b")])

    @harness.through_the_tunnel
    def test_trailers_that_would_change_the_message_do_not_go_on(self):
        async def respond(request, writer, peer):
            await request.body()
            peer.received.put(request.trailers)
            writer.write(http_peers.whole(b"thanks"))

        peer, app = self.expose_peer(respond)
        with Visitor(app) as visitor:
            head = http_client.message("POST", "/", (), (), app.host)
            visitor.send(head.removesuffix(http_client.chunk(b"")) + http_client.chunk(b"x")
                         + http_client.chunk(
                             b"", b"X-Kept: 1\r\nHost: evil\r\nContent-Length: 9\r\n"
                                  b"Transfer-Encoding: chunked\r\nAuthorization: evil\r\n"))
            if visitor.read().status == 200:
                self.assertEqual(peer.received.get(timeout=10 * PATIENCE), [("X-Kept", "1")])
        self.assertEqual(drained(peer.received), [])

    def test_large_bodies_go_both_ways_at_once(self):
        app, size = self.site(), scaled(100_000_000)

        def send(visitor, seed):
            for piece in peers.pattern(seed, size):
                visitor.send(http_client.chunk(piece))
            visitor.send(http_client.chunk(b""))

        def receive(visitor, seed):
            whole = hashlib.sha256()
            for piece in visitor.pieces(visitor.head()):
                whole.update(piece)
            self.assertEqual(whole.hexdigest(), peers.pattern_digest(seed, size))

        def both_ways(seed):
            with Visitor(app) as visitor:
                for number in range(2):  # The connection stays.
                    head = http_client.message("POST", "/echo", (), (), app.host)
                    visitor.send(head.removesuffix(http_client.chunk(b"")))
                    together(lambda: send(visitor, seed + number),
                             lambda: receive(visitor, seed + number))
                self.assertEqual(visitor.ask("GET", "/pattern/1/10").body,
                                 peers.small_pattern(1, 10))

        together(*(functools.partial(both_ways, 10 * seed) for seed in range(3)))

    def test_a_body_waits_for_the_upstreams_100(self):
        gate = Gate()

        async def respond(request, writer, peer):
            peer.received.put("head")
            await gate.passed()
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.write(http_peers.whole(await request.body()))

        peer, app = self.expose_peer(respond)
        with Visitor(app) as visitor:
            for body in (b"asked before sent", b"x" * 500_000):
                fields = [("Expect", "100-continue")]
                whole = http_client.message("PUT", "/", fields, body, app.host)
                visitor.send(whole.removesuffix(body))
                self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "head")
                gate.open()
                self.assertEqual(visitor._line("the interim answer"), b"HTTP/1.1 100 Continue")
                visitor._fields("the interim answer")
                visitor.send(body)
                self.assertEqual(visitor.read().body, body)


class Upgrades(HttpScenario):
    """After a 101 there are bytes both ways and no more messages."""

    ASK = [("Connection", "Upgrade"), ("Upgrade", "raw")]

    @staticmethod
    async def upgrading(reader, writer, peer):
        """Speaks `raw`: echoes until the end; /refuse stays with HTTP."""
        while request := await http_peers.read_request(reader):
            peer.received.put((request.target, request["upgrade"], request["connection"].lower()))
            if request.target == "/refuse" or not request["upgrade"]:
                writer.write(http_peers.whole(b"as ever", 200 if not request["upgrade"] else 403))
                continue
            writer.write(http_peers.head(101, [("Connection", "Upgrade"), ("Upgrade", "raw")],
                                         "Switching Protocols") + b"first words,")
            return await peers.echo(reader, writer)
        writer.write_eof()

    def test_raw_bytes_go_both_ways_and_each_end_by_itself(self):
        peer, app = self.expose_raw(self.upgrading)
        for size in (0, 10, 1_000_000):
            with Visitor(app) as visitor:
                visitor.say("GET", "/raw", self.ASK)
                answer = visitor.head()
                self.assertEqual((answer.status, answer["upgrade"]), (101, "raw"))
                target, upgrade, connection = peer.received.get(timeout=10 * PATIENCE)
                self.assertEqual((target, upgrade), ("/raw", "raw"))
                self.assertIn("upgrade", connection)
                body = peers.small_pattern(size, size)
                sender = threading.Thread(target=lambda v=visitor, b=body: (v.send(b), v.end()))
                sender.start()
                got = visitor.left + harness.read_to_end(visitor.socket)
                sender.join()
                self.assertEqual(got, b"first words," + body)

    @harness.through_the_tunnel
    def test_nothing_after_an_upgrade_request_is_sent_before_the_upstream_agrees(self):
        """What a visitor smuggles behind its request reaches nobody unless it is raw bytes."""
        peer, app = self.expose_raw(self.upgrading)
        inner = http_client.message("GET", "/inner", (), None, app.host)
        with Visitor(app) as visitor:
            visitor.send(http_client.message("GET", "/refuse", self.ASK, None, app.host) + inner)
            self.assertEqual(visitor.read().status, 403)
            self.assertTrue(visitor.is_over())
        self.assertEqual([seen[0] for seen in drained(peer.received)], ["/refuse"])

    @harness.through_the_tunnel
    def test_a_101_that_nobody_asked_for_is_an_error(self):
        async def respond(request, writer, peer):
            writer.write(http_peers.head(101, [("Connection", "Upgrade"), ("Upgrade", "raw")]))
            return False

        _, app = self.expose_peer(respond)
        self.assertEqual(http_client.ask(app).status, 502)

    @harness.through_the_tunnel
    def test_an_upgraded_connection_is_never_used_again(self):
        peer, app = self.expose_raw(self.upgrading, "--set", "pool.warm_up_size=0")
        for _ in range(5):
            with Visitor(app) as visitor:
                visitor.say("GET", "/raw", self.ASK)
                self.assertEqual(visitor.head().status, 101)
                visitor.end()
                visitor.is_over()
        self.assertEqual(http_client.ask(app).body, b"as ever")
        self.assertEqual([seen[0] for seen in drained(peer.received)], ["/raw"] * 5 + ["/"])


@harness.through_the_tunnel
class Corpus(HttpScenario):
    """tests/wire/http1_requests.txt: what is passed on, what is refused, and how.

    Each line is `name | statuses | bytes`. After a refusal the connection ends, and no upstream has
    seen a whole request. Without a status the request is not all there.
    """

    ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")

    def unescaped(self, text):
        def one(match):
            code = match[1]
            return (bytes([int(code[1:], 16)]) if code[:1] == b"x" else
                    {b"r": b"\r", b"n": b"\n", b"t": b"\t"}.get(code, code))
        return self.ESCAPE.sub(one, text.encode("latin-1"))

    def lines(self):
        if not CORPUS.exists():
            raise unittest.SkipTest(f"{CORPUS.name} is not there")
        for line in CORPUS.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                name, statuses, text = re.fullmatch(r"(.*?) \|(.*?)\| (.*)", line).groups()
                yield name, [int(s) for s in statuses.split()], self.unescaped(text)

    def test_each_request_gets_the_answers_that_it_deserves(self):
        lines, (peer, app) = list(self.lines()), self.expose_peer(mirror)
        self.assertGreater(len(lines), 50)
        for name, statuses, sent in lines:
            with self.subTest(name=name), Visitor(app) as visitor:
                visitor.send(sent)
                got = [visitor.read().status for _ in statuses]
                if not statuses or statuses[-1] == 200:
                    visitor.end()
                self.assertTrue(visitor.is_over())
                self.assertEqual(got, statuses)
                passed_on = len(drained(peer.received))
                self.assertEqual(passed_on, statuses.count(200), "whole requests at the upstream")


if __name__ == "__main__":
    unittest.main()
