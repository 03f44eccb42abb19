#!/usr/bin/env python3
"""Brings what is missing of the peers into build/peers, each by its own ordinary way.

    benchmarks/fetch_peers.py [--source <folder>]

rathole and bore: cargo. frp and chisel: `go build` in <folder>/frp and <folder>/chisel where those
are source trees, else `go install`. Programs on PATH are left alone. What cannot be had is told,
and why is kept for the report; the exit status is 0 all the same. (haproxy, nginx and ssh are
packages of the distribution: `./run bench peers` installs them.)
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

from peers import FETCHED

# Without their default features: no TLS, nothing to link.
CARGO = {"rathole": ["rathole", "--version", "0.5.0", "--no-default-features", "--features",
                     "server,client"],
         "bore": ["bore-cli", "--version", "0.6.0", "--locked"]}
# Folder below --source, package in it, module path with a version for `go install`.
GO = {"frps": ("frp", "./cmd/frps", "github.com/fatedier/frp/cmd/frps@v0.70.0"),
      "frpc": ("frp", "./cmd/frpc", "github.com/fatedier/frp/cmd/frpc@v0.70.0"),
      "chisel": ("chisel", ".", "github.com/jpillora/chisel@v1.10.1")}


def run(argv, folder=None, env=None):
    """None, or the last words of what failed."""
    print("+", *argv, file=sys.stderr)
    try:
        done = subprocess.run(list(map(str, argv)), cwd=folder, env=env, capture_output=True,
                              text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as wrong:
        return str(wrong)
    if done.returncode == 0:
        return None
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return said[-1] if said else f"exit status {done.returncode}"


def by_cargo(name):
    if shutil.which("cargo") is None:
        return "no cargo to build it with"
    return run(["cargo", "install", "--quiet", "--root", FETCHED, *CARGO[name]])


def by_go(name, source):
    if shutil.which("go") is None:
        return "no go to build it with"
    folder, package, module = GO[name]
    tree = source / folder if source else None
    if tree and tree.is_dir():
        return run(["go", "build", "-tags", "noweb", "-o", FETCHED / "bin" / name, package], tree)
    return run(["go", "install", module], env=os.environ | {"GOBIN": str(FETCHED / "bin")})


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--source", type=pathlib.Path, help="where source trees of Go are")
    source = arguments.parse_args().source
    why_not = FETCHED / "why-not"
    why_not.mkdir(parents=True, exist_ok=True)
    (FETCHED / "bin").mkdir(exist_ok=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), str(FETCHED / "bin")])
    for name in (*CARGO, *GO):
        if shutil.which(name, path=path):
            continue
        reason = by_cargo(name) if name in CARGO else by_go(name, source and source.resolve())
        (why_not / name).unlink(missing_ok=True)
        if reason:
            (why_not / name).write_text(f"{name} could not be built: {reason}\n",
                                        encoding="utf-8")
            print(f"{name}: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
