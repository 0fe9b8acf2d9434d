"""A server that the suite starts itself, and starts again when a case has ended it."""
import os
import signal
import subprocess
import time

from .http import Http1, NoAnswer

START_S = 300
STOP_S = 60


class Server:
    """A shell's command that serves at the URL, in a process group of its own."""

    def __init__(self, command, url):
        self.command, self.http, self.process = command, Http1(url), None
        self.start()

    def start(self):
        """Starts it and waits until it is ready."""
        self.process = subprocess.Popen(self.command, shell=True, start_new_session=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not (self.is_ready() and self.is_settled()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the server does not start: {self.command}")
            time.sleep(0.2)

    def is_ready(self):
        try:
            return self.http.ask("GET", "/v2/health/ready").status == 200
        except (OSError, NoAnswer):
            return False

    def is_settled(self):
        """Has each version been loaded, or failed to, as far as the server says? Some are ready before."""
        try:
            reply = self.http.ask("POST", "/v2/repository/index", b"")
            rows = reply.json() if reply.status == 200 else []
            return all(row.get("state") == "READY" or row.get("state") != "LOADING" and row.get("reason") for row in rows)
        except (OSError, AssertionError):
            return True  # no such list

    def has_ended(self):
        """Is its process gone, or does nobody listen any more?"""
        if self.process.poll() is not None:
            return True
        try:
            self.http.open().close()
            return False
        except OSError:
            return True

    def restart(self):
        self.stop()
        self.start()

    def stop(self):
        """SIGTERM to its group, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            end = time.monotonic() + STOP_S
            while number == signal.SIGTERM and self.process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
        self.process.wait()
