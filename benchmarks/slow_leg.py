#!/usr/bin/env python3
"""The tunnel over a slow leg between agent and relay, beside a direct connection over the same.

    benchmarks/slow_leg.py [--binary <tunnel-uring>] [--rounds 5] [--delay-ms 10] [--mb-per-s 20]
                           [--stall-share 0.002] [--seconds 3]

The leg is a forwarder of our own: each byte arrives `delay` later, each connection has its own
share of the bandwidth, as behind a fair queue, and now and then one stands still for a while, as a
TCP connection does that waits for a lost segment (a real loss needs netem, which many kernels
lack). Prints `name value bar PASS|FAIL` for each row, medians over interleaved rounds with the
least and the greatest. Exit status: 0, or 6 where a bar is missed.
"""

import argparse
import asyncio
import pathlib
import random
import sys
import tempfile
import threading

import figures
import processes
from run import find_load, newest

CHUNK = 64 * 1024
STALL = 0.2  # Seconds: the least retransmission time-out of Linux.


class Leg:
    """Forwards connections to a port, slowly; in a thread of its own."""

    def __init__(self, target, delay, bytes_per_second, stall_share):
        self.target, self.delay = target, delay
        self.rate, self.stall_share = bytes_per_second, stall_share
        self.chance = random.Random(1)
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, processes.LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection(processes.LOOPBACK, self.target)
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, source, target):
        """One direction: a queue of what is under way, with the time at which it arrives."""
        # As much as is under way in twice the round trip may wait; then the sender has to.
        room = max(int(self.rate * self.delay * 4 / CHUNK), 4)
        queue = asyncio.Queue(room)
        sending = asyncio.ensure_future(self._deliver(queue, target))
        free = self.loop.time()
        try:
            while data := await source.read(CHUNK):
                now = self.loop.time()
                free = max(free, now) + len(data) / self.rate
                if self.chance.random() < self.stall_share:
                    free += STALL
                await queue.put((free + self.delay, data))
        except OSError:
            pass
        await queue.put((self.loop.time() + self.delay, b""))
        await sending

    async def _deliver(self, queue, target):
        try:
            while True:
                when, data = await queue.get()
                await asyncio.sleep(max(0, when - self.loop.time()))
                if not data:
                    break
                target.write(data)
                await target.drain()
            target.close()
        except OSError:
            while (await queue.get())[1]:
                pass


def ask(bench, port, seconds):
    """Small exchanges, one after another: p50 in µs."""
    return bench.measure(["ask", "--size", "64", "--port", str(port), "--duration-us",
                          str(int(seconds * 1e6))])["p50_us"]


def bulk(bench, port, seconds):
    return bench.measure(["bulk", "--streams", "1", "--port", str(port), "--duration-us",
                          str(int(seconds * 1e6))])["gb_per_s"] * 1e3


def ask_beside_bulk(bench, port, seconds):
    moving = threading.Thread(target=bulk, args=(bench, port, seconds + 1))
    moving.start()
    try:
        threading.Event().wait(0.5)  # Until the transfer has its own lane.
        return ask(bench, port, seconds)
    finally:
        moving.join()


def measure(bench, chosen):
    options = (chosen.delay_ms / 1e3, chosen.mb_per_s * 1e6, chosen.stall_share)
    direct = Leg(bench.upstream, *options).port
    relay, control, _ = bench.relay("slow")
    _, tunnel = bench.agent("slow", Leg(control, *options).port, "tcp", "--remote-port", "0")
    del relay
    samples = {}
    for number in range(chosen.rounds):
        ports = {"direct": direct, "tunnel": tunnel}
        for name in sorted(ports, reverse=number % 2 == 1):
            for what in (bulk, ask, ask_beside_bulk):
                found = what(bench, ports[name], chosen.seconds)
                samples.setdefault((name, what), []).append(found)
    return samples


def rows(samples):
    """(name, spread, bar, whether it is met)."""
    def over(one, other):
        return figures.ratios(samples[one], samples[other])
    for name, value, bar, at_most in (
            ("bulk over the leg, x direct", over(("tunnel", bulk), ("direct", bulk)), 0.9, False),
            ("small exchange over the leg, p50, x direct",
             over(("tunnel", ask), ("direct", ask)), 1.3, True),
            ("small exchange beside bulk, p50, x alone",
             over(("tunnel", ask_beside_bulk), ("tunnel", ask)), 1.5, True),
            ("the same of direct, for comparison",
             over(("direct", ask_beside_bulk), ("direct", ask)), None, True)):
        met = bar is None or (value["median"] <= bar if at_most else value["median"] >= bar)
        yield name, value, bar, met


def main():
    said = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("--binary", help="default: the newest below build/")
    said.add_argument("--load", help="the load generator (default: built, or compiled now)")
    said.add_argument("--rounds", type=int, default=5)
    said.add_argument("--delay-ms", type=float, default=10, help="one way (default 10)")
    said.add_argument("--mb-per-s", type=float, default=20, help="of a connection (default 20)")
    said.add_argument("--stall-share", type=float, default=0.002,
                      help="of all pieces of 64 KiB: those that stand still for 200 ms")
    said.add_argument("--seconds", type=float, default=3, help="of each measurement")
    chosen = said.parse_args()
    binary = chosen.binary or newest("build*/**/tunnel-uring")
    if binary is None:
        said.error("no tunnel-uring below build/: build it, or name it with --binary")
    with tempfile.TemporaryDirectory(prefix="tunnel-uring-leg-") as folder:
        bench = processes.Bench(pathlib.Path(binary).resolve(), find_load(chosen.load, folder),
                                folder)
        try:
            found = list(rows(measure(bench, chosen)))
        finally:
            bench.children.stop()
    for name, value, bar, met in found:
        print(f"{name:<46}{figures.told(value):<24}{bar if bar is not None else '':<6}"
              f"{'PASS' if met else 'FAIL'}")
    return 0 if all(met for *_, met in found) else 6


if __name__ == "__main__":
    sys.exit(main())
