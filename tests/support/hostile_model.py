"""A model that tries what no model may, one action for each name; served as a model by tests/test_sandbox.py.

An action that is refused raises OSError; what it answers otherwise is what it got.
"""
import ctypes
import errno
import os
import resource
import socket
import sys
import threading
import time

import tensord

libc = ctypes.CDLL(None, use_errno=True)
kept = []

# Numbers of x86-64 and of the architectures that share a table (aarch64).
CALLS = {
    "x86_64": {"ptrace": 101, "process_vm_readv": 310, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "pivot_root": 155,
               "chroot": 161, "io_uring_setup": 425, "bpf": 321, "keyctl": 250, "add_key": 248, "perf_event_open": 298,
               "userfaultfd": 323, "init_module": 175, "kexec_load": 246, "reboot": 169, "mknodat": 259, "clone3": 435,
               "clone": 56, "vfork": 58, "pidfd_open": 434, "open_by_handle_at": 304, "setuid": 105, "sethostname": 170,
               "memfd_create": 319, "open_tree": 428, "fsopen": 430, "move_mount": 429, "shmget": 29, "prctl": 157,
               "personality": 135, "iopl": 172, "swapon": 167, "settimeofday": 164, "landlock_restrict_self": 446,
               "pidfd_getfd": 438, "pidfd_send_signal": 424, "process_madvise": 440, "mq_open": 240, "tgkill": 234},
    "aarch64": {"ptrace": 117, "process_vm_readv": 270, "mount": 40, "umount2": 39, "unshare": 97, "setns": 268, "pivot_root": 41,
                "chroot": 51, "io_uring_setup": 425, "bpf": 280, "keyctl": 219, "add_key": 217, "perf_event_open": 241,
                "userfaultfd": 282, "init_module": 105, "kexec_load": 104, "reboot": 142, "mknodat": 33, "clone3": 435,
                "clone": 220, "pidfd_open": 434, "open_by_handle_at": 265, "setuid": 146, "sethostname": 161,
                "memfd_create": 279, "open_tree": 428, "fsopen": 430, "move_mount": 429, "shmget": 194, "prctl": 167,
                "personality": 92, "swapon": 224, "settimeofday": 170, "landlock_restrict_self": 446, "pidfd_getfd": 438,
                "pidfd_send_signal": 424, "process_madvise": 440, "mq_open": 180, "tgkill": 131},
}[os.uname().machine]


def call(name, *arguments):
    """A system call by its name; a call that this machine has not is refused too."""
    if name not in CALLS:
        raise OSError(errno.ENOSYS, name)
    result = libc.syscall(CALLS[name], *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def read(path):
    with open(path, "rb") as file:
        return file.read(100)


def write(path):
    with open(path, "ab") as file:
        return file.write(b"x")


def every(attempts):
    """Refused only when each of them is; else tells which one was not."""
    last = OSError(errno.EPERM, "nothing was tried")
    for name, attempt in attempts:
        try:
            got = attempt()
        except (OSError, ValueError) as error:
            last = error if isinstance(error, OSError) else last
        else:
            return f"{name}: {got}"
    raise last


def sockets(_):
    families = [name for name in dir(socket) if name.startswith("AF_")]
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
    return every((f"{name} {kind}", lambda name=name, kind=kind: socket.socket(getattr(socket, name), kind))
                 for name in families for kind in kinds)


def abstract_sockets(_):
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("\0tensord")


def datagram_pairs(_):
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def namespaces(_):
    flags = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
             "pid": 0x20000000, "net": 0x40000000, "files": 0x400}
    return every((name, lambda flag=flag: call("unshare", flag)) for name, flag in flags.items())


def processes(_):
    return every([("fork", os.fork), ("clone", lambda: call("clone", 17, 0, 0, 0, 0)),
                  ("vfork", lambda: call("vfork")),
                  ("clone3", lambda: call("clone3", ctypes.create_string_buffer(88), 88)),
                  ("clone into namespaces", lambda: call("clone", 17 | 0x10000000, 0, 0, 0, 0))])


def programs(_):
    return every((path, lambda path=path: os.execv(path, [path, "--version"]))
                 for path in ("/bin/true", "/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", sys.executable))


def own_program(_):
    path = os.environ["TMPDIR"] + "/program"
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\nexit 0\n")
    return every([("chmod", lambda: os.chmod(path, 0o755)), ("exec", lambda: os.execv(path, [path]))])


def other_processes(given):
    pids = [int(pid) for pid in given.values() if pid.isdigit()]
    return every([(f"{what} {pid}", lambda attempt=attempt, pid=pid: attempt(pid)) for pid in [*pids, 1, os.getppid()]
                  for what, attempt in (
                      ("kill", lambda pid: os.kill(pid, 9)), ("kill all", lambda pid: os.kill(-1, 9)),
                      ("tgkill", lambda pid: call("tgkill", pid, pid, 9)),
                      ("ptrace", lambda pid: call("ptrace", 16, pid, 0, 0)),
                      ("process_vm_readv", lambda pid: call("process_vm_readv", pid, 0, 0, 0, 0, 0)),
                      ("pidfd", lambda pid: call("pidfd_open", pid, 0)),
                      ("environ", lambda pid: read(f"/proc/{pid}/environ")),
                      ("mem", lambda pid: read(f"/proc/{pid}/mem")),
                      ("root", lambda pid: os.listdir(f"/proc/{pid}/root/root")),
                      ("cwd", lambda pid: os.listdir(f"/proc/{pid}/cwd")),
                      ("fd", lambda pid: os.listdir(f"/proc/{pid}/fd")))])


def is_mine(pid):
    return int(pid) == os.getpid()


def secrets(given):
    paths = ["/etc/shadow", "/etc/passwd", "/root/.bashrc", "/proc/kcore", "/proc/kallsyms", given["token"], given["tokens"]]
    return every((path, lambda path=path: read(path)) for path in paths)


def other_models(given):
    return every([("list", lambda: os.listdir(os.path.dirname(given["other"]))), ("read", lambda: read(given["other"]))])


def detours(given):
    link = os.environ["TMPDIR"] + "/link"
    if not os.path.islink(link):
        os.symlink(given["token"], link)
    up = "../" * 20
    return every([("link", lambda: read(link)), ("up", lambda: read(up + given["token"])),
                  ("self", lambda: read("/proc/self/root" + given["token"])),
                  ("cwd", lambda: read("/proc/self/cwd/" + up + given["token"])),
                  ("handle", lambda: call("open_by_handle_at", -100, ctypes.create_string_buffer(128), 0))])


def devices(_):
    return every([*((path, lambda path=path: read(path)) for path in (
        "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/dev/kvm", "/dev/net/tun")),
        ("mknod", lambda: call("mknodat", -100, b"memory", 0o20666, 257))])


def own_files(given):
    folder = os.path.dirname(os.path.abspath(__file__))
    inside = [os.path.join(folder, "model.py"), os.path.join(folder, "new")]
    return every([*((path, lambda path=path: write(path)) for path in inside),
                  ("remove", lambda: os.remove(inside[0])), ("rename", lambda: os.rename(inside[0], inside[1])),
                  ("mkdir", lambda: os.mkdir(inside[1])), ("link", lambda: os.symlink("x", inside[1])),
                  ("chmod", lambda: os.chmod(inside[0], 0o777)), ("truncate", lambda: os.truncate(inside[0], 0)),
                  ("utime", lambda: os.utime(inside[0]))])


def environment_files(_):
    places = [path for path in sys.path if os.path.isdir(path)] + [sys.prefix, os.path.dirname(os.__file__)]
    return every((path, lambda path=path: write(os.path.join(path, "evil.pth"))) for path in places)


def system_files(_):
    paths = ("/etc/evil", "/usr/evil", "/var/tmp/evil", "/evil", "/run/evil", "/proc/sysrq-trigger", "/proc/self/oom_score_adj",
             "/proc/sys/kernel/core_pattern", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/cgroup.procs")
    return every((path, lambda path=path: write(path)) for path in paths)


def rights(_):
    return every([("setuid", lambda: call("setuid", 0)), ("setgroups", lambda: os.setgroups([0])),
                  ("rlimit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))),
                  ("life", lambda: call("prctl", 1, 0, 0, 0, 0)), ("dumpable", lambda: call("prctl", 4, 1, 0, 0, 0)),
                  ("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -10)),
                  ("scheduler", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))])


def kernel(name, *arguments):
    return lambda _: call(name, *arguments)


def mounts(_):
    return every([("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)),
                  ("bind", lambda: call("mount", b"/", b"/tmp", 0, 4096, 0)),
                  ("umount", lambda: call("umount2", b"/proc", 2)), ("pivot_root", lambda: call("pivot_root", b"/tmp", b"/tmp")),
                  ("chroot", lambda: call("chroot", b"/tmp")), ("fsopen", lambda: call("fsopen", b"tmpfs", 0)),
                  ("open_tree", lambda: call("open_tree", -100, b"/", 1)), ("setns", lambda: call("setns", 0, 0))])


def disk(_):
    """Writes without end: how many MiB it got."""
    written, block, name = 0, b"x" * (1 << 20), os.environ["TMPDIR"] + "/big"
    try:
        with open(name, "wb", buffering=0) as file:
            while written < 60 << 20:
                written += file.write(block)
    except OSError:
        pass
    finally:
        os.remove(name)
    return written >> 20


def descriptors(_):
    """Opens without end: how many it got."""
    opened = []
    try:
        while len(opened) < 100000:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for fd in opened:
        os.close(fd)
    return len(opened)


def files(_):
    """Makes files without end: how many it got."""
    made, folder = 0, os.environ["TMPDIR"] + "/many"
    os.makedirs(folder, exist_ok=True)
    try:
        while made < 200000:
            os.close(os.open(f"{folder}/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError:
        pass
    for number in range(made):
        os.remove(f"{folder}/{number}")
    return made


def memory(_):
    """Takes memory without end."""
    while True:
        kept.append(bytearray(os.urandom(1)) * (16 << 20))
        time.sleep(0.01)


def threads(_):
    """Starts threads without end, also where the system refuses one."""
    threading.stack_size(65536)
    stop = threading.Event()
    while True:
        try:
            threading.Thread(target=stop.wait, daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)


ACTIONS = {
    "abstract_sockets": abstract_sockets,
    "add_key": kernel("add_key", b"user", b"x", b"y", 1, -3),
    "bpf": kernel("bpf", 0, 0, 0),
    "datagram_pairs": datagram_pairs,
    "descriptors": descriptors,
    "detours": detours,
    "devices": devices,
    "disk": disk,
    "environment_files": environment_files,
    "files": files,
    "init_module": kernel("init_module", 0, 0, b""),
    "io_uring": kernel("io_uring_setup", 8, ctypes.create_string_buffer(256)),
    "iopl": kernel("iopl", 3),
    "kexec": kernel("kexec_load", 0, 0, 0, 0),
    "keyctl": kernel("keyctl", 0, -3, 0),
    "memfd": kernel("memfd_create", b"x", 0),
    "memory": memory,
    "message_queues": kernel("mq_open", b"x", 66, 0o600, 0),
    "mounts": mounts,
    "namespaces": namespaces,
    "other_models": other_models,
    "other_processes": other_processes,
    "own_files": own_files,
    "own_program": own_program,
    "perf_event_open": kernel("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "personality": kernel("personality", 0x40000),
    "pidfd_getfd": kernel("pidfd_getfd", 0, 0, 0),
    "pidfd_send_signal": kernel("pidfd_send_signal", 0, 9, 0, 0),
    "process_madvise": kernel("process_madvise", 0, 0, 0, 0, 0),
    "processes": processes,
    "programs": programs,
    "reboot": kernel("reboot", 0xfee1dead, 672274793, 0, 0),
    "rights": rights,
    "secrets": secrets,
    "sethostname": kernel("sethostname", b"evil", 4),
    "settimeofday": kernel("settimeofday", ctypes.create_string_buffer(16), 0),
    "shared_memory": kernel("shmget", 1, 4096, 0o1666),
    "sockets": sockets,
    "swapon": kernel("swapon", b"/tmp/x", 0),
    "system_files": system_files,
    "threads": threads,
    "userfaultfd": kernel("userfaultfd", 0),
}


def predict(action: str, request: tensord.Request) -> str:
    if action == "list":
        return " ".join(ACTIONS)
    if action == "nothing":
        return "done"
    try:
        return f"got {ACTIONS[action](request.parameters)}"
    except OSError as error:
        return f"refused {errno.errorcode.get(error.errno, error.errno)}"
