"""What visitor and upstream see of each other: bytes, ends, resets, many at once, slow ones."""

import hashlib
import random
import selectors
import socket
import statistics
import struct
import threading
import time
import unittest

import harness
import peers
from harness import LOOPBACK, PATIENCE, Scenario, connect, eventually, scaled
from traffic import Traffic, ask


class Ends(Scenario):
    """Half-close and reset, exact both ways."""

    def through(self, handler, *extra):
        peer = peers.Peer(handler)
        self.stoppers.append(peer.stop)
        return peer, self.tcp(self.relay(), str(peer.port), *extra).public

    def test_an_upstream_that_speaks_first_is_heard_by_a_silent_visitor(self):
        _, public = self.through(peers.banner)
        with connect(public) as visitor:
            self.assertEqual(harness.read_exactly(visitor, 11), b"220 ready\r\n")

    def test_an_upstreams_end_reaches_the_visitor_and_the_visitor_goes_on_sending(self):
        peer, public = self.through(peers.farewell)
        with connect(public) as visitor:
            self.assertEqual(harness.read_to_end(visitor), b"this was all\n")
            self.assertTrue(peer.received.empty())
            visitor.sendall(b"but not for me")
        self.assertEqual(peer.received.get(timeout=10 * PATIENCE), b"but not for me")
        self.assertEqual(peer.ends.get(timeout=10 * PATIENCE), "clean")

    def test_a_visitors_end_reaches_the_upstream_and_its_answer_comes_back(self):
        _, public = self.through(peers.digest)
        with connect(public) as visitor:
            visitor.sendall(b"one")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(harness.read_to_end(visitor),
                             f"{hashlib.sha256(b'one').hexdigest()} 3\n".encode())

    def test_an_exchange_without_a_byte_ends_cleanly(self):
        peer, public = self.through(peers.echo)
        with connect(public) as visitor:
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(harness.read_to_end(visitor), b"")
        self.assertEqual(peer.ends.get(timeout=10 * PATIENCE), "clean")

    def test_a_reset_by_the_upstream_reaches_the_visitor_as_a_reset(self):
        _, public = self.through(peers.reset)
        with connect(public) as visitor:
            visitor.sendall(b"x")
            with self.assertRaises(ConnectionResetError):
                harness.read_to_end(visitor)

    def test_a_reset_by_the_visitor_reaches_the_upstream_as_a_reset(self):
        peer, public = self.through(peers.silent)
        with connect(public) as visitor:
            visitor.sendall(b"x")
            eventually(lambda: peer.open == 1, "the exchange at the upstream")
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertEqual(peer.ends.get(timeout=10 * PATIENCE), "reset")

    def test_a_unix_socket_upstream_is_reached(self):
        path = self.directory / "upstream.sock"
        listener = socket.create_server(str(path), family=socket.AF_UNIX)
        self.stoppers.append(listener.close)
        public = self.tcp(self.relay(), f"unix:{path}").public
        with connect(public) as visitor:
            visitor.sendall(b"over there")
            listener.settimeout(10 * PATIENCE)
            local, _ = listener.accept()
            with local:
                local.settimeout(10 * PATIENCE)
                self.assertEqual(harness.read_exactly(local, 10), b"over there")
                local.sendall(b"and back")
            self.assertEqual(harness.read_to_end(visitor), b"and back")

    def test_an_upstream_given_as_localhost_is_reached(self):
        peer = peers.Peer(peers.echo)
        self.stoppers.append(peer.stop)
        self.assertTrue(harness.echo_once(
            self.tcp(self.relay(), f"localhost:{peer.port}").public))


class RoundTrips(Scenario):
    def test_round_trips_of_16_kib_do_not_stall(self):
        """A leg without TCP_NODELAY costs 40 ms in nearly every round trip: Nagle against the
        delayed ACK. The bound is far from any honest round trip, loaded machine or not."""
        public = self.tcp(self.relay(), str(self.serve("echo").port)).public
        message, times = random.randbytes(16 << 10), []
        with connect(public) as visitor:
            for _ in range(200):
                began = time.monotonic()
                visitor.sendall(message)
                self.assertEqual(harness.read_exactly(visitor, len(message)), message)
                times.append(time.monotonic() - began)
        self.assertLess(statistics.median(times), 0.035 * PATIENCE)

    def test_a_database_like_conversation_gets_each_answer_whole(self):
        public = self.tcp(self.relay(), str(self.serve("query").port)).public
        talkers = [threading.Thread(target=self.converse, args=(public, n)) for n in range(8)]
        self.wrong = []
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(60 * PATIENCE)
            self.assertFalse(talker.is_alive(), "a conversation hangs")
        self.assertEqual(self.wrong, [])

    def converse(self, public, number):
        choose = random.Random(number)
        try:
            with connect(public) as visitor:
                visitor.sendall(peers._packed(b"S", b"user %d" % number))
                assert self.message(visitor) == (b"R", b"ready user %d" % number)
                for _ in range(50):
                    rows, size = choose.randrange(40), choose.choice((0, 1, 100, 5000, 70000))
                    visitor.sendall(peers._packed(b"Q", struct.pack(">II", rows, size)))
                    for row in range(rows):
                        assert self.message(visitor) == (b"D", peers.small_pattern(row, size))
                    assert self.message(visitor) == (b"C", struct.pack(">I", rows))
        except (OSError, AssertionError, struct.error) as error:
            self.wrong.append((number, repr(error)))

    @staticmethod
    def message(visitor):
        kind, length = struct.unpack(">cI", harness.read_exactly(visitor, 5))
        return kind, harness.read_exactly(visitor, length)


class Crowd:
    """Many visitors of an echoing upstream in one thread, each with bytes of its own."""

    def __init__(self, port, count, size):
        self.selector, self.size = selectors.DefaultSelector(), size
        self.visitors = []
        for number in range(count):
            visitor = connect(port)
            visitor.setblocking(False)
            self.visitors.append(visitor)
            self.selector.register(visitor, selectors.EVENT_READ, number)

    def close(self):
        for visitor in self.visitors:
            visitor.close()
        self.selector.close()

    def round(self, number, timeout=60.0):
        """All send, then all receive; returns what differed."""
        expected = [peers.small_pattern(number << 32 | n, self.size)
                    for n in range(len(self.visitors))]
        for visitor, payload in zip(self.visitors, expected):
            visitor.send(payload)  # Smaller than any socket buffer: taken whole.
        got = [b""] * len(self.visitors)
        waiting, deadline = set(range(len(got))), time.monotonic() + timeout * PATIENCE
        wrong = []
        while waiting:
            if time.monotonic() > deadline:
                return wrong + [f"{len(waiting)} visitors still wait"]
            for key, _ in self.selector.select(1):
                data = key.fileobj.recv(1 << 16)
                got[key.data] += data
                if not data or len(got[key.data]) >= self.size:
                    waiting.discard(key.data)
                    if got[key.data] != expected[key.data]:
                        wrong.append(f"visitor {key.data} got {len(got[key.data])} other bytes")
        return wrong


class Many(Scenario):
    def test_2000_connections_at_once_share_four_lanes(self):
        relay = self.relay()
        agent = self.tcp(relay, str(self.serve("echo").port),
                         "--set", "services.tcp.max_connections=2000")
        lanes = eventually(lambda: relay.descriptors(relay.port)["lane"], "lanes")
        crowd = Crowd(agent.public, 2000, 1000)
        try:
            for number in range(3):
                self.assertEqual(crowd.round(number), [])
            open_now = relay.descriptors(relay.port)
            self.assertGreaterEqual(open_now["stream"], 2000)
            self.assertLess(open_now["lane"], lanes + 130, "a lane per connection?")
        finally:
            crowd.close()

    def test_exchanges_of_all_sizes_at_once_never_cross(self):
        public = self.tcp(self.relay(), str(self.serve("stream").port)).public
        with Traffic(public, visitors=32, sizes=(0, 1, 1000, 16384, 65536, 300_000)) as traffic:
            traffic.wait_whole(scaled(3000), 120)
        self.assertEqual(traffic.wrong, [])
        self.assertEqual(set(traffic.counts), {"whole"})

    def test_bulk_both_ways_at_once_on_eight_connections_arrives_whole(self):
        public = self.tcp(self.relay(), str(self.serve("echo").port)).public
        size, wrong = harness.BULK_BYTES // 40, []

        def both_ways(seed):
            try:
                with connect(public) as visitor:
                    sender = threading.Thread(target=self.send_pattern, args=(visitor, seed, size))
                    sender.start()
                    whole = hashlib.sha256()
                    while data := visitor.recv(1 << 20):
                        whole.update(data)
                    sender.join(60 * PATIENCE)
                if whole.hexdigest() != peers.pattern_digest(seed, size):
                    wrong.append(seed)
            except OSError as error:
                wrong.append((seed, repr(error)))

        threads = [threading.Thread(target=both_ways, args=(s,)) for s in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120 * PATIENCE)
            self.assertFalse(thread.is_alive(), "a transfer hangs")
        self.assertEqual(wrong, [])

    @staticmethod
    def send_pattern(visitor, seed, size):
        for piece in peers.pattern(seed, size):
            visitor.sendall(piece)
        visitor.shutdown(socket.SHUT_WR)


class Slow(Scenario):
    """One who does not read costs its window and nothing more."""

    MEMORY = 96 << 20  # The budget of credits (64 MiB) and room for the allocator.

    def stalled_reader(self, *lanes):
        relay = self.relay()
        agent = self.tcp(relay, str(self.serve("stream").port), *lanes)
        before = {p: p.rss() for p in (relay, agent)}
        size = 200_000_000
        with connect(agent.public) as stalled:
            ask(stalled, 99, size)
            self.assertEqual(harness.read_exactly(stalled, 1), peers.small_pattern(99, 1))
            with Traffic(agent.public, visitors=200, sizes=(1000, 100_000)) as traffic:
                traffic.wait_whole(scaled(4000), 120)
                used = {p.name: p.rss() - before[p] for p in before}
            self.assertEqual(traffic.wrong, [])
            self.assertEqual(set(traffic.counts), {"whole"})
            self.assertLess(max(used.values()), self.MEMORY, used)
            # It was only slow: what it gets at last is whole.
            stalled.shutdown(socket.SHUT_WR)
            whole = hashlib.sha256(peers.small_pattern(99, 1))
            while data := stalled.recv(1 << 20):
                whole.update(data)
            self.assertEqual(whole.hexdigest(), peers.pattern_digest(99, size))

    def test_a_stalled_reader_among_200_active_exchanges_on_one_shared_lane_delays_nobody(self):
        self.stalled_reader("--set", "agent.lanes.shared=1", "--set", "agent.lanes.bulk_max=0")

    def test_a_stalled_reader_with_bulk_lanes_at_hand_delays_nobody(self):
        self.stalled_reader("--set", "agent.lanes.shared=1")

    def stuck_upstream(self):
        """Connections stand in its queue and nobody ever reads them."""
        stuck = socket.create_server((LOOPBACK, 0))
        self.stoppers.append(stuck.close)
        return stuck

    def push_until_full(self, visitor):
        visitor.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                visitor.sendall(bytes(1 << 20))

    def test_an_upstream_that_does_not_read_stops_its_visitor_and_no_other(self):
        stuck = self.stuck_upstream()
        relay = self.relay()
        agent = self.agent(relay, {
            "stuck": f'upstream = "{LOOPBACK}:{stuck.getsockname()[1]}"\nremote_port = 0',
            "sound": f'upstream = "{LOOPBACK}:{self.serve("echo").port}"\nremote_port = 0'})
        before = {p: p.rss() for p in (relay, agent)}
        with connect(agent.ports["stuck"]) as pushing:
            self.push_until_full(pushing)
            for _ in range(50):
                self.assertTrue(harness.echo_once(agent.ports["sound"], random.randbytes(50_000)))
            for process, resident in before.items():
                self.assertLess(process.rss() - resident, self.MEMORY, process.name)
            stuck.close()
            pushing.settimeout(10 * PATIENCE)
            with self.assertRaises(ConnectionResetError):
                harness.read_to_end(pushing)

    def test_visitors_that_reset_while_their_bytes_are_not_taken_leave_nothing_behind(self):
        public = self.tcp(self.relay(), str(self.stuck_upstream().getsockname()[1])).public
        for _ in range(3):
            with connect(public) as visitor:
                self.push_until_full(visitor)
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def test_an_upstream_that_resets_while_its_visitor_does_not_read_is_let_go(self):
        ready = threading.Event()

        async def flood(reader, writer, _):
            writer.write(bytes(50_000_000))
            ready.set()
            await reader.read(1)
            writer.transport.abort()

        with peers.Peer(flood) as peer:
            agent = self.tcp(self.relay(), str(peer.port))
            with connect(agent.public) as visitor:
                self.assertTrue(ready.wait(10 * PATIENCE))
                eventually(lambda: self.at_rest(agent), "full buffers")
                visitor.sendall(b"x")
                eventually(lambda: agent.descriptors(agent.control_port)["stream"] == 0
                           and agent.descriptors(agent.control_port)["dead"] == 0,
                           "the agent to let go of the upstream")
                with self.assertRaises(ConnectionResetError):
                    harness.read_to_end(visitor)

    @staticmethod
    def at_rest(process):
        """Whether it uses no processor time for a tenth of a second."""
        def used():
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[11:13]
        before = used()
        time.sleep(0.1)
        return before == used()

    def test_visitors_beyond_a_services_limit_are_reset_and_the_others_go_on(self):
        agent = self.tcp(self.relay(), str(self.serve("echo").port),
                         "--set", "services.tcp.max_connections=3")

        visitors = []

        def visit():
            visitors.append(connect(agent.public))
            return visitors[-1]

        def answered(visitor):
            try:
                visitor.sendall(b"x")
                return visitor.recv(1) == b"x"
            except ConnectionError:
                return False

        inside = [visit() for _ in range(3)]
        self.assertTrue(all(map(answered, inside)))
        self.assertFalse(answered(visit()))
        self.assertTrue(all(map(answered, inside)))
        inside.pop().close()
        eventually(lambda: answered(visit()), "room for another")
        for visitor in visitors:
            visitor.close()


class ManyServices(Scenario):
    def test_several_agents_and_services_each_get_their_own_visitors(self):
        relay = self.relay(tokens=("laptop", "server"))
        ports = {}
        for token in ("laptop", "server"):
            services = {}
            for name in ("echo", "banner", "digest"):
                services[name] = f'upstream = "{LOOPBACK}:{self.serve(name).port}"\nremote_port = 0'
            agent = self.agent(relay, services, token)
            ports.update({(token, name): port for name, port in agent.ports.items()})
        self.assertEqual(len(set(ports.values())), 6)
        expected = {"echo": b"hi", "banner": b"220 ready\r\nhi",
                    "digest": f"{hashlib.sha256(b'hi').hexdigest()} 2\n".encode()}
        for (token, name), port in ports.items():
            with self.subTest(token=token, service=name), connect(port) as visitor:
                visitor.sendall(b"hi")
                visitor.shutdown(socket.SHUT_WR)
                self.assertEqual(harness.read_to_end(visitor), expected[name])

    def test_an_agent_that_is_killed_takes_none_of_anothers_services_with_it(self):
        relay = self.relay(tokens=("laptop", "server"))
        kept = self.tcp(relay, str(self.serve("stream").port))
        lost = self.tcp(relay, str(self.serve("echo").port), token="server")
        self.assertTrue(harness.echo_once(lost.public))
        with Traffic(kept.public, visitors=8) as traffic:
            traffic.wait_whole(50)
            self.gone(lost)
            traffic.wait_whole(200)
        self.assertEqual(traffic.wrong, [])
        self.assertEqual(set(traffic.counts), {"whole"})


class ProxyProtocol(Scenario):
    """The echoing upstream shows the visitor what arrived before its own bytes."""

    def arrival(self, version):
        agent = self.tcp(self.relay(), str(self.serve("echo").port), "--proxy-protocol", version)
        with connect(agent.public) as visitor:
            visitor.sendall(b"payload")
            visitor.shutdown(socket.SHUT_WR)
            return visitor.getsockname()[1], agent.public, harness.read_to_end(visitor)

    def test_version_1_names_the_visitor_before_its_bytes(self):
        source, public, got = self.arrival("v1")
        line = f"PROXY TCP4 {LOOPBACK} {LOOPBACK} {source} {public}\r\n"
        self.assertEqual(got, line.encode() + b"payload")

    def test_version_2_names_the_visitor_before_its_bytes(self):
        source, public, got = self.arrival("v2")
        self.assertEqual(got[:14], b"\r\n\r\n\0\r\nQUIT\n\x21\x11")
        length = struct.unpack(">H", got[14:16])[0]
        addresses = socket.inet_aton(LOOPBACK) * 2 + struct.pack(">HH", source, public)
        self.assertEqual(got[16:28], addresses)
        self.assertEqual(got[16 + length:], b"payload")


class Warm(Scenario):
    """A service that is connected before it is asked for."""

    WARM = ("--set", "pool.warm_up_size=8", "--set", "pool.min_idle_connections=8",
            "--set", "pool.max_pool_size=50")

    def expose(self, *extra):
        self.upstream = self.serve("echo", port=harness.free_port())
        agent = self.tcp(self.relay(), str(self.upstream.port), *self.WARM, *extra)
        agent.warm = 8
        self.wait_warm(agent)
        return agent

    def wait_warm(self, agent):
        eventually(lambda: agent.descriptors(agent.control_port)["stream"] == agent.warm,
                   "a full pool")

    def test_its_pool_is_full_before_and_again_after_its_visitors(self):
        agent = self.expose()
        for number in range(40):
            self.assertTrue(harness.echo_once(agent.public, random.randbytes(1 + number * 1000)))
        self.wait_warm(agent)

    def test_more_visitors_than_warm_connections_are_all_served(self):
        crowd = Crowd(self.expose().public, 40, 1000)
        try:
            self.assertEqual(crowd.round(0), [])
        finally:
            crowd.close()

    def test_connections_that_its_upstream_took_back_meet_no_visitor(self):
        agent = self.expose()
        self.upstream.kill()
        self.serve("echo", port=self.upstream.port)
        eventually(lambda: harness.echoes(agent.public), "the service")
        for _ in range(40):
            self.assertTrue(harness.echo_once(agent.public))
        self.wait_warm(agent)

    def test_each_visitor_is_named_on_a_connection_that_stood_before_it_came(self):
        agent = self.expose("--proxy-protocol", "v1")
        for _ in range(20):
            with connect(agent.public) as visitor:
                visitor.sendall(b"payload")
                visitor.shutdown(socket.SHUT_WR)
                source = visitor.getsockname()[1]
                line = f"PROXY TCP4 {LOOPBACK} {LOOPBACK} {source} {agent.public}\r\n"
                self.assertEqual(harness.read_to_end(visitor), line.encode() + b"payload")


if __name__ == "__main__":
    unittest.main()
