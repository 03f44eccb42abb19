"""What visitors may take of the relay, and what very many of them cost."""

import asyncio
import contextlib
import resource
import selectors
import threading
import time
import unittest

import harness
import http_client
import http_peers
import peers
from harness import PATIENCE, eventually, scaled
from http_client import Visitor
from http_scenario import Gate, HttpScenario, drained, mirror


def setting(*pairs):
    """`--set` for each."""
    return [a for pair in pairs for a in ("--set", f"relay.{pair}")]


@harness.through_the_tunnel
class Limits(HttpScenario):
    def setUp(self):
        super().setUp()
        self.gate = Gate()

    async def respond(self, request, writer, peer):
        """Answers what came; /gate when the test says so; never reads a body that is too slow."""
        peer.received.put(request.target)
        if request.target == "/gate":
            await self.gate.passed()
        try:
            body = await request.body()
        except (OSError, asyncio.IncompleteReadError):
            peer.received.put("cut")
            raise
        writer.write(http_peers.whole(str(len(body)).encode()))

    def limited(self, *pairs):
        self.upstream, self.app = self.expose_peer(self.respond, relay=setting(*pairs))
        return self.app

    def refused(self, sent, *statuses):
        """One of `statuses` and then the end; nothing at the upstream."""
        with Visitor(self.app) as visitor:
            with contextlib.suppress(ConnectionError):
                visitor.send(sent)
            self.assertIn(visitor.read().status, statuses)
            self.assertTrue(visitor.is_over())
        self.assertEqual(drained(self.upstream.received), [])

    def sent(self, *fields, target="/"):
        return http_client.message("GET", target, fields, None, self.app.host)

    def test_a_head_as_long_as_allowed_passes_and_a_longer_one_is_a_431(self):
        self.limited()
        self.assertEqual(http_client.ask(self.app, fields=[("X", "y" * 31_000)]).status, 200)
        drained(self.upstream.received)
        self.refused(self.sent(("X", "y" * 33_000)), 431)
        self.refused(self.sent(*((f"X-{n}", "y" * 1000) for n in range(40))), 431)
        self.refused(self.sent(target="/" + "y" * 33_000), 414, 431)
        self.refused(self.sent(("X", "y" * 10_000_000)), 431)

    def test_a_shorter_limit_of_a_head_holds(self):
        self.limited("max_head_bytes=4096")
        self.assertEqual(http_client.ask(self.app, fields=[("X", "y" * 3000)]).status, 200)
        drained(self.upstream.received)
        self.refused(self.sent(("X", "y" * 5000)), 431)

    def test_as_many_fields_as_allowed_pass_and_one_more_is_a_431(self):
        self.limited("max_fields=10")
        with Visitor(self.app) as visitor:
            fields = [(f"X-{n}", "y") for n in range(9)]  # And Host.
            self.assertEqual(visitor.ask(fields=fields).status, 200)
        drained(self.upstream.received)
        self.refused(self.sent(*fields, ("X", "y")), 431)

    def test_a_slow_head_ends_and_others_do_not_wait_for_it(self):
        self.limited("header_timeout=500ms")
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(Visitor(self.app)) for _ in range(20)]
            for visitor in slow:
                visitor.send(b"GET / HTTP/1.1\r\nHost:")
            self.assertEqual(http_client.ask(self.app).status, 200)
            for visitor in slow:
                answer = visitor.is_cut()
                self.assertIn(getattr(answer, "status", answer), (408, "truncated", "reset"))
                self.assertTrue(visitor.is_over())

    def test_a_head_one_byte_at_a_time_gains_no_time(self):
        self.limited("header_timeout=500ms")
        with Visitor(self.app) as visitor, self.assertRaises(ConnectionError):
            visitor.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            deadline = time.monotonic() + 20 * PATIENCE
            while time.monotonic() < deadline:
                visitor.send(b"y")
                visitor.socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if not visitor.socket.recv(1000):
                        raise ConnectionError("a clean end")
            self.fail("still taken after 20 seconds")

    def test_an_idle_visitor_is_let_go_cleanly(self):
        self.limited("idle_timeout=300ms", "header_timeout=300ms")
        with Visitor(self.app) as visitor:
            self.assertEqual(visitor.ask().status, 200)
            self.assertTrue(visitor.ended())
        with Visitor(self.app) as visitor:
            visitor.is_over()  # It has never said anything.

    def test_an_idle_visitor_may_ask_again_before_its_time(self):
        self.limited("idle_timeout=30s")
        with Visitor(self.app) as visitor:
            for _ in range(3):
                self.assertEqual(visitor.ask().status, 200)

    def test_a_slow_answer_is_no_idle_visitor(self):
        self.limited("idle_timeout=300ms", "header_timeout=300ms")
        with Visitor(self.app) as waiting, Visitor(self.app) as idle:
            waiting.say("GET", "/gate")
            self.assertEqual(idle.ask().status, 200)
            self.assertTrue(idle.ended())  # So long it took.
            self.gate.open()
            self.assertEqual(waiting.read().body, b"0")

    def test_a_sender_below_the_minimum_rate_is_ended_and_its_upload_cut(self):
        self.limited("min_body_rate=100000")
        with Visitor(self.app) as visitor:
            visitor.say("POST", "/slow", [("Content-Length", 1_000_000)])
            visitor.send(b"and then nothing for long")
            answer = visitor.is_cut()
            self.assertIn(getattr(answer, "status", answer), (408, "truncated", "reset"))
            self.assertTrue(visitor.is_over())
        self.assertEqual([self.upstream.received.get(timeout=10 * PATIENCE) for _ in range(2)],
                         ["/slow", "cut"])

    def test_a_reader_below_the_minimum_rate_is_ended(self):
        async def flood(request, writer, peer):
            writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")]))
            try:
                while True:
                    writer.write(http_peers.chunk(bytes(100_000)))
                    await writer.drain()
            finally:
                peer.received.put("gone")

        peer, app = self.expose_peer(flood, relay=setting("min_body_rate=1000000"))
        with Visitor(app, receive_buffer=4096) as visitor:
            visitor.say("GET")
            self.assertEqual(peer.received.get(timeout=60 * PATIENCE), "gone")
            self.assertIn(visitor.is_cut(), ("truncated", "reset"))

    def test_an_answer_that_pauses_is_no_fault_of_its_reader(self):
        """Nor is a body that the upstream does not take. A slow sender tells how long to wait."""
        async def respond(request, writer, peer):
            if request.target == "/events":
                writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")]))
                writer.write(http_peers.chunk(b"first"))
                await self.gate.passed()
                writer.write(http_peers.chunk(b"second") + http_peers.chunk(b""))
            elif request.target == "/unread":
                await self.gate.passed()
                writer.write(http_peers.whole((await request.digest())[0].encode()))
            else:
                await request.body()

        _, app = self.expose_peer(respond, relay=setting("min_body_rate=100000"))
        with Visitor(app) as reader, Visitor(app) as sender, Visitor(app) as slow:
            reader.say("GET", "/events")
            pieces = reader.pieces(reader.head())
            self.assertEqual(next(pieces), b"first")
            body = peers.small_pattern(9, 20_000_000)
            sending = threading.Thread(target=sender.say, args=("POST", "/unread", (), body))
            sending.start()
            slow.say("POST", "/slow", [("Content-Length", 1_000_000)])
            self.assertTrue(slow.is_over())
            self.gate.open(2)
            self.assertEqual(b"".join(pieces), b"second")
            self.assertEqual(sender.read().body.decode(), peers.pattern_digest(9, len(body)))
            sending.join()

    def test_one_address_may_ask_so_much_at_once_and_no_more(self):
        self.limited("max_exchanges_per_address=3")
        with contextlib.ExitStack() as stack:
            inside = [stack.enter_context(Visitor(self.app)) for _ in range(3)]
            for visitor in inside:
                visitor.say("GET", "/gate")
                self.assertEqual(self.upstream.received.get(timeout=10 * PATIENCE), "/gate")
            answer = http_client.ask(self.app)
            self.assertIn(answer.status, (429, 503))
            self.assertRegex(answer["retry-after"] or "1", r"^\d+$")
            self.assertEqual(drained(self.upstream.received), [])
            self.gate.open(3)
            self.assertEqual([v.read().status for v in inside], [200] * 3)
            eventually(lambda: http_client.answers(self.app), "room for another")

    def test_visitors_beyond_the_limit_cost_the_others_nothing(self):
        self.limited("max_visitors=5")
        with contextlib.ExitStack() as stack:
            inside = [stack.enter_context(Visitor(self.app)) for _ in range(5)]
            for visitor in inside:
                self.assertEqual(visitor.ask().status, 200)
            with contextlib.suppress(OSError, http_client.Truncated):
                with Visitor(self.app, 1.0) as outside:
                    self.assertEqual(outside.ask().status, 503)
            for visitor in inside:
                self.assertEqual(visitor.ask().status, 200)
        eventually(lambda: http_client.answers(self.app), "room for another")


class Crowd:
    """Very many visitors in one thread."""

    def __init__(self, exposed, count):
        self.exposed, self.visitors = exposed, []
        self.selector = selectors.DefaultSelector()
        for number in range(count):
            visitor = Visitor(exposed)
            visitor.socket.setblocking(False)
            self.selector.register(visitor.socket, selectors.EVENT_READ, number)
            self.visitors.append(visitor)

    def close(self):
        for visitor in self.visitors:
            visitor.socket.close()
        self.selector.close()

    def round(self, name, numbers=None, timeout=60.0):
        """Each asks for a thing of its own, then each gets it; what was wrong."""
        waiting = set(range(len(self.visitors)) if numbers is None else numbers)
        got, wrong, deadline = {}, [], time.monotonic() + timeout * PATIENCE
        for number in waiting:
            self.visitors[number].say("GET", f"/mirror?{name}-{number}")
            got[number] = b""
        while waiting:
            if time.monotonic() > deadline:
                return wrong + [f"{len(waiting)} visitors still wait"]
            for key, _ in self.selector.select(1):
                data = key.fileobj.recv(1 << 16)
                got[key.data] += data
                whole = http_client.answers_in(got[key.data], 1)
                if whole and f'"/mirror?{name}-{key.data}"'.encode() not in whole[0].body:
                    wrong.append(f"visitor {key.data} got {whole[0]}")
                if not whole and not data:
                    wrong.append(f"visitor {key.data} met its end: {got[key.data]!r}")
                if whole or not data:
                    waiting.discard(key.data)
        return wrong


class Many(HttpScenario):
    def room(self, wanted):
        """So many visitors as descriptors allow, here and in the relay."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500
        if limit < wanted // 10:
            raise unittest.SkipTest(f"only {limit} descriptors for {wanted} visitors")
        return min(wanted, limit)

    def test_2000_visitors_at_once_each_get_their_own_answers(self):
        # All of them wait for one pool: its queue and patience must be for so many.
        app = self.site("--set", "pool.acquire_queue=10000", "--set", "pool.acquire_timeout=60s",
                        relay=setting("max_exchanges_per_address=10000"))
        crowd = Crowd(app, self.room(2000))
        try:
            for number in range(3):
                self.assertEqual(crowd.round(number), [])
        finally:
            crowd.close()

    @harness.through_the_tunnel
    def test_idle_visitors_cost_little_memory_and_no_connection_to_the_upstream(self):
        peer, app = self.expose_peer(mirror)
        relay, agent = self.relay_process, app
        few, many = 200, self.room(scaled(10_000))
        crowd = Crowd(app, few)
        try:
            self.assertEqual(crowd.round("few"), [])
            before = relay.rss()
            more = Crowd(app, many)
            try:
                for start in range(0, many, few):
                    numbers = range(start, min(start + few, many))
                    self.assertEqual(more.round("many", numbers), [])
                eventually(lambda: relay.descriptors(relay.port)["stream"] >= few + many,
                           "all idle visitors at the relay")
                self.assertLessEqual(agent.descriptors(relay.port)["stream"], harness.HTTP_POOL)
                self.assertLessEqual(peer.open, harness.HTTP_POOL)
                if not relay.is_sanitized() and many > 1000:
                    self.assertLessEqual((relay.rss() - before) / many, 4096)
            finally:
                more.close()
        finally:
            crowd.close()


if __name__ == "__main__":
    unittest.main()
