"""HTTP upstreams that do what no pool may suffer from, fast enough for a million requests.

    python3 hostile_upstream.py hostile [--port 0]
        answers /<behaviour>/<tag> in the way of that name; what is meant for the request has its
        tag, as a field and as the body, and everything else says `evil`
    python3 hostile_upstream.py impatient [--port 0] [--idle 0.02]
        closes each connection that was idle so long, whatever may be on its way; GET /executed
        says how many POSTs were executed, and how many of them more than once
    python3 hostile_upstream.py counting [--port 0]
        prints `accepted <seconds of CLOCK_MONOTONIC>` for each connection

Prints `began <seconds>` and `listening <port>`.
"""

import argparse
import asyncio
import collections
import json
import socket
import struct
import time

LOOPBACK = "127.0.0.1"


def head(tag, *lines, status="200 OK", version="1.1"):
    return "\r\n".join([f"HTTP/{version} {status}", f"X-Tag: {tag}", *lines, "", ""]).encode()


def whole(tag, body=None):
    body = tag if body is None else body
    return head(tag, f"Content-Length: {len(body)}") + body.encode()


def chunked(tag, *, extension="", trailer=""):
    return (head(tag, "Transfer-Encoding: chunked")
            + f"{len(tag):x}{extension}\r\n{tag}\r\n0\r\n{trailer}\r\n".encode())


EVIL = whole("evil")
CODED, TWO = "Transfer-Encoding: chunked", "Content-Length: 4"

# What is said to a tag, and how it ends. All of it goes out in one piece: bytes that come when the
# next request has already begun are an answer to that one, for all that anybody can tell.
BEHAVIOURS = {
    "plain": lambda t: (whole(t), "keep"),
    "chunked": lambda t: (chunked(t), "keep"),
    "trailers": lambda t: (chunked(t, trailer="X-More: 1\r\n"), "keep"),
    "until-close": lambda t: (head(t, "Connection: close") + t.encode(), "end"),
    "http-1.0": lambda t: (head(t, version="1.0") + t.encode(), "end"),
    "continue": lambda t: (b"HTTP/1.1 100 Continue\r\n\r\n" + whole(t), "keep"),
    "hints": lambda t: (head(t, status="103 Early Hints") * 2 + whole(t), "keep"),
    "extra": lambda t: (whole(t) + EVIL, "keep"),
    "extra-after-chunks": lambda t: (chunked(t) + EVIL, "keep"),
    "extra-half": lambda t: (whole(t) + EVIL[:17], "keep"),
    "extra-line": lambda t: (whole(t) + b"\r\n", "keep"),
    "longer-than-said": lambda t: (whole(t) + b"evil" * 50, "keep"),
    "204-with-a-body": lambda t: (head(t, status="204 No Content") + EVIL, "keep"),
    "304-with-a-body": lambda t: (head(t, TWO, status="304 Not Modified") + EVIL, "keep"),
    "shorter-than-said": lambda t: (whole(t)[:-1], "end"),
    "cut-in-a-chunk": lambda t: (chunked(t)[:-7], "end"),
    "both-framings": lambda t: (head(t, TWO, CODED) + b"0\r\n\r\n" + EVIL, "keep"),
    "two-lengths": lambda t: (head(t, TWO, "Content-Length: 8") + b"evilevil", "keep"),
    "bad-chunk": lambda t: (head(t, CODED) + b"zz\r\nevil\r\n0\r\n\r\n", "keep"),
    "bare-line-feeds": lambda t: (whole(t).replace(b"\r\n", b"\n") + EVIL, "keep"),
    "half-a-head": lambda t: (whole(t)[:25], "end"),
    "nothing": lambda t: (b"", "end"),
    "reset": lambda t: (b"", "reset"),
    "late": lambda t: (head("late", "Connection: close", "Content-Length: 0",
                            status="408 Request Timeout"), "end"),
    "end-after": lambda t: (whole(t), "end"),
    "reset-after": lambda t: (whole(t), "reset"),
}


class Requests(asyncio.Protocol):
    """One request after another: `asked(method, target, body)`."""

    def __init__(self, shared):
        self.shared, self.data, self.transport = shared, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0 and not self.transport.is_closing():
            lines = self.data[:end].decode("latin-1").split("\r\n")
            length = next((int(line[15:]) for line in lines[1:]
                           if line[:15].lower() == "content-length:"), 0)
            if len(self.data) < end + 4 + length:
                return
            body, self.data = self.data[end + 4:end + 4 + length], self.data[end + 4 + length:]
            method, target, _ = lines[0].split(" ")
            self.asked(method, target, body)

    def reset(self):
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.close()


class Hostile(Requests):
    def asked(self, method, target, body):
        _, behaviour, tag = target.split("/")
        said, how = BEHAVIOURS[behaviour](tag)
        self.transport.write(said)
        if how == "end":
            self.transport.close()
        elif how == "reset":
            self.reset()


class Impatient(Requests):
    timer = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self.wait()

    def connection_lost(self, _):
        self.timer.cancel()

    def wait(self):
        self.timer = asyncio.get_running_loop().call_later(self.shared.idle, self.transport.close)

    def asked(self, method, target, body):
        self.timer.cancel()
        if target == "/executed":
            times = self.shared.executed.values()
            said = json.dumps({"posts": len(times), "twice": sum(n > 1 for n in times)})
            self.transport.write(whole("executed", said))
        else:
            if method == "POST":
                self.shared.executed[target] += 1
            self.transport.write(whole(target.strip("/")))
        self.wait()


class Counting(Requests):
    def connection_made(self, transport):
        super().connection_made(transport)
        print(f"accepted {time.monotonic():.6f}", flush=True)

    def asked(self, method, target, body):
        self.transport.write(whole(target.strip("/")))


async def serve(chosen):
    chosen.executed = collections.Counter()
    kind = {"hostile": Hostile, "impatient": Impatient, "counting": Counting}[chosen.kind]
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(chosen), LOOPBACK, chosen.port, backlog=1024)
    print(f"began {time.monotonic():.6f}", flush=True)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("kind", choices=("hostile", "impatient", "counting"))
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--idle", type=float, default=0.02)
    asyncio.run(serve(arguments.parse_args()))


if __name__ == "__main__":
    main()
