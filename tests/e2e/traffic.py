"""Visitors in the background, each asking a `stream` peer, or http_peers.site, for bytes and
judging what came.

An exchange is `whole` (every byte right and then the end), `reset`, `refused` (no connection), or
it breaks a promise and stands in `wrong`: other bytes, a clean end too early, or no progress.
"""

import collections
import itertools
import random
import socket
import struct
import threading

import harness
import http_client
import peers


def ask(visitor, seed, length):
    visitor.sendall(struct.pack(">QQ", seed, length))


def serves(port):
    """Whether an exchange through `port` comes through whole right now; no error is one."""
    try:
        with harness.connect(port, 2.0) as visitor:
            ask(visitor, 1, 1)
            return harness.read_exactly(visitor, 1) == peers.small_pattern(1, 1)
    except OSError:
        return False


class Traffic:
    """Asks on and on until stopped; after a failed exchange a visitor rests for a moment."""

    seeds = itertools.count(1)

    def __init__(self, port, visitors=8, sizes=(0, 1000, 100_000, 2_000_000), patience=20.0):
        self.port, self.sizes, self.patience = port, sizes, patience
        self.counts, self.wrong = collections.Counter(), []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(visitors)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * self.patience * harness.PATIENCE)
            if thread.is_alive():
                self.wrong.append("a visitor hangs")

    def whole(self):
        return self.counts["whole"]

    def wait_whole(self, more, timeout=30.0):
        """Until `more` further exchanges have come through whole."""
        target = self.whole() + more
        harness.eventually(lambda: self.whole() >= target or self.wrong,
                           f"{more} whole exchanges more ({self.counts} so far)", timeout)

    def _visit(self):
        while not self._stop.is_set():
            seed, size = next(self.seeds), random.choice(self.sizes)
            try:
                outcome = self._exchange(seed, size)
            except ConnectionRefusedError:
                outcome = "refused"
            except (ConnectionResetError, BrokenPipeError):
                outcome = "reset"
            except TimeoutError:
                outcome = None
                self.wrong.append(f"exchange {seed} of {size} bytes: stuck for {self.patience} s")
            with self._lock:
                if outcome:
                    self.counts[outcome] += 1
            if outcome != "whole":
                self._stop.wait(0.05)

    def _exchange(self, seed, size):
        with harness.connect(self.port, self.patience) as visitor:
            ask(visitor, seed, size)
            visitor.shutdown(socket.SHUT_WR)
            place = 0
            for piece in itertools.chain(peers.pattern(seed, size, 4), [b""]):
                got = harness.read_exactly(visitor, len(piece) or 1)
                if got != piece:
                    what = "a clean end too early" if piece.startswith(got) else "other bytes"
                    self.wrong.append(f"exchange {seed} of {size} bytes: {what} after {place}")
                    return None
                place += len(piece)
        return "whole"


class HttpTraffic(Traffic):
    """The same by HTTP: GETs of every framing, and POSTs whose digest must come back.

    Connections are kept for several requests. What the relay says of a service that is away (502,
    503, 504) is `refused`, and a message that is visibly cut is `reset`; anything else that is not
    the whole answer is `wrong`.
    """

    AWAY = (502, 503, 504)

    def __init__(self, exposed, visitors=8, sizes=(0, 1000, 100_000, 2_000_000), patience=20.0,
                 away=AWAY):
        super().__init__(exposed.http_port, visitors, sizes, patience)
        self.away = away
        self.exposed, self._kept = exposed, threading.local()

    def _exchange(self, seed, size):
        visitor = getattr(self._kept, "visitor", None)
        self._kept.visitor = None
        if visitor is None:
            visitor = http_client.Visitor(self.exposed, self.patience)
        try:
            outcome, keeps = self._ask(visitor, seed, size)
        except http_client.Truncated:
            outcome, keeps = "reset", False
        except http_client.Malformed as error:
            self.wrong.append(f"exchange {seed} of {size} bytes: {error}")
            outcome, keeps = None, False
        except OSError:
            visitor.socket.close()
            raise
        if keeps and not self._stop.is_set():
            self._kept.visitor = visitor
        else:
            visitor.socket.close()
        return outcome

    def _ask(self, visitor, seed, size):
        if seed % 4 == 0:
            body = peers.small_pattern(seed, size)
            visitor.say("POST", f"/digest/{seed}", body=body if seed % 8 else (body,) * (size > 0))
            answer = visitor.read("POST")
            right = answer.body.decode("latin-1") == peers.pattern_digest(seed, size)
        else:
            framing = ("length", "chunked", "close")[seed % 3]
            answer = visitor.ask("GET", f"/pattern/{seed}/{size}/{framing}")
            right = answer.body == peers.small_pattern(seed, size)
        if answer.status in self.away:
            return "refused", answer.keeps
        if answer.status == 200 and right:
            return "whole", answer.keeps
        self.wrong.append(f"exchange {seed} of {size} bytes: other bytes, {len(answer.body)} of "
                          f"them in a {answer.status}")
        return None, False
