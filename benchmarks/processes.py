"""Processes of a run: starting and ending them, and what the kernel counts of them."""

import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import platform
import random
import re
import resource
import signal
import socket
import subprocess
import time

LOOPBACK = "127.0.0.1"
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Failed(RuntimeError):
    """Something could not be measured; its words say why."""


@dataclasses.dataclass
class Way:
    """Something that carries visitors to the upstream: its ports, and the processes that do it."""
    name: str
    title: str
    ports: dict                # kind ("tcp", "http") -> port
    pids: tuple = ()           # Roots: their descendants are its processes too.
    version: str = ""
    settings: str = ""         # In words, for the report.


_LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # prctl(2)


def _end_with_parent():
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """Started processes with their output in files; all end with `stop`, and with this one."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TUNNEL_URING_")}
        self.env.update(HOME=str(directory), LC_ALL="C")
        self.running = []

    def start(self, name, argv):
        path = self.directory / f"{name}.log"
        with open(path, "wb") as log:
            child = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, cwd=self.directory, env=self.env,
                                     start_new_session=True, preexec_fn=_end_with_parent)
        child.name, child.log = name, path
        self.running.append(child)
        return child

    def find(self, child, pattern, patience=20):
        """Waits for a whole line of its output that matches; returns what is in the brackets."""
        def look():
            text = child.log.read_text(encoding="utf-8", errors="replace")
            return re.search(pattern, text[:text.rfind("\n") + 1], re.MULTILINE)
        return self.until(child, look, f"print {pattern!r}", patience)[1]

    def listens(self, child, port, patience=20):
        """Waits until somebody accepts at `port`."""
        def look():
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
                return True
        self.until(child, look, f"listen at {port}", patience)

    def until(self, child, look, what, patience):
        deadline = time.monotonic() + patience
        while not (found := look()):
            if child.poll() is not None or time.monotonic() > deadline:
                said = child.log.read_text(encoding="utf-8", errors="replace")[-400:].strip()
                raise Failed(f"{child.name} did not {what}: {said}")
            time.sleep(0.01)
        return found

    def write(self, name, text):
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def stop(self, some=None):
        """Ends all, or some."""
        ending = self.running if some is None else some
        for child in reversed(ending):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(ending):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(3)
            # What a process left running is in its session, and ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.running = [c for c in self.running if c not in ending]


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    """A loopback port that is free now, below those of outgoing connections."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
        top = min(int(limits.read().split()[0]), 32768)
    for _ in range(1000):
        port = random.randrange(top // 2, top)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((LOOPBACK, port))
            return port
    raise Failed("no free port")


# -- what the kernel counts -----------------------------------------------------------------------


def family(roots):
    """Pids of processes and all their descendants."""
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.scandir(f"/proc/{pid}/task"):
                with open(f"{task.path}/children", encoding="ascii") as children:
                    todo += map(int, children.read().split())
    return found


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cpu_seconds(pid):
    """User and system time of a process. The tasks' schedstat counts nanoseconds and not ticks; it
    loses what tasks did that have ended, so the greater of the two."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:
        return 0.0
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError):
        tasks = [_read(f"{task.path}/schedstat") for task in os.scandir(f"/proc/{pid}/task")]
        exact = sum(int(text.split()[0]) for text in tasks if text) / 1e9
        return exact if ticks - exact < 0.02 else ticks
    return ticks


def switches(pid):
    """Context switches of all tasks."""
    count = 0
    with contextlib.suppress(OSError):
        for task in os.scandir(f"/proc/{pid}/task"):
            found = re.findall(r"ctxt_switches:\s+(\d+)", _read(f"{task.path}/status"))
            count += sum(map(int, found))
    return count


def memory_mb(roots):
    """Proportional (PSS) and resident (RSS) megabytes of processes and their descendants."""
    sums = {"Pss": 0, "Rss": 0}
    for pid in family(roots):
        text = _read(f"/proc/{pid}/smaps_rollup")
        for name in sums:
            found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
            sums[name] += int(found[1]) * 1024 if found else 0
    return {name.lower(): round(value / 1e6, 2) for name, value in sums.items()}


def machine_busy_seconds():
    """CPU time that anybody on this machine took so far, in all; taken by the hypervisor, too."""
    fields = list(map(int, _read("/proc/stat").splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def usage(roots):
    """CPU seconds and context switches so far."""
    pids = family(roots)
    return sum(map(cpu_seconds, pids)), sum(map(switches, pids))


def machine():
    """What the figures were taken on; nothing that names this very machine."""
    model = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return {"kernel": platform.release(), "cpu": model[1] if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "congestion_control": _read("/proc/sys/net/ipv4/tcp_congestion_control").strip(),
            "load_at_start": round(os.getloadavg()[0], 1)}


def revision():
    """The tree's git revision; `+` where it is changed."""
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True,
                              check=False).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


# -- the load and what it goes through ------------------------------------------------------------


class Bench:
    """The load generator, its upstream, and the tunnel in the forms that are measured."""

    def __init__(self, binary, load, directory):
        self.binary, self.load = str(binary), str(load)
        self.children = Children(directory)
        server = self.children.start("upstream", [self.load, "server"])
        self.server_pid = server.pid
        self.upstream = int(self.children.find(server, r"^listening (\d+)$"))
        made = subprocess.run([self.binary, "token", "--json", "--name", "bench"], check=True,
                              capture_output=True, env=self.children.env, cwd=directory)
        token = json.loads(made.stdout)
        self.public_key = token["public_key"]
        self.token = self.children.write("token", token["token"] + "\n")

    def direct(self):
        return Way("direct", "direct", {"tcp": self.upstream, "http": self.upstream})

    def relay(self, name, *extra):
        """A relay for everything; returns it with the ports for agents and for http visitors."""
        relay = self.children.start(f"{name}-relay", [
            self.binary, "relay", "--listen", f"{LOOPBACK}:0", "--http", f"{LOOPBACK}:0",
            "--tcp-ports", "10000-32000", "--public-key", self.public_key,
            "--set", "log.access=false", *extra])
        ports = [int(self.children.find(relay, rf"^listening {what} \S+:(\d+)$"))
                 for what in ("control", "http")]
        return relay, *ports

    def agent(self, name, control, command, *extra):
        """An agent of one service; returns it with its URL's port."""
        agent = self.children.start(f"{name}-{command}", [
            self.binary, command, f"{LOOPBACK}:{self.upstream}", "--relay",
            f"{LOOPBACK}:{control}", "--token-file", self.token, "--url-only",
            "--set", "log.access=false", *extra])
        return agent, int(self.children.find(agent, r"^(?:tcp|http)://\S+:(\d+)$"))

    def tunnel(self, name, title, settings, *extra, both=()):
        """Ours: a relay and two agents, one of each kind. `extra` is for the agents."""
        relay, control, http_port = self.relay(name, *both)
        extra = (*extra, *both)
        tcp, tcp_port = self.agent(name, control, "tcp", "--remote-port", "0", *extra)
        http, _ = self.agent(name, control, "http", "--subdomain", "app")
        return Way(name, title, {"tcp": tcp_port, "http": http_port},
                   (relay.pid, tcp.pid, http.pid), self.version(), settings)

    def version(self):
        said = subprocess.run([self.binary, "--version"], capture_output=True, text=True,
                              check=False, env=self.children.env).stdout
        return said.split("\n")[0].split()[-1] if said else ""

    def measure(self, command, patience=60):
        """One run of the client: its result as it printed it."""
        try:
            done = subprocess.run([self.load, *command], capture_output=True, text=True,
                                  timeout=patience, check=False, env=self.children.env)
        except subprocess.TimeoutExpired:
            raise Failed(f"load {' '.join(command)}: not within {patience} s") from None
        if done.returncode != 0:
            raise Failed(f"load {' '.join(command)}: {done.stderr.strip()[-200:]}")
        return json.loads(done.stdout)

    def memory(self, roots, port, kind, idle):
        """Memory as it is, and with so many idle connections."""
        before = memory_mb(roots)
        with subprocess.Popen([self.load, "idle", "--port", str(port), "--kind",
                               "http" if kind == "http" else "echo", "--idle", str(idle)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            ready = client.stdout.readline()
            after = memory_mb(roots)
            client.stdin.close()
        if not ready:
            raise Failed(f"{idle} idle connections cannot be had")
        per_idle = (after["pss"] - before["pss"]) * 1e3 / idle
        return {"kind": kind, "idle": idle, "start": before, "with_idle": after,
                "kb_per_idle": round(per_idle, 2)}
