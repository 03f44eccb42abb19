#!/usr/bin/env python3
"""Where the time goes in the tunnel, for each kind of load.

    benchmarks/profile_tunnel.py [--binary <tunnel-uring>] [--quick] [--shapes <pattern>]
                                 [--json out.json] [--markdown out.md]

For each shape: CPU of relay and agent by layer, as perf samples it (where perf cannot, user and
system time only), and what their counters say: system calls into the ring for each operation,
completions in each, frames and bytes in each send of a shared lane, bytes of each splice. Nothing
here is compared with anything: perf slows what it watches.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import processes
from run import find_load, newest
from shapes import SHAPES

DEFAULT = "^(ping-pong-64(-x64)?|bulk-down-x[18]|connect-x16|http-x64|http-connect-x16)$"
FLOORS = ("base", "wire", "coro", "ring", "net", "pool", "tunnel", "admin", "app")
# Of the kernel, by the beginning of a symbol; the first that matches.
KERNEL = (
    ("kernel: copying", r"_?copy_|__?copy|rep_movs|memcpy|clear_page|skb_copy|simple_copy"),
    ("kernel: splice and pipes", r"splice|pipe_|iter_to_pipe|generic_pipe|do_splice|add_to_pipe"),
    ("kernel: io_uring", r"_*io_|__do_sys_io_uring|__x64_sys_io_uring"),
    ("kernel: scheduling", r"_*sched|schedule|try_to_wake|ttwu|enqueue_|dequeue_|pick_|update_|"
                           r"finish_task|__switch|default_wake|_*wake_up|hrtimer|prepare_to|"
                           r"autoremove|native_sched|idle|set_next|put_prev|select_task"),
    ("kernel: locks", r"_raw_|native_queued|mutex_|__mutex|rcu_|__rcu|lock_sock|release_sock"),
    ("kernel: system call entry", r"entry_|do_syscall|syscall_|__x64_sys|asm_|irqentry|exit_to"),
    ("kernel: memory", r"kmem|__?kmalloc|kfree|_*slab|alloc_|__alloc|free_|__free|get_page|"
                       r"put_page|page_|skb_page|kmalloc|skb_release|__build_skb|mod_|lru|charge"),
    ("kernel: network", r"_*tcp_|_*ip_|_*inet|_*sk_|_*sock|_*skb|_*net|_*dev_|loopback|_*nf_|"
                        r"process_backlog|__napi|napi|__local_bh|do_softirq|__do_softirq|"
                        r"handle_softirqs|qdisc|eth_|bictcp|cubic|sendmsg|recvmsg|udp|__fib|fib"),
)


def metrics(path):
    """Every sample of a process's /metrics, by name and labels."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(str(path))
        asked = http.client.HTTPConnection("localhost")
        asked.sock = wire
        asked.request("GET", "/metrics")
        text = asked.getresponse().read().decode()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines() if line and not line.startswith("#")}


def counters(doors):
    total = collections.Counter()
    for door in doors:
        for key, value in metrics(door).items():
            total[key.partition("{")[0]] += value
    return total


def floors_of_classes():
    """Class or namespace function -> its floor, from the headers."""
    found = {}
    for floor in FLOORS:
        for header in (processes.ROOT / "src" / floor).glob("*.[ch]pp"):
            text = header.read_text(encoding="utf-8")
            for name in re.findall(r"^(?:template.*\n)?(?:class|struct)(?: \[\[\w+\]\])? (\w+)",
                                   text, re.MULTILINE):
                found.setdefault(name, floor)
            for name in re.findall(r"^[\w:<>,&* ]+ (\w+)\(", text, re.MULTILINE):
                found.setdefault(name, floor)
    return found


def layer(dso, symbol, floors):
    if "kernel" in dso or symbol.startswith("[k]"):
        name = symbol.removeprefix("[k] ")
        return next((group for group, begin in KERNEL if re.match(begin, name)), "kernel: other")
    if "tunnel-uring" not in dso:
        return f"library: {os.path.basename(dso).split('.so')[0]}"
    words = re.findall(r"\w+", symbol.removeprefix("[.] ").partition("tunnel_uring::")[2])
    floor = next((floors[word] for word in words if word in floors), None)
    return f"ours: {floor}" if floor else "ours: other (liburing, llhttp, inlined std)"


def perf_works():
    with tempfile.TemporaryDirectory() as folder:
        return shutil.which("perf") is not None and subprocess.run(
            ["perf", "record", "-q", "-e", "cpu-clock", "-o", f"{folder}/data", "true"],
            capture_output=True, check=False).returncode == 0


def sampled(pids, folder, during):
    """Runs perf around `during`; its samples by layer as shares, and what `during` returned."""
    data = pathlib.Path(folder) / "perf.data"
    argv = ["perf", "record", "-q", "-F", "2999", "-e", "cpu-clock", "-o", str(data), "-p",
            ",".join(map(str, pids))]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
        time.sleep(0.5)  # Until it has attached.
        result = during()
        perf.terminate()
        perf.wait(20)
    told = subprocess.run(["perf", "report", "-i", str(data), "--stdio", "-q", "--no-children",
                           "-F", "overhead,dso,symbol", "-t", "|"],
                          capture_output=True, text=True, check=False).stdout
    floors, shares = floors_of_classes(), collections.Counter()
    for line in told.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 3 and fields[0].endswith("%"):
            shares[layer(fields[1], fields[2], floors)] += float(fields[0].rstrip("%")) / 100
    return dict(shares.most_common()), result


def ratio(over, under):
    return round(over / under, 3) if under else None


def look(bench, way, doors, shape, folder, quick, with_perf):
    """One shape: first without perf, for the counters; then with it."""
    before, began = counters(doors), processes.usage(way.pids)[0]
    command = shape.command(way.ports[shape.kind], quick)
    result = bench.measure(command)
    spent = processes.usage(way.pids)[0] - began
    moved = counters(doors)
    moved.subtract(before)
    amount = result["bytes"] / 1e6 if shape.is_bulk() else result["count"]
    each = "MB" if shape.is_bulk() else "operation"
    found = {
        "title": shape.title, "per": each,
        "cpu_us": round(spent / amount * 1e6, 2),
        "ring_enters": ratio(moved["tunnel_uring_ring_enters_total"], amount),
        "ring_operations": ratio(moved["tunnel_uring_ring_operations_total"], amount),
        "completions_per_enter": ratio(moved["tunnel_uring_ring_completions_total"],
                                       moved["tunnel_uring_ring_enters_total"]),
        "spins_that_paid": ratio(moved["tunnel_uring_ring_spins_paid_total"],
                                 moved["tunnel_uring_ring_spins_total"]),
        "frames_per_send": ratio(moved["tunnel_uring_lane_frames_total"],
                                 moved["tunnel_uring_lane_sends_total"]),
        "bytes_per_lane_send": ratio(moved["tunnel_uring_lane_bytes_total"],
                                     moved["tunnel_uring_lane_sends_total"]),
        "bytes_per_splice": ratio(moved["tunnel_uring_spliced_bytes_total"],
                                  moved["tunnel_uring_splices_total"]),
    }
    if with_perf:
        found["layers"], _ = sampled(
            processes.family(way.pids), folder, lambda: bench.measure(command))
    return found


def start(bench, folder):
    """The tunnel with an admin listener at each process; the way, and those listeners."""
    doors = [folder / f"{name}.sock" for name in ("relay", "tcp", "http")]
    relay, control, http_port = bench.relay("profiled", "--admin", f"unix:{doors[0]}")
    tcp, tcp_port = bench.agent("profiled", control, "tcp", "--remote-port", "0",
                                "--set", "services.tcp.max_connections=20000",
                                "--admin", f"unix:{doors[1]}")
    web, _ = bench.agent("profiled", control, "http", "--subdomain", "app",
                         "--admin", f"unix:{doors[2]}")
    return processes.Way("tunnel", "tunnel-uring", {"tcp": tcp_port, "http": http_port},
                         (relay.pid, tcp.pid, web.pid), bench.version()), doors


def told(value):
    return "–" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")


def markdown(result):
    lines = ["# Where the time goes", "",
             f"Linux {result['machine']['kernel']}, {result['machine']['cpu']}, "
             f"{result['machine']['cores']} cores; revision {result['revision']}. Both processes "
             "together.", "",
             "| shape | per | CPU µs | ring enters | operations | completions per enter | "
             "frames per lane send | bytes per lane send | KiB per splice |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in result["shapes"].values():
        splice = row["bytes_per_splice"]
        lines.append("| " + " | ".join([
            row["title"], row["per"], told(row["cpu_us"]), told(row["ring_enters"]),
            told(row["ring_operations"]), told(row["completions_per_enter"]),
            told(row["frames_per_send"]), told(row["bytes_per_lane_send"]),
            told(splice / 1024 if splice else None)]) + " |")
    for row in result["shapes"].values():
        if row.get("layers"):
            lines += ["", f"**{row['title']}**, CPU by layer:", "", "| layer | share |",
                      "|---|---|"]
            lines += [f"| {name} | {share:.1%} |" for name, share in row["layers"].items()
                      if share >= 0.005]
    return "\n".join(lines) + "\n"


def main():
    said = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("--binary", help="default: the newest below build/")
    said.add_argument("--load", help="the load generator (default: built, or compiled now)")
    said.add_argument("--quick", action="store_true",
                      help="moments of each shape: shows that all works, tells little")
    said.add_argument("--shapes", metavar="REGEX", default=DEFAULT)
    said.add_argument("--json", metavar="FILE", help="write every figure there")
    said.add_argument("--markdown", metavar="FILE", help="write tables there, not to stdout")
    chosen = said.parse_args()
    binary = chosen.binary or newest("build*/**/tunnel-uring")
    if binary is None:
        said.error("no tunnel-uring below build/: build it, or name it with --binary")
    with_perf = perf_works()
    if not with_perf:
        print("profile: perf cannot sample here: CPU is not told by layer", file=sys.stderr)
    processes.raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="tunnel-uring-profile-") as name:
        folder = pathlib.Path(name)
        bench = processes.Bench(pathlib.Path(binary).resolve(), find_load(chosen.load, folder),
                                folder)
        try:
            way, doors = start(bench, folder)
            result = {"revision": processes.revision(), "machine": processes.machine(),
                      "shapes": {shape.key: look(bench, way, doors, shape, folder, chosen.quick,
                                                  with_perf)
                                 for shape in SHAPES if re.search(chosen.shapes, shape.key)}}
        finally:
            bench.children.stop()
    if chosen.json:
        pathlib.Path(chosen.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if chosen.markdown:
        pathlib.Path(chosen.markdown).write_text(markdown(result), encoding="utf-8")
    else:
        print(markdown(result), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
