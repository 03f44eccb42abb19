"""Both ends of WebSocket by the library `websockets`, which is not ours: its versions 10 to 15.

    websocket_peer.py serve                     prints `listening <port>`, later `closed <code> …`
    websocket_peer.py talk <port> <host>        speaks to a server; prints `ok`
    websocket_peer.py abandoned <port> <host>   prints `open`, then the code that a cut ends in

Paths: /echo sends each message back, /ping pings its client and says so, /close/<code> closes so,
/refuse is no WebSocket.
"""

import argparse
import asyncio
import contextlib
import http
import random
import sys

import websockets

SIZES = (0, 1, 125, 126, 65535, 65536, 1_000_000, 10_000_000)
LOOPBACK = "127.0.0.1"
OPTIONS = {"max_size": None, "ping_interval": None}


def path_of(connection):
    request = getattr(connection, "request", None)
    return request.path if request else connection.path


async def serve_one(connection):
    path = path_of(connection)
    if path.startswith("/close/"):
        await connection.close(int(path.rpartition("/")[2]), "as you wish")
    elif path == "/ping":
        await (await connection.ping(b"from the server"))
        await connection.send("pong came")
    else:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in connection:
                await connection.send(message)
    await connection.wait_closed()
    print(f"closed {connection.close_code} {connection.close_reason}", flush=True)


def refuse(first, second):
    """Both shapes of `process_request`: (path, headers), since 14 (connection, request)."""
    if isinstance(first, str):
        return (http.HTTPStatus.FORBIDDEN, [], b"not for you\n") if first == "/refuse" else None
    return first.respond(403, "not for you\n") if second.path == "/refuse" else None


async def process_request(first, second):
    return refuse(first, second)


async def serve():
    server = await websockets.serve(serve_one, LOOPBACK, 0, process_request=process_request,
                                    **OPTIONS)
    print(f"listening {next(iter(server.sockets)).getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


class Talk:
    def __init__(self, port, host):
        self.port, self.host = port, host

    def connect(self, path, **options):
        """The name in `host` need not resolve: it is only said. No proxy is asked."""
        if int(websockets.__version__.split(".", maxsplit=1)[0]) >= 15:
            options["proxy"] = None
        return websockets.connect(f"ws://{self.host}{path}", host=LOOPBACK, port=self.port,
                                  **OPTIONS, **options)

    async def sizes(self):
        for compression in ("deflate", None):
            async with self.connect("/echo", compression=compression) as connection:
                for size in SIZES:
                    for message in (random.randbytes(size), "ä" * (size // 2)):
                        await connection.send(message)
                        assert await connection.recv() == message, f"{size} bytes changed"

    async def both_ways(self):
        """Nobody waits for the other: all go out while the first come back."""
        messages = [random.randbytes(random.choice((10, 1000, 100_000))) for _ in range(300)]

        async def send_all(connection):
            for message in messages:
                await connection.send(message)

        async with self.connect("/echo", compression=None) as connection:
            sending = asyncio.create_task(send_all(connection))
            for number, message in enumerate(messages):
                assert await connection.recv() == message, f"message {number} changed"
            await sending

    async def pings(self):
        async with self.connect("/echo") as connection:
            await (await connection.ping(b"from the client"))
        async with self.connect("/ping") as connection:
            assert await connection.recv() == "pong came"

    async def closes(self):
        for code in (1000, 1011, 4321):
            async with self.connect(f"/close/{code}") as connection:
                await connection.wait_closed()
            got = (connection.close_code, connection.close_reason)
            assert got == (code, "as you wish"), f"{got} instead of {code}"
        async with self.connect("/echo") as connection:
            await connection.close(4999, "enough")

    async def refused(self):
        try:
            async with self.connect("/refuse"):
                raise AssertionError("a refused upgrade was taken for one")
        except websockets.InvalidHandshake as error:
            response = getattr(error, "response", None)
            status = response.status_code if response else error.status_code
            assert status == 403, f"{status} instead of 403"

    async def all(self):
        await self.sizes()
        await self.both_ways()
        await self.pings()
        await self.refused()
        await self.closes()
        print("ok", flush=True)

    async def abandoned(self):
        async with self.connect("/echo") as connection:
            await connection.send("here")
            assert await connection.recv() == "here"
            print("open", flush=True)
            await connection.wait_closed()
        print(f"ended {connection.close_code}", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", choices=("serve", "talk", "abandoned"))
    arguments.add_argument("port", nargs="?", type=int)
    arguments.add_argument("host", nargs="?")
    chosen = arguments.parse_args()
    if chosen.what == "serve":
        asyncio.run(serve())
    talk = Talk(chosen.port, chosen.host)
    asyncio.run(talk.all() if chosen.what == "talk" else talk.abandoned())


if __name__ == "__main__":
    sys.exit(main())
