"""A server that is treated badly, and what must be true of it after every bad input."""
import json
import re
import struct
from pathlib import Path

from support import processes
from support.repositories import request, write_model
from support.server import Server, is_sanitized

MIB = 1 << 20
MEMORY_ONCE = 16 * MIB  # what one bad input may cost for a while
MEMORY_REPEATED = MIB  # what a hundred more of it may
REPEATS = 100

# What no sentence may tell a client: addresses, segments, folders, places in the source.
LEAKS = re.compile(r"0x[0-9a-f]{6}|memfd|/dev/shm|/proc/|/tmp/|/home/|/root/|\w\.[ch]:\d", re.IGNORECASE)

# Small limits, so that clients that wait for them need not wait long.
LIMITS = ("--header-timeout-ms", 1000, "--body-timeout-ms", 1000, "--unsent-timeout-ms", 1000, "--max-json-mib", 4)


def check_sentence(sentence):
    """An error's text is there, and tells nothing of our inside."""
    assert sentence, "an error without a sentence"
    assert not LEAKS.search(sentence), sentence


def check_error_body(body):
    """{"error": "…"} and nothing else."""
    error = json.loads(body)
    assert list(error) == ["error"], error
    check_sentence(error["error"])


class Victim:
    """A running server with models echo (FP32 [-1]: x to y), text (BYTES), wild (the engine chaos) and
    other, which no bad input is for."""

    def __init__(self, folder, state, *arguments, limits=LIMITS, context=None, **options):
        self.folder = Path(folder)
        write_model(folder, "echo", "identity")
        write_model(folder, "other", "identity")
        write_model(folder, "text", "identity", "BYTES")
        write_model(folder, "wild", "chaos", "INT32")
        self.server = Server(folder, *limits, *arguments, state=state, **options)
        self.server.context = context
        for name in ("echo", "other", "text", "wild"):
            self.server.wait_ready(name)
        self.judges_memory = not is_sanitized()
        self.settle()

    @property
    def address(self):
        return self.server.address

    def stop(self):
        self.server.stop()

    def settle(self):
        """What is there from now on is what must be there afterwards."""
        for _ in range(2):
            self.good = self.answers()
        self.pids = self.process_ids()
        self.descriptors = processes.idle_fd_count(self.server.pid)
        self.memory = processes.rss_bytes(self.server.pid)

    def process_ids(self):
        return [process.pid for process in processes.tree(self.server.pid)]

    def answers(self):
        """What good clients get, byte for byte."""
        values = struct.pack("<3f", 1, 2.5, -3)
        text = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [3],
                                       "parameters": {"binary_data_size": len(values)}}]}).encode()
        asked = [("/v2/health/live", None, {}), ("/v2/health/ready", None, {}), ("/v2/models/echo/ready", None, {}),
                 ("/v2/models/other/infer", request([1, 2.5, -3]), {}),
                 ("/v2/models/other/infer", text + values, {"Inference-Header-Content-Length": str(len(text))})]
        answers = [self.server.fetch(path, data, headers=headers) for path, data, headers in asked]
        assert all(status == 200 for status, _, _ in answers), answers
        return [body for _, _, body in answers]

    def check(self, growth_bytes=MEMORY_ONCE):
        """What must be true after every bad input."""
        assert self.server.process.poll() is None, self.server.err.text()
        # One that looks at the repository has its name only a moment after it was forked.
        processes.until(lambda: self.process_ids() == self.pids, what=f"the same processes\n{self.server.err.text()}")
        assert self.answers() == self.good
        processes.until(lambda: processes.fd_count(self.server.pid) <= self.descriptors, what="descriptors back")
        if self.judges_memory:
            limit = self.memory + growth_bytes
            processes.until(lambda: processes.rss_bytes(self.server.pid) <= limit, what=f"memory below {limit}")

    def survives(self, attack, repeats=REPEATS):
        """The attack once, then again and again: the second time it costs nothing more."""
        attack()
        self.check()
        if not self.judges_memory:
            return
        self.memory = processes.rss_bytes(self.server.pid)
        for _ in range(repeats):
            attack()
        self.check(MEMORY_REPEATED)
        self.settle()
