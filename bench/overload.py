"""More requests than can be served, each with a deadline, from an open loop: as many are to be answered in time as could be
without them, and the others are to be refused at once."""
import json
import subprocess
from dataclasses import dataclass

import load
import model_load
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


def raw_request(folder, deadline_us):
    """A request with its deadline, head and all."""
    width = model_load.WIDTH
    tensor = {"name": "bytes", "datatype": "INT32", "shape": [1, width], "parameters": {"binary_data_size": 4 * width}}
    output = {"name": "target_label", "parameters": {"binary_data": True}}
    head = json.dumps({"parameters": {"timeout": deadline_us}, "inputs": [tensor], "outputs": [output]}).encode()
    file = folder / "overload.request"
    file.write_bytes(b"POST /v2/models/magika/infer HTTP/1.1\r\nHost: localhost\r\n"
                     b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (len(head), len(head) + 4 * width)
                     + head + bytes(4 * width))
    return file


def open_loop(build, server, file, rate, seconds, deadline_ms):
    command = [build / "bench/open_loop", server.port, file, rate, seconds, deadline_ms, OPEN_CONNS]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60)
    if out.returncode != 0:
        load.failed(server, out.stdout + out.stderr)
    numbers = out.stdout.split()
    return Outcome(*map(int, numbers[:7]), *map(float, numbers[7:]))


def rows(report, options, build, model, package, folder):
    seconds = 5 if options.quick else 60
    request = model_load.magika_request(folder)
    path = "/v2/models/magika/infer"
    with subjects.tensord(build, model, "--onnxruntime", package) as server:
        unloaded = load.wrk(server, path, request, 1, 3)
        capacity = load.wrk(server, path, request, CONNS, max(3, seconds // 6)).per_second
        deadline_ms = DEADLINES * unloaded.p50_us / 1e3
        file = raw_request(folder, round(deadline_ms * 1e3))
        got = open_loop(build, server, file, FACTOR * capacity, seconds, deadline_ms)
    report.heading(f"Overload: magika asked for {FACTOR}× its capacity for {seconds} s from an open loop, "
                   f"deadline {DEADLINES}× the unloaded median")
    report.add("capacity, closed loop: requests per second", capacity)
    report.add("unloaded median", unloaded.p50_us / 1e3, " ms")
    report.add("requests that were due", got.due)
    report.add("answers in time, of the capacity", got.in_time / seconds / capacity, bound=0.9, at_least=True)
    report.add("answers too late, of all answers", 1 - got.in_time / max(1, got.answered))
    report.add("let in, and not executed in time: expired", got.expired / max(1, got.expired + got.answered))
    report.add("answers, median", got.answer_p50, " ms")
    report.add("answers, p99", got.answer_p99, " ms")
    report.add("refusals, median", got.refusal_p50, " ms")
    report.add("refusals, p99", got.refusal_p99, " ms")
    report.add("refusals, the slowest", got.refusal_max, " ms", bound=REFUSAL_MS)
    report.add("neither answered nor refused", got.others + got.unsent, bound=0)
    report.add("the generator itself was late by at most", got.behind, " ms")
