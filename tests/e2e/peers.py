"""Upstreams of the tests: small asyncio servers that say, for every connection, how it ended.

In a test:      with peers.Peer(peers.echo) as peer: peer.port, peer.ends
By themselves:  python3 peers.py echo --port 0      prints `listening <port>`
"""

import argparse
import asyncio
import contextlib
import functools
import hashlib
import queue
import random
import socket
import struct
import threading

BLOCK = 1 << 16
LOOPBACK = "127.0.0.1"


@functools.cache
def _body(kind):
    return random.Random(kind).randbytes(BLOCK - 16)


def pattern(seed, length, step=16):
    """`length` bytes that tell their stream and place, so that no crossed, lost or repeated block
    can pass for another; in pieces of up to `step` blocks."""
    body, block = _body(seed % 8), 0
    while length > 0:
        piece = b"".join(struct.pack(">QQ", seed, b) + body for b in range(block, block + step))
        yield piece if length >= len(piece) else piece[:length]
        length -= min(length, len(piece))
        block += step


def pattern_digest(seed, length):
    digest = hashlib.sha256()
    for piece in pattern(seed, length):
        digest.update(piece)
    return digest.hexdigest()


def small_pattern(seed, length):
    """The same bytes at once."""
    return b"".join(pattern(seed, length, 1))


# -- what a peer does with one connection; `peer` is the Peer it belongs to, or None ---------------

async def echo(reader, writer, peer=None):
    """Every byte back, then the end back."""
    while data := await reader.read(BLOCK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def stream(reader, writer, peer=None):
    """For each request (seed, length: two u64) that many bytes of the pattern, until the end."""
    while len(request := await _exactly(reader, 16)) == 16:
        seed, length = struct.unpack(">QQ", request)
        for piece in pattern(seed, length, 4):
            writer.write(piece)
            await writer.drain()
    writer.write_eof()


async def digest(reader, writer, peer=None):
    """Reads to the end, and only then answers `<sha256> <length>`."""
    whole, length = hashlib.sha256(), 0
    while data := await reader.read(1 << 20):
        whole.update(data)
        length += len(data)
    writer.write(f"{whole.hexdigest()} {length}\n".encode())
    writer.write_eof()


async def silent(reader, writer, peer=None):
    """Takes everything and never answers."""
    while await reader.read(BLOCK):
        pass


async def reset(reader, writer, peer=None):
    """A reset instead of an answer to the first bytes."""
    await reader.read(1)
    writer.transport.abort()


async def banner(reader, writer, peer=None):
    """Speaks first, then echoes."""
    writer.write(b"220 ready\r\n")
    await echo(reader, writer)


async def farewell(reader, writer, peer=None):
    """Ends its own direction first and then takes what still comes."""
    writer.write(b"this was all\n")
    writer.write_eof()
    data = await reader.read()
    if peer:
        peer.received.put(data)


async def query(reader, writer, peer=None):
    """Like a database: a greeting for a greeting, then rows for each query, one at a time.

    Messages are a type byte, a u32 length and a body; a query names how many rows of what size.
    """
    kind, body = await _message(reader)
    if kind != b"S":
        return
    writer.write(_packed(b"R", b"ready " + body))
    while (message := await _message(reader))[0] == b"Q":
        rows, size = struct.unpack(">II", message[1])
        for row in range(rows):
            writer.write(_packed(b"D", small_pattern(row, size)))
        writer.write(_packed(b"C", struct.pack(">I", rows)))
        await writer.drain()


async def http(reader, writer, peer=None):
    """GET /<seed>/<length> answers with the pattern, PUT with the SHA-256 of what it got."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, path, _ = head.split("\r\n")[0].split(" ")
    fields = {k.strip().lower(): v.strip() for k, _, v in
              (line.partition(":") for line in head.split("\r\n")[1:] if line)}
    if method == "GET":
        seed, length = map(int, path.strip("/").split("/"))
        writer.write(_http_head(length))
        for piece in pattern(seed, length):
            writer.write(piece)
            await writer.drain()
    else:
        if "expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        whole = hashlib.sha256()
        async for part in _http_body(reader, fields):
            whole.update(part)
        answer = whole.hexdigest().encode()
        writer.write(_http_head(len(answer)) + answer)
    writer.write_eof()


async def _http_body(reader, fields):
    if "content-length" in fields:
        sizes = [int(fields["content-length"])]
    else:
        sizes = None
    while True:
        left = sizes.pop() if sizes else int(await reader.readline(), 16) if sizes is None else 0
        if left == 0:
            return
        while left:
            part = await reader.read(min(left, 1 << 20))
            if not part:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(part)
            yield part
        if sizes is None:
            await reader.readline()


def _http_head(length):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()


def _packed(kind, body):
    return kind + struct.pack(">I", len(body)) + body


async def _message(reader):
    head = await _exactly(reader, 5)
    if len(head) < 5:
        return b"", b""
    return head[:1], await _exactly(reader, struct.unpack(">I", head[1:])[0])


async def _exactly(reader, count):
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError as cut:
        return cut.partial


def _linger_reset(connection):
    """From here on a close, and a kill -9, sends a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# -- the server around it --------------------------------------------------------------------------

class Peer:
    """A server in a thread. `ends` gets, for each connection: "clean" (the handler came to its end)
    or "reset"; `received` what a handler puts there; `.port` is where it listens; `accepted` and
    `open` count connections, those ever taken and those of now."""

    def __init__(self, handler, port=0):
        self.handler = handler
        self.ends, self.received = queue.SimpleQueue(), queue.SimpleQueue()
        self.accepted = self.open = 0
        self._listener = socket.create_server((LOOPBACK, port), backlog=4096)
        # Inherited by what it accepts: killed at any moment, this peer sends a reset, never an end.
        _linger_reset(self._listener)
        # Inherited as well; asyncio sets it only where the protocol number is not 0.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops listening and resets what is open."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stopping, self._open_tasks = asyncio.Event(), set()
        server = await asyncio.start_server(self._connection, sock=self._listener, limit=1 << 20)
        self._started.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._open_tasks):
            task.cancel()
        await asyncio.gather(*self._open_tasks, return_exceptions=True)

    async def _connection(self, reader, writer):
        task = asyncio.current_task()
        self._open_tasks.add(task)
        self.accepted += 1
        self.open += 1
        try:
            await self.handler(reader, writer, self)
            await writer.drain()
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            self.ends.put("clean")
        except (OSError, asyncio.IncompleteReadError) as error:
            self.ends.put("reset" if isinstance(error, OSError) else "cut")
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open -= 1
            self._open_tasks.discard(task)
            writer.close()


def main():
    handlers = {f.__name__: f for f in
                (echo, stream, digest, silent, reset, banner, farewell, query, http)}
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("handler", choices=handlers)
    arguments.add_argument("--port", type=int, default=0)
    chosen = arguments.parse_args()
    peer = Peer(handlers[chosen.handler], chosen.port)
    print(f"listening {peer.port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
