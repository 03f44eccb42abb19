"""What the tests of HTTP share: one service exposed, and upstreams in this process."""

import asyncio
import hashlib
import json
import queue
import threading

import harness
import http_peers
import peers


class HttpScenario(harness.Scenario):
    def expose(self, target, *extra, relay=(), **options):
        """One service at a relay of its own."""
        self.relay_process = self.relay(*relay, http=True)
        return self.http(self.relay_process, target, *extra, **options)

    def site(self, *extra, **options):
        """http_peers.site, exposed."""
        port = self.serve("site", program="http_peers.py").port
        return self.expose(str(port), *extra, **options)

    def peer(self, respond):
        """An upstream that answers each request with `respond`."""
        return self.raw_peer(http_peers.answering(respond))

    def raw_peer(self, handler):
        """An upstream that has each connection to itself."""
        peer = peers.Peer(handler)
        self.stoppers.append(peer.stop)
        return peer

    def expose_peer(self, respond, *extra, **options):
        """Such an upstream, exposed; both."""
        peer = self.peer(respond)
        return peer, self.expose(str(peer.port), *extra, **options)

    def expose_raw(self, handler, *extra, **options):
        peer = self.raw_peer(handler)
        return peer, self.expose(str(peer.port), *extra, **options)


class Gate:
    """Lets what an upstream waits for happen when the test says so."""

    def __init__(self):
        self._tokens = queue.SimpleQueue()

    def open(self, times=1):
        for _ in range(times):
            self._tokens.put(None)

    async def passed(self):
        """Until it is open, once for each time it was opened."""
        while self._tokens.empty():
            await asyncio.sleep(0.002)
        self._tokens.get()


def together(*tasks, timeout=120.0):
    """Runs each in a thread of its own until all are done; fails with the first that failed."""
    failures = []

    def run(task):
        try:
            task()
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout * harness.PATIENCE)
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads):
        raise AssertionError(f"not within {timeout * harness.PATIENCE:g} s: all of {len(tasks)}")


def drained(received):
    """All that is in a queue now."""
    found = []
    while not received.empty():
        found.append(received.get())
    return found


async def mirror(request, writer, peer):
    """What came, as JSON: to the visitor and to `peer.received`."""
    body = await request.body()
    text = http_peers.mirror(request, hashlib.sha256(body).hexdigest(), len(body))
    peer.received.put(json.loads(text))
    writer.write(http_peers.whole(text))


def values(seen, name):
    """Every value of a field in what `mirror` saw."""
    return [v for n, v in seen["fields"] if n.lower() == name.lower()]
