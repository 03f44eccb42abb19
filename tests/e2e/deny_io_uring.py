"""python3 deny_io_uring.py <program> ...: runs it where io_uring_setup(2) answers EPERM, as
under the seccomp profile of a container. Exit 77 if this machine cannot install such a filter."""

import ctypes
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001
IO_URING_SETUP = 425  # The same number on every architecture since Linux 5.1.


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    if platform.machine() not in ("x86_64", "aarch64", "riscv64"):
        return 77
    instructions = b"".join(struct.pack("=HBBI", *i) for i in (
        (LOAD_WORD, 0, 0, 0),  # The number of the system call is the first word.
        (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, FAIL_WITH_EPERM),
        (RETURN, 0, 0, ALLOW)))
    program = Program(4, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return 77
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        return 77
    os.execv(sys.argv[1], sys.argv[1:])
    return 1


if __name__ == "__main__":
    sys.exit(main())
