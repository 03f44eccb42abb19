"""An HTTP service exposed, met by programs that are not ours, on both sides."""

import asyncio
import contextlib
import hashlib
import itertools
import os
import queue
import random
import re
import subprocess
import sys
import threading
import unittest

import harness
import http_client
import http_peers
import peers
from harness import LOOPBACK, PATIENCE, eventually, scaled, tool
from http_client import Visitor
from http_scenario import Gate, HttpScenario


def run(argv, timeout=60, check=True, **options):
    """A tool to its end; its output as text."""
    done = subprocess.run([str(a) for a in argv], timeout=timeout * PATIENCE, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv[0]} ended with {done.returncode}: {done.stderr[-500:]}"
                             f"{done.stdout[-500:]}")
    return done if not check else done.stdout


def digest_of_output(argv, timeout=120):
    """The SHA-256 of what a tool writes, hashed as it comes."""
    whole = hashlib.sha256()
    with subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE) as child:
        timer = threading.Timer(timeout * PATIENCE, child.kill)
        timer.start()
        while piece := child.stdout.read(1 << 20):
            whole.update(piece)
        timer.cancel()
    if child.returncode != 0:
        raise AssertionError(f"{argv[0]} ended with {child.returncode}")
    return whole.hexdigest()


def digest_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ToolScenario(HttpScenario):
    def curl(self, *arguments, **options):
        """curl, its errors on stderr; `-f` is the caller's."""
        return run([tool("curl"), "-sS", "--noproxy", "*", "--max-time", 60 * PATIENCE,
                    *arguments], **options)


class Curl(ToolScenario):
    """Transfers, connections and Expect, as curl does and sees them."""

    def setUp(self):
        super().setUp()
        tool("curl")
        self.app = self.site()

    def download(self, path, length, *options):
        got = digest_of_output([tool("curl"), "-sSf", "--noproxy", "*", *options,
                                f"{self.app.url}/pattern/7/{length}{path}"])
        self.assertEqual(got, peers.pattern_digest(7, length))

    def test_a_gigabyte_comes_down_whole(self):
        self.download("", harness.BULK_BYTES)

    def test_bodies_of_every_framing_come_down_whole(self):
        for framing, length in itertools.product(("length", "chunked", "close"),
                                                 (0, 1, 16384, 65536, scaled(50_000_000))):
            for version in ("--http1.1", "--http1.0"):
                with self.subTest(framing=framing, length=length, version=version):
                    self.download(f"/{framing}", length, version)

    def test_a_gigabyte_of_unknown_length_goes_up_whole(self):
        argv = [tool("curl"), "-sSf", "--noproxy", "*", "-T", "-", f"{self.app.url}/digest"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            timer = threading.Timer(120 * PATIENCE, child.kill)
            timer.start()
            for piece in peers.pattern(8, harness.BULK_BYTES):
                child.stdin.write(piece)
            child.stdin.close()
            answer = child.stdout.read().decode()
            timer.cancel()
        self.assertEqual(answer, peers.pattern_digest(8, harness.BULK_BYTES))

    def test_files_of_known_length_go_up_whole(self):
        path = self.directory / "up"
        for size in (0, 1, 16384, 1_000_000, scaled(200_000_000)):
            with open(path, "wb") as file:
                file.writelines(peers.pattern(size, size))
            for options in ((), ("--http1.0",), ("-H", "Expect:")):
                with self.subTest(size=size, options=options):
                    self.assertEqual(self.curl("-f", *options, "-T", path,
                                               f"{self.app.url}/digest"), digest_of_file(path))

    def test_many_requests_go_over_one_connection(self):
        path = self.write("small", "x" * 1000)
        options = ("-f", "-o", "/dev/null", "-w", "%{num_connects} %{http_code}\\n")
        asked = self.curl(*options, f"{self.app.url}/pattern/1/1000?[1-200]").split()
        self.assertEqual(asked, ["1", "200"] + ["0", "200"] * 199)
        mixed = self.curl(*options, f"{self.app.url}/pattern/1/20000/chunked",
                          "--next", "-sSI", *options, f"{self.app.url}/pattern/1/20000",
                          "--next", "-sS", *options, "-T", path, f"{self.app.url}/digest",
                          "--next", "-sS", *options, f"{self.app.url}/status/204",
                          "--next", "-sS", *options, "-d", "x", f"{self.app.url}/mirror").split()
        self.assertEqual(mixed, ["1", "200", "0", "200", "0", "200", "0", "204", "0", "200"])

    def test_many_transfers_at_once_are_each_whole(self):
        targets = [x for n in range(100) for x in (
            "-o", self.directory / f"got-{n}", f"{self.app.url}/pattern/{n}/{n * 9973}/chunked")]
        self.curl("-f", "--parallel", "--parallel-max", 30, *targets)
        for n in range(100):
            self.assertEqual((self.directory / f"got-{n}").read_bytes(),
                             peers.small_pattern(n, n * 9973), n)

    def test_a_head_says_what_a_get_would(self):
        head = self.curl("-f", "-I", f"{self.app.url}/pattern/1/12345").lower()
        self.assertIn("content-length: 12345\n", head.replace("\r", ""))

    def test_an_expected_100_is_waited_for_and_comes(self):
        """Were it not to come, curl would wait longer than the whole test may last."""
        path = self.write("up", "y" * 100_000)
        done = self.curl("-f", "-v", "--expect100-timeout", 600, "-H", "Expect: 100-continue",
                         "-T", path, f"{self.app.url}/digest", check=False)
        self.assertEqual((done.returncode, done.stdout), (0, digest_of_file(path)), done.stderr)
        self.assertEqual(done.stderr.count("HTTP/1.1 100"), 1, done.stderr)

    def test_a_refused_body_is_not_sent(self):
        path = self.write("up", "y" * 100_000)
        said = self.curl("--expect100-timeout", 600, "-H", "Expect: 100-continue", "-T", path,
                         "-w", "%{http_code} %{size_upload}", f"{self.app.url}/refuse")
        self.assertEqual(said, "too much\n413 0")

    def test_pieces_of_an_upload_arrive_one_by_one(self):
        arrived = queue.SimpleQueue()

        async def respond(request, writer, peer):
            if request.expects:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async for piece in request.pieces():
                arrived.put(piece)
            writer.write(http_peers.whole(b"thanks\n"))

        url = self.http_again(self.peer(respond)).url
        argv = [tool("curl"), "-sSfN", "--noproxy", "*", "-T", ".", f"{url}/up"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as child:
            for number in range(50):
                child.stdin.write(b"piece %d\n" % number)
                child.stdin.flush()
                self.assertEqual(arrived.get(timeout=10 * PATIENCE), b"piece %d\n" % number)
            child.stdin.close()
            self.assertEqual(child.stdout.read(), b"thanks\n")
        self.assertEqual(child.returncode, 0)

    def http_again(self, peer):
        return self.http(self.relay_process, str(peer.port), subdomain="other")


class Load(ToolScenario):
    """Generators of load count errors of their own."""

    def setUp(self):
        super().setUp()
        self.app = self.site()
        self.target = f"http://{LOOPBACK}:{self.app.http_port}/pattern/1/1000"

    def test_wrk_meets_no_error(self):
        shown = run([tool("wrk"), "-t", 2, "-c", 64, "-d", f"{max(1, scaled(3))}s", "--timeout",
                     "30s", "-H", f"Host: {self.app.host}", self.target])
        self.assertNotIn("Socket errors", shown)
        self.assertNotIn("Non-2xx", shown)
        self.assertGreater(int(re.search(r"(\d+) requests in", shown)[1]), 100)

    def test_ab_meets_no_failed_request_with_and_without_keep_alive(self):
        for options in ((), ("-k",)):
            with self.subTest(options=options):
                count = scaled(3000)
                shown = run([tool("ab"), "-q", *options, "-s", 60, "-n", count, "-c", 50,
                             "-H", f"Host: {self.app.host}", self.target])
                self.assertRegex(shown, rf"Complete requests: +{count}\n")
                self.assertRegex(shown, r"Failed requests: +0\n")
                self.assertNotIn("Non-2xx", shown)
                self.assertRegex(shown, rf"HTML transferred: +{count * 1000} bytes")


def websockets_python():
    """An interpreter that has the library: this one, else the distribution's."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", "import websockets"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return python
    raise unittest.SkipTest("python3-websockets is not installed")


class WebSockets(ToolScenario):
    def setUp(self):
        super().setUp()
        self.argv = [websockets_python(), harness.HERE / "websocket_peer.py"]
        self.server = self.start("websocket-server", [*self.argv, "serve"])
        self.server.port = int(self.server.wait_match(r"^listening (\d+)$")[1])
        self.app = self.expose(str(self.server.port))

    def talk(self, what):
        return self.start("websocket-" + what,
                          [*self.argv, what, self.app.http_port, self.app.host])

    def test_messages_pings_closes_and_refusals_come_through(self):
        client = self.talk("talk")
        client.wait_match(r"^ok$", timeout=60)
        self.assertEqual(client.wait(), 0)
        self.server.wait_match(r"^closed 4999 enough$")

    def test_many_conversations_at_once_do_not_disturb_each_other(self):
        for client in [self.talk("talk") for _ in range(3)]:
            client.wait_match(r"^ok$", timeout=120)
            self.assertEqual(client.wait(), 0)

    def test_a_killed_client_is_an_abnormal_end_for_the_server(self):
        client = self.talk("abandoned")
        client.wait_match(r"^open$")
        client.kill()
        self.server.wait_match(r"^closed 1006")

    def test_a_killed_server_is_an_abnormal_end_for_the_client(self):
        client = self.talk("abandoned")
        client.wait_match(r"^open$")
        self.server.kill()
        client.wait_match(r"^ended 1006$")

    @harness.through_the_tunnel
    def test_a_killed_agent_is_an_abnormal_end_for_both(self):
        client = self.talk("abandoned")
        client.wait_match(r"^open$")
        self.gone(self.app)
        client.wait_match(r"^ended 1006$")
        self.server.wait_match(r"^closed 1006")


class Streams(ToolScenario):
    """What an upstream says now, its visitor has now: nothing waits for more."""

    EVENTS = 30

    def test_events_of_a_stream_arrive_one_by_one(self):
        gate = Gate()

        async def respond(request, writer, peer):
            writer.write(http_peers.head(fields=[("Content-Type", "text/event-stream"),
                                                 ("Connection", "close")]))
            for number in range(self.EVENTS):
                await gate.passed()
                writer.write(b"id: %d\ndata: event %d\n\n" % (number, number))
            return False

        url = self.expose(str(self.peer(respond).port)).url
        argv = [tool("curl"), "-sSfN", "--noproxy", "*", f"{url}/events"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
            timer = threading.Timer(60 * PATIENCE, child.kill)
            timer.start()
            for number in range(self.EVENTS):
                gate.open()
                self.assertEqual(child.stdout.readline(), b"id: %d\n" % number)
                self.assertEqual(child.stdout.readline(), b"data: event %d\n" % number)
                self.assertEqual(child.stdout.readline(), b"\n")
            self.assertEqual(child.stdout.read(), b"")
            timer.cancel()
        self.assertEqual(child.returncode, 0)

    def test_pieces_of_a_download_arrive_one_by_one(self):
        gate = Gate()

        async def respond(request, writer, peer):
            framing = request.target.strip("/")
            async def pieces():
                for number in range(self.EVENTS):
                    await gate.passed()
                    yield b"piece %03d" % number
            framed = {"length": [("Content-Length", 9 * self.EVENTS)], "close": [],
                      "chunked": [("Transfer-Encoding", "chunked")]}[framing]
            writer.write(http_peers.head(fields=framed))
            async for piece in pieces():
                writer.write(http_peers.chunk(piece) if framing == "chunked" else piece)
            if framing == "chunked":
                writer.write(http_peers.chunk(b""))
            return framing != "close"

        app = self.expose(str(self.peer(respond).port))
        for framing in ("length", "chunked", "close"):
            with self.subTest(framing=framing), Visitor(app) as visitor:
                visitor.say("GET", f"/{framing}")
                answer = visitor.head()  # Before there is any body.
                body, got = visitor.pieces(answer), b""
                for number in range(self.EVENTS):
                    gate.open()
                    while len(got) < 9:
                        got += next(body)
                    self.assertEqual(got, b"piece %03d" % number)
                    got = b""
                self.assertEqual(list(body), [])

    def test_a_long_poll_is_answered_by_what_another_visitor_says(self):
        waiting, polls = queue.SimpleQueue(), []

        async def respond(request, writer, peer):
            if request.method == "GET":
                message = asyncio.get_running_loop().create_future()
                polls.append(message)
                waiting.put(None)
                writer.write(http_peers.whole(await message))
            else:
                said = await request.body()
                for message in polls:
                    message.set_result(said)
                polls.clear()
                writer.write(http_peers.whole(b"told\n"))

        app = self.expose(str(self.peer(respond).port))
        with contextlib.ExitStack() as stack:
            pollers = [stack.enter_context(Visitor(app)) for _ in range(10)]
            for number in range(5):
                for poller in pollers:
                    poller.say("GET", "/poll")
                for _ in pollers:
                    waiting.get(timeout=10 * PATIENCE)
                said = f"message {number}".encode()
                self.assertEqual(http_client.ask(app, "POST", "/say", body=said).body, b"told\n")
                self.assertEqual([p.read().body for p in pollers], [said] * len(pollers))


class Nginx(ToolScenario):
    """Files, ranges, validators and compression, as the world's servers do them."""

    def setUp(self):
        super().setUp()
        nginx, self.port = tool("nginx"), harness.free_port()
        self.folder = self.directory / "files"
        self.folder.mkdir(mode=0o755)
        self.directory.chmod(0o755)
        (self.folder / "text.txt").write_text("All that is said twice. " * 5000)
        with open(self.folder / "large", "wb") as large:
            large.writelines(peers.pattern(3, scaled(20_000_000)))
        scratch = "".join(f"{kind}_temp_path {self.directory}/{kind};\n" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.write("nginx.conf", f"""
            daemon off; master_process off; worker_processes 1;
            pid {self.directory}/nginx.pid; error_log stderr warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; {scratch} default_type text/plain; sendfile on;
                gzip on; gzip_types text/plain; keepalive_timeout 75s;
                server {{
                    listen {LOOPBACK}:{self.port}; listen unix:{self.directory}/nginx.sock;
                    root {self.folder};
                }}
            }}""")
        self.start("nginx", [nginx, "-p", self.directory, "-e", "stderr", "-c", config])
        harness.wait_listening(self.port)
        self.large = (self.folder / "large").read_bytes()

    def fetch(self, url, *options):
        path = self.directory / "got"
        said = self.curl("-o", path, "-w", "%{http_code}", *options, url)
        return int(said), path.read_bytes()

    def test_ranges_are_the_bytes_asked_for(self):
        url, size = f"{self.expose(str(self.port)).url}/large", len(self.large)
        for asked, expected in (("0-99", self.large[:100]), ("-100", self.large[-100:]),
                                (f"{size - 5}-", self.large[-5:]),
                                ("1000-2000000", self.large[1000:2000001])):
            with self.subTest(range=asked):
                self.assertEqual(self.fetch(url, "-r", asked), (206, expected))
        self.assertEqual(self.fetch(url, "-r", f"{size}-")[0], 416)
        status, several = self.fetch(url, "-r", "0-9,100-109")
        self.assertEqual(status, 206)
        self.assertTrue(self.large[:10] in several and self.large[100:110] in several)
        part = self.directory / "part"
        part.write_bytes(self.large[:1_000_000])
        self.curl("-f", "-C", "-", "-o", part, url)
        self.assertEqual(part.read_bytes(), self.large)

    def test_compression_and_validators_come_through(self):
        url, text = f"{self.expose(str(self.port)).url}/text.txt", self.folder / "text.txt"
        plain = self.fetch(url)
        self.assertEqual(plain, (200, text.read_bytes()))
        status, packed = self.fetch(url, "-H", "Accept-Encoding: gzip")
        self.assertEqual((status, packed[:2]), (200, b"\x1f\x8b"))
        self.assertEqual(self.fetch(url, "--compressed"), plain)
        kept = self.directory / "etag"
        self.curl("-f", "--etag-save", kept, "-o", "/dev/null", url)
        again = self.curl("--etag-compare", kept, "-w", "%{http_code} %{num_connects}\\n",
                          "-o", "/dev/null", url, "--next", "-sS", "-o", "/dev/null",
                          "-w", "%{http_code} %{num_connects}\\n", url)
        self.assertEqual(again.split(), ["304", "1", "200", "0"])

    def test_many_visitors_at_once_get_whole_files(self):
        app = self.expose(str(self.port))
        targets = [x for n in range(20) for x in ("-o", self.directory / f"got-{n}",
                                                  f"{app.url}/{('large', 'text.txt')[n % 2]}")]
        self.curl("-f", "--parallel", "--parallel-max", 20, *targets)
        for n in range(20):
            self.assertEqual(digest_of_file(self.directory / f"got-{n}"),
                             digest_of_file(self.folder / ("large", "text.txt")[n % 2]))
            (self.directory / f"got-{n}").unlink()

    @harness.through_the_tunnel
    def test_a_unix_socket_is_an_upstream(self):
        app = self.expose(f"unix:{self.directory}/nginx.sock")
        self.assertEqual(self.fetch(f"{app.url}/large"), (200, self.large))
        asked = self.curl("-f", "-o", "/dev/null", "-w", "%{num_connects}",
                          f"{app.url}/text.txt?[1-50]")
        self.assertEqual(asked, "1" + "0" * 49)


class Node(ToolScenario):
    """Closes what has been idle for 5 seconds, and says 408 to connections that say nothing."""

    def server(self, options="{}"):
        server = self.start("node", [tool("node"), harness.HERE / "node_server.js", options])
        server.port = int(server.wait_match(r"^listening (\d+)$")[1])
        return server

    def test_requests_and_bodies_come_through_and_go_on_after_its_idle_time_out(self):
        server = self.server()
        app = self.expose(str(server.port))
        body = b"".join(peers.pattern(5, scaled(20_000_000)))
        with Visitor(app) as visitor:
            for number in range(50):
                self.assertEqual(visitor.ask("GET", f"/{number}").body,
                                 f"hello from node to /{number}\n".encode())
                self.assertEqual(visitor.ask("POST", body=(b"one", b"two")).body.decode(),
                                 hashlib.sha256(b"onetwo").hexdigest())
            self.assertEqual(visitor.ask("POST", body=body).body.decode(),
                             peers.pattern_digest(5, len(body)))
            if harness.DIRECT:
                return
            eventually(lambda: server.text().split()[-1] == "0", "node to close what was idle", 20)
            for number in range(20):
                self.assertEqual(visitor.ask("GET", f"/{number}").status, 200)

    def visitors(self, app, count, rounds):
        """Many visitors with pauses of every length around the server's time-out."""
        wrong = []

        def visit(seed):
            pause, choose = threading.Event(), random.Random(seed)
            try:
                with Visitor(app) as visitor:
                    for number in range(rounds):
                        answer = visitor.ask("GET", f"/{number}")
                        if (answer.status, answer.body) != (
                                200, f"hello from node to /{number}\n".encode()):
                            wrong.append(answer)
                        pause.wait(choose.uniform(0, 0.03))
            except Exception as error:  # pylint: disable=broad-except
                wrong.append(repr(error))

        threads = [threading.Thread(target=visit, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 * PATIENCE)
            self.assertFalse(thread.is_alive(), "a visitor hangs")
        self.assertEqual(wrong, [])

    @harness.through_the_tunnel
    def test_connections_that_it_closes_at_any_moment_are_seen_by_no_visitor(self):
        server = self.server('{"keepAliveTimeout": 10, "keepAliveTimeoutBuffer": 0}')
        self.visitors(self.expose(str(server.port)), 20, scaled(100))

    @harness.through_the_tunnel
    def test_its_408_to_idle_connections_is_seen_by_no_visitor(self):
        server = self.server('{"connectionsCheckingInterval": 10, "headersTimeout": 20,'
                             ' "requestTimeout": 100, "keepAliveTimeout": 10}')
        self.visitors(self.expose(str(server.port), "--set", "pool.warm_up_size=10"), 20,
                      scaled(100))


class PythonServers(ToolScenario):
    def test_http_server_is_fetched_file_by_file(self):
        """It speaks HTTP/1.0 and ends each answer with its connection."""
        port = harness.free_port()
        self.start("http.server", [sys.executable, "-m", "http.server", port, "--bind", LOOPBACK,
                                   "--directory", harness.HERE])
        harness.wait_listening(port)
        app = self.expose(str(port))
        for path in sorted(harness.HERE.glob("*.py")):
            with self.subTest(file=path.name):
                self.assertEqual(digest_of_output([tool("curl"), "-sSf", "--noproxy", "*",
                                                   f"{app.url}/{path.name}"]),
                                 digest_of_file(path))
        self.assertEqual(self.curl("-o", "/dev/null", "-w", "%{http_code}", f"{app.url}/absent"),
                         "404")

    def exposed(self, kind, *extra):
        return self.expose(str(self.serve(kind, program="http_peers.py").port), *extra)

    def test_a_threading_server_serves_visitors_at_once(self):
        app = self.exposed("threads")
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(app)) for _ in range(30)]
            for number in range(10):
                for visitor in visitors:
                    visitor.say("POST", body=b"to python %d" % number)
                for visitor in visitors:
                    self.assertEqual(visitor.read().body.decode(),
                                     hashlib.sha256(b"to python %d" % number).hexdigest())

    @harness.through_the_tunnel
    def test_visitors_of_a_single_worker_do_not_wait_for_idle_ones(self):
        """It serves one connection until that ends: an idle one of ours must keep nobody out."""
        app = self.exposed("single")
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(app)) for _ in range(10)]
            for number in range(5):
                for visitor in visitors:  # In turn; all the others stay, idle.
                    self.assertEqual(visitor.ask("GET", f"/{number}").status, 200)

    @harness.through_the_tunnel
    def test_visitors_of_a_single_worker_at_once_share_the_one_connection_that_it_serves(self):
        app = self.exposed("single", "--pool", "1")
        with contextlib.ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(app)) for _ in range(10)]
            for number in range(3):
                for visitor in visitors:
                    visitor.say("GET", f"/{number}")
                self.assertEqual([v.read().status for v in visitors], [200] * len(visitors))


class Git(ToolScenario):
    """Smart HTTP: long packed bodies both ways, of unknown length."""

    def git(self, *arguments):
        env = harness.environment(self.directory) | {
            "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "no_proxy": "*",
            "GIT_AUTHOR_NAME": "visitor", "GIT_AUTHOR_EMAIL": "visitor@localhost",
            "GIT_COMMITTER_NAME": "visitor", "GIT_COMMITTER_EMAIL": "visitor@localhost"}
        return run([tool("git"), *arguments], env=env)

    def test_a_repository_is_pushed_and_cloned_whole(self):
        git = tool("git")
        if not os.path.exists(run([git, "--exec-path"]).strip() + "/git-http-backend"):
            raise unittest.SkipTest("git has no http-backend")
        root, work, copy = (self.directory / n for n in ("repositories", "work", "copy"))
        self.git("init", "-q", "--bare", root / "project.git")
        self.git("-C", root / "project.git", "config", "http.receivepack", "true")
        backend = self.serve("git", "--root", root, program="http_peers.py")
        url = f"{self.expose(str(backend.port)).url}/project.git"
        self.git("init", "-q", "-b", "trunk", work)
        for number in range(5):
            (work / f"noise-{number}").write_bytes(random.randbytes(scaled(1_500_000)))
            (work / "story").write_text(f"chapter {number}\n" * 2000, encoding="ascii")
            self.git("-C", work, "add", "-A")
            self.git("-C", work, "commit", "-q", "-m", f"Tell chapter {number}")
        self.git("-C", work, "push", "-q", url, "trunk")
        self.git("clone", "-q", "-b", "trunk", url, copy)
        self.assertEqual(self.git("-C", copy, "log", "--format=%H %s"),
                         self.git("-C", work, "log", "--format=%H %s"))
        self.git("-C", copy, "fsck", "--full", "--strict")
        for number in range(5):
            self.assertEqual(digest_of_file(copy / f"noise-{number}"),
                             digest_of_file(work / f"noise-{number}"))
        (copy / "story").write_text("the end\n", encoding="ascii")
        self.git("-C", copy, "commit", "-q", "-a", "-m", "End it")
        self.git("-C", copy, "push", "-q", url, "trunk")
        self.git("-C", work, "pull", "-q", "--ff-only", url, "trunk")
        self.assertEqual((work / "story").read_text(encoding="ascii"), "the end\n")


class Browser(ToolScenario):
    ASSETS = {"js": 34, "css": 33, "svg": 33}

    async def page(self, request, writer, peer):
        kind, name = ("text/html", "page")
        if "." in request.target:
            name, _, kind = request.target.strip("/").partition(".")
        peer.received.put(request.target)
        if kind == "text/html":
            body = self.html()
        elif kind == "js":
            kind, body = "text/javascript", "loaded.js += 1;\n" + "// filler\n" * 3000
        elif kind == "css":
            kind, body = "text/css", f".{name} {{ width: 1px }}\n" + "/* filler */\n" * 1000
        elif kind == "svg":
            kind, body = "image/svg+xml", ('<svg xmlns="http://www.w3.org/2000/svg" width="7" '
                                           'height="7"><!--' + "x" * 20000 + "--></svg>")
        else:
            writer.write(http_peers.whole(b"", 404))
            return
        body = body.encode()
        fields = [("Content-Type", kind), ("Cache-Control", "no-store")]
        if len(body) % 2:
            writer.write(http_peers.whole(body, 200, fields))
        else:
            await http_peers.send(writer, [body], "chunked", len(body), fields)

    def html(self):
        each = {"css": '<link rel="stylesheet" href="/s{n}.css">',
                "js": '<script src="/j{n}.js"></script>', "svg": '<img src="/i{n}.svg">'}
        tags = "\n".join(each[kind].format(n=n) for kind in ("css", "js", "svg")
                         for n in range(self.ASSETS[kind]))
        return f"""<!DOCTYPE html><html><head><title>page</title>
            <script>var loaded = {{js: 0}};</script></head><body>{tags}<p id="shown"></p>
            <script>window.addEventListener('load', function () {{
                var css = 0, svg = 0;
                for (var sheet of document.styleSheets) css += sheet.cssRules.length;
                for (var image of document.images) svg += image.naturalWidth == 7 ? 1 : 0;
                document.getElementById('shown').textContent =
                    'loaded js ' + loaded.js + ' css ' + css + ' svg ' + svg;
            }});</script></body></html>"""

    def test_a_browser_loads_a_page_with_a_hundred_assets(self):
        chromium, peer = tool("chromium"), self.peer(self.page)
        app = self.expose(str(peer.port))
        shown = run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                     "--no-first-run", "--disable-background-networking", "--disable-sync",
                     "--disable-component-update", "--disable-dev-shm-usage",
                     "--no-proxy-server", f"--user-data-dir={self.directory}/profile",
                     "--dump-dom", f"{app.url}/"],
                    env=harness.environment(self.directory), cwd=self.directory)
        self.assertIn("loaded js 34 css 33 svg 33</p>", shown)
        asked = set()
        while not peer.received.empty():
            asked.add(peer.received.get())
        self.assertGreaterEqual(len(asked), 101)


if __name__ == "__main__":
    unittest.main()
