"""A real model under load, beside a bare loop over ONNX Runtime that computes the same on one thread."""
import json
import subprocess

import comparisons
import load
import messages
import subjects

WIDTH = 2048  # of a row of the model, INT32
CONNS = 4


def magika_request(folder):
    """One row, binary in and out."""
    tensor = {"name": "bytes", "datatype": "INT32", "shape": [1, WIDTH], "parameters": {"binary_data_size": 4 * WIDTH}}
    output = {"name": "target_label", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}, separators=(",", ":")).encode()
    return messages.rest_post(folder, "magika", head, bytes(4 * WIDTH))


def bare_loop(build, library, model, seconds):
    """A Sample of the bare program; a row is a request."""
    command = [build / "bench/ort_loop", library, model, "1", str(seconds)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, start_new_session=True).stdout
    per_second, cpu_us, _ = out.splitlines()[1].split()
    return load.Sample(round(float(per_second) * seconds), float(per_second), float(cpu_us))


def rows(report, options, build, model, package, folder):
    request = magika_request(folder)
    [library] = package.glob("capi/libonnxruntime.so.1.*")
    with subjects.tensord(build, model, "--onnxruntime", package, "--threads", "1") as server:
        runs = comparisons.interleave(options.rounds, {
            "tensord": lambda: load.wrk(server, "/v2/models/magika/infer", request, CONNS, options.seconds),
            "bare loop": lambda: bare_loop(build, library, model, options.seconds)})
    report.heading(f"A model of ONNX (magika), a row a request, one thread; {CONNS} connections over HTTP/1.1")
    comparisons.describe(report, "tensord", runs["tensord"])
    bare = runs["bare loop"]
    report.add("bare loop over ONNX Runtime: CPU per row", comparisons.median(bare, "cpu_us"), " µs")
    report.add("bare loop over ONNX Runtime: rows per second", comparisons.median(bare, "per_second"))
    report.add("CPU per row, tensord ÷ the bare loop",
               comparisons.ratio(runs["tensord"], bare, "cpu_us"))
