"""Upstreams that break, and what visitors see of it: never less than a whole answer as one."""

import asyncio
import contextlib
import itertools
import random
import socket
import subprocess
import threading
import unittest

import harness
import http_client
import http_peers
import peers
from harness import LOOPBACK, PATIENCE, eventually, tool
from http_client import Visitor
from http_scenario import Gate, HttpScenario, drained


class Cut(HttpScenario):
    """A message cut short is an error for whoever reads it, never a clean end."""

    SIZES = {"nothing": 0, "little": 5000, "much": 5_000_000}

    async def respond(self, request, writer, peer):
        """/<framing>/<size>/<how>: says more than it sends, and ends so."""
        framing, size, how = request.target.strip("/").split("/")
        sent = self.SIZES[size]
        fields = {"length": [("Content-Length", sent + 10)],
                  "chunked": [("Transfer-Encoding", "chunked")],
                  "close": [("Connection", "close")]}[framing]
        writer.write(http_peers.head(fields=fields))
        await writer.drain()
        if sent:
            writer.write(http_peers.chunk(bytes(sent)) if framing == "chunked" else bytes(sent))
        if framing == "chunked" and how == "inside":
            writer.write(b"a\r\n12345")
        await writer.drain()
        if how == "reset":
            while writer.transport.get_write_buffer_size():
                await asyncio.sleep(0.002)
            writer.transport.abort()
        return False

    def cases(self):
        for framing, size, how in itertools.product(("length", "chunked", "close"), self.SIZES,
                                                    ("end", "reset", "inside")):
            if (framing, how) == ("close", "end") or (how == "inside") > (framing == "chunked"):
                continue  # That is how such a body ends; only a chunk has an inside.
            yield f"/{framing}/{size}/{how}"

    def test_an_answer_cut_by_the_upstream_never_looks_whole(self):
        _, app = self.expose_peer(self.respond)
        for target in self.cases():
            for before in (0, 1):
                with self.subTest(target=target, before=before), Visitor(app) as visitor:
                    visitor.say("GET", target)
                    if before:
                        # Its head has gone out before the cut is known, or it is a 502.
                        outcome = visitor.head()
                        if outcome.status == 200:
                            outcome = self.rest(visitor, target)
                    else:
                        outcome = visitor.is_cut()
                    if getattr(outcome, "status", 0) != 502:
                        self.assertIn(outcome, ("reset", "truncated"))

    @staticmethod
    def rest(visitor, target):
        try:
            answer = http_client.Answer(200, "", http_client.Fields())
            answer.framing = {"l": "length", "c": "chunked"}[target[1]]
            if "close" in target:
                answer.framing = "chunked" if not harness.DIRECT else "close"
            answer.length = 10**12
            return list(visitor.pieces(answer)) and "whole"
        except http_client.Truncated:
            return "truncated"
        except ConnectionResetError:
            return "reset"

    @harness.through_the_tunnel
    def test_a_visitor_of_http_1_0_sees_the_cut_as_a_reset(self):
        """It may get no chunks, so that only a reset tells."""
        _, app = self.expose_peer(self.respond)
        for target in self.cases():
            with self.subTest(target=target), Visitor(app) as visitor:
                visitor.say("GET", target, version="1.0")
                try:
                    answer = visitor.read(version="1.0")
                    self.assertEqual(answer.status, 502, answer)
                except http_client.Truncated:
                    self.assertTrue(target.startswith("/length"), "a clean end")
                except ConnectionResetError:
                    pass

    def test_curl_ends_with_an_error(self):
        curl, (_, app) = tool("curl"), self.expose_peer(self.respond)
        for target in self.cases():
            if "/nothing/" in target:
                continue  # curl counts a reset before the first byte of a body in its own ways.
            for version in ("--http1.1", "--http1.0"):
                if harness.DIRECT and version == "--http1.0":
                    continue
                with self.subTest(target=target, version=version):
                    argv = [curl, "-sf", "--noproxy", "*", version, "-o", "/dev/null",
                            app.url + target]
                    done = subprocess.run(argv, check=False, timeout=60 * PATIENCE)
                    # 18: partial; 56: reset; 22: told by a status.
                    self.assertIn(done.returncode, (18, 56, 22))

    @harness.through_the_tunnel
    def test_a_broken_chunk_from_the_upstream_cuts_the_answer(self):
        for wrong in (b"xyz\r\nabc\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3;\nabc\r\n", b"3\nabc\r\n",
                      b"10000000000000000\r\nabc", b"0\r\nbad trailer\r\n\r\n"):
            async def respond(request, writer, peer, wrong=wrong):
                writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")])
                             + http_peers.chunk(b"good until here") + wrong)

            with self.subTest(wrong=wrong):
                _, app = self.expose_peer(respond)
                with Visitor(app) as visitor:
                    visitor.say("GET")
                    outcome = visitor.is_cut()
                if getattr(outcome, "status", 0) != 502:
                    self.assertIn(outcome, ("reset", "truncated"))

    def uploads(self, end):
        """The upstream's view of an upload that `end` cuts."""
        async def respond(request, writer, peer):
            peer.received.put("began")
            try:
                await request.body()
                peer.received.put("whole")
            except (OSError, asyncio.IncompleteReadError):
                peer.received.put("cut")
                raise

        peer, app = self.expose_peer(respond)
        for body, sent in ((b"x" * 100_000, 50_000), (b"y" * 20_000_000, 10_000_000),
                           ((b"z" * 3000,) * 10, 20_000), ((b"z" * 3000,), -5), ((), -2)):
            with self.subTest(sent=sent, chunked=isinstance(body, tuple)):
                whole = http_client.message("POST", "/", (), body, app.host)
                with Visitor(app) as visitor:
                    visitor.send(whole[:sent])
                    self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "began")
                    end(visitor)
                    self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "cut")

    def test_an_upload_cut_by_a_reset_never_looks_whole(self):
        self.uploads(Visitor.reset)

    def test_an_upload_cut_by_an_end_never_looks_whole(self):
        self.uploads(Visitor.end)


@harness.through_the_tunnel
class Hostile(HttpScenario):
    """Upstreams that answer what nobody may answer."""

    def test_answers_that_can_be_understood_in_two_ways_are_a_502(self):
        for name, wrong in {
                "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                               b"Content-Length: 4\r\n\r\nabcd",
                "no length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
                "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
                "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
                "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\nabc",
                "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
                "a control byte": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 3\r\n\r\nabc",
                "no status": b"HTTP/1.1 OK\r\nContent-Length: 3\r\n\r\nabc",
                "another protocol": b"SSH-2.0-OpenSSH_9\r\n",
                "noise": random.randbytes(3000).replace(b"\n", b"") + b"\r\n\r\n",
                "a huge head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        }.items():
            async def respond(request, writer, peer, wrong=wrong):
                writer.write(wrong)
                return False

            with self.subTest(name=name):
                _, app = self.expose_peer(respond)
                with Visitor(app) as visitor:
                    answer = visitor.ask()
                    self.assertEqual(answer.status, 502)
                    self.assertTrue(answer.body)

    def test_what_an_upstream_sends_beyond_its_answer_reaches_nobody(self):
        evil = http_peers.whole(b"evil", fields=[("X-Evil", "1")])

        async def respond(request, writer, peer):
            await request.body()
            bodiless = request.method == "HEAD" or request.target == "/204"
            answer = (http_peers.head(204) if request.target == "/204" else
                      http_peers.head(fields=[("Content-Length", 4)]))
            writer.write(answer + (b"" if bodiless else b"good") + evil)

        _, app = self.expose_peer(respond)
        with Visitor(app) as visitor:
            for _ in range(20):
                for method, target, body in (("GET", "/", b"good"), ("HEAD", "/", b""),
                                             ("POST", "/", b"good"), ("GET", "/204", b"")):
                    answer = visitor.ask(method, target, body=b"x" if method == "POST" else None)
                    self.assertEqual((answer.body, answer["x-evil"]), (body, None))


class Retries(HttpScenario):
    """What is sent again, and what never is."""

    def test_a_post_is_never_executed_twice(self):
        """Its upstream reads it whole and closes: a 502, and once."""
        async def respond(request, writer, peer):
            body = await request.body()
            peer.received.put((request.method, body))
            if request.method == "POST":
                return False
            writer.write(http_peers.whole(b"fine"))

        peer, app = self.expose_peer(respond)
        sent = []
        with Visitor(app) as visitor:
            for number in range(20):
                body = b"order %d" % number
                sent.append(("POST", body))
                if harness.DIRECT:
                    with Visitor(app) as direct, self.assertRaises(http_client.Truncated):
                        direct.ask("POST", body=body)
                    continue
                if number % 2:  # Now there is a connection that has served.
                    self.assertEqual(visitor.ask().status, 200)
                    sent.insert(-1, ("GET", b""))
                self.assertEqual(visitor.ask("POST", body=body).status, 502)
        self.assertEqual(drained(peer.received), sent)

    @staticmethod
    async def once(reader, writer, peer):
        """Answers the first request of each connection; at the second it closes."""
        request = await http_peers.read_request(reader)
        if request is None:
            return
        peer.received.put((request.method, await request.body(), "answered"))
        writer.write(http_peers.whole(b"fine"))
        request = await http_peers.read_request(reader)
        if request:
            peer.received.put((request.method, await request.body(), "closed"))
        writer.write_eof()

    @harness.through_the_tunnel
    def test_a_get_on_a_stale_connection_is_asked_again_on_a_fresh_one(self):
        peer, app = self.expose_raw(self.once)
        with Visitor(app) as visitor:
            for number in range(30):
                method = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")[number % 5]
                body = b"x" * 10_000 if method == "PUT" else None
                self.assertEqual(visitor.ask(method, body=body).status, 200, method)
        outcomes = [outcome for _, _, outcome in drained(peer.received)]
        self.assertEqual(outcomes.count("answered"), 30)
        self.assertGreater(outcomes.count("closed"), 0, "no connection was used twice")

    @harness.through_the_tunnel
    def test_a_post_on_a_stale_connection_is_a_502_and_was_sent_once(self):
        peer, app = self.expose_raw(self.once)
        statuses = []
        with Visitor(app) as visitor:
            for number in range(30):
                statuses.append(visitor.ask("POST", body=b"order %d" % number).status)
        seen = drained(peer.received)
        self.assertEqual([body for _, body, _ in seen], [b"order %d" % n for n in range(30)])
        self.assertEqual(statuses, [200 if outcome == "answered" else 502
                                    for _, _, outcome in seen])
        self.assertIn(200, statuses)

    @harness.through_the_tunnel
    def test_a_get_that_its_upstream_never_answers_is_given_up(self):
        async def respond(request, writer, peer):
            peer.received.put(request.target)
            return False

        peer, app = self.expose_peer(respond)
        answer = http_client.ask(app)
        self.assertEqual(answer.status, 502)
        self.assertTrue(answer.body)
        self.assertLessEqual(len(drained(peer.received)), 2)

    @harness.through_the_tunnel
    def test_a_408_of_an_upstream_that_waited_is_seen_by_no_visitor(self):
        """On connections that say nothing, and on those that have served."""
        goodbye = http_peers.whole(b"too late", 408, [("Connection", "close")])
        impatient = []

        async def handler(reader, writer, peer):
            writing = asyncio.Event()
            impatient.append((asyncio.get_running_loop(), writing))
            while True:
                reading = asyncio.ensure_future(http_peers.read_request(reader))
                waiting = asyncio.ensure_future(writing.wait())
                await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if reading.done() and not writing.is_set():
                    if reading.result() is None:
                        return writer.write_eof()
                    writer.write(http_peers.whole(b"fine"))
                    continue
                reading.cancel()
                writer.write(goodbye)
                return writer.write_eof()

        _, app = self.expose_raw(handler, "--set", "pool.warm_up_size=5")
        with Visitor(app) as visitor:
            for number in range(60):
                answer = visitor.ask()
                self.assertEqual((answer.status, answer.body), (200, b"fine"), number)
                for loop, writing in impatient:
                    loop.call_soon_threadsafe(writing.set)
                impatient.clear()

    @harness.through_the_tunnel
    def test_a_408_as_the_first_answer_of_a_used_connection_is_seen_by_no_visitor(self):
        async def handler(reader, writer, peer):
            if await http_peers.read_request(reader) is None:
                return writer.write_eof()
            writer.write(http_peers.whole(b"fine"))
            if await http_peers.read_request(reader) is not None:
                writer.write(http_peers.whole(b"late", 408, [("Connection", "close")]))
                peer.received.put("408")
            return writer.write_eof()

        peer, app = self.expose_raw(handler)
        with Visitor(app) as visitor:
            for _ in range(20):
                self.assertEqual(visitor.ask().status, 200)
        self.assertGreater(len(drained(peer.received)), 0, "no connection was used twice")

    @harness.through_the_tunnel
    def test_a_hundred_requests_use_few_connections(self):
        async def respond(request, writer, peer):
            await request.body()
            writer.write(http_peers.whole(b"fine"))

        peer, app = self.expose_peer(respond, "--set", "pool.warm_up_size=0")
        for number in range(50):
            with Visitor(app) as visitor:
                self.assertEqual(visitor.ask().status, 200)
                self.assertEqual(visitor.ask("POST", body=b"x" * number * 1000).status, 200)
        self.assertLessEqual(peer.accepted, 10)


@harness.through_the_tunnel
class Away(HttpScenario):
    """An upstream or an agent that is not there, does not answer or answers early."""

    def expose_with(self, upstream, *lines):
        """From a file; with lines of [services.http]."""
        self.relay_process = self.relay(http=True)
        service = (f'upstream = "{LOOPBACK}:{upstream}"\nsubdomain = "app"\n[services.http]\n'
                   + "\n".join(lines))
        self.agent_process = self.agent(self.relay_process, {"web": service}, kind="http")
        return self.agent_process.sites["web"]

    def test_an_upstream_that_refuses_is_a_502_and_served_again_once_it_is_back(self):
        port = harness.free_port()
        app = self.expose(str(port))
        with Visitor(app) as visitor:
            for method, body in (("GET", None), ("POST", b"x"), ("HEAD", None), ("POST", (b"y",))):
                answer = visitor.ask(method, body=body)
                self.assertEqual(answer.status, 502)
                self.assertEqual(bool(answer.body), method != "HEAD")
        self.serve("site", program="http_peers.py", port=port)
        eventually(lambda: http_client.answers(app), "the service")

    def test_an_upstream_that_hangs_is_a_504_at_its_time_out(self):
        async def respond(request, writer, peer):
            peer.received.put("asked")
            await asyncio.Event().wait()

        peer = self.peer(respond)
        app = self.expose_with(peer.port, 'response_timeout = "300ms"')
        for method, body in (("GET", None), ("POST", b"x" * 1000)):
            answer = http_client.ask(app, method, body=body)
            self.assertEqual(answer.status, 504)
            self.assertTrue(answer.body)
        self.assertEqual(drained(peer.received), ["asked"] * 2)
        eventually(lambda: self.agent_process.descriptors(self.relay_process.port)["stream"]
                   <= harness.HTTP_POOL, "the agent to let go of it")

    def test_an_answer_that_has_begun_may_take_longer_than_the_time_out(self):
        gate = Gate()

        async def respond(request, writer, peer):
            if request.target == "/hang":
                await asyncio.Event().wait()
            writer.write(http_peers.head(fields=[("Content-Length", 4)]))
            await gate.passed()
            writer.write(b"done")

        app = self.expose_with(self.peer(respond).port, 'response_timeout = "300ms"')
        with Visitor(app) as visitor:
            visitor.say("GET")
            answer = visitor.head()
            self.assertEqual(http_client.ask(app, target="/hang").status, 504)  # So long it took.
            gate.open()
            self.assertEqual(b"".join(visitor.pieces(answer)), b"done")

    def test_an_upstream_that_never_accepts_is_a_504_or_502(self):
        with (socket.create_server((LOOPBACK, 0), backlog=0) as full,
              contextlib.ExitStack() as stack):
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            app = self.expose(str(full.getsockname()[1]), "--set", "pool.connection_timeout=300ms")
            self.assertIn(http_client.ask(app).status, (502, 504))

    def test_a_service_whose_agent_is_gone_is_a_503_until_it_is_back(self):
        port = self.serve("site", program="http_peers.py").port
        app = self.expose(str(port))
        self.assertEqual(http_client.ask(app).status, 200)
        self.gone(app)
        answer = eventually(lambda: http_client.answers(app, 503), "a 503")
        self.assertRegex(answer["retry-after"], r"^\d+$")
        self.assertTrue(answer.body)
        again = self.http(self.relay_process, str(port))
        self.assertEqual(again.url, app.url)
        self.assertEqual(http_client.ask(app).status, 200)

    EARLY = b"too much, and here is at length why\n" * 10_000

    def early(self, respond, times=10):
        """The answers of an upstream that does not want the 100 MB that are on their way."""
        _, app = self.expose_peer(respond)
        head = http_client.message("POST", "/", [("Content-Length", 10**8)], None, app.host)
        outcomes = []

        def send(visitor):
            with contextlib.suppress(OSError):
                visitor.send(head)
                for piece in peers.pattern(1, 10**8):
                    visitor.send(piece)

        for number in range(1, times + 1):
            with Visitor(app) as visitor:
                sender = threading.Thread(target=send, args=(visitor,))
                sender.start()
                outcomes.append(visitor.is_cut("POST"))
                with contextlib.suppress(OSError):
                    visitor.socket.shutdown(socket.SHUT_RDWR)  # Wakes the sender.
                sender.join(30 * PATIENCE)
            eventually(lambda n=number: app.text("err").count("request.ended") == n,
                       "the agent to be done with the request")
        return outcomes

    def test_an_early_answer_arrives_whole_while_the_visitor_still_sends(self):
        async def respond(request, writer, peer):
            writer.write(http_peers.whole(self.EARLY, 413, [("Connection", "close")]))
            await writer.drain()
            writer.write_eof()
            async for _ in request.pieces():
                pass
            return False

        for answer in self.early(respond):
            self.assertEqual(getattr(answer, "status", answer), 413)
            self.assertTrue(answer.body == self.EARLY)

    def test_an_early_answer_of_an_upstream_that_closes_at_once_is_whole_or_visibly_cut(self):
        """It closes with bytes unread, so that a reset may overtake what it said. That is its own
        doing: a 502, never a 503, which would invite to say again what has been executed."""
        async def respond(request, writer, peer):
            writer.write(http_peers.whole(self.EARLY, 413, [("Connection", "close")]))
            return False

        for answer in self.early(respond):
            status = getattr(answer, "status", answer)
            self.assertIn(status, (413, 502, "reset", "truncated"))
            self.assertTrue(status != 413 or answer.body == self.EARLY)


class Leaving(HttpScenario):
    """A visitor that goes takes its request to the upstream with it."""

    async def handler(self, reader, writer, peer):
        request = await http_peers.read_request(reader)
        if request is None:
            return
        peer.received.put("asked")
        try:
            if request.target == "/stream":
                writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")]))
                while not reader.at_eof():
                    writer.write(http_peers.chunk(bytes(10_000)))
                    await writer.drain()
            elif request.has_body:
                await request.body()
            else:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        peer.received.put("gone")

    def test_its_reset_ends_the_upstreams_connection_at_every_moment(self):
        peer, app = self.expose_raw(self.handler)
        for name, sent, part in (
                ("before the answer", http_client.message("GET", "/", (), None, app.host), 0),
                ("in the answer", http_client.message("GET", "/stream", (), None, app.host),
                 100_000),
                ("in its body", http_client.message("POST", "/", (), b"x" * 90_000, app.host)[:-9],
                 0)):
            with self.subTest(name=name), Visitor(app) as visitor:
                visitor.send(sent)
                self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "asked")
                self.assertEqual(len(harness.read_exactly(visitor.socket, part)), part)
                visitor.reset()
                self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "gone")

    def test_its_close_in_the_middle_of_an_answer_ends_it_at_the_upstream(self):
        peer, app = self.expose_raw(self.handler)
        with Visitor(app) as visitor:
            visitor.say("GET", "/stream")
            self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "asked")
            visitor.socket.close()
            self.assertEqual(peer.received.get(timeout=10 * PATIENCE), "gone")


if __name__ == "__main__":
    unittest.main()
