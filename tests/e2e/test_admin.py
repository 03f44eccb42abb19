"""What an agent and a relay tell about themselves: the admin listener, `status`, and alerts."""

import contextlib
import json
import pathlib
import re
import socket
import stat
import subprocess
import sys
import unittest

import harness
import http_client
import http_peers
from harness import LOOPBACK, eventually, free_port, through_the_tunnel
from http_client import Visitor
from http_scenario import Gate, HttpScenario

DEFAULT_PORT = 4040  # Of [admin] listen.
TOKEN_VARIABLE = "TUNNEL_URING_TOKEN"


def prometheus_python():
    """A python that has the official client library."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import prometheus_client"], check=False,
                          capture_output=True).returncode == 0:
            return python
    raise unittest.SkipTest("python3-prometheus-client is not installed")


def get(where, path, host="localhost", method="GET", timeout=10.0):
    """Status and body of one request to a port, or to a unix socket's path."""
    family = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
    with socket.socket(family) as connection:
        connection.settimeout(timeout * harness.PATIENCE)
        connection.connect((LOOPBACK, where) if isinstance(where, int) else str(where))
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
                           "Connection: close\r\n\r\n".encode())
        head, _, body = harness.read_to_end(connection).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


class Samples:
    """A page of metrics, through the official parser."""

    def __init__(self, where):
        status, text = get(where, "/metrics")
        assert status == 200, text
        read = subprocess.run([prometheus_python(), harness.HERE / "exposition_check.py"],
                              input=text, capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr
        self.all = json.loads(read.stdout)

    def value(self, name, **labels):
        """Of the sample with at least these labels."""
        found = [v for n, have, v in self.all if n == name and labels.items() <= have.items()]
        assert len(found) == 1, f"{name} {labels}: {found}"
        return found[0]

    def names(self):
        return {name for name, _, _ in self.all}


@through_the_tunnel
class Admin(HttpScenario):
    def serve_service(self, target, *tables, settings="", extra=(), through=None):
        """A relay and an agent with one http service `web`, both with an admin listener."""
        relay = self.relay("--admin", f"{LOOPBACK}:0", http=True)
        relay.admin = int(relay.wait_match(r"^listening admin \S+:(\d+)$")[1])
        lines = "\n".join([f'upstream = "{target}"', 'subdomain = "app"', *tables])
        admin = through or f"{LOOPBACK}:0"
        agent = self.agent(relay, {"web": lines}, kind="http", settings=settings,
                           extra=("--admin", admin, *extra))
        if through is None:
            agent.admin = int(agent.wait_match(r"^listening admin \S+:(\d+)$")[1])
        return relay, agent, agent.sites["web"]

    def site_port(self):
        return self.serve("site", program="http_peers.py").port

    def status(self, *arguments):
        return subprocess.run([harness.binary(), "status", *arguments], capture_output=True,
                              text=True, check=False, timeout=20 * harness.PATIENCE,
                              env=harness.environment(self.directory), cwd=self.directory)

    # -- metrics -----------------------------------------------------------------------------------

    def test_metrics_tell_what_visitors_did(self):
        relay, agent, app = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        with Visitor(app) as visitor:
            for _ in range(5):
                self.assertEqual(visitor.ask("GET").status, 200)
        web = {"service": "web"}
        agent_counts = eventually(lambda: self.counted(agent.admin, 5, **web), "5 requests")
        self.assertEqual(agent_counts.value("connection_pool_size_max", **web), 50)
        self.assertEqual(agent_counts.value("tunnel_uring_service_open", **web), 1)
        self.assertEqual(agent_counts.value("tunnel_uring_connection_acquire_seconds_count",
                                            **web), 5)
        self.assertGreater(agent_counts.value("connection_acquire_time_p99", **web), 0)
        self.assertEqual(agent_counts.value("tunnel_uring_exchanges_ended_total",
                                            reason="complete"), 5)
        self.assertEqual(agent_counts.value("tunnel_uring_build_info", role="agent"), 1)
        self.assertEqual(agent_counts.value("tunnel_uring_alert_firing", alert="pool_exhausted"), 0)
        relay_counts = eventually(lambda: self.counted(relay.admin, 5), "5 requests")
        self.assertEqual(relay_counts.value("tunnel_uring_agents_connected"), 1)
        self.assertEqual(relay_counts.value("tunnel_uring_names_open"), 1)
        self.assertEqual(relay_counts.value("tunnel_uring_lanes", kind="shared"), 4)

    @staticmethod
    def counted(where, count, **labels):
        samples = Samples(where)
        done = samples.value("tunnel_uring_http_requests_total", code="2xx", **labels) == count
        return samples if done else None

    def test_each_metric_is_documented_and_each_documented_one_is_there(self):
        relay, agent, app = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        self.assertEqual(http_client.ask(app).status, 200)
        eventually(lambda: self.counted(agent.admin, 1, service="web"), "a request")
        told = set()
        for line in (harness.ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
            if row := re.match(r"\| `([\w_]+)` \| \w+ \|", line):
                told.add(row[1])
        suffix = re.compile(r"_(bucket|sum|count)$")
        seen = set()
        for where in (relay.admin, agent.admin):
            for name in Samples(where).names():
                seen.add(name if name in told else suffix.sub("", name))
        self.assertEqual(seen - told, set())
        # No tcp service is here, and rates are absent where nothing happened.
        allowed = {"tunnel_uring_tcp_streams_total", "connection_validation_failure_rate",
                   "process_open_fds"}
        self.assertEqual(told - seen - allowed, set())

    # -- pages -------------------------------------------------------------------------------------

    def test_readiness_follows_the_relay_and_liveness_does_not(self):
        relay, agent, _ = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        for one in (relay, agent):
            self.assertEqual(get(one.admin, "/healthz"), (200, "ok\n"))
            self.assertEqual(get(one.admin, "/readyz"), (200, "ready\n"))
        self.gone(relay)
        status, text = eventually(
            lambda: (got := get(agent.admin, "/readyz"))[0] == 503 and got, "not ready")
        self.assertIn("not connected to the relay", text)
        self.assertEqual(get(agent.admin, "/healthz"), (200, "ok\n"))
        self.assertEqual(status, 503)

    def test_a_relay_that_drains_is_not_ready(self):
        gate = Gate()

        async def respond(request, writer, peer):
            await gate.passed()
            writer.write(http_peers.whole())

        peer = self.peer(respond)
        relay, agent, app = self.serve_service(f"{LOOPBACK}:{peer.port}")
        with Visitor(app) as visitor:
            visitor.say("GET")
            eventually(lambda: Samples(agent.admin).value("tunnel_uring_exchanges_open") == 1,
                       "an open request")
            relay.signal(15)
            eventually(lambda: get(relay.admin, "/readyz") == (503, "shutting down\n"), "draining")
            gate.open()
            self.assertEqual(visitor.read().status, 200)
        self.ours.remove(relay)
        self.assertEqual(relay.wait(), 0)

    def test_only_our_own_names_are_answered(self):
        _, agent, _ = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        self.assertEqual(get(agent.admin, "/status", host="rebound.example")[0], 403)
        self.assertEqual(get(agent.admin, "/status", host=f"{LOOPBACK}:{agent.admin}")[0], 200)
        self.assertEqual(get(agent.admin, "/status", method="DELETE")[0], 405)
        self.assertEqual(get(agent.admin, "/nothing")[0], 404)

    # -- where it listens --------------------------------------------------------------------------

    def test_a_unix_socket_is_its_owners_and_goes_with_its_process(self):
        path = self.directory / "admin.sock"
        # What a process that was killed leaves behind.
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(path))
        _, agent, _ = self.serve_service(f"{LOOPBACK}:{self.site_port()}", through=f"unix:{path}",
                                         extra=("--set", "metrics.prometheus=false"))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(get(path, "/healthz", host="anything"), (200, "ok\n"))
        self.assertEqual(get(path, "/metrics")[0], 404)
        answer = self.status("--json", "--admin", f"unix:{path}")
        self.assertEqual(json.loads(answer.stdout)["role"], "agent")
        self.ours.remove(agent)
        agent.signal(15)
        self.assertEqual(agent.wait(), 0)
        self.assertFalse(path.exists())

    def test_a_taken_address_ends_who_asked_for_it_and_not_who_did_not(self):
        with socket.create_server((LOOPBACK, 0)) as holder:
            taken = f"{LOOPBACK}:{holder.getsockname()[1]}"
            relay = self.start_ours("relay", "relay", "--listen", f"{LOOPBACK}:0",
                                    "--insecure-open", "--admin", taken)
            self.expect_refusal(relay, 4, "cannot listen on", taken, "taken")
        with contextlib.ExitStack() as held:
            # Who has the default already may keep it.
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server((LOOPBACK, DEFAULT_PORT)))
            relay = self.relay("--admin", "off", http=True)
            agent = self.http(relay, str(self.site_port()))
            agent.wait_match(r"event=admin.off .*the port is taken.*--admin", "err")
            self.assertEqual(http_client.ask(agent).status, 200)

    # -- status ------------------------------------------------------------------------------------

    def test_status_shows_an_agent_and_a_relay(self):
        relay, agent, app = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        self.assertEqual(http_client.ask(app).status, 200)
        eventually(lambda: self.counted(agent.admin, 1, service="web"), "a request")
        shown = self.status("--admin", str(agent.admin))
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(f"{app.url}  ->  ", shown.stdout)
        self.assertRegex(shown.stdout, r"(?m)^relay +\S+ +connected for \d+s, RTT \S+, 4 shared")
        self.assertRegex(shown.stdout, r"(?m)^web +open +\d+ +0 +50 ")
        shown = self.status("--admin", str(relay.admin))
        self.assertRegex(shown.stdout, r"(?m)^laptop +127.0.0.1:\d+ ")
        told = json.loads(self.status("--json", "--admin", str(agent.admin)).stdout)
        self.assertTrue(told["ready"])
        self.assertEqual(told["services"][0]["urls"], [app.url])
        self.assertEqual(told["services"][0]["requests"]["total"], 1)

    def test_status_again_and_again_until_the_agent_is_gone(self):
        _, agent, _ = self.serve_service(f"{LOOPBACK}:{self.site_port()}")
        watch = self.start("status", [harness.binary(), "status", "--json", "--watch", "100ms",
                                      "--admin", str(agent.admin)])
        eventually(lambda: watch.text().count('"role":"agent"') >= 3, "three answers")
        self.ours.remove(agent)
        agent.signal(15)
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(watch.wait(), 1)
        self.assertIn("start one, or say --admin", watch.text("err"))

    def test_status_of_nothing_is_one_sentence(self):
        for where in (f"{LOOPBACK}:{free_port()}", f"unix:{self.directory}/none.sock"):
            answer = self.status("--admin", where)
            self.assertEqual((answer.returncode, answer.stdout), (1, ""))
            self.assertEqual(answer.stderr.count("\n"), 1)
            self.assertIn("no agent or relay answers at", answer.stderr)

    # -- alerts ------------------------------------------------------------------------------------

    def test_an_exhausted_pool_fires_its_alert_and_resolves_it(self):
        gate = Gate()

        async def respond(request, writer, peer):
            await gate.passed()
            writer.write(http_peers.whole())

        peer = self.peer(respond)
        news = self.directory / "news"
        program = self.write("tell.sh", '#!/bin/sh\nprintf "%s %s %s %s %s token=%s\\n" '
                             '"$TUNNEL_URING_ALERT" "$TUNNEL_URING_SEVERITY" '
                             '"$TUNNEL_URING_STATE" "$TUNNEL_URING_SERVICE" '
                             f'"$TUNNEL_URING_VALUE" "${TOKEN_VARIABLE}" >> {news}\n'
                             f'ls /proc/self/fd | wc -l >> {news}.fds\n')
        program.chmod(0o755)
        alert = ('[[alerts]]\nname = "full"\nseverity = "critical"\nfor = "1s"\n'
                 'when = "connection_pool_idle_current == 0 and '
                 'connection_pool_size_current >= connection_pool_size_max"\n'
                 f'exec = ["{program}"]\n')
        _, agent, app = self.serve_service(
            f"{LOOPBACK}:{peer.port}", "[services.pool]", "max_pool_size = 2",
            'acquire_timeout = "1ms"', settings=alert)
        visitors = [Visitor(app), Visitor(app)]
        self.stoppers += [visitor.socket.close for visitor in visitors]
        for visitor in visitors:
            visitor.say("GET")
        agent.wait_match(r"level=error event=alert.firing .*alert=full severity=critical "
                         r"service=web value=0", "err")
        eventually(lambda: news.exists() and news.read_text(), "the program's word")
        self.assertEqual(self.firing(agent), 1)
        told = json.loads(self.status("--json", "--admin", str(agent.admin)).stdout)
        self.assertEqual(told["services"][0]["alerts"],
                         [{"name": "full", "severity": "critical", "state": "firing"}])
        gate.open(2)
        for visitor in visitors:
            self.assertEqual(visitor.read().status, 200)
            visitor.socket.close()
        agent.wait_match(r"level=info event=alert.resolved .*alert=full", "err")
        self.assertEqual(self.firing(agent), 0)
        lines = eventually(lambda: news.read_text().count("\n") == 2 and news.read_text(),
                           "both words").splitlines()
        self.assertEqual(lines[0], "full critical firing web 0 token=")
        self.assertRegex(lines[1], r"^full critical resolved web [12] token=$")
        # 0, 1, 2 and the one that ls reads the directory with.
        self.assertEqual(set(pathlib.Path(f"{news}.fds").read_text().split()), {"4"})

    @staticmethod
    def firing(agent):
        return Samples(agent.admin).value("tunnel_uring_alert_firing", alert="full", service="web")

    def test_a_program_that_hangs_does_not_keep_the_agent(self):
        settings = ('[[alerts]]\nname = "always"\nwhen = "connection_pool_size_max > 0"\n'
                    f'exec = ["/bin/sh", "-c", "touch {self.directory}/began; sleep 3600"]\n'
                    '[[alerts]]\nname = "missing"\nwhen = "connection_pool_size_max > 0"\n'
                    'exec = ["/nonexistent/program"]\n'
                    '[[alerts]]\nname = "failing"\nwhen = "connection_pool_size_max > 0"\n'
                    'exec = ["false"]\n')
        _, agent, app = self.serve_service(f"{LOOPBACK}:{self.site_port()}", settings=settings)
        agent.wait_match(r"event=alert.exec_failed .*cannot be started.*alert=missing", "err")
        agent.wait_match(r"event=alert.exec_failed .*it ended with 1.*alert=failing", "err")
        eventually((self.directory / "began").exists, "the program")
        self.assertEqual(http_client.ask(app).status, 200)
        self.ours.remove(agent)
        agent.signal(15)
        self.assertEqual(agent.wait(), 0)
        self.check_census(agent)

    def test_a_wrong_condition_is_told_with_its_place(self):
        config = self.write("wrong.toml", '[[alerts]]\nname = "a"\n'
                            'when = "conection_reuse_rate < 60%"\n')
        checked = subprocess.run([harness.binary(), "check", "-c", config], capture_output=True,
                                 text=True, check=False, env=harness.environment(self.directory))
        self.assertEqual(checked.returncode, 3)
        self.assertIn('wrong.toml:3:8: alerts.a.when: at its character 1: there is no metric '
                      '"conection_reuse_rate"; did you mean "connection_reuse_rate"?',
                      checked.stdout)


class Rules(unittest.TestCase):
    def test_the_rules_for_prometheus_are_the_default_alerts_and_speak_of_real_metrics(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is not installed")
        rules = {}
        loaded = yaml.safe_load((harness.ROOT / "contrib/prometheus-rules.yml").read_text())
        for group in loaded["groups"]:
            for rule in group["rules"]:
                self.assertLessEqual(set(rule),
                                     {"alert", "expr", "for", "labels", "annotations"})
                self.assertRegex(rule["for"], r"^\d+[smh]$")
                rules[rule["alert"]] = rule
        for name, (severity, lasts) in {"TunnelUringPoolExhausted": ("critical", "30s"),
                                        "TunnelUringSlowAcquire": ("major", "5m"),
                                        "TunnelUringLowReuse": ("warning", "10m")}.items():
            self.assertEqual(rules[name]["labels"]["severity"], severity)
            self.assertEqual(rules[name]["for"], lasts)
        document = (harness.ROOT / "docs/metrics.md").read_text(encoding="utf-8")
        for rule in rules.values():
            for word in re.findall(r"[a-z0-9_]{8,}", rule["expr"]):
                self.assertIn(f"| `{word}` |", document)


if __name__ == "__main__":
    unittest.main(module=None, argv=["test_admin"])
