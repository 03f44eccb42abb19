"""What a connection may be used for depends on what is spoken on it."""

import contextlib
import random
import re
import unittest

import harness
import http_peers
from harness import LOOPBACK, eventually
from http_client import Visitor
from http_scenario import Gate, HttpScenario, drained


@harness.through_the_tunnel
class Kinds(HttpScenario):
    WARM = 5

    def tcp_service(self, handler, *lines):
        """An upstream of byte streams with WARM connections made beforehand, and its agent."""
        peer = self.raw_peer(handler)
        agent = self.agent(self.relay(), {"db": "\n".join([
            f'upstream = "{LOOPBACK}:{peer.port}"', *lines, "[services.pool]",
            f"warm_up_size = {self.WARM}", f"min_idle_connections = {self.WARM}"])})
        # A check of the service's health is a connection too, now and then.
        agent.warm = self.WARM + 1
        return peer, agent

    def test_the_pool_is_warm_before_the_agent_says_that_it_is_ready(self):
        async def handler(reader, writer, peer):
            await reader.read()

        peer, _ = self.tcp_service(handler)
        self.assertGreaterEqual(peer.accepted, self.WARM)

    def test_a_byte_stream_serves_one_visitor_and_never_another(self):
        async def handler(reader, writer, peer):
            said = await reader.read(100)
            while said:
                peer.received.put((writer.get_extra_info("peername")[1], said))
                writer.write(said)
                said = await reader.read(100)

        peer, agent = self.tcp_service(handler)
        for number in range(20):
            with harness.connect(agent.ports["db"]) as visitor:
                for _ in range(2):
                    visitor.sendall(b"visitor %d" % number)
                    self.assertEqual(visitor.recv(100), b"visitor %d" % number)
        by_connection = {}
        for connection, said in drained(peer.received):
            by_connection.setdefault(connection, set()).add(said)
        self.assertEqual(len(by_connection), 20)
        self.assertEqual([len(said) for said in by_connection.values()], [1] * 20)

    def test_what_an_upstream_says_to_an_idle_byte_stream_reaches_nobody(self):
        async def handler(reader, writer, peer):
            if peer.accepted <= self.WARM:  # The first ones say what nobody asked for.
                writer.write(b"evil")
                await writer.drain()
                peer.received.put("said")
            said = await reader.read(100)
            writer.write(said)

        peer, agent = self.tcp_service(handler)
        eventually(lambda: peer.received.qsize() >= self.WARM, "unasked words")
        eventually(lambda: peer.accepted >= 2 * self.WARM, "others in their place", 30)
        for _ in range(10):
            with harness.connect(agent.ports["db"]) as visitor:
                visitor.sendall(b"good")
                self.assertEqual(visitor.recv(100), b"good")

    def test_a_banner_that_waited_belongs_to_the_visitor_who_gets_the_connection(self):
        async def handler(reader, writer, peer):
            writer.write(b"220 %d\r\n" % writer.get_extra_info("peername")[1])
            writer.write(await reader.read(100))

        peer, agent = self.tcp_service(handler, 'speaks_first = "server"')
        banners = set()
        for _ in range(20):
            with harness.connect(agent.ports["db"]) as visitor:
                banner = visitor.recv(100)
                self.assertRegex(banner, rb"^220 \d+\r\n$")
                banners.add(banner)
                visitor.sendall(b"quit")
                self.assertEqual(visitor.recv(100), b"quit")
        self.assertEqual(len(banners), 20, "one was heard twice")
        self.assertGreaterEqual(peer.accepted, 20)

    def test_a_connection_that_was_told_whose_it_is_serves_nobody_else(self):
        async def handler(reader, writer, peer):
            header = (await reader.readline()).decode()
            while request := await http_peers.read_request(reader):
                peer.received.put((header, request.target))
                writer.write(http_peers.whole(b"fine"))

        peer = self.raw_peer(handler)
        agent = self.agent(self.relay(http=True), {"web": "\n".join([
            f'upstream = "{LOOPBACK}:{peer.port}"', 'subdomain = "app"',
            'proxy_protocol = "v1"'])}, kind="http")
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(agent.sites["web"])) for _ in range(4)]
            ports = {str(v.socket.getsockname()[1]) for v in visitors}
            for _ in range(3):
                for visitor in visitors:
                    target = f"/{visitor.socket.getsockname()[1]}"
                    self.assertEqual(visitor.ask("GET", target).body, b"fine")
        seen = drained(peer.received)
        self.assertEqual(len(seen), 12)
        for header, target in seen:
            said = re.fullmatch(r"PROXY TCP4 \S+ \S+ (\d+) \d+\r\n", header)
            self.assertEqual(said[1], target[1:])
        self.assertEqual({target[1:] for _, target in seen}, ports)

    def test_a_body_is_said_again_only_while_all_of_it_is_still_here(self):
        async def once(reader, writer, peer):
            """Answers the first request of a connection and closes at the second, once read."""
            for number in range(2):
                request = await http_peers.read_request(reader)
                if request is None:
                    return
                body = await request.body()
                if number == 0:
                    writer.write(http_peers.whole(b"fine"))
                else:
                    peer.received.put(len(body))
            writer.write_eof()

        peer, app = self.expose_raw(once, "--set", "pool.warm_up_size=0", "--set",
                                    "pool.min_idle_connections=0")
        with Visitor(app) as visitor:
            for size, status in ((60_000, 200), (65_536, 200), (1_000_000, 502)):
                with self.subTest(size=size):
                    self.assertEqual(visitor.ask("GET").status, 200)
                    answer = visitor.ask("PUT", body=random.randbytes(size))
                    self.assertEqual(answer.status, status)
        self.assertEqual(drained(peer.received)[-1], 1_000_000)

    def test_a_request_that_holds_its_connection_for_too_long_is_reported_once(self):
        gate = Gate()

        async def respond(request, writer, peer):
            await gate.passed()
            writer.write(http_peers.whole(b"at last"))

        peer = self.peer(respond)
        agent = self.agent(self.relay(http=True), {"web": "\n".join([
            f'upstream = "{LOOPBACK}:{peer.port}"', 'subdomain = "app"', "[services.pool]",
            'lease_limit = "1s"'])}, kind="http")
        with Visitor(agent.sites["web"]) as visitor:
            visitor.say("GET")
            said = agent.wait_match(r"event=pool.lease_overdue .*", "err", 20)[0]
            self.assertRegex(said, r"service=web taken_at=\w+\.cpp:\d+ age=1")
            gate.open()
            self.assertEqual(visitor.read().body, b"at last")
        self.assertEqual(agent.text("err").count("lease_overdue"), 1)


if __name__ == "__main__":
    unittest.main()
