"""Batching that needs no knob: the server without any config beside a bare loop over ONNX Runtime at its best of all batch
sizes, callers and threads, on two models that want opposite things. The magika model wants single rows and two callers; a small
multilayer perceptron is bound by memory and wants batches."""
import itertools
import json
import os
import statistics
import subprocess

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import load
import messages
import model_load
import subjects

WIDTHS = (512, 2048, 2048, 512)  # of the perceptron's layers: 25 MB of weights, some 800 rows a second one by one
BATCHES = (1, 8, 16, 32, 64)
BEST = 3  # of the bare loop's settings run in every round
CONNS = 32
OVERHEAD_US = 200


def make_mlp(path):
    random = np.random.default_rng(1)
    nodes, weights, last = [], [], "x"
    for i, (rows, columns) in enumerate(itertools.pairwise(WIDTHS)):
        weights.append(numpy_helper.from_array(random.normal(0, 0.02, (rows, columns)).astype(np.float32), f"w{i}"))
        nodes += [helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]), helper.make_node("Relu", [f"m{i}"], [f"y{i}"])]
        last = f"y{i}"
    graph = helper.make_graph(nodes, "mlp", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTHS[0]])],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", WIDTHS[-1]])], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    os.utime(path, (1, 1))
    return path


def mlp_request(folder):
    size = 4 * WIDTHS[0]
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, WIDTHS[0]], "parameters": {"binary_data_size": size}}
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [tensor]}, separators=(",", ":")).encode()
    return messages.rest_post(folder, "mlp", head, bytes(size))


def bare(build, library, model, setting, seconds):
    """(rows per second, median µs of a run) of the bare loop."""
    batch, callers, threads = setting
    command = [build / "bench/ort_loop", library, model, batch, seconds, callers, threads]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, timeout=60,
                         start_new_session=True).stdout
    per_second, _, median_us = out.splitlines()[1].split()
    return float(per_second), float(median_us)


def best_settings(build, library, model, seconds):
    cpus = sorted({1, os.cpu_count()})
    settings = [(batch, callers, threads) for batch in BATCHES for callers in cpus for threads in cpus
                if callers * threads <= os.cpu_count()]
    found = {setting: bare(build, library, model, setting, seconds)[0] for setting in settings}
    return sorted(found, key=found.get, reverse=True)[:BEST]


def one_model(report, options, build, library, package, model, request):
    path = f"/v2/models/{model.stem}/infer"
    settings = best_settings(build, library, model, options.seconds)
    shares, overheads, settled = [], [], None
    with subjects.tensord(build, model, "--onnxruntime", package) as server:
        load.wrk(server, path, request, CONNS, 2 if options.quick else 10)  # what it learns from
        for _ in range(options.rounds):
            bare_best = max(bare(build, library, model, setting, options.seconds)[0] for setting in settings)
            settled = load.wrk(server, path, request, CONNS, options.seconds)
            shares.append(settled.per_second / bare_best)
            alone = load.wrk(server, path, request, 1, options.seconds)
            single = min(bare(build, library, model, (1, 1, threads), options.seconds)[1]
                         for threads in sorted({1, os.cpu_count()}))
            overheads.append(alone.p50_us - single)
    report.add(f"{model.stem}: the bare loop's best, rows per second", bare_best)
    report.put(f"{model.stem}: its best batch, callers, threads of a run", "%d, %d, %d" % settings[0], "", "")
    report.add(f"{model.stem}: rows per second, {CONNS} connections", settled.per_second)
    report.add(f"{model.stem}: of the bare loop's best", statistics.median(shares), bound=0.95, at_least=True)
    report.add(f"{model.stem}: median latency of 1 connection beyond the bare loop's", statistics.median(overheads), " µs",
               bound=OVERHEAD_US)


def rows(report, options, build, magika, package, folder):
    [library] = package.glob("capi/libonnxruntime.so.1.*")
    report.heading("Batching without any config, beside a bare loop over ONNX Runtime at its best")
    one_model(report, options, build, library, package, magika, model_load.magika_request(folder))
    one_model(report, options, build, library, package, make_mlp(folder / "mlp.onnx"), mlp_request(folder))
