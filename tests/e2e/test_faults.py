"""Kill -9, restart, drain: everything comes back by itself, and what was cut is seen to be cut."""

import contextlib
import signal
import socket
import unittest

import harness
import peers
from harness import LOOPBACK, PATIENCE, Scenario, connect, echoes, eventually
from traffic import Traffic, ask, serves

CUT_SIZE = 64_000_000  # More than all buffers on the way together: never whole before it is cut.


class Killed(Scenario):
    """Each process in turn dies under traffic and is started again."""

    def setUp(self):
        super().setUp()
        self.upstream = self.serve("stream", port=harness.free_port())
        self.control, self.remote_port = harness.free_port(), harness.free_port()
        self.first_relay = self.relay(port=self.control)
        self.first_agent = self.expose()

    def expose(self):
        return self.tcp(self.first_relay, str(self.upstream.port), *QUICK,
                        remote_port=self.remote_port)

    def under_traffic(self, kill, restart, cut=True):
        """Kills and restarts in the middle of traffic; one exchange is known to be under way."""
        with connect(self.remote_port) as under_way, Traffic(self.remote_port) as traffic:
            ask(under_way, 77, CUT_SIZE)
            self.assertEqual(len(harness.read_exactly(under_way, 1000)), 1000)
            for _ in range(3):
                traffic.wait_whole(30)
                kill()
                restart()
                traffic.wait_whole(30)
            if cut:
                with self.assertRaises(ConnectionResetError):
                    harness.read_to_end(under_way)
        self.assertEqual(traffic.wrong, [])

    def test_a_killed_agent_cuts_visibly_and_its_successor_serves_on_the_same_port(self):
        agents = [self.first_agent]

        def restart():
            agents.append(self.expose())
            self.assertEqual(agents[-1].public, self.remote_port)

        self.under_traffic(lambda: self.gone(agents[-1]), restart)

    def test_a_killed_relay_cuts_visibly_and_agents_come_back_to_its_successor(self):
        relays = [self.first_relay]
        self.under_traffic(lambda: self.gone(relays[-1]),
                           lambda: relays.append(self.relay(port=self.control)))
        self.assertTrue(self.first_agent.alive())

    def test_a_killed_upstream_cuts_visibly_and_is_served_again_once_it_is_back(self):
        upstreams = [self.upstream]
        self.under_traffic(
            lambda: upstreams[-1].kill(),
            lambda: upstreams.append(self.serve("stream", port=self.upstream.port)))
        self.assertTrue(self.first_agent.alive() and self.first_relay.alive())

    def test_an_upstream_sees_an_upload_cut_by_a_killed_relay_as_a_reset(self):
        self.upload_cut(lambda: self.gone(self.first_relay))

    def test_an_upstream_sees_an_upload_cut_by_a_killed_agent_as_a_reset(self):
        self.upload_cut(lambda: self.gone(self.first_agent))

    def upload_cut(self, kill):
        peer = peers.Peer(peers.silent)
        self.stoppers.append(peer.stop)
        self.gone(self.first_agent)
        self.first_agent = self.tcp(self.first_relay, str(peer.port), *QUICK)
        with connect(self.first_agent.public) as visitor:
            visitor.sendall(bytes(300_000))
            eventually(lambda: peer.open == 1, "the upload at the upstream")
            kill()
            self.assertEqual(peer.ends.get(timeout=15 * PATIENCE), "reset")
            visitor.settimeout(15 * PATIENCE)
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                while True:
                    visitor.sendall(bytes(65536))
                    if visitor.recv(1) == b"":
                        self.fail("a clean end")

    def test_an_agent_started_before_its_relay_and_its_upstream_serves_once_both_are_there(self):
        self.gone(self.first_agent)
        self.gone(self.first_relay)
        self.upstream.kill()
        agent = self.start_tcp(self.first_relay, str(self.upstream.port), *QUICK,
                               remote_port=self.remote_port)
        self.first_relay = self.relay(port=self.control)
        agent.wait_match(r"^tcp://")
        self._keep(agent, self.control)
        self.serve("echo", port=self.upstream.port)
        eventually(lambda: echoes(self.remote_port), "the service")


# Coming back is tested, not waiting.
QUICK = ("--set", "agent.reconnect.initial=20ms", "--set", "agent.reconnect.max=200ms")


class ComesBack(Scenario):
    def test_a_reconnected_agent_asks_again_for_the_port_that_the_relay_once_picked(self):
        relay, echo = self.relay(port=harness.free_port()), self.serve("echo")
        agent = self.tcp(relay, str(echo.port), *QUICK)
        self.assertTrue(harness.echo_once(agent.public))
        self.gone(relay)
        self.relay(port=relay.port)
        eventually(lambda: echoes(agent.public), "the former port")
        self.assertEqual(agent.text().split(), [f"tcp://{LOOPBACK}:{agent.public}"])

    def test_every_service_of_an_agent_comes_back_after_its_relay(self):
        relay, echo = self.relay(port=harness.free_port()), self.serve("echo")
        services = {f"s{n}": f'upstream = "{LOOPBACK}:{echo.port}"\nremote_port = 0'
                    for n in range(5)}
        agent = self.agent(relay, services,
                           settings='[agent.reconnect]\ninitial = "20ms"\nmax = "200ms"')
        self.gone(relay)
        self.relay(port=relay.port)
        for name, port in agent.ports.items():
            eventually(lambda port=port: echoes(port), f"service {name}")

    def test_a_frozen_agent_is_let_go_and_serves_again_once_it_thaws(self):
        """SIGSTOP keeps the connections open and silent, like a cut cable."""
        relay = self.relay("--set", "relay.heartbeat=200ms", "--set", "relay.heartbeat_loss=1s",
                           port=harness.free_port())
        agent = self.tcp(relay, str(self.serve("echo").port), *QUICK)
        with connect(agent.public) as visitor:
            visitor.sendall(b"x")
            self.assertEqual(visitor.recv(1), b"x")
            agent.signal(signal.SIGSTOP)
            try:
                with self.assertRaises(ConnectionResetError):
                    harness.read_to_end(visitor)
            finally:
                agent.signal(signal.SIGCONT)
        eventually(lambda: echoes(agent.public), "the service", 20)


class Drained(Scenario):
    """SIGTERM finishes what is open and accepts no more; a second one ends at once."""

    def setUp(self):
        super().setUp()
        self.relay_process = self.relay(port=harness.free_port())
        self.agent_process = self.tcp(self.relay_process, str(self.serve("stream").port), *QUICK)

    def drain(self, victim):
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(connect(self.agent_process.public)) for _ in range(20)]
            size = 3_000_000
            for seed, visitor in enumerate(visitors):
                ask(visitor, seed, size)
                self.assertEqual(len(harness.read_exactly(visitor, 1)), 1)
            victim.signal(signal.SIGTERM)
            eventually(lambda: not serves(self.agent_process.public), "no new visitors")
            for seed, visitor in enumerate(visitors):
                rest = harness.read_exactly(visitor, size - 1)
                self.assertEqual(rest, peers.small_pattern(seed, size)[1:], f"visitor {seed}")
                ask(visitor, seed + 100, 1000)
                self.assertEqual(harness.read_exactly(visitor, 1000),
                                 peers.small_pattern(seed + 100, 1000), "still the same exchange")
                self.assertTrue(victim.alive(), "ended with exchanges open")
                visitor.shutdown(socket.SHUT_WR)
                self.assertEqual(visitor.recv(1), b"")
        self.ours.remove(victim)
        self.assertEqual(victim.wait(15), 0)
        self.check_census(victim)

    def test_a_relay_told_to_end_finishes_its_exchanges_first(self):
        self.drain(self.relay_process)

    def test_an_agent_told_to_end_finishes_its_exchanges_first(self):
        self.drain(self.agent_process)

    def end_twice(self, victim):
        with connect(self.agent_process.public) as visitor:
            ask(visitor, 1, CUT_SIZE)
            self.assertEqual(len(harness.read_exactly(visitor, 1)), 1)
            victim.signal(signal.SIGTERM)
            eventually(lambda: not serves(self.agent_process.public), "no new visitors")
            self.assertTrue(victim.alive(), "ended with an exchange open")
            victim.signal(signal.SIGTERM)
            self.assertIn(victim.wait(5), (143, -signal.SIGTERM))
            self.ours.remove(victim)
            with self.assertRaises(ConnectionResetError):
                harness.read_to_end(visitor)

    def test_a_second_signal_ends_a_draining_relay_at_once(self):
        self.end_twice(self.relay_process)

    def test_a_second_signal_ends_a_draining_agent_at_once(self):
        self.end_twice(self.agent_process)

    def test_a_drain_that_lasts_longer_than_its_grace_ends_in_resets(self):
        relay = self.relay("--set", "shutdown.grace=1s")
        agent = self.tcp(relay, str(self.serve("stream").port), *QUICK)
        with connect(agent.public) as visitor:
            ask(visitor, 1, CUT_SIZE)
            self.assertEqual(len(harness.read_exactly(visitor, 1)), 1)
            relay.signal(signal.SIGTERM)
            self.ours.remove(relay)
            relay.wait(10)
            with self.assertRaises(ConnectionResetError):
                harness.read_to_end(visitor)

    def test_an_interrupt_ends_idle_processes_like_a_termination(self):
        for process in (self.agent_process, self.relay_process):
            process.signal(signal.SIGINT)
            self.ours.remove(process)
            self.assertEqual(process.wait(10), 0, process.name)
            self.check_census(process)


if __name__ == "__main__":
    unittest.main()
