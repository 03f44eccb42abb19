"""The ratios that this project wants to reach, and whether a result reaches them."""

import dataclasses

import figures
from shapes import DIRECT, SPECIAL, SPINNING, TUNNEL

OURS = (DIRECT, TUNNEL, *SPECIAL)


@dataclasses.dataclass(frozen=True)
class Target:
    title: str
    least: float      # To be reached.
    stretch: float
    measure: object   # From a result to a spread, or None where the result cannot tell.
    at_most: bool = False

    def verdict(self, value):
        if value is None:
            return "not measured"
        reach = [value["median"] <= bound if self.at_most else value["median"] >= bound
                 for bound in (self.least, self.stretch)]
        return "reached, stretch too" if reach[1] else "reached" if reach[0] else "missed"


def figure_of(result, shape, figure, way):
    shape = result["shapes"].get(shape)
    row = shape["figures"].get(figure, {"ways": {}})["ways"].get(way) if shape else None
    return row if row and "median" in row else None


def against(shape, figure, other=DIRECT, way=TUNNEL):
    """Ours over another way's, within each round."""
    def measure(result):
        ours, theirs = (figure_of(result, shape, figure, w) for w in (way, other))
        return figures.ratios(ours["values"], theirs["values"]) if ours and theirs else None
    return measure


def peers_of(result):
    return [name for name in result["ways"] if name not in OURS]


def against_best_peer(shape, figure):
    """Ours over that of the peer with the best median."""
    def measure(result):
        rows = {name: figure_of(result, shape, figure, name) for name in peers_of(result)}
        rows = {name: row for name, row in rows.items() if row}
        if not rows:
            return None
        best = max(rows, key=lambda name: rows[name]["median"])
        found = against(shape, figure, best)(result)
        return found and found | {"note": best}
    return measure


def cost_against_best_peer(shape):
    def measure(result):
        costs = {name: cost["cpu_s_per_gb"] for name, cost
                 in result["shapes"].get(shape, {"cost": {}})["cost"].items()}
        peers = {name: cost for name, cost in costs.items() if name not in OURS}
        if not peers or TUNNEL not in costs:
            return None
        best = min(peers, key=lambda name: peers[name]["median"])
        found = figures.ratios(costs[TUNNEL]["values"], peers[best]["values"])
        return found and found | {"note": best}
    return measure


def memory(what):
    def measure(result):
        found = [m for m in result["memory"].get(TUNNEL, ()) if m["kind"] == "tcp"]
        value = found and (found[0]["start"]["pss"] if what == "start" else found[0]["kb_per_idle"])
        return figures.spread([value]) if found else None
    return measure


TARGETS = (
    *(Target(f"bulk down, {n} stream{'s' * (n > 1)}, × direct", least, stretch,
             against(f"bulk-down-x{n}", "gb_per_s"))
      for n, least, stretch in ((1, 0.9, 1.0), (8, 0.6, 0.85), (64, 0.33, 0.5))),
    *(Target(f"bulk down, {n} stream{'s' * (n > 1)}, × the best peer", 1.6, 2.5,
             against_best_peer(f"bulk-down-x{n}", "gb_per_s")) for n in (1, 8, 64)),
    Target("CPU per GB, bulk down at 8, × the best peer", 0.45, 0.25,
           cost_against_best_peer("bulk-down-x8"), at_most=True),
    Target("ping-pong 64 B, 1 stream, p50, × direct", 1.3, 1.0,
           against("ping-pong-64", "p50_us"), at_most=True),
    Target("ping-pong 64 B, 1 stream, p50, × direct, spinning", 0.75, 0.6,
           against("ping-pong-64", "p50_us", way=SPINNING), at_most=True),
    Target("ping-pong 64 B, 64 streams, operations, × rathole", 1.6, 2,
           against("ping-pong-64-x64", "per_s", "rathole")),
    *(Target(f"new connection {how}, first byte {name}, × rathole", 0.6, 0.4,
             against(shape, figure, "rathole"), at_most=True)
      for shape, how in (("connect-alone", "after another"), ("connect-paced", "every 2 ms"))
      for figure, name in (("p50_us", "p50"), ("p99_us", "p99"))),
    Target("new connections at 16, × direct", 0.85, 1.0, against("connect-x16", "per_s")),
    Target("new connections at 16, × rathole", 1.8, 2.2,
           against("connect-x16", "per_s", "rathole")),
    Target("http keep-alive at 64, requests, × rathole", 1.5, 2,
           against("http-x64", "per_s", "rathole")),
    Target("http, connection per request at 16, × direct", 0.6, 0.75,
           against("http-connect-x16", "per_s")),
    Target("http, connection per request at 16, × haproxy→haproxy", 1.0, 1.25,
           against("http-connect-x16", "per_s", "haproxy")),
    Target("1000 idle + 10 active, p99, × direct", 2.5, 1.5, against("idle-1000", "p99_us"),
           at_most=True),
    Target("memory (PSS) at start, MB", 15, 8, memory("start"), at_most=True),
    Target("memory (PSS) for each idle connection, KB", 4, 2, memory("idle"), at_most=True),
)


def judge(result):
    """(target, value, verdict) of each."""
    for target in TARGETS:
        value = target.measure(result)
        yield target, value, target.verdict(value)
