"""Bad input of every kind: one clear sentence, the documented end, and nothing else disturbed."""

import contextlib
import random
import socket
import struct
import sys
import time
import unittest

import harness
import peers
from harness import LOOPBACK, PATIENCE, Scenario, connect, eventually
from traffic import Traffic

USAGE, CONFIG, HOST, REFUSED = 2, 3, 4, 5


class BesideHealthy(Scenario):
    """A healthy service is under traffic the whole time; not one of its exchanges may suffer."""

    def setUp(self):
        super().setUp()
        self.relay_process = self.relay(tokens=("laptop", "server"))
        self.healthy = self.tcp(self.relay_process, str(self.serve("stream").port))
        self.traffic = Traffic(self.healthy.public, visitors=3, sizes=(0, 1000, 100_000))
        self.traffic.__enter__()

    def tearDown(self):
        try:
            if self._outcome.success:
                self.traffic.wait_whole(20)
            self.traffic.__exit__()
            self.assertEqual(self.traffic.wrong, [])
            self.assertEqual(set(self.traffic.counts) | {"whole"}, {"whole"}, self.traffic.counts)
        finally:
            super().tearDown()


class Refused(BesideHealthy):
    def test_an_unknown_token_is_refused(self):
        self.expect_refusal(self.start_tcp(self.relay_process, "1", token="stranger"),
                            REFUSED, "token")

    def test_a_remote_port_of_another_agent_is_refused(self):
        taken = self.start_tcp(self.relay_process, "1", remote_port=self.healthy.public,
                               token="server")
        self.expect_refusal(taken, REFUSED, str(self.healthy.public))

    def test_a_remote_port_of_another_program_is_refused(self):
        port = harness.free_port()
        with socket.create_server((LOOPBACK, port)):
            self.expect_refusal(self.start_tcp(self.relay_process, "1", remote_port=port),
                                REFUSED, str(port))

    def test_a_remote_port_outside_the_relays_range_is_refused(self):
        relay = self.relay(tcp_ports="20000-20010")
        self.expect_refusal(self.start_tcp(relay, "1", remote_port=20011), REFUSED, "20011")

    def test_a_relay_whose_port_is_taken_says_so(self):
        relay = self.start_ours("relay", "relay", "--listen",
                                f"{LOOPBACK}:{self.relay_process.port}",
                                "--tcp-ports", harness.TCP_PORTS,
                                "--public-key", self.token().public_key)
        self.expect_refusal(relay, HOST, str(self.relay_process.port))

    def test_a_relay_without_a_key_refuses_to_start(self):
        relay = self.start_ours("relay", "relay", "--listen", f"{LOOPBACK}:0",
                                "--tcp-ports", harness.TCP_PORTS)
        self.assertIn(relay.wait(), (USAGE, CONFIG))
        self.assertRegex(relay.text("err"), "public.key|token")

    def test_a_plaintext_relay_beyond_loopback_refuses_to_start(self):
        relay = self.start_ours("relay", "relay", "--listen", "0.0.0.0:0", "--tcp-ports",
                                harness.TCP_PORTS, "--public-key", self.token().public_key)
        self.assertIn(relay.wait(), (USAGE, CONFIG))
        self.assertRegex(relay.text("err"), "(?i)loopback|plain")


class Upstreams(BesideHealthy):
    def expose(self, port, *extra):
        return self.tcp(self.relay_process, f"{LOOPBACK}:{port}", *extra)

    def assert_reset(self, port, payload=b"hello"):
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            with connect(port) as visitor:
                visitor.sendall(payload)
                self.assertEqual(harness.read_to_end(visitor), b"")
                self.fail("a clean end")

    def test_an_upstream_that_refuses_resets_its_visitors_and_no_others(self):
        agent = self.expose(harness.free_port())
        for _ in range(20):
            self.assert_reset(agent.public)

    def test_an_upstream_that_never_accepts_resets_its_visitors_after_the_time_out(self):
        """The queue of a listener that accepts nothing is full: connecting hangs."""
        with (socket.create_server((LOOPBACK, 0), backlog=0) as full,
              contextlib.ExitStack() as stack):
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            agent = self.expose(full.getsockname()[1], "--set", "pool.connection_timeout=300ms")
            self.assert_reset(agent.public)

    def test_an_upstream_that_never_answers_keeps_only_its_own_visitors_waiting(self):
        with peers.Peer(peers.silent) as peer:
            agent = self.expose(peer.port)
            with contextlib.ExitStack() as stack:
                for _ in range(50):
                    stack.enter_context(connect(agent.public)).sendall(b"hello?")
                eventually(lambda: peer.open == 50, "all at the upstream")
                self.traffic.wait_whole(50)
            eventually(lambda: peer.open == 0, "the visitors' leaving to reach the upstream")

    def test_an_upstream_that_resets_resets_its_visitors_and_no_others(self):
        with peers.Peer(peers.reset) as peer:
            agent = self.expose(peer.port)
            for _ in range(20):
                self.assert_reset(agent.public)


class ControlPort(BesideHealthy):
    """Whoever reaches the control port can speak to it."""

    def strangers(self, count):
        return [connect(self.relay_process.port) for _ in range(count)]

    def close_all(self, strangers):
        for stranger in strangers:
            stranger.close()

    def agent_gets_in(self):
        """Within the deadline of one slow handshake: it waited for none of them."""
        began = time.monotonic()
        agent = self.tcp(self.relay_process, str(self.serve("echo").port), token="server")
        self.assertTrue(harness.echo_once(agent.public))
        self.assertLess(time.monotonic() - began, 4 * PATIENCE)

    def test_garbage_is_refused_and_a_real_agent_gets_in(self):
        before = self.relay_process.rss()
        strangers = self.strangers(100)
        try:
            for stranger in strangers:
                with contextlib.suppress(OSError):
                    stranger.sendall(random.choice((
                        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 50,
                        b"\0" * 1024, b"\xff" * 100_000, random.randbytes(4096))))
            self.agent_gets_in()
            for stranger in strangers:
                with contextlib.suppress(ConnectionResetError):
                    harness.read_to_end(stranger)  # Its end, soon: garbage is not waited out.
        finally:
            self.close_all(strangers)
        self.assertLess(self.relay_process.rss() - before, 32 << 20)

    def test_silence_is_ended_and_a_real_agent_gets_in_meanwhile(self):
        strangers = self.strangers(200)
        try:
            self.agent_gets_in()
            for stranger in strangers:
                with contextlib.suppress(ConnectionResetError):
                    harness.read_to_end(stranger)  # The handshake's deadline ends it.
        finally:
            self.close_all(strangers)

    def test_handshakes_one_byte_at_a_time_hold_up_nobody(self):
        strangers = self.strangers(50)
        try:
            for byte in random.randbytes(3):
                for stranger in strangers:
                    with contextlib.suppress(OSError):
                        stranger.sendall(bytes([byte]))
            self.agent_gets_in()
        finally:
            self.close_all(strangers)

    def test_strangers_that_reset_at_once_leave_nothing_behind(self):
        for stranger in self.strangers(200):
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stranger.close()
        self.agent_gets_in()


class Visitors(BesideHealthy):
    def test_visitors_that_reset_at_any_moment_leave_nothing_behind(self):
        """The descriptors and the census at the end tell."""
        for number in range(300):
            visitor = connect(self.healthy.public)
            if number % 3:
                visitor.sendall(struct.pack(">QQ", number, 1_000_000))
            if number % 3 == 2:
                visitor.recv(1000)
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            visitor.close()


class Configuration(Scenario):
    """The wrong value, its place, and what was probably meant, on one line of stderr."""

    AGENT = '[agent]\nrelays = ["127.0.0.1:1"]\ntoken_file = "{token}"\n'
    SERVICE = '[[services]]\nname = "s"\ntype = "tcp"\nupstream = "127.0.0.1:1"\n'

    def refused(self, text, *words, code=CONFIG):
        text = text.replace("{token}", str(self.token().path))
        agent = self.start_ours("agent", "agent", "-c", self.write("bad.toml", text))
        self.assertEqual(agent.wait(), code, agent.text("err"))
        for word in words:
            self.assertIn(word, agent.text("err"))
        self.assertEqual(agent.text(), "")

    def test_an_unknown_key_is_named_with_its_place_and_the_nearest_key(self):
        self.refused(self.AGENT + "[pool]\nmax_pool_sice = 5\n" + self.SERVICE,
                     "max_pool_sice", "max_pool_size", "bad.toml", "5")

    def test_an_unknown_table_is_refused(self):
        self.refused(self.AGENT + "[pools]\n" + self.SERVICE, "pools")

    def test_a_value_of_the_wrong_type_is_refused(self):
        self.refused(self.AGENT + '[pool]\nmax_pool_size = "many"\n' + self.SERVICE,
                     "max_pool_size")

    def test_a_value_out_of_range_is_refused(self):
        self.refused(self.AGENT + self.SERVICE + "remote_port = 70000\n", "remote_port", "70000")

    def test_a_malformed_duration_is_refused(self):
        self.refused(self.AGENT + '[shutdown]\ngrace = "soon"\n' + self.SERVICE, "grace", "soon")

    def test_a_file_that_is_no_toml_is_refused_with_its_place(self):
        self.refused("[agent\nrelays = ", "bad.toml", "1")

    def test_two_services_of_one_name_are_refused(self):
        self.refused(self.AGENT + self.SERVICE * 2, '"s"')

    def test_a_service_without_an_upstream_is_refused(self):
        self.refused(self.AGENT + '[[services]]\nname = "s"\ntype = "tcp"\n', "upstream")

    def test_a_missing_file_is_refused(self):
        agent = self.start_ours("agent", "agent", "-c", self.directory / "absent.toml")
        self.expect_refusal(agent, CONFIG, "absent.toml")

    def test_a_token_file_that_is_missing_or_holds_no_token_is_refused(self):
        self.write("broken", "tut_this-is-none")
        for name in ("absent", "broken"):
            with self.subTest(file=name):
                path = self.directory / name
                agent = self.start_ours("tcp", "tcp", "1", "--relay", f"{LOOPBACK}:1",
                                        "--token-file", path)
                self.expect_refusal(agent, CONFIG, str(path))
                self.refused(self.AGENT.replace("{token}", str(path)) + self.SERVICE, str(path))

    def test_wrong_usage_is_refused(self):
        for arguments in ([], ["no-such-command"], ["tcp"], ["tcp", "1", "--no-such-flag"],
                          ["tcp", "1", "--remote-port", "x"], ["relay", "--listen"]):
            with self.subTest(arguments=arguments):
                process = self.start_ours("usage", *arguments)
                self.assertEqual(process.wait(), USAGE, process.text("err"))
                self.assertTrue(process.text("err").strip())


class Denied(Scenario):
    """A container's seccomp profile forbids io_uring."""

    def test_every_command_that_needs_io_uring_says_what_is_in_the_way(self):
        deny = (sys.executable, harness.HERE / "deny_io_uring.py")
        key, path = self.token().public_key, self.token().path
        for arguments in (["relay", "--listen", f"{LOOPBACK}:0", "--tcp-ports", harness.TCP_PORTS,
                           "--public-key", key],
                          ["tcp", "1", "--relay", f"{LOOPBACK}:1", "--token-file", path]):
            with self.subTest(command=arguments[0]):
                process = self.start_ours(arguments[0], *arguments, through=deny)
                if process.wait() == 77:
                    self.skipTest("this machine installs no seccomp filter")
                self.expect_refusal(process, HOST, "io_uring", "seccomp")


if __name__ == "__main__":
    unittest.main()
