"""What every end-to-end test stands on: processes, ports, deadlines and the checks at the end.

Nothing here sleeps for a result: every wait polls a condition until its deadline and names what it
waited for. Ports that must survive a restart come from below the ephemeral range, so that no
outgoing connection can take them in between.
"""

import collections
import contextlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOOPBACK = "127.0.0.1"
POLL = 0.01  # seconds between two looks at a condition

# Slow builds (sanitizers) stretch every deadline and shrink every transfer.
PATIENCE = float(os.environ.get("TUNNEL_URING_E2E_PATIENCE", "1"))
BULK_BYTES = int(os.environ.get("TUNNEL_URING_E2E_BYTES", str(10**9)))
# Visitors of HTTP meet the upstream itself: shows whether what fails is the test or a tool.
DIRECT = os.environ.get("TUNNEL_URING_E2E_DIRECT") == "1"
HTTP_POOL = 50  # Connections to its upstream that an http service may keep.


def binary():
    """The program under test: $TUNNEL_URING_BIN, else the newest one below build/."""
    named = os.environ.get("TUNNEL_URING_BIN")
    if named:
        return pathlib.Path(named).resolve()
    built = [p for p in ROOT.glob("build*/**/tunnel-uring")
             if p.is_file() and os.access(p, os.X_OK)]
    if not built:
        raise FileNotFoundError("no tunnel-uring below build/: build it, or set TUNNEL_URING_BIN")
    return max(built, key=lambda p: p.stat().st_mtime)


def tool(name):
    """The path of a program that is not ours; the test is skipped where it is missing."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def through_the_tunnel(test):
    """Marks a test, or a class, that shows nothing without the tunnel."""
    return unittest.skipIf(DIRECT, "is about the tunnel")(test)


def scaled(count):
    """`count` at full size, proportionally fewer where transfers are reduced, never below 10 %."""
    return max(count // 10, min(count, int(count * BULK_BYTES / 10**9)), 1)


def eventually(condition, what, timeout=10.0):
    """Polls `condition` until it is true and returns its value; fails at the deadline."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout * PATIENCE:g} s: {what}")
        time.sleep(POLL)


def _first_ephemeral_port():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
        return min(int(limits.read().split()[0]), 32768)


# Below the ephemeral ports: the lower part for a relay to pick from, the upper for free_port().
TOP_PORT = _first_ephemeral_port() - 1
TCP_PORTS = f"{TOP_PORT // 3}-{TOP_PORT}"
_given_ports = set()


def free_port():
    """A loopback port below the ephemeral range, free now and given to nobody else in this run."""
    for _ in range(1000):
        port = random.randrange(TOP_PORT // 2, TOP_PORT)
        if port in _given_ports:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            _given_ports.add(port)
            return port
    raise AssertionError("no free port below the ephemeral range")


def raise_descriptor_limit():
    """2000 connections need more descriptors than the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class TcpTable:
    """/proc/net/tcp and tcp6 at one moment."""

    LISTEN = "0A"

    def __init__(self):
        self.by_inode = {}
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as table:
                next(table)
                for line in table:
                    field = line.split()
                    local, remote = (int(field[i].rpartition(":")[2], 16) for i in (1, 2))
                    self.by_inode[int(field[9])] = (local, remote, field[3])

    def listens(self, port):
        return any(s == self.LISTEN and l == port for l, _, s in self.by_inode.values())


def wait_listening(port, timeout=10.0):
    """Until somebody listens on `port`, without connecting to it."""
    eventually(lambda: TcpTable().listens(port), f"a listener on port {port}", timeout)


class Process:
    """One child; its output goes to files, which a failing test prints."""

    def __init__(self, name, argv, directory, env=None, stdin=subprocess.DEVNULL):
        self.name, self.argv = name, [str(a) for a in argv]
        self.paths = {s: pathlib.Path(directory, f"{name}.{s}") for s in ("out", "err")}
        with open(self.paths["out"], "wb") as out, open(self.paths["err"], "wb") as err:
            self.child = subprocess.Popen(self.argv, stdin=stdin, stdout=out, stderr=err,
                                          cwd=directory, env=env, start_new_session=True)
        self.pid = self.child.pid
        self.idle_others = None

    def text(self, stream="out"):
        return self.paths[stream].read_text(encoding="utf-8", errors="replace")

    def wait_match(self, pattern, stream="out", timeout=10.0):
        """The first match of `pattern` in whole lines of the output; fails if the child ends."""
        regex = re.compile(pattern, re.MULTILINE)

        def look():
            ended = self.child.poll() is not None
            text = self.text(stream)
            found = regex.search(text[:text.rfind("\n") + 1])
            if found is None and ended:
                raise AssertionError(f"{self.name} ended with {self.child.returncode} before it "
                                     f"printed {pattern!r}: {self.text('err')[-500:]}")
            return found

        return eventually(look, f"{pattern!r} on {stream} of {self.name}", timeout)

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """kill -9, and waits until the kernel has taken it away."""
        if self.alive():
            self.signal(signal.SIGKILL)
        self.child.wait()

    def wait(self, timeout=10.0):
        """The exit code; killed and failed at the deadline."""
        try:
            return self.child.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end in {timeout * PATIENCE:g} s") from None

    def rss(self):
        """Resident bytes now."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def is_sanitized(self):
        """Whether a sanitizer's shadow and red zones are part of its memory."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as maps:
            return "asan" in maps.read()

    def descriptors(self, control_port):
        """Counts of open descriptors: listen, lane (to or from `control_port`), stream (every other
        connection), dead (a socket that is connected no more), other."""
        table = TcpTable().by_inode
        counts = collections.Counter()
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                target = os.readlink(entry.path)
            except OSError:
                continue
            kind = "other"
            if target.startswith("socket:["):
                local, remote, state = table.get(int(target[8:-1]), (0, 0, ""))
                kind = ("listen" if state == TcpTable.LISTEN else
                        "lane" if control_port in (local, remote) else
                        "stream" if state else self._unlisted_kind(int(target[8:-1])))
            counts[kind] += 1
        return counts

    def _unlisted_kind(self, inode):
        """A socket missing from the tcp tables: a unix or other socket, else a closed tcp one."""
        with open("/proc/net/unix", encoding="ascii", errors="replace") as table:
            return "other" if any(f" {inode} " in line or line.rstrip().endswith(f" {inode}")
                                  for line in table) else "dead"

    def show(self):
        """Its command and the ends of its output, for a failing test."""
        state = "running" if self.alive() else f"exit {self.child.returncode}"
        print(f"--- {self.name} ({state}): {' '.join(self.argv)}", file=sys.stderr)
        for stream in ("out", "err"):
            for line in self.text(stream).splitlines()[-40:]:
                print(f"    {stream}: {line}", file=sys.stderr)


class WorkerWatch:
    """Looks for kernel worker threads of io_uring in our processes.

    Such a thread lives for seconds once made, so a look every 50 ms misses none.
    """

    def __init__(self):
        self.pids, self.seen = set(), []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self):
        for pid in list(self.pids):
            with contextlib.suppress(OSError):
                for task in os.scandir(f"/proc/{pid}/task"):
                    with open(f"{task.path}/comm", encoding="utf-8", errors="replace") as comm:
                        name = comm.read().strip()
                    if name.startswith("iou-wrk"):
                        self.seen.append((pid, name))

    def _run(self):
        while not self._stop.wait(0.05):
            self.look()

    def stop(self):
        self._stop.set()
        self._thread.join()


class Token:
    """One token of `tunnel-uring token`, as file and as key."""

    def __init__(self, directory, name):
        made = subprocess.run([binary(), "token", "--name", name, "--json"], check=True,
                              capture_output=True, timeout=10 * PATIENCE,
                              env=environment(directory))
        value = json.loads(made.stdout)
        self.name, self.secret, self.public_key = name, value["token"], value["public_key"]
        self.path = pathlib.Path(directory, f"{name}.token")
        self.path.touch(mode=0o600)
        self.path.write_text(self.secret + "\n", encoding="ascii")


def environment(directory):
    """Ours without anything that would configure the program under test."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TUNNEL_URING_", "XDG_"))}
    env.update(HOME=str(directory), LC_ALL="C", TUNNEL_URING_CENSUS="1")
    return env


class Scenario(unittest.TestCase):
    """A directory, processes in it, and the promises every scenario must keep at its end."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tunnel-uring-e2e-"))
        self.processes, self.ours, self._tokens = [], [], {}
        self.stoppers = []
        self.watch = WorkerWatch()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        self.processes = []
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"=== {self.id()}", file=sys.stderr)
            for process in self.processes:
                process.show()
        shutil.rmtree(getattr(self, "directory", ""), ignore_errors=True)
        return result

    def tearDown(self):
        try:
            # A test that has failed already tells more than what it left behind.
            if self._outcome.success:
                self._settle()
                self._end_ours()
                self.watch.look()
                self.assertEqual(self.watch.seen, [], "io_uring worker threads in our processes")
        finally:
            self.watch.stop()
            for process in self.processes:
                process.kill()
            for stop in self.stoppers:
                stop()

    # -- processes ---------------------------------------------------------------------------------

    def start(self, name, argv, **options):
        """Starts a child, killed at the end of the scenario whatever happens."""
        taken = sum(p.name.split("~")[0] == name for p in self.processes)
        process = Process(f"{name}~{taken + 1}" if taken else name, argv, self.directory, **options)
        self.processes.append(process)
        return process

    def start_ours(self, name, *arguments, env=(), through=()):
        """Starts the program under test; watched for worker threads from its first moment."""
        whole = environment(self.directory) | dict(env)
        process = self.start(name, [*through, binary(), *arguments], env=whole)
        self.watch.pids.add(process.pid)
        return process

    def serve(self, *arguments, port=0, program="peers.py"):
        """Starts a peer of `program` as a process of its own; returns it with its port."""
        peer = self.start("peer-" + arguments[0],
                          [sys.executable, HERE / program, *arguments, "--port", port])
        peer.port = int(peer.wait_match(r"^listening (\d+)$")[1])
        return peer

    def token(self, name="laptop"):
        if name not in self._tokens:
            self._tokens[name] = Token(self.directory, name)
        return self._tokens[name]

    # -- our own programs --------------------------------------------------------------------------

    def relay(self, *extra, port=0, tokens=("laptop",), tcp_ports=TCP_PORTS, http=False,
              http_port=0, grants=None):
        """A relay on loopback, ready; `.port` is its control port, with `http` `.http_port` the one
        for visitors of names below localhost. `grants` maps a token to lines of its table."""
        if http and DIRECT:
            return types.SimpleNamespace(port=0, http_port=0)
        relay = self.start_relay(*extra, port=port, tokens=tokens, tcp_ports=tcp_ports, http=http,
                                 http_port=http_port, grants=grants)
        relay.port = int(relay.wait_match(r"^listening control \S+:(\d+)$")[1])
        if http:
            relay.http_port = int(relay.wait_match(r"^listening http \S+:(\d+)$")[1])
            relay.host = f"{LOOPBACK}:{relay.http_port}"
        self._keep(relay, relay.port)
        return relay

    def start_relay(self, *extra, port=0, tokens=("laptop",), tcp_ports=TCP_PORTS, http=False,
                    http_port=0, grants=None):
        """The same, without waiting for anything."""
        if grants:
            tables = (f'[[relay.tokens]]\nname = "{name}"\n'
                      f'public_key = "{self.token(name).public_key}"\n{lines}\n'
                      for name, lines in grants.items())
            keys = ["-c", self.write("relay.toml", *tables)]
        else:
            keys = [a for name in tokens for a in ("--public-key", self.token(name).public_key)]
        visitors = ["--http", f"{LOOPBACK}:{http_port}"] if http else []
        return self.start_ours("relay", "relay", "--listen", f"{LOOPBACK}:{port}", *visitors,
                               "--tcp-ports", tcp_ports, *keys, *extra)

    def tcp(self, relay, target, *extra, remote_port=0, token="laptop"):
        """`tunnel-uring tcp`, registered; `.public` is the port for visitors."""
        agent = self.start_tcp(relay, target, *extra, remote_port=remote_port, token=token)
        agent.public = int(agent.wait_match(r"^tcp://\S+:(\d+)$")[1])
        self._keep(agent, relay.port)
        return agent

    def start_tcp(self, relay, target, *extra, remote_port=0, token="laptop"):
        """The same, without waiting for anything."""
        return self.start_ours("tcp", "tcp", target, "--relay", f"{LOOPBACK}:{relay.port}",
                               "--token-file", self.token(token).path,
                               "--remote-port", remote_port, "--url-only", *extra)

    def http(self, relay, target, *extra, subdomain="app", token="laptop"):
        """`tunnel-uring http`, registered; `.url` is what it printed, `.host` the name and port in
        it, `.http_port` where its visitors come in."""
        if DIRECT:
            return self._direct(target)
        agent = self.start_http(relay, target, *extra, subdomain=subdomain, token=token)
        agent.url = agent.wait_match(r"^(https?://\S+)$")[1]
        agent.host, agent.http_port = agent.url.partition("://")[2], relay.http_port
        self._keep_http(agent, relay, 1)
        return agent

    def start_http(self, relay, target, *extra, subdomain="app", token="laptop"):
        """The same, without waiting for anything; without a `subdomain` the name is made up."""
        name = ["--subdomain", subdomain] if subdomain else []
        return self.start_ours("http", "http", target, "--relay", f"{LOOPBACK}:{relay.port}",
                               "--token-file", self.token(token).path, *name, "--url-only", *extra)

    def _direct(self, target):
        port = int(str(target).rpartition(":")[2])
        return types.SimpleNamespace(url=f"http://{LOOPBACK}:{port}", host=f"{LOOPBACK}:{port}",
                                     http_port=port, name="direct")

    def _keep_http(self, agent, relay, services):
        self._keep(agent, relay.port)
        # Connections that its pools keep, over tcp or a unix socket.
        agent.warm = services * HTTP_POOL
        agent.idle_others += agent.warm

    def agent(self, relay, services, token="laptop", settings="", kind="tcp", extra=()):
        """`tunnel-uring agent` from a file. `services` maps a name to the lines of its [[services]]
        table. For `kind` tcp `.ports` maps each to its public port; for http `.sites` to what a
        visitor needs of it: `.http_port` and `.host`, and `.url`."""
        parts = [f'[agent]\nname = "{token}"\nrelays = ["{LOOPBACK}:{relay.port}"]\n'
                 f'token_file = "{self.token(token).path}"\n{settings}\n']
        for name, lines in services.items():
            parts.append(f'[[services]]\nname = "{name}"\ntype = "{kind}"\n{lines}\n')
        config = self.write(f"{token}.toml", *parts)
        agent = self.start_ours(f"agent-{token}", "agent", "-c", config, *extra)
        if kind == "http":
            agent.sites = {}
            for name in services:
                url = agent.wait_match(rf"^service {name} (https?://\S+)$")[1]
                agent.sites[name] = types.SimpleNamespace(
                    url=url, host=url.partition("://")[2], http_port=relay.http_port)
            self._keep_http(agent, relay, len(services))
            return agent
        agent.ports = {name: int(agent.wait_match(rf"^service {name} tcp://\S+:(\d+)$")[1])
                       for name in services}
        self._keep(agent, relay.port)
        return agent

    def write(self, name, *parts):
        path = self.directory / name
        path.write_text("".join(parts), encoding="utf-8")
        return path

    def _keep(self, process, control_port):
        process.control_port = control_port
        process.warm = 0
        process.idle_others = process.descriptors(control_port)["other"]
        self.ours.append(process)

    def gone(self, process):
        """Kills one of ours with -9; the end of the scenario expects nothing more of it."""
        self.watch.look()
        process.kill()
        self.ours.remove(process)

    def expect_refusal(self, process, code, *words, timeout=15.0):
        """`process` ends by itself with `code`, and one line on stderr holds all `words`."""
        self.assertEqual(process.wait(timeout), code, process.text("err"))
        said = process.text("err").lower()
        self.assertTrue(any(all(word.lower() in line for word in words)
                            for line in said.splitlines()), said)

    # -- the end -----------------------------------------------------------------------------------

    def _settle(self):
        """Every process of ours is back at its idle descriptors: listeners, lanes, nothing else."""
        for process in self.ours:
            def idle(process=process):
                found = process.descriptors(process.control_port)
                return (found["stream"] <= process.warm and found["dead"] == 0
                        and found["other"] <= process.idle_others)
            try:
                eventually(idle, "idle descriptors", 15)
            except AssertionError as late:
                found = dict(process.descriptors(process.control_port))
                raise AssertionError(f"{process.name} keeps {found}, idle were {process.warm} "
                                     f"streams and {process.idle_others} others") from late

    def _end_ours(self):
        """SIGTERM, agents before relays: exit 0 and a clean census."""
        self.watch.look()
        for process in sorted(self.ours, key=lambda p: p.argv[1] == "relay"):
            process.signal(signal.SIGTERM)
            self.assertEqual(process.wait(15), 0, f"exit code of {process.name} after SIGTERM")
            self.check_census(process)

    def check_census(self, process):
        line = re.search(r"\bcensus\b.*", process.text("err"))
        self.assertIsNotNone(line, f"{process.name} printed no census")
        counts = re.findall(r"(\w+)=(\d+)", line[0])
        self.assertTrue(counts, line[0])
        self.assertEqual([c for c in counts if c[1] != "0"], [], f"{process.name}: {line[0]}")


def connect(port, timeout=30.0):
    """A visitor's blocking socket; no operation on it outlasts `timeout`."""
    visitor = socket.create_connection((LOOPBACK, port), timeout=timeout * PATIENCE)
    visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return visitor


def read_exactly(visitor, count):
    """`count` bytes, or what came before the end."""
    parts, left = [], count
    while left:
        part = visitor.recv(min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read_to_end(visitor):
    parts = []
    while part := visitor.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def echo_once(port, payload=b"are you there?", timeout=30.0):
    """One whole exchange with an echoing upstream: True if every byte and the end came back."""
    with connect(port, timeout) as visitor:
        visitor.sendall(payload)
        visitor.shutdown(socket.SHUT_WR)
        return read_to_end(visitor) == payload


def echoes(port):
    """Whether an echo through `port` works right now; no error is one."""
    try:
        return echo_once(port, timeout=2.0)
    except OSError:
        return False
