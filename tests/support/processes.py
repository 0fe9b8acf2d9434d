"""Looks at a tree of processes from outside, by /proc."""
import contextlib
import ctypes
import platform
import re
import time
from pathlib import Path

import psutil

SYS_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
MOMENTARY = {"tensord-look", "tensord-install"}


def tree(pid):
    """The process and all that descend from it, but for those that look at the repository, or change it, for a
    moment."""
    root = psutil.Process(pid)
    return [root, *(child for child in root.children(recursive=True) if not is_momentary(child, root))]


def is_momentary(process, root):
    """Is it one of those, or has it just ended? Who was just forked has its parent's name and command line still, and
    may become one."""
    called = name(process)
    return called is None or called in MOMENTARY or (called == name(root) and cmdline(process) == cmdline(root))


def name(process):
    """What the process calls itself; None when it has just ended."""
    try:
        return process.name()
    except psutil.Error:
        return None


def named(pid, role):
    """Those of the tree whose command line has the word: "worker", "front"."""
    return [process for process in tree(pid) if role in cmdline(process)]


def cmdline(process):
    """The words of the command line; none when the process has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def measured(pid, measure):
    """Sums over the tree; a process that ends meanwhile counts nothing."""
    total = 0
    for process in tree(pid):
        try:
            total += measure(process)
        except psutil.Error:
            pass
    return total


def slice_ns(thread):
    """How long the thread wishes to keep the processor, as sched_getattr(2) tells; 0: the kernel does not know such a wish."""
    attributes = (ctypes.c_uint64 * 7)()  # struct sched_attr: size and policy, flags, nice and priority, then sched_runtime
    if ctypes.CDLL(None, use_errno=True).syscall(SYS_SCHED_GETATTR[platform.machine()], thread, attributes, ctypes.sizeof(attributes), 0):
        raise OSError(ctypes.get_errno(), "sched_getattr")
    return attributes[3]


def pss_bytes(pid):
    """Proportional memory of the tree: shared pages are counted once. Not with the pages of files: their part depends on
    who else on the machine has the same programs and libraries open."""
    return measured(pid, own_pss_bytes)


def own_pss_bytes(process):
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError as error:
        raise psutil.NoSuchProcess(process.pid) from error
    return sum(int(kib) << 10 for kib in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", rollup, re.MULTILINE))


def rss_bytes(pid):
    """Resident memory, summed: shared pages are counted again and again."""
    return measured(pid, lambda process: process.memory_info().rss)


def fd_count(pid):
    """Open descriptors of the tree."""
    return measured(pid, lambda process: process.num_fds())


def cpu_seconds(pid):
    """User and system time of the tree, those that have been waited for too."""
    return measured(pid, lambda process: sum(process.cpu_times()[:4]))


def until(condition, timeout_s=60, what="the condition"):
    """Waits until condition() is true and returns what it returned. For what sends no event only."""
    deadline = time.monotonic() + timeout_s
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what() if callable(what) else what} did not come true in {timeout_s} s")
        time.sleep(0.01)


def is_running(process):
    """Whether it has not ended. One that its parent has not waited for yet has, though it is still listed; but for
    threads of it that are about to end, and hold its descriptors until then."""
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.Error:
        return False


def outlasting(processes, timeout_s):
    """Those that have not ended after so long."""
    with contextlib.suppress(TimeoutError):
        until(lambda: not any(map(is_running, processes)), timeout_s)
    return list(filter(is_running, processes))


def connection_count(pid):
    """Accepted TCP connections of the tree that are open."""
    return measured(pid, lambda process: sum(bool(one.raddr) for one in process.connections("tcp")))


def is_idle(pid):
    """No connection is open, and nobody looks at the repository, which takes descriptors of its parent's."""
    return not connection_count(pid) and len(psutil.Process(pid).children(recursive=True)) == len(tree(pid)) - 1


def idle_fd_count(pid):
    """Open descriptors of the tree once it is idle: it closes connections a little later than their clients do. One or
    two more may be on their way from one process to another: compare by ≤, and wait."""
    until(lambda: is_idle(pid), what="the end of all connections")
    return fd_count(pid)
