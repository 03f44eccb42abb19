"""A TCP service exposed, met by programs that are not ours."""

import contextlib
import getpass
import hashlib
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import threading
import unittest

import harness
import peers
from harness import LOOPBACK, PATIENCE, Scenario, scaled, tool


def run(argv, timeout=60, **options):
    """A tool to its end; its output as bytes."""
    return subprocess.run([str(a) for a in argv], timeout=timeout * PATIENCE, check=True,
                          stdout=subprocess.PIPE, **options).stdout


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


class WebServer(Scenario):
    def make_files(self):
        """A folder of real files: this project's own, an empty one, and a large one of noise."""
        folder = self.directory / "files"
        folder.mkdir()
        for path in sorted(harness.HERE.glob("*.py")):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "empty").touch()
        (folder / "one").write_bytes(b"1")
        with open(folder / "large", "wb") as large:
            for _ in range(scaled(100)):
                large.write(random.randbytes(1 << 20))
        return folder

    def test_curl_fetches_every_file_of_a_web_server_with_equal_digests(self):
        curl, folder, port = tool("curl"), self.make_files(), harness.free_port()
        self.start("http.server", [sys.executable, "-m", "http.server", port, "--bind", LOOPBACK,
                                   "--directory", folder])
        harness.wait_listening(port)
        relay = self.relay()
        public = self.tcp(relay, str(port)).public
        names = sorted(p.name for p in folder.iterdir())
        for name in names:
            with self.subTest(file=name):
                got = digest_of_output([curl, "-sSf", f"http://{LOOPBACK}:{public}/{name}"])
                self.assertEqual(got, digest_of_file(folder / name))
        parallel = [x for n in names for x in ("-o", self.directory / f"got-{n}",
                                               f"http://{LOOPBACK}:{public}/{n}")]
        run([curl, "-sSf", "--parallel", *parallel], stderr=subprocess.DEVNULL)
        for name in names:
            self.assertEqual(digest_of_file(self.directory / f"got-{name}"),
                             digest_of_file(folder / name), name)

    def test_curl_fetches_a_gigabyte_whole(self):
        curl = tool("curl")
        public = self.tcp(self.relay(), f"{LOOPBACK}:{self.serve('http').port}").public
        got = digest_of_output([curl, "-sSf", f"http://{LOOPBACK}:{public}/7/{harness.BULK_BYTES}"])
        self.assertEqual(got, peers.pattern_digest(7, harness.BULK_BYTES))

    def test_curl_sends_a_gigabyte_whole(self):
        curl = tool("curl")
        public = self.tcp(self.relay(), f"{LOOPBACK}:{self.serve('http').port}").public
        argv = [curl, "-sSf", "-T", "-", f"http://{LOOPBACK}:{public}/up"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            timer = threading.Timer(120 * PATIENCE, child.kill)
            timer.start()
            sent = hashlib.sha256()
            for piece in peers.pattern(8, harness.BULK_BYTES):
                sent.update(piece)
                child.stdin.write(piece)
            child.stdin.close()
            answer = child.stdout.read().decode()
            timer.cancel()
        self.assertEqual(answer, sent.hexdigest())


def start_redis(scenario):
    server, port = tool("redis-server"), harness.free_port()
    scenario.start("redis", [server, "--port", port, "--bind", LOOPBACK, "--save", "",
                             "--appendonly", "no", "--dir", scenario.directory])
    harness.wait_listening(port)
    return port


class Redis(Scenario):
    def setUp(self):
        super().setUp()
        self.cli, self.benchmark = map(tool, ("redis-cli", "redis-benchmark"))
        self.public = self.tcp(self.relay(), str(start_redis(self))).public

    def test_redis_cli_stores_and_reads_values(self):
        value = random.randbytes(3_000_000).hex().encode()
        cli = [self.cli, "-h", LOOPBACK, "-p", self.public]
        self.assertEqual(run([*cli, "-x", "set", "large"], input=value), b"OK\n")
        self.assertEqual(run([*cli, "get", "large"]), value + b"\n")
        self.assertEqual(run([*cli, "get", "absent"]), b"\n")

    def test_redis_benchmark_ends_without_an_error(self):
        base = [self.benchmark, "-h", LOOPBACK, "-p", self.public, "--csv", "-n", scaled(5000)]
        for shape in (["-c", 50, "-t", "set,get,lrange_100"], ["-c", 50, "-P", 16, "-t", "set,get"],
                      ["-c", 20, "-d", 16384, "-t", "set,get"]):
            with self.subTest(shape=shape):
                out = run([*base, *shape], stderr=subprocess.STDOUT).decode()
                self.assertNotIn("rror", out)
                for command in ("SET", "GET"):
                    self.assertIn(f'"{command}","', out)


class Embedded(Scenario):
    """A program that pools connections of its own, without an agent."""

    def test_a_client_of_redis_gets_every_answer_with_pooled_connections(self):
        example = harness.binary().parent / "docs/examples/redis_pool"
        if not example.exists():
            self.skipTest("docs/examples/redis_pool is not built")
        port = start_redis(self)
        out = run([example, LOOPBACK, port, scaled(5000)]).decode()
        counts = re.search(r"created (\d+), closed (\d+), .* wrong (\d+)$", out, re.MULTILINE)
        self.assertIsNotNone(counts, out)
        created, closed, wrong = map(int, counts.groups())
        self.assertEqual((created, wrong), (closed, 0))
        self.assertLessEqual(created, 4, "of eight threads")

    def test_a_client_of_redis_says_that_it_is_not_there(self):
        example = harness.binary().parent / "docs/examples/redis_pool"
        if not example.exists():
            self.skipTest("docs/examples/redis_pool is not built")
        done = subprocess.run([example, LOOPBACK, str(harness.free_port())], check=False,
                              capture_output=True, timeout=60 * harness.PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"is not there", done.stderr)


class SecureShell(Scenario):
    """The server speaks first, and a connection lives as long as its session."""

    def setUp(self):
        super().setUp()
        sshd, keygen = tool("sshd"), tool("ssh-keygen")
        for name in ("host", "user"):
            run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name])
        # Without this folder a root sshd of Debian refuses to start.
        with contextlib.suppress(OSError):
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        port = harness.free_port()
        sftp = next(filter(os.path.exists, ("/usr/lib/openssh/sftp-server",
                                            "/usr/libexec/openssh/sftp-server")), "internal-sftp")
        config = self.write("sshd_config", f"""
            Port {port}
            ListenAddress {LOOPBACK}
            HostKey {self.directory}/host
            AuthorizedKeysFile {self.directory}/user.pub
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin prohibit-password
            MaxStartups 100
            PrintMotd no
            Subsystem sftp {sftp}
            """)
        self.start("sshd", [sshd, "-D", "-e", "-f", config])
        harness.wait_listening(port)
        self.public = self.tcp(self.relay(), f"{LOOPBACK}:{port}").public
        self.options = ["-F", "none", "-i", self.directory / "user", "-o", "BatchMode=yes",
                        "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                        "-o", f"UserKnownHostsFile={self.directory}/known"]
        self.login = f"{getpass.getuser()}@{LOOPBACK}"

    def test_ssh_runs_a_command_and_carries_its_input_output_and_status(self):
        ssh = [tool("ssh"), "-p", self.public, *self.options, self.login]
        self.assertEqual(run([*ssh, "echo hello; cat"], input=b"from the other side"),
                         b"hello\nfrom the other side")
        self.assertEqual(subprocess.run(list(map(str, [*ssh, "exit 7"])), timeout=30,
                                        check=False).returncode, 7)
        noise = random.randbytes(scaled(32) << 20)
        self.assertEqual(run([*ssh, "cat"], input=noise), noise)

    def test_scp_copies_a_file_both_ways(self):
        scp = [tool("scp"), "-q", "-P", self.public, *self.options]
        here, there, back = (self.directory / n for n in ("here", "there", "back"))
        here.write_bytes(random.randbytes(scaled(64) << 20))
        run([*scp, here, f"{self.login}:{there}"])
        run([*scp, f"{self.login}:{there}", back])
        self.assertEqual(digest_of_file(here), digest_of_file(there))
        self.assertEqual(digest_of_file(here), digest_of_file(back))


class Netcat(Scenario):
    """nc -N ends its direction when its input ends and reads on."""

    def setUp(self):
        super().setUp()
        self.nc = tool("nc")
        usage = subprocess.run([self.nc, "-h"], capture_output=True, check=False, text=True)
        if "-N" not in usage.stderr + usage.stdout:
            raise unittest.SkipTest("this nc cannot end one direction (-N)")

    def test_nc_on_both_ends_exchanges_two_files_and_the_upstream_ends_first(self):
        """A listening nc leaves at its peer's end, so the visitor's comes last."""
        port, relay = harness.free_port(), self.relay()
        sizes = {"down": scaled(20) << 20, "up": scaled(10) << 20}
        for name, size in sizes.items():
            (self.directory / name).write_bytes(random.randbytes(size))
        with open(self.directory / "down", "rb") as down:
            upstream = self.start("nc-upstream", [self.nc, "-N", "-l", LOOPBACK, port], stdin=down)
        harness.wait_listening(port)
        public = self.tcp(relay, str(port)).public
        visitor = self.start("nc-visitor", [self.nc, "-N", LOOPBACK, public], stdin=subprocess.PIPE)
        visitor.child.stdin.write((self.directory / "up").read_bytes())
        got = visitor.paths["out"]
        harness.eventually(lambda: got.stat().st_size == sizes["down"], "all that comes down", 30)
        visitor.child.stdin.close()
        self.assertEqual(visitor.wait(30), 0)
        self.assertEqual(upstream.wait(30), 0)
        self.assertEqual(digest_of_file(got), digest_of_file(self.directory / "down"))
        self.assertEqual(digest_of_file(upstream.paths["out"]),
                         digest_of_file(self.directory / "up"))

    def test_an_answer_begun_after_the_visitors_end_arrives_whole(self):
        public = self.tcp(self.relay(), str(self.serve("digest").port)).public
        noise = random.randbytes(1 << 20)
        answer = run([self.nc, "-N", LOOPBACK, public], input=noise).decode()
        self.assertEqual(answer, f"{hashlib.sha256(noise).hexdigest()} {len(noise)}\n")

    def test_a_visitor_still_sends_after_the_upstreams_end(self):
        port = harness.free_port()
        upstream = self.start("nc-upstream", [self.nc, "-N", "-l", LOOPBACK, port])
        harness.wait_listening(port)
        public = self.tcp(self.relay(), str(port)).public
        with harness.connect(public) as visitor:
            self.assertEqual(harness.read_to_end(visitor), b"")
            visitor.sendall(b"and yet it is taken")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(upstream.wait(), 0)
        self.assertEqual(upstream.text(), "and yet it is taken")


if __name__ == "__main__":
    unittest.main()
