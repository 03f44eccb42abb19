"""System calls of our processes for each operation, by perf where the kernel lets it, else by
strace: that slows what it watches, so nothing else is taken from such a run."""

import re
import shutil
import signal
import subprocess
import tempfile
import time

from processes import family

SHAPES = ("ping-pong-64", "ping-pong-64-x64", "connect-x16", "http-x64", "bulk-down-x8")


def perf_works():
    if shutil.which("perf") is None:
        return False
    tried = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"],
                           capture_output=True, text=True, check=False)
    return tried.returncode == 0 and re.search(r"^\d+,", tried.stderr, re.MULTILINE) is not None


def counted(argv, pattern, during):
    """Runs a counter around `during`; returns its count and what `during` returned."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as out:
        with subprocess.Popen([*argv[:1], *argv[1:3], out.name, *argv[3:]],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as counter:
            time.sleep(0.5)  # Until it has attached.
            result = during()
            counter.send_signal(signal.SIGINT)
            counter.wait(10)
        found = re.search(pattern, out.read(), re.MULTILINE)
    return (int(found[1]) if found else None), result


def count(bench, way, shapes, say):
    """{shape: system calls per operation, or per MB of bulk}, and what counted them."""
    pids = family(way.pids)
    if perf_works():
        tool = "perf"
        argv = ["perf", "stat", "-o", "-x,", "-e", "raw_syscalls:sys_enter",
                "-p", ",".join(map(str, pids))]
        pattern = r"^(\d+),"
    elif shutil.which("strace"):
        tool = "strace"
        argv = ["strace", "-c", "-o", *(w for pid in pids for w in ("-p", str(pid)))]
        pattern = r"^100\.00\s+[\d.]+\s+(?:\d+\s+)?(\d+)\s+(?:\d+\s+)?total"
    else:
        say("system calls are not counted: neither perf nor strace can")
        return {"tool": None}
    made = {"tool": tool}
    for shape in shapes:
        if shape.key in SHAPES:
            calls, result = counted(argv, pattern, lambda shape=shape: bench.measure(
                shape.command(way.ports[shape.kind], False)))
            amount = result["bytes"] / 1e6 if shape.is_bulk() else result["count"]
            made[shape.key] = None if calls is None else round(calls / amount, 3)
    return made
