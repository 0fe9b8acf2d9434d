"""Bounds for what an installer starts: installing a package may run that package's code.

The builder itself may write to all environments; a child is bound to the one that it makes
(Landlock, by rights to write alone, on top of what the builder may do) and dies with the builder.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
from pathlib import Path
from typing import Callable, Iterable

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION_FLAG, PATH_BENEATH = 1, 1

# Rights of Landlock: to write, remove, make and rename files, by the ABI that brought them.
WRITES = {1: 0x1FF2, 2: 1 << 13, 3: 1 << 14}
OF_FILES = 1 << 1 | 1 << 14

_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttr(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def landlock_abi() -> int:
    """The kernel's Landlock ABI; 0: none."""
    return max(0, _libc.syscall(CREATE_RULESET, None, 0, VERSION_FLAG))


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def bound_writes(paths: Iterable[Path]) -> None:
    """From now on this thread, and what it starts, writes beneath these paths and nowhere else.

    Does nothing where the kernel has no Landlock.
    """
    abi = landlock_abi()
    if not abi:
        return
    rights = sum(bits for since, bits in WRITES.items() if since <= abi)
    attr = _RulesetAttr(rights)
    ruleset = _libc.syscall(CREATE_RULESET, ctypes.byref(attr), ctypes.sizeof(attr), 0)
    if ruleset < 0:
        _fail("landlock_create_ruleset")
    for path in paths:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if stat.S_ISDIR(os.fstat(fd).st_mode) else rights & OF_FILES
        rule = _PathBeneathAttr(allowed, fd)
        if _libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0) < 0:
            _fail("landlock_add_rule")
        os.close(fd)
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        _fail("no_new_privs")
    if _libc.syscall(RESTRICT_SELF, ruleset, 0) < 0:
        _fail("landlock_restrict_self")
    os.close(ruleset)


def entering(paths: Iterable[Path]) -> Callable[[], None]:
    """For a child between fork and exec: bound to the paths, and to the life of this process."""
    parent, rows = os.getpid(), list(paths)

    def enter() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)
        bound_writes(rows)

    return enter


def adopt_orphans() -> None:
    """What a child leaves behind becomes a child of this process, so that end_children finds it."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def end_children() -> None:
    """Kills every child, and theirs as they are orphaned, and waits for all of them."""
    while True:
        try:
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass  # without /proc, or one that has just ended
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
