"""A model in Python that answers with what it was sent: what a request costs, and what a start costs beside the
interpreter's own."""
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import comparisons
import load
import messages
import subjects

IDENTITY = """from typing import Annotated

import numpy as np

def predict(x: Annotated[np.ndarray, "FP32", (16,)]) -> Annotated[np.ndarray, "FP32", (16,)]:
    return x
"""
EMPTY = "def predict(x: float) -> float:\n    return x\n"
PATH = "/v2/models/echo/infer"
CONNECTIONS = 32


def write_model(folder, name, code):
    path = Path(folder) / name
    path.mkdir(parents=True)
    (path / "model.py").write_text(code)
    for old in (path / "model.py", path, folder):  # what has just changed is served only when it has been still for a second
        os.utime(old, (1, 1))
    return path


def request(folder):
    return messages.rest_request(folder, "python", comparisons.SMALL, output="output")


def seconds_of(command):
    started = time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def load_ms(build, models):
    """From the worker's start to its model's being ready, as the server counts it."""
    with subjects.tensord(build, models, "--python", sys.executable) as server:
        text = urllib.request.urlopen(server.url("/metrics")).read().decode()
    return float(re.search(r'^nv_model_load_duration_secs\{[^}]*\} (\S+)', text, re.MULTILINE).group(1)) * 1e3


def rows(report, options, build, folder):
    echo, empty = folder / "python-echo", folder / "python-empty"
    write_model(echo, "echo", IDENTITY)
    write_model(empty, "empty", EMPTY)
    report.heading("A model in Python")
    with subjects.tensord(build, echo, "--python", sys.executable) as server:
        made = request(folder)
        for connections in (CONNECTIONS, 1):
            samples = [load.wrk(server, PATH, made, connections, options.seconds) for _ in range(options.rounds)]
            comparisons.describe(report, f"identity of 64 bytes, {connections} connections", samples)
    count = 3 if options.quick else 11
    ours = [load_ms(build, empty) for _ in range(count)]
    bare = [seconds_of([sys.executable, "-I", "-B", "-c", "pass"]) * 1e3 for _ in range(count)]
    report.add("an empty model, from the worker's start to ready", statistics.median(ours), " ms")
    report.add("the interpreter's own start and end", statistics.median(bare), " ms")
    report.add("difference", statistics.median(ours) - statistics.median(bare), " ms", 100)
