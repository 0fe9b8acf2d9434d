"""More requests than can be served, each with a deadline, from an open loop: as many are to be answered in time as could be
without them, and the others are to be refused at once."""
import subprocess
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime

import load
import model_load
import peer_forms
import subjects

FACTOR = 3  # of the capacity
DEADLINES = 5  # unloaded medians
REFUSAL_MS = 10
CONNS = 32  # of the closed loop that finds the capacity
OPEN_CONNS = 1024


@dataclass
class Outcome:
    """What became of the requests; latencies are in ms from when each was due."""

    due: int
    answered: int
    in_time: int
    refused: int
    expired: int
    others: int
    unsent: int
    answer_p50: float
    answer_p99: float
    refusal_p50: float
    refusal_p99: float
    refusal_max: float
    behind: float  # by how much the generator was late at most


@dataclass
class Burst:
    """What a server was asked, and what became of it."""

    seconds: int
    unloaded_ms: float  # median of one connection
    capacity: float  # requests per second of a closed loop
    deadline_ms: float
    got: Outcome

    @property
    def in_time(self):
        """Of the capacity."""
        return self.got.in_time / self.seconds / self.capacity


def open_loop(build, server, file, rate, seconds, deadline_ms):
    command = [build / "bench/open_loop", server.port, file, rate, seconds, deadline_ms, OPEN_CONNS]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60,
                         start_new_session=True)
    if out.returncode != 0:
        load.failed(server, out.stdout + out.stderr)
    numbers = out.stdout.split()
    return Outcome(*map(int, numbers[:7]), *map(float, numbers[7:]))


def burst(build, server, path, make, folder, seconds):
    """make: the form of the question (peer_forms), with its deadline as `timeout` in µs where the server knows it."""
    form = make().write(folder, f"overload-{server.name}".replace(" ", "-"))
    unloaded_ms = load.wrk(server, path, form, 1, 3).p50_us / 1e3
    capacity = load.wrk(server, path, form, CONNS, max(3, seconds // 6)).per_second
    deadline_ms = DEADLINES * unloaded_ms
    file = form.script.with_suffix(".request")
    file.write_bytes(make(timeout=round(deadline_ms * 1e3)).http(path))
    return Burst(seconds, unloaded_ms, capacity, deadline_ms,
                 open_loop(build, server, file, FACTOR * capacity, seconds, deadline_ms))


def magika(model):
    """The function that is asked for: a row of zeros."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answer = session.run(["target_label"], {"bytes": np.zeros((1, model_load.WIDTH), np.int32)})[0]
    return peer_forms.Function("magika", [0] * model_load.WIDTH, answer, model, "bytes", "target_label", np.int32)


def ours(build, model, package, folder, seconds):
    """The burst on tensord."""
    function = magika(model)
    with subjects.tensord(build, model, "--onnxruntime", package) as server:
        make = partial(peer_forms.protocol_bytes, function, (function.input, function.output))
        return burst(build, server, "/v2/models/magika/infer", make, folder, seconds)


def title(seconds):
    return (f"Overload: magika asked for {FACTOR}× its capacity for {seconds} s from an open loop, "
            f"deadline {DEADLINES}× the unloaded median")


def length_s(options):
    return 5 if options.quick else 60


def rows(report, options, build, model, package, folder):
    seconds = length_s(options)
    found = ours(build, model, package, folder, seconds)
    got = found.got
    report.heading(title(seconds))
    report.add("capacity, closed loop: requests per second", found.capacity)
    report.add("unloaded median", found.unloaded_ms, " ms")
    report.add("requests that were due", got.due)
    report.add("answers in time, of the capacity", found.in_time, bound=0.9, at_least=True)
    report.add("answers too late, of all answers", 1 - got.in_time / max(1, got.answered))
    report.add("let in, and not executed in time: expired, or given up when their turn came", got.expired / max(1, got.expired + got.answered))
    report.add("answers, median", got.answer_p50, " ms")
    report.add("answers, p99", got.answer_p99, " ms")
    report.add("refusals, median", got.refusal_p50, " ms")
    report.add("refusals, p99", got.refusal_p99, " ms")
    report.add("refusals, the slowest", got.refusal_max, " ms", bound=REFUSAL_MS)
    report.add("neither answered nor refused", got.others + got.unsent, bound=0)
    report.add("the generator itself was late by at most", got.behind, " ms")
