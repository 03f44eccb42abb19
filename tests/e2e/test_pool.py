"""Pools before services that are down, ill, or serve one connection at a time."""

import contextlib
import socket
import threading
import unittest

import harness
import http_client
import http_peers
from harness import LOOPBACK, eventually, free_port, through_the_tunnel
from http_client import Visitor
from http_scenario import HttpScenario

NOTHING_BEFOREHAND = "warm_up_size = 0\nmin_idle_connections = 0"


class OneAtATime:
    """A server with one worker: accepts the oldest connection, and waits for what comes on it."""

    def __init__(self):
        self.listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                data = connection.recv(65536)
                if data == b"stop":
                    return
                while data and b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                if data:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                                       b"Connection: close\r\n\r\nok")

    def stop(self):
        with socket.create_connection((LOOPBACK, self.port)) as last:
            last.sendall(b"stop")
            self.thread.join()
        self.listener.close()


class Pool(HttpScenario):
    def serve_service(self, target, *tables):
        """An agent with one service of these tables; the agent, and what a visitor needs."""
        relay = self.relay(http=True)
        lines = "\n".join([f'upstream = "{target}"', 'subdomain = "app"', *tables])
        agent = self.agent(relay, {"web": lines}, kind="http")
        return agent, agent.sites["web"]

    @through_the_tunnel
    def test_a_service_that_is_down_is_told_from_one_that_refuses(self):
        _, app = self.serve_service(
            f"{LOOPBACK}:{free_port()}", "[services.pool]", NOTHING_BEFOREHAND,
            "[services.pool.circuit_breaker]", "failure_threshold = 2", 'open_for = "50s"',
            "[services.pool.degrade]", "direct_connect = false", "http_fallback_status = 529")
        statuses = []
        for _ in range(4):
            answer = http_client.ask(app)
            statuses.append(answer.status)
        self.assertEqual(statuses, [502, 502, 529, 529])
        self.assertIn(int(answer["Retry-After"]), range(30, 51))
        self.assertIn(b"the upstream is down", answer.body)
        with Visitor(app) as visitor:
            self.assertEqual(visitor.ask("HEAD").status, 529)
            self.assertEqual(visitor.ask("POST", body=b"x" * 1000).status, 529)

    @through_the_tunnel
    def test_a_visitor_past_the_breaker_finds_a_service_that_is_back(self):
        port = free_port()
        agent, app = self.serve_service(
            f"{LOOPBACK}:{port}", "[services.pool.circuit_breaker]", "failure_threshold = 2",
            'open_for = "50s"')
        agent.wait_match(r"event=breaker.open", "err")
        self.assertEqual(http_client.ask(app).status, 502)
        self.serve("site", port=port, program="http_peers.py")
        eventually(lambda: http_client.answers(app), "an answer")
        agent.wait_match(r"event=breaker.closed", "err")

    @through_the_tunnel
    def test_a_server_with_one_worker_gets_no_connections_ahead_of_its_visitors(self):
        server = OneAtATime()
        self.stoppers.append(server.stop)
        agent, app = self.serve_service(f"{LOOPBACK}:{server.port}")
        # What cannot be said twice goes to the youngest connection; the worker is at the oldest.
        for _ in range(5):
            self.assertEqual(http_client.ask(app, "POST", body=b"x").body, b"ok")
        self.assertEqual(agent.text("err").count("event=pool.preconnect_off"), 1)

    @through_the_tunnel
    def test_a_service_that_says_it_is_ill_counts_as_down_until_it_says_it_is_well(self):
        ill = threading.Event()

        async def respond(request, writer, peer):
            status = 503 if request.target == "/healthz" and ill.is_set() else 200
            writer.write(http_peers.whole(status=status))

        peer = self.peer(respond)
        agent, app = self.serve_service(
            f"{LOOPBACK}:{peer.port}", "[services.health_check]", 'type = "http"',
            'path = "/healthz"', 'interval = "100ms"', 'timeout = "90ms"',
            "[services.pool.circuit_breaker]", 'open_for = "200ms"', 'open_max = "400ms"',
            "[services.pool.degrade]", "direct_connect = false")
        self.assertEqual(http_client.ask(app).status, 200)
        ill.set()
        agent.wait_match(r"event=breaker.open .*GET /healthz is answered with 503", "err")
        eventually(lambda: http_client.answers(app, 503), "a fallback")
        ill.clear()
        eventually(lambda: http_client.answers(app), "an answer of the service")


if __name__ == "__main__":
    unittest.main(module=None, argv=["test_pool"])
