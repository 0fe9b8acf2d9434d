"""Fails the Nth allocation or system call of a running server, for each N; see tests/torture/torture.c."""
import errno
import mmap
import struct
from pathlib import Path

from support.server import binary, is_sanitized

# The classes of calls, as torture.c numbers them, and the errors that each may have.
CLASSES = {
    "allocate": (0, [errno.ENOMEM]),
    "open": (1, [errno.EMFILE, errno.ENOENT]),
    "read": (2, [errno.ENOMEM, errno.EINTR]),
    "write": (3, [errno.ENOBUFS, errno.EINTR]),
    "map": (4, [errno.ENOMEM]),
    "memfd": (5, [errno.EMFILE]),
    "fork": (6, [errno.EAGAIN]),
    "socket": (7, [errno.EMFILE]),
    "accept": (8, [errno.EMFILE, errno.ECONNABORTED]),
    "epoll": (9, [errno.ENOSPC]),
    "pipe": (10, [errno.EMFILE]),
    "stat": (11, [errno.EIO]),
    "fcntl": (12, [errno.EMFILE]),
    "watch": (13, [errno.ENOSPC]),
}
FAULTS = [(name, error) for name, (_, errors) in CLASSES.items() for error in errors]
if is_sanitized():
    FAULTS = [fault for fault in FAULTS if fault[0] != "allocate"]  # the sanitizer's own malloc comes first
LAYOUT = struct.Struct("=Iiqqq")  # struct control
FAR = 1 << 62


def library():
    """The shim that was built with the binary under test."""
    return Path(binary()).resolve().parents[2] / "tests" / "torture" / "torture.so"


class Control:
    """The page that the tortured process reads."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.path = path

    def arm(self, name, nth, error, run_length=1):
        """From now on the nth call of that class fails, and run_length - 1 more behind it."""
        self.page[:LAYOUT.size] = LAYOUT.pack(0, error, nth, run_length, 0)
        self.page[:4] = struct.pack("=I", 1 << CLASSES[name][0])  # last: the process may be running

    def disarm(self):
        """Nothing fails any more. Returns how many calls were counted and how many failed since arm()."""
        _, _, left, _, failed = LAYOUT.unpack(self.page[:LAYOUT.size])
        self.page[:4] = bytes(4)
        return left, failed

    def environment(self, role):
        return {"LD_PRELOAD": str(library()), "TORTURE_CONTROL": str(self.path), "TORTURE_ROLE": role}


def failing(control, name, action, error, limit=5000, run_length=1):
    """Does the action with the 1st, 2nd, 3rd … call of that class failing, until it needs no more
    calls than that. Yields (n, what the action returned)."""
    for nth in range(1, limit):
        control.arm(name, nth, error, run_length)
        try:
            result = action()
        finally:
            _, failed = control.disarm()
        yield nth, result
        if not failed:
            return
    raise AssertionError(f"{name}: more than {limit} calls")
