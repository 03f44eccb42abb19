"""HTTP upstreams of the tests, and the bridge to git.

In a test:      with peers.Peer(http_peers.answering(respond)) as peer: peer.port, peer.received
By themselves:  python3 http_peers.py site --port 0      prints `listening <port>`

A `respond(request, writer, peer)` coroutine answers one request; the connection goes on with the
next unless it returns False or the request said `Connection: close`.
"""

import argparse
import asyncio
import contextlib
import functools
import hashlib
import http.server
import json
import os
import pathlib
import socketserver
import threading
import urllib.parse

import peers

LOOPBACK = "127.0.0.1"


class Request:
    """What came: fields as (name, value) pairs in order; the body is read by whoever wants it."""

    def __init__(self, head, reader):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [(n, v.strip()) for n, _, v in (l.partition(":") for l in lines[1:] if l)]
        self.trailers, self._reader, self._rest = [], reader, self._pieces()
        self.expects = "100-continue" in self["expect"].lower()

    def __getitem__(self, name):
        """Its values joined by commas, "" without."""
        return ", ".join(v for n, v in self.fields if n.lower() == name.lower())

    @property
    def closes(self):
        options = self["connection"].lower()
        return "close" in options or self.version == "HTTP/1.0"

    @property
    def has_body(self):
        return bool(self["transfer-encoding"]) or self["content-length"] not in ("", "0")

    async def _pieces(self):
        if self["transfer-encoding"]:
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                async for piece in self._raw(size):
                    yield piece
                assert await self._reader.readexactly(2) == b"\r\n"
            while line := (await self._reader.readuntil(b"\r\n"))[:-2].decode("latin-1"):
                name, _, value = line.partition(":")
                self.trailers.append((name, value.strip()))
        else:
            async for piece in self._raw(int(self["content-length"] or 0)):
                yield piece

    async def _raw(self, left):
        while left:
            piece = await self._reader.read(min(left, 1 << 20))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece

    def pieces(self):
        """The body as it comes; once more what is left of it."""
        return self._rest

    async def body(self):
        return b"".join([p async for p in self._rest])

    async def digest(self):
        """SHA-256 and length of the body."""
        whole, length = hashlib.sha256(), 0
        async for piece in self._rest:
            whole.update(piece)
            length += len(piece)
        return whole.hexdigest(), length


async def read_request(reader):
    """The next request; None at a clean end before it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    return Request(head[:-4], reader)


def head(status=200, fields=(), reason="Whatever"):
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{n}: {v}" for n, v in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def whole(body=b"", status=200, fields=()):
    """A whole answer with a length."""
    return head(status, [*fields, ("Content-Length", len(body))]) + body


def chunk(piece, trailers=b""):
    return b"%x\r\n%s%s\r\n" % (len(piece), piece, trailers)


def answering(respond):
    """What a Peer does with a connection: one request after another."""
    async def serve(reader, writer, peer=None):
        while request := await read_request(reader):
            goes_on = await respond(request, writer, peer)
            await writer.drain()
            if goes_on is False or request.closes:
                break
            async for _ in request.pieces():
                pass
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()
    return serve


async def send(writer, pieces, framing, length, fields=()):
    """An answer of `length` bytes in `pieces`, framed as asked."""
    framed = {"length": [("Content-Length", length)], "chunked": [("Transfer-Encoding", "chunked")],
              "close": [("Connection", "close")]}[framing]
    writer.write(head(fields=[*fields, *framed]))
    for piece in pieces:
        writer.write(chunk(piece) if framing == "chunked" else piece)
        await writer.drain()
    if framing == "chunked":
        writer.write(chunk(b""))
    return framing != "close"


# -- a site for every tool: one handler, chosen by the path ----------------------------------------

async def site(request, writer, peer=None):
    """/pattern/<seed>/<length>[/<framing>]  the pattern of peers.py
    /digest    SHA-256 of the body       /mirror    what came, as JSON
    /echo      the body, as it comes     /refuse    413 before any of it
    /status/<code>, /empty"""
    path = request.target.partition("?")[0].strip("/").split("/")
    if path[0] == "pattern":
        seed, length = int(path[1]), int(path[2])
        pieces = () if request.method == "HEAD" else peers.pattern(seed, length)
        if request.method == "HEAD":
            writer.write(head(fields=[("Content-Length", length)]))
            return True
        framing = path[3] if len(path) > 3 else "length"
        if framing == "chunked" and request.version == "HTTP/1.0":
            framing = "close"
        return await send(writer, pieces, framing, length)
    if path[0] == "refuse":
        writer.write(whole(b"too much\n", 413, [("Connection", "close")]))
        return False
    if request.expects:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if path[0] == "echo":
        return await send(writer, (), "length", 0) if not request.has_body else await _echo(
            request, writer)
    if path[0] == "status":
        await request.body()
        status = int(path[1])
        writer.write(head(status) if status in (204, 304) else whole(b"as you wish\n", status))
        return True
    digest, length = await request.digest()
    if path[0] == "digest":
        writer.write(whole(digest.encode()))
    elif path[0] == "mirror":
        writer.write(whole(mirror(request, digest, length)))
    else:
        writer.write(whole(b"hello\n"))
    return True


async def _echo(request, writer):
    writer.write(head(fields=[("Transfer-Encoding", "chunked")]))
    async for piece in request.pieces():
        writer.write(chunk(piece))
        await writer.drain()
    writer.write(chunk(b""))
    return True


def mirror(request, digest="", length=0):
    return json.dumps({"method": request.method, "target": request.target,
                       "fields": request.fields, "trailers": request.trailers,
                       "sha256": digest, "length": length}).encode()


# -- git over http: CGI (RFC 3875) with bodies of any framing and length, both ways ----------------

async def git(request, writer, peer=None, root="."):
    """Hands the request to `git http-backend`, as it comes, and its output to the visitor."""
    path, _, query = request.target.partition("?")
    environment = {
        "PATH": os.environ["PATH"], "HOME": root, "GIT_PROJECT_ROOT": root,
        "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": request.method,
        "PATH_INFO": urllib.parse.unquote(path), "QUERY_STRING": query, "REMOTE_USER": "visitor",
        "CONTENT_TYPE": request["content-type"], "SERVER_PROTOCOL": request.version,
        "HTTP_CONTENT_ENCODING": request["content-encoding"],
        "HTTP_GIT_PROTOCOL": request["git-protocol"], "GIT_PROTOCOL": request["git-protocol"]}
    if request["content-length"]:
        environment["CONTENT_LENGTH"] = request["content-length"]
    if request.expects:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    backend = await asyncio.create_subprocess_exec(
        "git", "http-backend", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=environment)
    feeding = asyncio.create_task(_feed(request, backend.stdin))
    fields = []
    while line := (await backend.stdout.readline()).strip().decode():
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    status = next((v.split()[0] for n, v in fields if n.lower() == "status"), 200)
    fields = [(n, v) for n, v in fields if n.lower() not in ("status", "content-length")]
    writer.write(head(status, [*fields, ("Transfer-Encoding", "chunked")]))
    while piece := await backend.stdout.read(1 << 16):
        writer.write(chunk(piece))
        await writer.drain()
    await feeding
    if await backend.wait() != 0:
        return False  # Without the last chunk: nobody takes this for whole.
    writer.write(chunk(b""))
    return True


async def _feed(request, pipe):
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        async for piece in request.pieces():
            pipe.write(piece)
            await pipe.drain()
    pipe.close()


# -- the servers of Python's own library -----------------------------------------------------------

class Plain(http.server.BaseHTTPRequestHandler):
    """Keep-alive as HTTP/1.1 has it. GET says which connection it came by, POST what came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(f"{self.path} of {self.client_address[1]}\n".encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(hashlib.sha256(body).hexdigest().encode())

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class OneAtATime(socketserver.TCPServer):
    """A single worker: it takes the next connection when it is done with one."""

    allow_reuse_address, request_queue_size = True, 1024


class ManyAtATime(socketserver.ThreadingTCPServer):
    allow_reuse_address, request_queue_size, daemon_threads = True, 1024, True


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("handler", choices=("site", "git", "single", "threads"))
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--idle", type=float, help="threads: seconds to the next request")
    arguments.add_argument("--root", type=pathlib.Path, help="git: the folder of the repositories")
    chosen = arguments.parse_args()
    if chosen.handler in ("single", "threads"):
        kind = OneAtATime if chosen.handler == "single" else ManyAtATime
        Plain.timeout = chosen.idle
        server = kind((LOOPBACK, chosen.port), Plain)
        print(f"listening {server.server_address[1]}", flush=True)
        server.serve_forever()
    respond = site if chosen.handler == "site" else functools.partial(git, root=str(chosen.root))
    peer = peers.Peer(answering(respond), chosen.port)
    print(f"listening {peer.port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
