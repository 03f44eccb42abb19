#!/usr/bin/env python3
"""What the pool promises, at full size: prints `name value bar PASS|FAIL`, a line for each row.

    benchmarks/reliability/pool.py [--binary build/release/tunnel-uring] [--small] [row ...]

A row is a part of the name of a test in tests/e2e/test_pool_rows.py, `acquire` (Google Benchmark)
or `first_byte` (benchmarks/run.py). Without one, all. `--small` is the size that `./run test` has.
Exit status: 1 where a row is missed or could not be had.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\S+ \S+ \S+ (PASS|FAIL)$")


def say_row(name, value, bar, holds):
    print(f"{name} {value} {bar} {'PASS' if holds else 'FAIL'}", flush=True)
    return holds


def end_to_end(binary, names, small):
    """The rows of tests/e2e/test_pool_rows.py, as they come."""
    environment = {**os.environ, "TUNNEL_URING_E2E_ROWS": "small" if small else "full"}
    argv = [sys.executable, "-u", ROOT / "tests/e2e/run.py", "--binary", binary, "--limit", "7200",
            *(names or ["test_pool_rows"])]
    with subprocess.Popen(list(map(str, argv)), env=environment, stdout=subprocess.PIPE,
                          text=True) as child:
        for line in child.stdout:
            # What was skipped, and the sums, are for people too.
            print(line.rstrip(), file=None if ROW.match(line) else sys.stderr, flush=True)
    return child.returncode == 0


def acquire(binary):
    """A warm socket is taken in less than 100 ns, with neither an allocation nor a system call."""
    bench = binary.parent / "benchmarks/micro/pool_bench"
    if not bench.exists():
        print("acquire: benchmarks/micro/pool_bench is not built", file=sys.stderr)
        return False
    done = subprocess.run([bench, "--benchmark_format=json"], check=True, capture_output=True)
    found = json.loads(done.stdout)["benchmarks"][0]
    if "error_occurred" in found:
        print(f"acquire: {found['error_message']}", file=sys.stderr)
        return False
    free = found["allocations"] == 0 and found["system_calls"] == 0
    cost = say_row("acquire_ns", f"{found['real_time']:.1f}", "<100", found["real_time"] < 100)
    return say_row("acquire_allocations_and_system_calls",
                   f"{found['allocations'] + found['system_calls']:.0f}", "0", free) and cost


def first_byte(binary, small):
    """From a visitor's connect to the first byte of the answer, with a warm pool over without. Over
    loopback, where a connect costs next to nothing: the pool must not cost more than it saves. What
    it saves where a connection costs something is first_byte_..._working_upstream."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "result.json")
        argv = [sys.executable, ROOT / "benchmarks/run.py", "--binary", binary, "--rounds",
                "3" if small else "15", "--shapes", "^connect-(alone|paced)$", "--json", path]
        subprocess.run(list(map(str, argv)), check=True, stdout=subprocess.DEVNULL)
        shapes = json.loads(path.read_text(encoding="utf-8"))["shapes"]
    good = True
    for key, shape in shapes.items():
        ways = shape["figures"]["p50_us"]["ways"]
        pairs = zip(ways["warm"]["values"], ways["tunnel"]["values"])
        ratios = sorted(warm / cold for warm, cold in pairs)
        middle = ratios[len(ratios) // 2]
        good &= say_row(f"first_byte_warm_over_cold_{key}", f"{middle:.2f}", "<1.1",
                        middle < 1.1)
    return good


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default=ROOT / "build/release/tunnel-uring")
    arguments.add_argument("--small", action="store_true")
    arguments.add_argument("rows", nargs="*")
    chosen = arguments.parse_args()
    binary = pathlib.Path(chosen.binary).resolve()
    own = {"acquire": lambda: acquire(binary),
           "first_byte": lambda: first_byte(binary, chosen.small)}
    wanted = [row for row in own if not chosen.rows or row in chosen.rows]
    named = [row for row in chosen.rows if row not in own]
    good = [own[row]() for row in wanted]
    if named or not chosen.rows:
        good.append(end_to_end(binary, named, chosen.small))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
