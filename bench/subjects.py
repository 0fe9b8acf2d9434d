"""What is measured: the server, its limits and its peers, each a process tree that listens on a port of
127.0.0.1 and is ended at the end of a `with`."""
import copy
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
CPUCLOCK_SCHED = 2  # of the ids that clock_getcpuclockid(3) gives
LISTEN_S = 10
STOP_S = 20
LEFT_S = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """The process and all its descendants."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError):  # the thread has ended meanwhile
            for child in children.read_text().split():
                pids += tree(int(child))
    return pids


def has_ended(pid):
    with suppress(ChildProcessError):  # another's child
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def command_of(pid):
    """Its name and arguments, bytes."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def memory_kib(pid, kind):
    """kind: "Rss", or "Pss", where shared pages are shared out."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1])
    return 0


def adopt_orphans():
    """Has processes that those we started leave behind become our children, so that they can be seen to end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def processors(count):
    """Has what is started meanwhile, load generators included, run on the first so many processors."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


class Failure(SystemExit):
    """Ends the run, where nobody catches it."""

    def __init__(self, subject, what):
        super().__init__(f"bench: {subject.name} {what}")
        self.subject = subject


class Subject:
    """A running server. Its port is given, or is what it prints first; `ready` is in the line of its output
    that says that it may be measured. It has a session of its own, as the load generators have: Linux shares processors out
    among sessions, and some of the servers leave the one that they are started in."""

    def __init__(self, name, command, port=None, ready=None, listen_s=LISTEN_S, environment=None):
        self.name, self.listen_s = name, listen_s
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True, start_new_session=True,
                                        env={**os.environ, **(environment or {})})
        try:
            self.port = int(self.process.stdout.readline() or 0) if port is None else port
            if ready and not any(ready in line for line in self.process.stdout):
                self.fail(f"never said '{ready}'")
            self.wait_for_port()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def errors_so_far(self):
        return os.pread(self.errors.fileno(), os.fstat(self.errors.fileno()).st_size, 0)

    def fail(self, what):
        raise Failure(self, f"{what}:\n{self.errors_so_far().decode(errors='replace')}")

    def wait_for_port(self):
        until = time.monotonic() + self.listen_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    self.fail("does not listen")
                time.sleep(0.01)

    def role(self, role):
        """The same server, of whose processes only those of one role count: tensord's "front", its "worker"."""
        part = copy.copy(self)
        part.counted = lambda: [pid for pid in tree(self.process.pid) if command_of(pid)[1:2] == [role.encode()]]
        return part

    def counted(self):
        """The processes whose CPU time is the server's."""
        return tree(self.process.pid)

    def cpu_s(self):
        """CPU time of all that are counted, seconds: each process has a clock of it, to the nanosecond."""
        total = 0
        for pid in self.counted():
            with suppress(OSError):  # it has just ended
                total += time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
        return total

    def resident_kib(self, kind):
        """Memory of the tree but for its workers and their inits, which are forks of what was started. kind: "Rss", or
        "Pss", where shared pages are shared out."""
        def command(pid):
            return Path(f"/proc/{pid}/cmdline").read_bytes()

        root, total = self.process.pid, 0
        for pid in tree(root):
            if b"\0worker\0" in command(pid) or (pid != root and command(pid) == command(root)):
                continue
            total += memory_kib(pid, kind)
        return total

    def whole_kib(self):
        """Memory of the whole tree, pages that several processes share counted once (PSS)."""
        total = 0
        for pid in tree(self.process.pid):
            with suppress(OSError):  # it has just ended
                total += memory_kib(pid, "Pss")
        return total

    def stop(self):
        family = tree(self.process.pid)[1:]
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for number in (signal.SIGTERM, signal.SIGKILL):  # those that servers leave behind; some clean up when they may
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            until = time.monotonic() + LEFT_S
            while (family := [pid for pid in family if not has_ended(pid)]) and time.monotonic() < until:
                time.sleep(0.01)
        self.process.stdout.close()
        self.errors.close()


def tensord(build, models, *flags, ready="is ready", environment=None):
    port = free_port()
    return Subject("tensord", [build / "src/cmd/tensord", "serve", models, "--port", port, "--grpc-port", 0,
                               "--metrics-port", 0, *flags], port, ready, environment=environment)


def nginx(folder):
    """nginx with one worker that answers everything with a constant."""
    port = free_port()
    config = folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; {places}
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }} }}
""")
    return Subject("nginx", ["nginx", "-c", config, "-p", folder], port)


def nghttpd(folder, file_bytes):
    """nghttp2's own server, one thread; /echo is a file of file_bytes."""
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static" / "echo").write_bytes(b"x" * file_bytes)
    port = free_port()
    command = ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-n1", "-d", folder / "static", port]
    return Subject("nghttpd", command, port)


def grpc_echo(build):
    return Subject("grpc++ echo", [build / "bench/grpc_echo"])


def socket_copy(build, request_bytes, response):
    return Subject("socket copy", [build / "bench/socket_copy", request_bytes, response])
