"""Kill -9, restart and drain under HTTP: nothing that was cut looks whole, and all comes back."""

import contextlib
import signal
import unittest

import harness
import http_client
import http_peers
from harness import LOOPBACK, eventually, tool
from http_client import Visitor
from http_scenario import Gate, HttpScenario
from traffic import HttpTraffic

# Coming back is tested, not waiting.
QUICK = ("--set", "agent.reconnect.initial=20ms", "--set", "agent.reconnect.max=200ms")
CUT_SIZE = 64_000_000  # More than all buffers on the way together: never whole before it is cut.


@harness.through_the_tunnel
class Killed(HttpScenario):
    """Each process in turn dies under traffic and is started again."""

    def setUp(self):
        super().setUp()
        self.upstream = self.serve("site", program="http_peers.py", port=harness.free_port())
        self.control, self.http_port = harness.free_port(), harness.free_port()
        self.relays = [self.start_over()]
        self.agents = [self.serve_again()]

    def start_over(self):
        return self.relay(port=self.control, http=True, http_port=self.http_port)

    def serve_again(self):
        return self.http(self.relays[0], str(self.upstream.port), *QUICK)

    def under_traffic(self, kill, restart, away=HttpTraffic.AWAY):
        """Kills and restarts in the middle of traffic; of each framing one answer is known to be
        under way at the first kill."""
        app = self.agents[0]
        with contextlib.ExitStack() as stack:
            cut = {}
            for framing in ("length", "chunked", "close"):
                cut[framing] = stack.enter_context(Visitor(app))
                cut[framing].say("GET", f"/pattern/77/{CUT_SIZE}/{framing}")
                answer = cut[framing].head()
                self.assertEqual(answer.status, 200)
                next(cut[framing].pieces(answer))
            with HttpTraffic(app, away=away) as traffic:
                for number in range(3):
                    traffic.wait_whole(30)
                    kill()
                    if number == 0:
                        for framing, visitor in cut.items():
                            self.assert_cut(framing, visitor)
                    restart()
                    traffic.wait_whole(30)
        self.assertEqual(traffic.wrong, [])

    def assert_cut(self, framing, visitor):
        """What follows is an end that shows: chunks without their last, a length not reached, a
        reset. (Whole chunks before the end are read and dropped.)"""
        rest = b""
        try:
            while data := visitor.socket.recv(1 << 20):
                rest = (rest + data)[-100:]
        except ConnectionResetError:
            return
        if framing != "length":  # Which is too short in any case: most of it had not been read.
            self.assertFalse(rest.endswith(b"\r\n0\r\n\r\n"), f"{framing}: a clean end")

    def test_a_killed_agent_cuts_visibly_and_its_successor_serves_the_same_name(self):
        def restart():
            self.agents.append(self.serve_again())
            self.assertEqual(self.agents[-1].url, self.agents[0].url)

        self.under_traffic(lambda: self.gone(self.agents[-1]), restart)

    def test_a_killed_relay_cuts_visibly_and_agents_come_back_to_its_successor(self):
        # A relay knows no name before the agent is back that has it.
        self.under_traffic(lambda: self.gone(self.relays[-1]),
                           lambda: self.relays.append(self.start_over()),
                           away=(404, *HttpTraffic.AWAY))
        self.assertTrue(self.agents[0].alive())
        self.assertEqual(self.agents[0].text().split(), [self.agents[0].url])

    def test_a_killed_upstream_cuts_visibly_and_is_served_again_once_it_is_back(self):
        upstreams = [self.upstream]
        self.under_traffic(
            lambda: upstreams[-1].kill(),
            lambda: upstreams.append(self.serve("site", program="http_peers.py",
                                                port=self.upstream.port)))
        self.assertTrue(self.agents[0].alive() and self.relays[0].alive())

    def test_curl_sees_a_download_cut_by_a_killed_process(self):
        curl = tool("curl")
        for kill in (lambda: self.gone(self.agents.pop()), lambda: self.gone(self.relays.pop())):
            if not self.agents:
                self.agents.append(self.serve_again())
            for framing in ("close", "chunked", "length"):
                url = f"{self.agents[0].url}/pattern/1/{CUT_SIZE}/{framing}"
                child = self.start("curl", [curl, "-sf", "--noproxy", "*", "--limit-rate", "10M",
                                            "-o", "-", url])
                eventually(lambda c=child: c.paths["out"].stat().st_size > 0, "the first bytes")
                last = child
            kill()
            for child in (p for p in self.processes if p.name.startswith("curl")):
                self.assertNotEqual(child.wait(30), 0)
            self.assertFalse(last.alive())

    def test_an_agent_started_before_its_relay_and_its_upstream_serves_once_both_are_there(self):
        self.gone(self.agents[0])
        self.gone(self.relays[0])
        self.upstream.kill()
        agent = self.start_http(self.relays[0], str(self.upstream.port), *QUICK)
        relay = self.start_over()
        agent.wait_match(r"^http://")
        agent.host, agent.http_port = f"app.localhost:{self.http_port}", relay.http_port
        self._keep_http(agent, relay, 1)
        self.serve("site", program="http_peers.py", port=self.upstream.port)
        eventually(lambda: http_client.answers(agent), "the service")

    def test_every_name_of_an_agent_comes_back_after_its_relay(self):
        self.gone(self.agents[0])
        services = {f"s{n}": f'upstream = "{LOOPBACK}:{self.upstream.port}"\nsubdomain = "s{n}"'
                    for n in range(5)}
        agent = self.agent(self.relays[0], services, kind="http",
                           settings='[agent.reconnect]\ninitial = "20ms"\nmax = "200ms"')
        self.gone(self.relays[0])
        self.start_over()
        for name, site in agent.sites.items():
            eventually(lambda site=site: http_client.answers(site), f"service {name}")


@harness.through_the_tunnel
class Drained(HttpScenario):
    """SIGTERM lets answers in flight come whole and takes no more."""

    def setUp(self):
        super().setUp()
        self.gate = Gate()

        async def respond(request, writer, peer):
            body = await request.body()
            peer.received.put(request.target)
            if request.target == "/now":
                writer.write(http_peers.whole(b"now"))
                return
            writer.write(http_peers.head(fields=[("Transfer-Encoding", "chunked")]))
            await self.gate.passed()
            for _ in range(20):
                writer.write(http_peers.chunk(bytes(50_000)))
                await writer.drain()
            writer.write(http_peers.chunk(body) if body else b"")
            writer.write(http_peers.chunk(b""))

        self.upstream, self.app = self.expose_peer(respond)

    def drain(self, victim):
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(self.app)) for _ in range(20)]
            idle = [stack.enter_context(Visitor(self.app)) for _ in range(20)]
            for visitor in idle:
                self.assertEqual(visitor.ask("GET", "/now").body, b"now")
            for number, visitor in enumerate(visitors):
                visitor.say("POST", f"/{number}", body=b"%d" % number)
            heads = [visitor.head() for visitor in visitors]
            victim.signal(signal.SIGTERM)
            eventually(lambda: not http_client.answers(self.app, target="/now"), "no new visitors")
            self.assertTrue(victim.alive(), "ended with answers under way")
            self.gate.open(len(visitors))
            for number, (visitor, answer) in enumerate(zip(visitors, heads)):
                self.assertEqual(b"".join(visitor.pieces(answer)),
                                 bytes(1_000_000) + b"%d" % number)
            self.ours.remove(victim)
            self.assertEqual(victim.wait(15), 0)
            self.check_census(victim)
            if victim is self.relay_process:
                for visitor in (*visitors, *idle):
                    self.assertTrue(visitor.ended())  # Cleanly: nothing was owed.

    def test_a_relay_told_to_end_finishes_its_answers_first(self):
        self.drain(self.relay_process)

    def test_an_agent_told_to_end_finishes_its_answers_first(self):
        self.drain(self.app)

    def test_a_second_signal_cuts_visibly(self):
        for victim in (self.app, self.relay_process):
            if victim is self.relay_process:
                self.app = self.http(self.relay_process, str(self.upstream.port))
            with Visitor(self.app) as visitor:
                visitor.say("GET", "/late")
                visitor.head()
                victim.signal(signal.SIGTERM)
                eventually(lambda: not http_client.answers(self.app, target="/now"),
                           "no new visitors")
                self.assertTrue(victim.alive(), "ended with an answer under way")
                victim.signal(signal.SIGTERM)
                self.assertIn(victim.wait(5), (143, -signal.SIGTERM))
                self.ours.remove(victim)
                try:
                    rest = visitor.left + harness.read_to_end(visitor.socket)
                    self.assertNotIn(b"0\r\n\r\n", rest)
                except ConnectionResetError:
                    pass

    def test_idle_visitors_keep_no_process_from_ending(self):
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(self.app)) for _ in range(50)]
            for visitor in visitors:
                self.assertEqual(visitor.ask("GET", "/now").status, 200)
            for process in (self.app, self.relay_process):
                process.signal(signal.SIGTERM)
                self.ours.remove(process)
                self.assertEqual(process.wait(10), 0, process.name)
                self.check_census(process)
            for visitor in visitors:
                self.assertTrue(visitor.ended())


@harness.through_the_tunnel
class Beside(HttpScenario):
    """What goes wrong for one service or visitor is nobody else's trouble."""

    def test_healthy_traffic_is_whole_beside_every_kind_of_trouble(self):
        async def broken(request, writer, peer):
            if request.target == "/cut":
                writer.write(http_peers.head(fields=[("Content-Length", 100)]) + b"x")
            elif request.target == "/reset":
                writer.transport.abort()
            elif request.target == "/noise":
                writer.write(b"\0\1\2\r\n\r\n")
            return False

        relay = self.relay(http=True, tokens=("laptop", "server"))
        healthy = self.http(relay, str(self.serve("site", program="http_peers.py").port))
        sick = self.http(relay, str(self.peer(broken).port), subdomain="sick", token="server")
        with HttpTraffic(healthy, sizes=(0, 1000, 100_000)) as traffic:
            for number in range(300):
                with Visitor(sick) as visitor:
                    visitor.say("GET", ("/cut", "/reset", "/noise", "/end")[number % 4],
                                [("Connection", "close")])
                    if number % 5 == 4:
                        visitor.reset()
                    else:
                        visitor.is_over() if number % 2 else visitor.is_cut()
                with Visitor(healthy) as visitor:
                    visitor.send((b"\0\xff" * 50, b"GET /\n\n", b"POST / HTTP/1.1\r\nHost: x\r\n",
                                  b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")[number % 4])
                    visitor.reset()
            traffic.wait_whole(50)
        self.assertEqual(traffic.wrong, [])
        self.assertEqual(set(traffic.counts), {"whole"}, traffic.counts)


if __name__ == "__main__":
    unittest.main()
