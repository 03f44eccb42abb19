"""A program that is not ours: compiles an example against the installed library, with what
pkg-config says of it, and runs it.

    python3 tests/outside_program.py <build directory> <source> [compiler ...]
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile


def installed(build, root):
    """The library, installed below `root`; what pkg-config says of it."""
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet",
                    "--destdir", root], check=True)
    found = sorted(pathlib.Path(root).rglob("tunnel_uring.pc"))
    assert len(found) == 1, f"installed: {found}"
    # The file names the place where all shall lie one day; it lies below `root` now.
    text = found[0].read_text(encoding="utf-8")
    found[0].write_text(re.sub(r"^prefix=", f"prefix={root}", text, flags=re.MULTILINE),
                        encoding="utf-8")
    path = os.pathsep.join([str(found[0].parent), os.environ.get("PKG_CONFIG_PATH", "")])
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "--static", "tunnel_uring"],
                           check=True, env={**os.environ, "PKG_CONFIG_PATH": path},
                           capture_output=True, text=True).stdout
    return shlex.split(flags)


def main():
    build, source, *compiler = sys.argv[1:]
    with tempfile.TemporaryDirectory() as root:
        flags = installed(build, root)
        assert any(flag.startswith(f"-I{root}") for flag in flags), f"no include path: {flags}"
        program = pathlib.Path(root) / "program"
        # No flag of our build but the language: that is all a stranger knows.
        subprocess.run([*compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", source, *flags,
                        "-o", program], check=True)
        return subprocess.run([program], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
