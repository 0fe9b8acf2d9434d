"""Starts the real binary, and sees that it ends as it should."""
import functools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import urllib.error
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_S = 60  # sanitizers are slow
STOP_S = 30
ADDRESS = re.compile(r"tensord listening on (https?)://([\d.]+):(\d+)")
PORTS = ("--port", "0", "--grpc-port", "0", "--metrics-port", "0")
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")


def binary():
    """The binary under test; the environment says which."""
    return os.environ.get("TENSORD_BINARY", str(ROOT / "build" / "src" / "cmd" / "tensord"))


@functools.cache
def is_sanitized():
    """Is the binary under test a sanitizer's? They keep freed memory back, report crashes themselves, and trace."""
    return is_thread_sanitized() or b"__asan_init" in Path(binary()).read_bytes()


@functools.cache
def is_thread_sanitized():
    """Does ThreadSanitizer watch the binary under test? It gives every process a thread of its own."""
    return b"__tsan_init" in Path(binary()).read_bytes()


def inherited():
    """The environment without what would be taken for a setting of the server's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TENSORD_")}


def onnxruntime():
    """The folder of the onnxruntime package in the environment that runs the tests."""
    return os.path.join(sysconfig.get_path("platlib"), "onnxruntime")


def fetch(url, data=None, method=None, headers=None, timeout_s=120, context=None):
    """One HTTP request; returns (status, headers, body) for errors too. The context is ssl's."""
    body = json.dumps(data).encode() if isinstance(data, (dict, list)) else data
    asked = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s, context=context) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


class Lines:
    """Collects a stream's lines on a thread of its own, so that one can wait for one of them."""

    def __init__(self, stream):
        self.seen, self.coming = [], queue.Queue()
        self.thread = threading.Thread(target=self.collect, args=(stream,), daemon=True)
        self.thread.start()

    def collect(self, stream):
        for line in stream:
            self.seen.append(line)
            self.coming.put(line)
        self.coming.put(None)

    def wait_for(self, pattern, timeout_s):
        """The match of the first line from here on that has the pattern; None when the stream ends
        or the time is over."""
        try:
            while (line := self.coming.get(timeout=timeout_s)) is not None:
                if match := re.search(pattern, line):
                    return match
        except queue.Empty:
            pass
        return None

    def join(self, timeout_s=STOP_S):
        """Waits until the stream has ended, so that text() has all of it."""
        self.thread.join(timeout_s)

    def text(self):
        return "".join(self.seen)


def state_dir(command, environment):
    """Where a server that is started so keeps its state; see src/cmd/state_dir.h."""
    if "--state-dir" in command:
        return Path(command[command.index("--state-dir") + 1])
    if service := environment.get("STATE_DIRECTORY"):
        return Path(service.split(":")[0])
    home = environment["XDG_STATE_HOME"] or f"{environment['HOME']}/.local/state"
    return Path(home) / "tensord"


class Server:
    """A running `tensord serve`. stop() asserts that it ends cleanly.

    Without a path it serves the state folder. ports=False leaves the ports to the arguments; `command` starts it by
    other arguments than those of serve; `starter` is the beginning of a command that executes it in turn.
    """

    def __init__(self, path, *arguments, state, environment=None, ports=True, command=None, starter=(), cwd=None,
                 **options):
        self.state = state
        serve = ["serve", *([str(path)] if path else []), *(PORTS if ports else ())]
        serve += ["--onnxruntime", onnxruntime(), "--python", sys.executable]
        command = [*map(str, starter), binary(), *(command or serve), *map(str, arguments)]
        environment = {**inherited(), "XDG_STATE_HOME": str(state), **(environment or {})}
        self.state_dir = state_dir(command, environment)
        self.process = subprocess.Popen(
            command, cwd=cwd or state, env=environment, stdin=subprocess.DEVNULL, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )
        self.pid = self.process.pid
        self.context = None  # an ssl.SSLContext, for a server that speaks TLS
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)
        if ports:
            self.wait_listening()

    def wait_listening(self, pattern=ADDRESS):
        """Waits for the line that says where it listens."""
        match = self.out.wait_for(pattern, START_S)
        if not match:
            self.kill()
            self.out.join()
            self.err.join()
            raise RuntimeError(f"the server did not start:\n{self.out.text()}{self.err.text()}")
        if pattern is ADDRESS:
            self.scheme, self.host, self.port = match.group(1), match.group(2), int(match.group(3))
        return self

    @property
    def address(self):
        """(host, port), for sockets."""
        return self.host, self.port

    @property
    def netloc(self):
        """host:port, for clients."""
        return f"{self.host}:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.netloc}"

    @property
    def admin_token(self):
        """What the first start has left for the owner's command line."""
        return (self.state_dir / "admin-token").read_text().strip()

    def fetch(self, path, data=None, headers=None, **options):
        """One HTTP request to a path, with the owner's token; see fetch()."""
        headers = {"Authorization": f"Bearer {self.admin_token}", **(headers or {})}
        return fetch(self.url + path, data, headers=headers, context=self.context, **options)

    def get(self, path):
        """The JSON at a path, which answers 200."""
        status, _, body = self.fetch(path)
        assert status == 200, (status, body)
        return json.loads(body)

    def infer(self, model, data, **options):
        """POSTs an inference in JSON: (status, decoded body)."""
        status, _, body = self.fetch(f"/v2/models/{model}/infer", data, **options)
        return status, json.loads(body)

    def wait_ready(self, model, timeout_s=START_S):
        """Waits until the model answers that it is ready."""
        from support.processes import until

        ready = f"/v2/models/{model}/ready"
        try:
            until(lambda: self.fetch(ready)[0] == 200, timeout_s, f"'{model}' ready")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.err.text()}") from None
        return self

    def wait_anonymously(self, model, timeout_s=START_S):
        """The same without a token, for a server that has none."""
        from support.processes import until

        until(lambda: fetch(f"{self.url}/v2/models/{model}/ready")[0] == 200, timeout_s, f"'{model}' ready")
        return self

    def kill(self):
        """Ends the process and what descends from it, without asking."""
        from support.processes import outlasting

        children = self.descendants()
        self.process.kill()  # first, so that it cannot tidy up
        for child in children:
            try:
                child.kill()
            except psutil.Error:
                pass
        self.process.wait()
        outlasting(children, STOP_S)

    def descendants(self):
        from support.processes import tree

        try:
            return tree(self.pid)[1:]
        except psutil.Error:
            return []

    def front(self):
        """The front's process; of two while the program is upgraded, the one that belongs to the server."""
        from support.processes import cmdline

        [front] = [child for child in psutil.Process(self.pid).children() if "front" in cmdline(child)]
        return front

    def workers(self, model=None):
        """The processes that are named after the model: its workers, or its server's keeper. Without a model, all workers."""
        from support.processes import cmdline, name

        return [child for child in self.descendants()
                if ("worker" in cmdline(child) if model is None else name(child) == model)]

    def installers(self):
        """Processes that change the folder of models just now."""
        from support.processes import name

        return [child for child in psutil.Process(self.pid).children() if name(child) == "tensord-install"]

    def stop(self, expected_status=0):
        """SIGTERM; then the status, the children and the sanitizers' reports are checked."""
        from support.processes import outlasting

        children = self.descendants()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_S} s after SIGTERM:\n{self.err.text()}") from None
        alive = outlasting(children, STOP_S)
        for child in alive:
            child.kill()
        self.err.join()
        errors = self.err.text()
        assert not SANITIZER_REPORT.search(errors), errors
        assert status == expected_status, f"exit status {status}:\n{errors}"
        assert not alive, f"children outlived the server: {alive}"
