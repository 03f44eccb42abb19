"""What people would use instead, each as a relay and an agent (or two proxies in a row) of its own.

Each has the fastest setting that its documentation has: no delay where that can be said, no
encryption where that can be left out, its connections opened ahead where it can do that. What
cannot be had is skipped with a reason.
"""

import contextlib
import getpass
import os
import pathlib
import re
import shutil
import subprocess

from processes import LOOPBACK, ROOT, Failed, Way, free_port

FETCHED = ROOT / "build" / "peers"  # Filled by fetch_peers.py.


class Missing(Exception):
    """A peer that cannot be had here, and why."""


class Finder:
    """Programs of peers: in given folders, on PATH, where fetch_peers.py puts them."""

    def __init__(self, folders=()):
        self.path = os.pathsep.join([*map(os.path.abspath, folders), os.environ.get("PATH", ""),
                                     "/usr/sbin", "/sbin", str(FETCHED / "bin")])

    def __call__(self, name):
        found = shutil.which(name, path=self.path)
        if found is None:
            reason = FETCHED / "why-not" / name
            raise Missing(reason.read_text(encoding="utf-8").strip() if reason.exists()
                          else f"no {name} on PATH")
        return found


def version(program, *words):
    """The first thing that looks like a version in what a program says of itself."""
    done = subprocess.run([program, *(words or ("--version",))], capture_output=True, text=True,
                          check=False)
    found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
    return found[0] if found else ""


def rathole(bench, find):
    program, control, public = find("rathole"), free_port(), free_port()
    children = bench.children
    nodelay = 'type = "tcp"\n[{0}.transport.tcp]\nnodelay = true\n'
    server = children.write("rathole-server.toml", f"""
[server]
bind_addr = "{LOOPBACK}:{control}"
default_token = "bench"
[server.transport]
{nodelay.format("server")}
[server.services.bench]
bind_addr = "{LOOPBACK}:{public}"
nodelay = true
""")
    client = children.write("rathole-client.toml", f"""
[client]
remote_addr = "{LOOPBACK}:{control}"
default_token = "bench"
[client.transport]
{nodelay.format("client")}
[client.services.bench]
local_addr = "{LOOPBACK}:{bench.upstream}"
nodelay = true
""")
    children.env["RUST_LOG"] = "error"
    pair = [children.start("rathole-server", [program, "--server", server]),
            children.start("rathole-client", [program, "--client", client])]
    children.listens(pair[1], public)
    build = re.search(r"Build Version:\s+(\S+)", subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False).stdout)
    return Way("rathole", "rathole", {"tcp": public, "http": public}, tuple(c.pid for c in pair),
               build[1] if build else "", "transport tcp, nodelay on both legs")


def bore(bench, find):
    program, public = find("bore"), free_port()
    server = bench.children.start("bore-server", [
        program, "server", "--bind-addr", LOOPBACK, "--min-port", public, "--max-port", public])
    bench.children.listens(server, 7835)  # It knows no other port.
    client = bench.children.start("bore-local", [
        program, "local", "--local-host", LOOPBACK, "--to", LOOPBACK, "--port", public,
        bench.upstream])
    bench.children.listens(client, public)
    return Way("bore", "bore", {"tcp": public, "http": public}, (server.pid, client.pid),
               version(program), "nothing to set")


def frp(bench, find):
    programs = find("frps"), find("frpc")
    control, public = free_port(), free_port()
    children = bench.children
    quiet = 'log.level = "error"\ntransport.tcpMux = false\n'
    server = children.write("frps.toml", f'bindAddr = "{LOOPBACK}"\nbindPort = {control}\n'
                            f'proxyBindAddr = "{LOOPBACK}"\ntransport.maxPoolCount = 64\n{quiet}')
    client = children.write("frpc.toml", f"""
serverAddr = "{LOOPBACK}"
serverPort = {control}
transport.poolCount = 32
transport.tls.enable = false
{quiet}
[[proxies]]
name = "bench"
type = "tcp"
localIP = "{LOOPBACK}"
localPort = {bench.upstream}
remotePort = {public}
""")
    first = children.start("frps", [programs[0], "-c", server])
    children.listens(first, control)
    second = children.start("frpc", [programs[1], "-c", client])
    children.listens(second, public)
    return Way("frp", "frp", {"tcp": public, "http": public}, (first.pid, second.pid),
               version(programs[0]), "tcpMux off, poolCount 32, tls off, type tcp")


def chisel(bench, find):
    program, control, public = find("chisel"), free_port(), free_port()
    server = bench.children.start("chisel-server", [
        program, "server", "--host", LOOPBACK, "--port", control, "--reverse"])
    bench.children.listens(server, control)
    client = bench.children.start("chisel-client", [
        program, "client", f"http://{LOOPBACK}:{control}",
        f"R:{LOOPBACK}:{public}:{LOOPBACK}:{bench.upstream}"])
    bench.children.listens(client, public)
    return Way("chisel", "chisel", {"tcp": public, "http": public}, (server.pid, client.pid),
               version(program), "cannot go without encryption (ssh over a websocket)")


def haproxy(bench, find):
    program, children = find("haproxy"), bench.children

    def start(name, targets):
        ports = {kind: free_port() for kind in targets}
        sections = [f"listen {kind}\n  mode {kind}\n  bind {LOOPBACK}:{ports[kind]}\n"
                    + ("  http-reuse always\n" if kind == "http" else "  option splice-auto\n")
                    + f"  server next {LOOPBACK}:{target}\n" for kind, target in targets.items()]
        config = children.write(f"{name}.cfg", "global\n  nbthread 1\n  maxconn 4000\ndefaults\n"
                                "  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
                                + "".join(sections))
        child = children.start(name, [program, "-db", "-f", config])
        for port in ports.values():
            children.listens(child, port)
        return child, ports

    second, behind = start("haproxy-agent", {"tcp": bench.upstream, "http": bench.upstream})
    first, ports = start("haproxy-relay", behind)
    return Way("haproxy", "haproxy→haproxy", ports, (first.pid, second.pid),
               version(program, "-v"), "two in a row, one thread each; tcp: splice-auto; "
               "http: mode http, http-reuse always")


def ssh(bench, find):
    programs = find("sshd"), find("ssh"), find("ssh-keygen")
    control, public, children = free_port(), free_port(), bench.children
    for name in ("ssh-host", "ssh-user"):
        subprocess.run([programs[2], "-q", "-t", "ed25519", "-N", "", "-f",
                        children.directory / name], check=True)
    with contextlib.suppress(OSError):  # Without it a root sshd of Debian refuses to start.
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = children.write("sshd_config", f"""
Port {control}
ListenAddress {LOOPBACK}
HostKey {children.directory}/ssh-host
AuthorizedKeysFile {children.directory}/ssh-user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxSessions 10000
""")
    server = children.start("sshd", [programs[0], "-D", "-e", "-f", config])
    children.listens(server, control)
    client = children.start("ssh", [
        programs[1], "-F", "none", "-N", "-i", children.directory / "ssh-user", "-p", control,
        "-c", "aes128-gcm@openssh.com", "-o", "Compression=no", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "ExitOnForwardFailure=yes",
        "-o", f"UserKnownHostsFile={children.directory}/ssh-known",
        "-R", f"{LOOPBACK}:{public}:{LOOPBACK}:{bench.upstream}",
        f"{getpass.getuser()}@{LOOPBACK}"])
    children.listens(client, public)
    return Way("ssh", "ssh -R", {"tcp": public, "http": public}, (server.pid, client.pid),
               version(programs[1], "-V"), "aes128-gcm, no compression: cannot go unencrypted")


def nginx(bench, find):
    program, children = find("nginx"), bench.children
    module = next(filter(os.path.exists, ("/usr/lib/nginx/modules/ngx_stream_module.so",
                                          "/usr/lib64/nginx/modules/ngx_stream_module.so")), None)
    if module is None:
        raise Missing("nginx has no stream module (Debian: libnginx-mod-stream)")

    def start(name, target):
        port = free_port()
        user = f"user {getpass.getuser()};\n" if os.getuid() == 0 else ""
        config = children.write(f"{name}.conf", f"""
load_module {module};
{user}daemon off;
pid {children.directory}/{name}.pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile 8192;
events {{ worker_connections 8000; multi_accept on; }}
stream {{
  proxy_buffer_size 64k;
  server {{
    listen {LOOPBACK}:{port} backlog=4096;
    tcp_nodelay on;
    proxy_pass {LOOPBACK}:{target};
  }}
}}
""")
        child = children.start(name, [program, "-p", children.directory, "-c", config])
        children.listens(child, port)
        return child, port

    second, behind = start("nginx-agent", bench.upstream)
    first, public = start("nginx-relay", behind)
    return Way("nginx", "nginx→nginx", {"tcp": public, "http": public}, (first.pid, second.pid),
               version(program, "-v"), "stream, two in a row, one worker each, buffers of 64k")


PEERS = (rathole, bore, frp, chisel, haproxy, ssh, nginx)


def start_peers(bench, find, say, wanted=None):
    """Ways of all peers that can be had, and why the others cannot."""
    ways, skipped = [], {}
    for start in PEERS:
        name = start.__name__
        if wanted and name not in wanted:
            continue
        before = list(bench.children.running)
        try:
            ways.append(start(bench, find))
            say(f"peer {name} {ways[-1].version}: {ways[-1].settings}")
        except (Missing, Failed, OSError, subprocess.SubprocessError) as reason:
            bench.children.stop([c for c in bench.children.running if c not in before])
            skipped[name] = str(reason)
            say(f"peer {name} is skipped: {reason}")
    return ways, skipped
