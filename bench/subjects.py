"""What is measured: the server, its limits and its peers, each as a process tree that listens on a port of 127.0.0.1."""
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """The process and all its descendants."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            pids += tree(int(child))
    return pids


class Subject:
    """A running server. command is what to execute; the port is given, or printed by it on its first line."""

    def __init__(self, name, command, port=None, ready=None, cwd=None):
        self.name = name
        self.started = time.monotonic()
        self.process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.port = port
        if port is None:
            self.port = int(self.process.stdout.readline())
        for line in self.process.stdout if ready else ():
            if ready in line:
                break
        self.wait_for_port()

    def wait_for_port(self, timeout_s=10):
        until = time.monotonic() + timeout_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit(f"bench: {self.name} does not listen") from None

    def cpu_s(self):
        """CPU time of the whole tree, seconds, in ticks of 10 ms."""
        total = 0
        for pid in tree(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS_PER_S

    def resident_kib(self, count=None):
        """Sum of the resident set (PSS) of the tree's first `count` processes."""
        total = 0
        for pid in tree(self.process.pid)[:count]:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


def tensord(build, models, *flags):
    port = free_port()
    return Subject("tensord", [build / "src/cmd/tensord", "serve", models, "--port", port, "--grpc-port", 0,
                               "--metrics-port", 0, *flags], port, ready="is ready")


def nginx(folder):
    """nginx with one worker that answers everything with a constant."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }} }}
""")
    return Subject("nginx", ["nginx", "-c", config, "-p", folder], port)


def nghttpd(folder):
    """nghttp2's own server, one thread, a static file."""
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static" / "echo").write_bytes(b"x" * 100)
    port = free_port()
    return Subject("nghttpd", ["nghttpd", "--no-tls", "-n1", "-d", folder / "static", port], port)


def grpc_echo(build):
    return Subject("grpc++ echo", [build / "bench/grpc_echo"])


def socket_copy(build, request_bytes, response):
    return Subject("socket copy", [build / "bench/socket_copy", request_bytes, response])
