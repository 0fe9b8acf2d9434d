"""Folders of managed servers: programs that speak HTTP and are started for their models."""
import contextlib
import json
import os
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from support.processes import cmdline
from support.server import Server

# A server of the standard library that does as its paths say. PORT is where it listens.
APP = '''
import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *arguments):
        pass

    def answer(self, body=b"", status=200, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        self.wfile.flush()

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            left -= len(data)
            yield data

    def do_GET(self):
        path, _, query = self.path.partition("?")
        getattr(self, "on_" + (path.strip("/").split("/")[0] or "root"), self.on_other)(path, query)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do_GET

    def on_other(self, path, query):
        self.answer(b"no such path", 404)

    def on_root(self, path, query):
        self.answer(b"root")

    def on_health(self, path, query):
        if os.path.exists(os.environ["TMPDIR"] + "/sick"):
            self.answer(b"sick", 503)
        else:
            self.answer(b"ok")

    def on_pid(self, path, query):
        self.answer(str(os.getpid()).encode())

    def on_echo(self, path, query):
        data = b"".join(self.body())
        told = {"method": self.command, "path": path, "query": query, "body": data.decode("latin-1"),
                "fields": {name.lower(): value for name, value in self.headers.items()},
                "environment": dict(os.environ), "argv": sys.argv[1:], "cwd": os.getcwd()}
        self.answer(json.dumps(told).encode(), Content_Type="application/json")

    def on_count(self, path, query):
        self.answer(str(sum(map(len, self.body()))).encode())

    def on_large(self, path, query):
        left = int(query)
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        piece = bytes(range(256)) * 256
        while left:
            part = piece[:min(left, len(piece))]
            self.wfile.write(part)
            left -= len(part)

    def on_events(self, path, query):
        """Each event waits until the one before was acknowledged, by a file of its number."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(int(query)):
            self.chunk(b"data: %d\\n\\n" % i)
            while i + 1 < int(query) and i not in ACKNOWLEDGED:
                time.sleep(0.005)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def on_acknowledge(self, path, query):
        ACKNOWLEDGED.add(int(query))
        self.answer()

    def on_forever(self, path, query):
        """Streams until the client leaves, and says so."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.chunk(b"x" * 1000)
                time.sleep(0.01)
        except OSError:
            GONE.set()

    def on_gone(self, path, query):
        self.answer(b"gone" if GONE.wait(20) else b"still there")

    def on_status(self, path, query):
        self.answer(b"as you like", int(query))

    def on_redirect(self, path, query):
        self.answer(b"", 302, Location=query)

    def on_page(self, path, query):
        self.answer(b"<html>", Content_Type="text/html", Set_Cookie="a=b", Access_Control_Allow_Origin="*")

    def on_exit(self, path, query):
        os._exit(int(query))

    def on_die(self, path, query):
        """In the middle of an answer."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"some")
        self.wfile.flush()
        os._exit(3)

    def on_raw(self, path, query):
        """Bytes that a file has, and then the end."""
        self.wfile.write(open(HERE + "/" + query, "rb").read())
        self.close_connection = True

    def on_endless(self, path, query):
        try:
            if query == "head":
                self.wfile.write(b"HTTP/1.1 200 OK\\r\\n")
                while True:
                    self.wfile.write(b"X-A: " + b"a" * 1000 + b"\\r\\n")
            while True:
                self.wfile.write(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        except OSError:
            self.close_connection = True

    def on_silent(self, path, query):
        time.sleep(60)

    def on_early(self, path, query):
        """Answers before the body has come, and does not read it."""
        self.answer(b"enough", 413)
        self.close_connection = True

    def on_print(self, path, query):
        print(query, flush=True)
        self.answer()

    def on_flood(self, path, query):
        for _ in range(int(query)):
            os.write(1, b"flood " * 1000 + b"\\n")
        self.answer()

    def on_fork(self, path, query):
        """Leaves a process behind that ignores all signals that can be ignored."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)
        self.answer(str(pid).encode())

    def on_try(self, path, query):
        """Evaluates what it is told, and says what came of it."""
        try:
            scope = {"os": os, "sys": sys, "socket": __import__("socket"), "urllib": __import__("urllib.request")}
            exec(b"".join(self.body()).decode(), scope)
            self.answer(str(scope.get("result")).encode())
        except BaseException as error:
            self.answer(f"{type(error).__name__}: {error}".encode())


ACKNOWLEDGED, GONE = set(), threading.Event()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True


class UnixServer(Server):
    address_family = __import__("socket").AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "unix", 0

    def get_request(self):
        request, _ = self.socket.accept()
        return request, ("unix", 0)


def main():
    while os.path.exists(HERE + "/slow"):
        time.sleep(0.01)
    where = sys.argv[1]
    kind = Server if where.isdigit() else UnixServer
    kind(("127.0.0.1", int(where)) if where.isdigit() else where, Handler).serve_forever()


main()
'''


def write_server(folder, name, command=None, app=APP, files=None, sandbox=None, **section):
    """Makes a model that is a managed server: by default APP, told its port. `files` are others, by their names;
    `sandbox` is the config's section."""
    path = Path(folder) / name
    path.mkdir(parents=True, exist_ok=True)
    if app:
        (path / "app.py").write_text(textwrap.dedent(app))
    for file, content in (files or {}).items():
        (path / file).write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    section = {"command": command or f"{sys.executable} -B app.py {{port}}", **section}
    (path / "model.yaml").write_text(json.dumps({"server": section, "sandbox": sandbox or {}}))  # JSON is YAML
    return path


def path_of(name, path):
    """Where a path of a managed server is."""
    return f"/tensord/v1/servers/{name}{path}"


def ask(server, name, path, data=None, **options):
    """(status, body) of a request to a managed server."""
    status, _, body = server.fetch(path_of(name, path), data, **options)
    return status, body


def told(server, name, path, data=None, **options):
    """What the app says that it was asked."""
    status, body = ask(server, name, path, data, **options)
    assert status == 200, body
    return json.loads(body)


def row_of(server, name="app"):
    """What the listing says of a model."""
    rows = server.get("/tensord/v1/models")["models"]
    nothing = {"state": "", "requests_waiting": 0, "requests_running": 0}  # before the first look
    return next((row for row in rows if row["name"] == name), nothing)


def apps(server):
    """The processes of apps beneath the server."""
    return [child for child in server.descendants() if "app.py" in " ".join(cmdline(child))]


# A user namespace in which there can be no other namespaces, as in many containers.
WITHOUT_NAMESPACES = ["unshare", "-Ur", "sh", "-c", 'for kind in user net pid mnt ipc; do echo 0 >/proc/sys/user/max_${kind}_namespaces; '
                      'done; exec "$0" "$@"']

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextlib.contextmanager
def served_by_nobody(command, **config):
    """A server, run by an ordinary user, that serves "app". Its folders are its own: pytest closes those that it makes
    to others whenever it starts once more beside this run."""
    with tempfile.TemporaryDirectory() as made:
        root, state = Path(made), Path(made, "state")
        state.mkdir()
        write_server(root / "models", "app", command, **config)
        for path in (root, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        served = Server(root / "models", "--python", "/usr/bin/python3", state=state, environment={"HOME": str(state)},
                        starter=["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"])
        try:
            yield served.wait_ready("app")
        finally:
            served.stop()
