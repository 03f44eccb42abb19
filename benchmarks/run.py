#!/usr/bin/env python3
"""Measures the tunnel against a direct connection, side by side in one run.

    benchmarks/run.py [--binary <tunnel-uring>] [--rounds 7] [--quick] [--json out.json]

Relay, agent, upstream and client share this machine and its loopback, so only ratios mean anything.
Each round measures every shape directly and through the tunnel, one right after the other; a ratio
is taken within its round, and its median, least and greatest over all rounds are told. Under 10 %
is a tie.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
DIRECT, COLD, WARM = "direct", "cold", "warm"


class Shape:
    """One kind of load: what the client is told, which figure counts, and through which ways."""

    def __init__(self, name, command, figure, quick, full, ways=(DIRECT, COLD), **options):
        self.name, self.command, self.figure, self.ways = name, command, figure, ways
        self.amount = {"quick": quick, "full": full}
        self.options = options
        self.more_is_better = figure in ("per_s", "gb_per_s")

    def arguments(self, size):
        amount = "--bytes" if self.command == "bulk" else "--count"
        words = [self.command, amount, str(self.amount[size])]
        for name, value in self.options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        return words


BOTH_WAYS = (DIRECT, COLD, WARM)
SHAPES = (
    Shape("first byte, one after another, p50", "first-byte", "p50_us", 200, 1500, BOTH_WAYS,
          size=1),
    Shape("first byte, one every 2 ms, p50", "first-byte", "p50_us", 100, 500, BOTH_WAYS, size=1,
          interval_us=2000),
    Shape("ping-pong 64 B, p50", "ping-pong", "p50_us", 1000, 10000, size=64),
    Shape("ping-pong 16 KiB, p50", "ping-pong", "p50_us", 500, 4000, size=16384),
    Shape("64 streams x 64 B, operations", "ping-pong", "per_s", 5000, 60000, size=64, streams=64),
    Shape("bulk down, 1 stream", "bulk", "gb_per_s", 200_000_000, 2_000_000_000, streams=1),
    Shape("bulk down, 8 streams", "bulk", "gb_per_s", 200_000_000, 2_000_000_000, streams=8),
    Shape("new connections at 16", "connect-rate", "per_s", 500, 4000, BOTH_WAYS, size=64,
          streams=16),
)


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine():
    """What the figures were taken on; nothing that names this very machine."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"^model name\s*: (.*)$", info.read(), re.MULTILINE)
    return {"kernel": platform.release(), "cpu": model[1] if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "load_at_start": round(os.getloadavg()[0], 1)}


def newest(pattern):
    found = [p for p in HERE.parent.glob(pattern) if p.is_file() and os.access(p, os.X_OK)]
    return max(found, key=lambda p: p.stat().st_mtime) if found else None


class Bench:
    """The processes of one run."""

    def __init__(self, binary, load, directory):
        self.binary, self.load, self.directory = str(binary), str(load), pathlib.Path(directory)
        self.children = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TUNNEL_URING_")}

    def start(self, name, argv, pattern):
        """Starts a process and waits for `pattern` on its output; returns process and matches."""
        out, err = (self.directory / f"{name}.{s}" for s in ("out", "err"))
        with open(out, "wb") as o, open(err, "wb") as e:
            child = subprocess.Popen(list(map(str, argv)), stdout=o, stderr=e, cwd=self.directory,
                                     env=self.env, stdin=subprocess.DEVNULL)
        self.children.append(child)
        deadline = time.monotonic() + 20
        while True:
            found = re.findall(pattern, out.read_text(encoding="utf-8"), re.MULTILINE)
            if found and len(found) == len(set(found)):
                return child, found
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not ready: {err.read_text(encoding='utf-8')}")
            time.sleep(0.01)

    def stop(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(5)
                if child.poll() is None:
                    child.kill()
                    child.wait()

    def set_up(self):
        """Upstream, relay and two agents: one that connects on demand, one with a warm pool."""
        _, found = self.start("upstream", [self.load, "server"], r"^listening (\d+)$")
        upstream = found[0]
        made = json.loads(subprocess.run([self.binary, "token", "--json", "--name", "bench"],
                                         check=True, capture_output=True, env=self.env,
                                         cwd=self.directory).stdout)
        token = self.directory / "token"
        token.touch(mode=0o600)
        token.write_text(made["token"] + "\n", encoding="ascii")
        relay, found = self.start("relay", [
            self.binary, "relay", "--listen", f"{LOOPBACK}:0", "--tcp-ports", "10000-32000",
            "--public-key", made["public_key"]], r"^listening control \S+:(\d+)$")
        ports, self.ours = {DIRECT: upstream}, {}
        for way, extra in ((COLD, []), (WARM, ["--set", "pool.warm_up_size=32",
                                               "--set", "pool.min_idle_connections=32",
                                               "--set", "pool.max_pool_size=100"])):
            agent, urls = self.start(way, [
                self.binary, "tcp", f"{LOOPBACK}:{upstream}", "--relay", f"{LOOPBACK}:{found[0]}",
                "--token-file", token, "--remote-port", "0", "--url-only", *extra],
                r"^tcp://\S+:(\d+)$")
            ports[way], self.ours[way] = urls[0], (relay.pid, agent.pid)
        return ports

    def measure(self, arguments, port):
        """One run of the client."""
        done = subprocess.run([self.load, *arguments, "--port", port], capture_output=True,
                              text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"load {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def run_rounds(bench, ports, rounds, size, say):
    """Figures by shape and way, one a round, and the CPU seconds per GB of both our processes."""
    figures = {shape.name: {way: [] for way in shape.ways} for shape in SHAPES}
    cpu = {shape.name: [] for shape in SHAPES if shape.command == "bulk"}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for shape in SHAPES:
            # Who comes first changes with the round, so that no way always finds warm caches.
            turn = number % len(shape.ways)
            for way in shape.ways[turn:] + shape.ways[:turn]:
                before = sum(map(cpu_seconds, bench.ours.get(way, ())))
                result = bench.measure(shape.arguments(size), ports[way])
                figures[shape.name][way].append(result[shape.figure])
                if shape.name in cpu and way != DIRECT:
                    used = sum(map(cpu_seconds, bench.ours[way])) - before
                    cpu[shape.name].append(used / (result["bytes"] / 1e9))
    return figures, cpu


def summarise(figures, cpu):
    """One row a shape and way, with the ratio to direct of the same round."""
    rows = []
    for shape in SHAPES:
        direct = figures[shape.name][DIRECT]
        for way in shape.ways[1:]:
            through = figures[shape.name][way]
            row = {"shape": shape.name, "way": way, "unit": shape.figure,
                   "more_is_better": shape.more_is_better,
                   "direct": spread(direct), "tunnel": spread(through),
                   "ratio": spread([t / d for t, d in zip(through, direct)]),
                   "rounds": {"direct": direct, "tunnel": through}}
            if shape.name in cpu:
                row["cpu_s_per_gb"] = spread(cpu[shape.name])
            rows.append(row)
    return rows


def print_table(rows, about, rounds):
    print(f"machine: Linux {about['kernel']}, {about['cpu']}, {about['cores']} cores, "
          f"load {about['load_at_start']} at start; {rounds} interleaved rounds, medians")
    print(f"{'shape':<36}{'pool':<6}{'unit':<10}{'direct':>10}{'tunnel':>10}   "
          f"{'ratio (least - most)':<22} better")
    for row in rows:
        ratio = row["ratio"]
        told = f"{ratio['median']:.2f} ({ratio['min']:.2f} - {ratio['max']:.2f})"
        print(f"{row['shape']:<36}{row['way']:<6}{row['unit']:<10}{row['direct']['median']:>10.4g}"
              f"{row['tunnel']['median']:>10.4g}   {told:<22} "
              f"{'more' if row['more_is_better'] else 'less'}")
    for row in rows:
        if "cpu_s_per_gb" in row:
            used = row["cpu_s_per_gb"]
            print(f"CPU of relay and agent, {row['shape']}: {used['median']:.2f} s/GB "
                  f"({used['min']:.2f} - {used['max']:.2f})")


def find_load(given, directory):
    """The load generator: as given, as built, or compiled now."""
    found = given or newest("build*/**/benchmarks/load")
    if found is None:
        found = pathlib.Path(directory, "load")
        compiler = shutil.which(os.environ.get("CXX", "g++").split()[-1]) or "c++"
        subprocess.run([compiler, "-std=c++20", "-O2", HERE / "load.cpp", "-o", found], check=True)
    return pathlib.Path(found).resolve()


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", help="default: the newest below build/")
    arguments.add_argument("--load", help="the load generator (default: built, or compiled now)")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--quick", action="store_true",
                           help="small amounts and 2 rounds: shows that all works, measures little")
    arguments.add_argument("--json", metavar="FILE", help="write every figure there")
    chosen = arguments.parse_args()
    rounds, size = (2, "quick") if chosen.quick else (chosen.rounds, "full")
    binary = chosen.binary or newest("build*/**/tunnel-uring")
    if binary is None:
        arguments.error("no tunnel-uring below build/: build it, or name it with --binary")
    about = machine()
    with tempfile.TemporaryDirectory(prefix="tunnel-uring-bench-") as directory:
        bench = Bench(pathlib.Path(binary).resolve(), find_load(chosen.load, directory), directory)
        try:
            ports = bench.set_up()
            rows = summarise(*run_rounds(bench, ports, rounds, size,
                                         lambda line: print(line, file=sys.stderr)))
        except (RuntimeError, subprocess.SubprocessError) as wrong:
            print(f"benchmark failed: {wrong}", file=sys.stderr)
            return 1
        finally:
            bench.stop()
    print_table(rows, about, rounds)
    if chosen.json:
        pathlib.Path(chosen.json).write_text(
            json.dumps({"machine": about, "rounds": rounds, "size": size, "results": rows},
                       indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
