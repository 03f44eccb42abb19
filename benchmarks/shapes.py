"""The kinds of load. Each is measured directly and through every way that can carry it."""

import dataclasses

DIRECT, TUNNEL, WARM, SPINNING = "direct", "tunnel", "warm", "spinning"
# Ours, with settings for some shapes only.
SPECIAL = (WARM, SPINNING)
MORE_IS_BETTER = {"per_s", "gb_per_s"}
UNITS = {"per_s": "1/s", "gb_per_s": "GB/s", "p50_us": "p50 µs", "p99_us": "p99 µs",
         "p99_9_us": "p99.9 µs"}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One kind of load: what the client is told, and which of its figures count."""
    key: str
    title: str
    arguments: tuple   # Of `load`, but for port and duration.
    figures: tuple
    kind: str = "tcp"  # Which of a way's ports: tcp or http.
    peers: bool = True      # Measured through peers too.
    also: tuple = ()        # Of SPECIAL.
    seconds: float = 0.5    # For one measurement.
    idle: int = 0           # Connections that only stand there.

    def command(self, port, quick):
        """Arguments of the load generator. `quick` shows only that it works."""
        words = [*self.arguments, "--port", str(port)]
        if self.kind == "http":
            words += ["--kind", "http"]
        if self.idle:
            words += ["--idle", str(min(self.idle, 200) if quick else self.idle)]
        seconds = 0.04 if quick else self.seconds
        return [*words, "--duration-us", str(int(seconds * 1e6))]

    def is_bulk(self):
        return self.arguments[0] == "bulk"


def _ask(*arguments):
    return ("ask", *map(str, arguments))


def _ping_pong():
    for size, name in ((64, "64 B"), (1024, "1 KiB"), (16384, "16 KiB")):
        yield Shape(f"ping-pong-{size}", f"ping-pong {name}, 1 stream", _ask("--size", size),
                    ("p50_us", "p99_us"), peers=size != 1024, also=(SPINNING,))
    for size, name in ((64, "64 B"), (1024, "1 KiB"), (16384, "16 KiB")):
        yield Shape(f"ping-pong-{size}-x64", f"ping-pong {name}, 64 streams",
                    _ask("--size", size, "--streams", 64), ("per_s", "p99_us"), peers=size == 64)


def _bulk():
    for direction, flags in (("down", ()), ("up", ("--up",))):
        for streams in (1, 8, 64):
            yield Shape(f"bulk-{direction}-x{streams}",
                        f"bulk {direction}, {streams} stream{'s' * (streams > 1)}",
                        ("bulk", "--streams", str(streams), *flags), ("gb_per_s",),
                        peers=direction == "down")


def _connections():
    yield Shape("connect-alone", "new connections, one after another",
                _ask("--connect", "--size", 1), ("p50_us", "p99_us"), also=(WARM,))
    yield Shape("connect-paced", "new connection every 2 ms",
                _ask("--connect", "--size", 1, "--rate", 500), ("p50_us", "p99_us"), also=(WARM,))
    yield Shape("connect-x16", "new connections at 16",
                _ask("--connect", "--streams", 16), ("per_s", "p99_us"), also=(WARM,))


def _http():
    yield Shape("http-alone", "http keep-alive at 1", _ask("--size", 128), ("p50_us", "p99_us"),
                "http", also=(SPINNING,))
    yield Shape("http-x64", "http keep-alive at 64", _ask("--size", 128, "--streams", 64),
                ("per_s", "p99_us"), "http")
    yield Shape("http-connect-x16", "http, connection per request at 16",
                _ask("--size", 128, "--streams", 16, "--connect"), ("per_s", "p99_us"), "http")
    yield Shape("http-paced", "http keep-alive at 16, 3000 requests/s",
                _ask("--size", 128, "--streams", 16, "--rate", 3000),
                ("p50_us", "p99_us", "p99_9_us"), "http")


def _crowds():
    yield Shape("idle-1000", "1000 idle + 10 active, 64 B",
                _ask("--size", 64, "--streams", 10), ("p99_us", "p50_us"), idle=1000)
    yield Shape("idle-9000", "9000 idle + 100 active, 64 B",
                _ask("--size", 64, "--streams", 100), ("p99_us", "p50_us"), idle=9000, peers=False)
    for streams in GROWTH:
        yield Shape(f"growth-{streams}", f"growth: {streams} stream{'s' * (streams > 1)} x 64 B",
                    _ask("--size", 64, "--streams", streams), ("per_s",), peers=False,
                    seconds=0.3)


GROWTH = (1, 4, 16, 64, 256, 1024)
SHAPES = (*_ping_pong(), *_bulk(), *_connections(), *_http(), *_crowds())
BY_KEY = {shape.key: shape for shape in SHAPES}
