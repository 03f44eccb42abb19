#!/usr/bin/env python3
"""Measures the tunnel against a direct connection, side by side in one run.

    benchmarks/run.py [--binary <tunnel-uring>] [--rounds 5] [--quick] [--shapes <pattern>]
                      [--peers] [--json out.json] [--report out.html] [--markdown out.md]
                      [--compare old.json [--fail-regress 10%]]

Relay, agent, upstream and client share this machine and its loopback, so only ratios mean anything.
Each round measures every shape directly and through every way, one right after the other; a ratio
is taken within its round, and its median, least and greatest over all rounds are told. Under 10 %
is a tie. Exit status: 0, 1 where something could not be measured, 2 usage, 6 where --fail-regress
is exceeded.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compare
import figures
import peers
import processes
import report
import rounds
import syscalls
import targets
from shapes import DIRECT, SHAPES, SPECIAL, SPINNING, TUNNEL, UNITS, WARM

HERE = pathlib.Path(__file__).resolve().parent


def say(line):
    print(line, file=sys.stderr, flush=True)


def newest(pattern):
    found = [p for p in HERE.parent.glob(pattern) if p.is_file() and os.access(p, os.X_OK)]
    return max(found, key=lambda p: p.stat().st_mtime) if found else None


def find_load(given, directory):
    """The load generator: as given, as built, or compiled now."""
    found = given or newest("build*/**/benchmarks/load")
    if found is None:
        found = pathlib.Path(directory, "load")
        compiler = shutil.which(os.environ.get("CXX", "g++").split()[-1]) or "c++"
        subprocess.run([compiler, "-std=c++20", "-O2", *HERE.glob("load/*.cpp"), "-o", found],
                       check=True)
    return pathlib.Path(found).resolve()


def measure_memory(bench, ways, idle):
    """By way, each of its kinds: memory at start and with idle connections. Of ours in processes of
    their own, one service each."""
    measured = {}
    for kind, extra in (("tcp", ("--remote-port", "0")), ("http", ("--subdomain", "app"))):
        relay, control, http_port = bench.relay(f"memory-{kind}")
        agent, port = bench.agent(f"memory-{kind}", control, kind, *extra)
        found = bench.memory((relay.pid, agent.pid), http_port if kind == "http" else port, kind,
                             idle)
        measured.setdefault(TUNNEL, []).append(found)
        bench.children.stop([relay, agent])
    for way in ways:
        if way.name not in (DIRECT, TUNNEL, *SPECIAL):
            try:
                measured[way.name] = [bench.memory(way.pids, way.ports["tcp"], "tcp", idle)]
            except processes.Failed as reason:
                say(f"memory of {way.name}: {reason}")
    return measured


def set_up(bench, chosen):
    """All ways, and why peers are missing."""
    ways = [bench.direct(),
            bench.tunnel(TUNNEL, "tunnel-uring", "as it comes, but for max_connections of tcp",
                         "--set", "services.tcp.max_connections=20000"),
            bench.tunnel(WARM, "tunnel-uring, warm pool", "32 connections to the upstream ready",
                         "--set", "pool.warm_up_size=32", "--set", "pool.min_idle_connections=32",
                         "--set", "pool.max_pool_size=100"),
            bench.tunnel(SPINNING, "tunnel-uring, spinning", "io_uring.busy_poll = 50us",
                         both=("--set", "io_uring.busy_poll=50us"))]
    skipped = {}
    if chosen.peers is not None:
        wanted = set(filter(None, chosen.peers.split(",")))
        more, skipped = peers.start_peers(bench, peers.Finder(chosen.peers_from), say, wanted)
        ways += more
    return ways, skipped


def measure(chosen, binary, directory):
    """The whole result, as it goes into the JSON."""
    count = 1 if chosen.quick else chosen.rounds
    shapes = [s for s in SHAPES if re.search(chosen.shapes, s.key)
              and (chosen.peers is None or s.peers or chosen.every_shape)]
    about = processes.machine()
    bench = processes.Bench(binary, find_load(chosen.load, directory), directory)
    try:
        ways, skipped = set_up(bench, chosen)
        memory = measure_memory(bench, ways, 100 if chosen.quick else 1000)
        quiet = rounds.Quiet(bench, 0 if chosen.quick else chosen.patience)
        table = rounds.run_rounds(bench, shapes, ways, count, chosen.quick, quiet, say)
        calls = {} if chosen.quick else syscalls.count(bench, ways[1], shapes, say)
    finally:
        bench.children.stop()
    about["others"] = figures.spread([round(share, 3) for share in quiet.shares])
    return {"format": 2, "date": datetime.date.today().isoformat(),
            "revision": processes.revision(), "machine": about,
            "size": "quick" if chosen.quick else "full", "rounds": count,
            "ways": {w.name: {"title": w.title, "version": w.version, "settings": w.settings}
                     for w in ways},
            "skipped": skipped, "memory": memory, "system_calls": calls,
            "shapes": rounds.summarise(table)}


def print_table(result):
    print(report.machine_line(result))
    print(f"{'shape':<42}{'way':<10}{'unit':<9}{'direct':>9}{'way':>9}   "
          f"{'ratio (least - most)':<24}better")
    for shape in result["shapes"].values():
        for name, figure in shape["figures"].items():
            direct = figure["ways"][DIRECT]
            for way, row in figure["ways"].items():
                if way == DIRECT or not row.get("ratio"):
                    continue
                print(f"{shape['title']:<42}{way:<10}{UNITS[name]:<9}"
                      f"{figures.short(direct['median']):>9}{figures.short(row['median']):>9}   "
                      f"{figures.told(row['ratio']):<24}"
                      f"{'more' if figure['more_is_better'] else 'less'}")
    for shape in result["shapes"].values():
        for way, cost in shape["cost"].items():
            for name, unit in (("cpu_s_per_gb", "s/GB"), ("cpu_us_per_operation", "µs")):
                if name in cost:
                    print(f"CPU of both processes, {shape['title']}, {way}: "
                          f"{figures.told(cost[name])} {unit}")
    for way, kinds in result["memory"].items():
        for found in kinds:
            print(f"memory (PSS) of {way}, {found['kind']}: {found['start']['pss']} MB at start, "
                  f"{found['with_idle']['pss']} MB with {found['idle']} idle")


def share(text):
    """`10%` or `0.1`."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def parser():
    told = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--binary", help="default: the newest below build/")
    told.add_argument("--load", help="the load generator (default: built, or compiled now)")
    told.add_argument("--rounds", type=int, default=5)
    told.add_argument("--quick", action="store_true",
                      help="one round of moments: shows that all works, measures little")
    told.add_argument("--patience", type=float, default=120, metavar="SECONDS",
                      help="for waiting, in all, until nobody else uses the CPU (default 120)")
    told.add_argument("--shapes", metavar="REGEX", default="", help="only shapes with such a key")
    told.add_argument("--peers", nargs="?", const="", metavar="NAMES",
                      help="also through what others use; only the shapes that make sense there")
    told.add_argument("--peers-from", action="append", default=[], metavar="FOLDER",
                      help="where to look for their programs before PATH (repeatable)")
    told.add_argument("--every-shape", action="store_true",
                      help="with --peers: measure ours in the other shapes, too")
    told.add_argument("--json", metavar="FILE", help="write every figure there")
    told.add_argument("--report", metavar="FILE", help="write an HTML page with plots there")
    told.add_argument("--markdown", metavar="FILE", help="write tables for the documentation there")
    told.add_argument("--compare", metavar="FILE", help="an older --json to compare with")
    told.add_argument("--fail-regress", type=share, metavar="SHARE",
                      help="with --compare: exit 6 where ours got worse by more, such as 10%%")
    told.add_argument("--from-json", metavar="FILE",
                      help="measure nothing: print, compare and report that older result")
    return told


def obtain(chosen, told):
    if chosen.from_json:
        return json.loads(pathlib.Path(chosen.from_json).read_text(encoding="utf-8"))
    binary = chosen.binary or newest("build*/**/tunnel-uring")
    if binary is None:
        told.error("no tunnel-uring below build/: build it, or name it with --binary")
    processes.raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="tunnel-uring-bench-") as directory:
        return measure(chosen, pathlib.Path(binary).resolve(), directory)


def main():
    told = parser()
    chosen = told.parse_args()
    try:
        result = obtain(chosen, told)
    except (processes.Failed, subprocess.SubprocessError) as wrong:
        say(f"benchmark failed: {wrong}")
        return 1
    print_table(result)
    for target, value, verdict in targets.judge(result) if chosen.peers is not None else ():
        print(f"{target.title:<62}{figures.told(value):<24}{verdict}")
    for path, text in ((chosen.json, lambda: json.dumps(result, indent=1) + "\n"),
                       (chosen.report, lambda: report.page(result)),
                       (chosen.markdown, lambda: report.markdown(result))):
        if path:
            pathlib.Path(path).write_text(text(), encoding="utf-8")
    if chosen.compare:
        older = json.loads(pathlib.Path(chosen.compare).read_text(encoding="utf-8"))
        if compare.compare(result, older, chosen.fail_regress, (TUNNEL, *SPECIAL), print):
            return 6
    return 1 if rounds.failures_of_ours(result) else 0


if __name__ == "__main__":
    sys.exit(main())
