"""Models that are more than memory has room for: a crowd that asks for them, somebody who watches the memory, and the
program that decides again what the server has decided."""
import bisect
import http.client
import itertools
import json
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from onnx import helper, numpy_helper

from support import models, processes
from support.server import binary

MIB = 1 << 20


def padded(number, mib):
    """Y = X + number, with so many MiB of weights to load."""
    rows = mib * MIB // 4 // 1024
    weights = numpy_helper.from_array(np.full((rows, 1024), number, np.float32), "W")
    first = numpy_helper.from_array(np.array([0], np.int64), "I")
    nodes = [helper.make_node("Gather", ["W", "I"], ["R"]),
             helper.make_node("ReduceMax", ["R"], ["M"], keepdims=0),
             helper.make_node("Add", ["X", "M"], ["Y"])]
    return models.model(nodes, [models.tensor("X", "FP32", ["batch", 2])], [models.tensor("Y", "FP32", ["batch", 2])],
                        [weights, first])


def name_of(number):
    return f"m{number:02d}"


def fill(folder, count, mib):
    """A folder of the models m00, m01 …; each adds its number."""
    for number in range(count):
        models.save(padded(number, mib), Path(folder) / f"{name_of(number)}.onnx")
    return folder


class Crowd:
    """Clients that ask for models by Zipf's law, one request after another each, and what they were answered."""

    def __init__(self, server, model_count, requests, clients=4, exponent=1.0, seed=1):
        self.server, self.failures, self.waits_s = server, [], []
        weights = [1 / (rank + 1) ** exponent for rank in range(model_count)]
        sums = list(itertools.accumulate(weights))
        draw = random.Random(seed)
        order = list(range(model_count))
        draw.shuffle(order)
        self.numbers = iter([order[bisect.bisect(sums, draw.random() * sums[-1])] for _ in range(requests)])
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return self

    def next(self):
        with self.lock:
            return next(self.numbers, None)

    def ask(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=120)
        while (number := self.next()) is not None:
            began = time.monotonic()
            body = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
            connection.request("POST", f"/v2/models/{name_of(number)}/infer", body)
            response = connection.getresponse()
            said = response.read()
            self.waits_s.append(time.monotonic() - began)
            good = response.status == 200 and json.loads(said)["outputs"][0]["data"] == [1 + number, 2 + number]
            if not good:
                self.failures.append((name_of(number), response.status, said))
        connection.close()


class Watch:
    """Looks at the memory of a server's workers all the time: `most` is the most that they used together."""

    def __init__(self, server):
        self.server, self.most, self.ending, self.looks = server, 0, threading.Event(), 0
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.thread.join()

    def look(self):
        while not self.ending.wait(0.05):
            self.most = max(self.most, workers_bytes(self.server.pid))
            self.looks += 1


def workers_bytes(pid):
    """Memory of all workers, each page shared among those that have it."""
    total = 0
    for process in processes.named(pid, "worker"):
        try:
            total += int(re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.M)[1]) << 10
        except (OSError, TypeError, psutil.Error):
            pass  # it has just ended
    return total


def counters(server):
    """tensord_model_loads_total and evictions, over all models."""
    page = server.fetch("/metrics")[2].decode()
    return {kind: sum(float(found) for found in re.findall(rf"^tensord_model_{kind}_total{{.*}} (\S+)", page, re.M))
            for kind in ("loads", "evictions")}


def replay(trace):
    """Decides again what the trace says was decided; fails when that is something else. Returns the figures."""
    program = Path(binary()).resolve().parents[1] / "schedule" / "schedule_residency_replay"
    done = subprocess.run([program, trace], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {word: float(number) for word, number in re.findall(r"(requests|loads|evictions|probes|drains|refusals|offline|ratio) ([\d.]+)", done.stdout)}
