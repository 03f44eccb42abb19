"""Measuring: interleaved rounds, each with every shape through every way, one right after the
other. A ratio is taken within its round, so that what else the machine does meets both sides."""

import os
import time

import figures
from processes import Failed, cpu_seconds, machine_busy_seconds, usage
from shapes import DIRECT, MORE_IS_BETTER, SPECIAL, TUNNEL

OURS = (TUNNEL, *SPECIAL)


def ways_of(shape, ways):
    return [way for way in ways if way.name in (DIRECT, TUNNEL)
            or way.name in shape.also or way.name not in (DIRECT, *OURS) and shape.peers]


class Measured:
    """Samples of one shape through one way; None where a round has none."""

    def __init__(self, shape, way):
        self.shape, self.way = shape, way
        self.samples, self.histograms, self.failures = [], [], []

    def add(self, result, cpu, switched):
        amount = result["bytes"] / 1e9 if self.shape.is_bulk() else result["count"]
        sample = {name: result[name] for name in self.shape.figures}
        sample["cpu"] = cpu / amount * (1 if self.shape.is_bulk() else 1e6)
        sample["switches"] = switched / amount
        self.samples.append(sample)
        if "buckets" in result:
            self.histograms.append(result["buckets"])

    def miss(self, reason):
        self.samples.append({})
        self.failures.append(str(reason))

    def values(self, figure):
        return [sample.get(figure) for sample in self.samples]


class Quiet:
    """Keeps what others do on this machine out of the figures, as long as its patience lasts: a
    measurement waits until nobody else works, and is taken again if somebody did meanwhile."""

    MOST = 0.08  # Of all CPU time, for others.
    TRIES = 3

    def __init__(self, bench, patience):
        self.bench, self.left = bench, patience
        self.shares = []  # Of the CPU that others had during what was kept.

    def _own(self, pids):
        spent = os.times()
        return (spent.user + spent.system + spent.children_user + spent.children_system
                + cpu_seconds(self.bench.server_pid) + usage(pids)[0])

    def share_of_others(self, pids, during):
        """What `during` returned, and the share of all CPU time that others had meanwhile."""
        began, busy, own = time.monotonic(), machine_busy_seconds(), self._own(pids)
        returned = during()
        all_of_it = (time.monotonic() - began) * len(os.sched_getaffinity(0))
        others = machine_busy_seconds() - busy - (self._own(pids) - own)
        return returned, max(others, 0) / all_of_it

    def wait(self):
        while self.left > 0:
            began = time.monotonic()
            _, others = self.share_of_others((), lambda: time.sleep(0.1))
            if others < self.MOST:
                return
            self.left -= time.monotonic() - began

    def measure(self, pids, once):
        """The quietest of some tries."""
        best, least = None, None
        for _ in range(self.TRIES):
            self.wait()
            began = time.monotonic()
            result, others = self.share_of_others(pids, once)
            if least is None or others < least:
                best, least = result, others
            if others < self.MOST or self.left <= 0:
                break
            self.left -= time.monotonic() - began
        self.shares.append(least)
        return best


def measure_once(bench, measured, quick, quiet, say):
    shape, way = measured.shape, measured.way

    def once():
        before = usage(way.pids)
        result = bench.measure(shape.command(way.ports[shape.kind], quick))
        after = usage(way.pids)
        # Ends of many connections go on behind the client's back.
        time.sleep(0.3 if shape.idle and not quick else 0.02)
        return result, after[0] - before[0], after[1] - before[1]

    try:
        measured.add(*quiet.measure(way.pids, once))
    except Failed as reason:
        # A long run goes on without this figure; what only shows that all works ends here.
        if quick and way.name in (DIRECT, *OURS):
            raise
        say(f"{way.name}: {reason}")
        measured.miss(reason)


def run_rounds(bench, shapes, ways, rounds, quick, quiet, say):
    """Everything measured, as {shape key: {way name: Measured}}."""
    table = {shape.key: {way.name: Measured(shape, way) for way in ways_of(shape, ways)}
             for shape in shapes}
    began = time.monotonic()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}, {time.monotonic() - began:.0f} s so far")
        for shape in shapes:
            all_of = list(table[shape.key].values())
            # Who comes first changes with the round, so that no way always finds warm caches.
            turn = number % len(all_of)
            for measured in all_of[turn:] + all_of[:turn]:
                measure_once(bench, measured, quick, quiet, say)
    return table


def failures_of_ours(result):
    """What could not be measured directly or through the tunnel, in words."""
    return sorted({reason for shape in result["shapes"].values()
                   for figure in shape["figures"].values() for way in (DIRECT, *OURS)
                   for reason in figure["ways"].get(way, {}).get("failures", ())})


def row(measured, direct, figure):
    values = measured.values(figure)
    if not figures.known(values):
        return {"values": values, "failures": measured.failures}
    made = {"values": values, **figures.spread(figures.known(values))}
    if measured is not direct:
        made["ratio"] = figures.ratios(values, direct.values(figure))
    if measured.failures:
        made["failures"] = measured.failures
    return made


def summarise(table):
    """What goes into the JSON: by shape its figures, costs and percentiles, each by way."""
    shapes = {}
    for key, by_way in table.items():
        shape, direct = next(iter(by_way.values())).shape, by_way[DIRECT]
        made = {"title": shape.title, "kind": shape.kind, "figures": {}, "cost": {},
                "percentiles": {}}
        for figure in shape.figures:
            made["figures"][figure] = {
                "more_is_better": figure in MORE_IS_BETTER,
                "ways": {name: row(m, direct, figure) for name, m in by_way.items()}}
        for name, measured in by_way.items():
            cpu = figures.known(measured.values("cpu"))
            if measured.way.pids and cpu:
                made["cost"][name] = {
                    "cpu_s_per_gb" if shape.is_bulk() else "cpu_us_per_operation":
                        {"values": measured.values("cpu"), **figures.spread(cpu)},
                    "switches": figures.spread(figures.known(measured.values("switches")))}
            if measured.histograms:
                made["percentiles"][name] = figures.percentiles(
                    figures.merge(measured.histograms))
        shapes[key] = made
    return shapes
