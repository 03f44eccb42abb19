"""A visitor that speaks HTTP/1.1 byte by byte and believes nothing.

Requests are bytes of the test's own choice. Answers are read strictly: what RFC 9112 forbids a
sender is `Malformed`, a clean end inside a message is `Truncated`, and a reset stays
ConnectionResetError, so that no test can take one for another.
"""

import contextlib
import re
import socket
import struct

import harness

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff]"
                        rb"(?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
MAX_LINE = 1 << 16


class Malformed(Exception):
    """Bytes that no HTTP/1.1 sender may send."""


class Truncated(Exception):
    """A clean end where a message was not over."""


class Fields(list):
    """(name, value) pairs in order."""

    def every(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def one(self, name):
        """Its value, None without; a repeated field fails."""
        found = self.every(name)
        if len(found) > 1:
            raise Malformed(f"{name} {len(found)} times: {found}")
        return found[0] if found else None


class Answer:
    """A response: what its head said and, once it is read, its body."""

    def __init__(self, status, reason, fields):
        self.status, self.reason, self.fields = status, reason, fields
        self.framing, self.length = None, None  # "none", "length", "chunked" or "close".
        self.body, self.trailers, self.interim = b"", Fields(), []

    def __repr__(self):
        return f"<{self.status} {self.reason} {list(self.fields)} {self.body[:300]!r}>"

    def __getitem__(self, name):
        return self.fields.one(name)

    @property
    def keeps(self):
        """Whether the connection may carry another request."""
        options = ",".join(self.fields.every("connection")).lower()
        return self.framing != "close" and "close" not in [o.strip() for o in options.split(",")]


class Reader:
    """Answers out of `more()`, which gives the next bytes and b"" at the end."""

    def __init__(self, more):
        self._more, self.left = more, b""

    def _fill(self, inside):
        data = self._more()
        if not data:
            raise Truncated(inside)
        self.left += data

    def _line(self, inside):
        while (at := self.left.find(b"\n")) < 0:
            if len(self.left) > MAX_LINE:
                raise Malformed(f"a line without an end in {inside}")
            self._fill(inside)
        line, self.left = self.left[:at + 1], self.left[at + 1:]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Malformed(f"a line that does not end in CR LF: {line!r}")
        return line[:-2]

    def _fields(self, inside):
        fields = Fields()
        while line := self._line(inside):
            match = FIELD_LINE.fullmatch(line)
            if not match:
                raise Malformed(f"no field in {inside}: {line!r}")
            fields.append((match[1].decode(), match[2].decode("latin-1")))
        return fields

    def ended(self):
        """Whether a clean end comes here; other bytes are an error."""
        if not self.left:
            self.left = self._more()
        if self.left:
            raise Malformed(f"bytes after the last message: {self.left[:200]!r}")
        return True

    def head(self, method="GET", version="1.1"):
        """The next final answer's head; interim ones before it are in its `interim`."""
        interim = []
        while True:
            line = self._line("a status line")
            match = STATUS_LINE.fullmatch(line)
            if not match:
                raise Malformed(f"no status line: {line!r}")
            answer = Answer(int(match[1]), match[2].decode("latin-1"), self._fields("a head"))
            self._frame(answer, method, version)
            if answer.status >= 200 or answer.status == 101:
                answer.interim = interim
                return answer
            if version == "1.0":
                raise Malformed("an interim answer to HTTP/1.0")
            interim.append(answer)

    @staticmethod
    def _frame(answer, method, version):
        length = answer["content-length"]
        coding = answer["transfer-encoding"]
        if length is not None and not re.fullmatch("[0-9]+", length):
            raise Malformed(f"Content-Length: {length}")
        if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
            raise Malformed(f"Transfer-Encoding: {coding} to HTTP/{version}")
        if coding is not None and length is not None:
            raise Malformed("Content-Length beside Transfer-Encoding")
        bodiless = answer.status < 200 or answer.status == 204
        if bodiless and (length, coding) != (None, None):
            raise Malformed(f"a body's framing in a {answer.status}")
        if bodiless or method == "HEAD" or answer.status == 304:
            answer.framing, answer.length = "none", 0
        elif coding is not None:
            answer.framing = "chunked"
        elif length is not None:
            answer.framing, answer.length = "length", int(length)
        else:
            answer.framing = "close"

    def pieces(self, answer):
        """The body, as it comes; trailers are in `answer` afterwards."""
        if answer.framing == "chunked":
            while True:
                line = self._line("a chunk's size")
                if not CHUNK_SIZE.fullmatch(line):
                    raise Malformed(f"no chunk size: {line!r}")
                if not int(line, 16):
                    break
                yield from self._raw(int(line, 16))
                if self._line("a chunk") != b"":
                    raise Malformed("bytes after a chunk")
            answer.trailers = self._fields("trailers")
        elif answer.framing == "length":
            yield from self._raw(answer.length)
        elif answer.framing == "close":
            while data := self.left or self._more():
                self.left = b""
                yield data

    def _raw(self, length):
        while length:
            if not self.left:
                self._fill("a body")
            piece, self.left = self.left[:length], self.left[length:]
            length -= len(piece)
            yield piece

    def read(self, method="GET", version="1.1"):
        """The next answer, whole."""
        answer = self.head(method, version)
        answer.body = b"".join(self.pieces(answer))
        return answer


def answers_in(data, count, method="GET"):
    """`count` whole answers out of `data`, else None: for many sockets in one thread."""
    class NotYet(Exception):
        pass

    def more(rest=iter((data,))):
        for piece in rest:
            return piece
        raise NotYet

    reader = Reader(more)
    try:
        return [reader.read(method) for _ in range(count)]
    except NotYet:
        return None


class Visitor(Reader):
    """One connection to `exposed`, which has an `http_port` and a `host`."""

    def __init__(self, exposed, timeout=30.0, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(timeout * harness.PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((harness.LOOPBACK, exposed.http_port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = exposed.host
        super().__init__(lambda: self.socket.recv(1 << 18))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def end(self):
        """No more bytes from here; answers still come."""
        self.socket.shutdown(socket.SHUT_WR)

    def say(self, method, target="/", fields=(), body=None, host=None, version="1.1"):
        """Sends a request; a `body` of bytes has a length, of several pieces is chunked."""
        self.send(message(method, target, fields, body, host or self.host, version))

    def ask(self, method="GET", target="/", fields=(), body=None, host=None, version="1.1"):
        """A request and its whole answer."""
        self.say(method, target, fields, body, host, version)
        return self.read(method, version)

    def is_cut(self, method="GET"):
        """Reads an answer and tells whether it was visibly cut short: "reset" or "truncated".
        An answer that looks whole is returned."""
        try:
            return self.read(method)
        except Truncated:
            return "truncated"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"

    def is_over(self):
        """Waits for the end, clean or not; bytes before it are taken and do not matter."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while self._more():
                pass
        return True


def message(method, target, fields, body, host, version="1.1"):
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}",
             *(f"{name}: {value}" for name, value in fields)]
    if isinstance(body, bytes):
        lines.append(f"Content-Length: {len(body)}")
    elif body is not None:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(chunk(piece) for piece in (*body, b""))
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunk(piece, trailers=b""):
    """One chunk; without bytes the last one and its trailers."""
    return b"%x\r\n%s%s\r\n" % (len(piece), piece, trailers)


def ask(exposed, method="GET", target="/", fields=(), body=None, host=None, version="1.1"):
    """One request on a connection of its own, which ends cleanly after it."""
    with Visitor(exposed) as visitor:
        return visitor.ask(method, target, [*fields, ("Connection", "close")], body, host, version)


def answers(exposed, status=200, target="/"):
    """The answer to a GET right now if it has that status, else None; no error is one."""
    try:
        with Visitor(exposed, 2.0) as visitor:
            answer = visitor.ask("GET", target)
            return answer if answer.status == status else None
    except (OSError, Truncated):
        return None
