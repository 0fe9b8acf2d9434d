#!/usr/bin/env python3
"""Measures the server beside its limits, interleaved in one run, and prints ratios; with --write also docs/performance.md.

Ratios hold on a noisy machine where single figures do not: every comparison goes A B A B …, and medians are compared. CPU time per
request counts all processes of a server.
"""
import argparse
import os
import platform
import resource
import socket
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import load
import subjects

ROOT = Path(__file__).resolve().parent.parent
BIG = 150528  # FP32 values: an image of 224 × 224 × 3, 602,112 bytes
INFER = "/v2/models/identity/infer"
GRPC_INFER = "/inference.GRPCInferenceService/ModelInfer"


class Report:
    """Rows of the report: a figure, its bound from what the project promises, and whether it is met."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, unit="", bound=None, at_least=False):
        met = "" if bound is None else "met" if (value >= bound if at_least else value <= bound) else "missed"
        limit = "" if bound is None else f"{'≥' if at_least else '≤'} {bound:g}{unit}"
        self.rows.append((what, f"{value:.3g}{unit}" if value < 1000 else f"{value:,.0f}{unit}", limit, met))
        print("  %-66s %12s  %-12s %s" % self.rows[-1], flush=True)

    def heading(self, text):
        self.rows.append((text, None, None, None))
        print(f"\n{text}", flush=True)

    def markdown(self):
        lines = []
        for what, value, limit, met in self.rows:
            if value is None:
                lines += ["", f"## {what}", "", "| | measured | promised | |", "|---|---|---|---|"]
            else:
                lines.append(f"| {what} | {value} | {limit} | {met} |")
        return "\n".join(lines)


def interleave(rounds, runs):
    """Runs each of {name: function} in turn, `rounds` times over; {name: [Sample]}."""
    samples = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            samples[name].append(run())
    return samples


def median(samples, member):
    return statistics.median(getattr(sample, member) for sample in samples)


def describe(report, name, samples):
    report.add(f"{name}: CPU per request", median(samples, "cpu_us"), " µs")
    report.add(f"{name}: requests per second",
               statistics.median(sample.requests / sample.seconds for sample in samples))
    if median(samples, "p99_us"):
        report.add(f"{name}: latency, median", median(samples, "p50_us"), " µs")
        report.add(f"{name}: latency, 99th percentile", median(samples, "p99_us"), " µs")


def small_http(report, options, server, folder):
    request = load.rest_request(folder, "small", 16)
    limit = subjects.nginx(folder)
    runs = interleave(options.rounds, {
        "tensord": lambda: load.wrk(server, INFER, request, 32, options.seconds),
        "nginx": lambda: load.wrk(limit, "/", request, 32, options.seconds),
        "tensord, one": lambda: load.wrk(server, INFER, request, 1, options.seconds),
        "nginx, one": lambda: load.wrk(limit, "/", request, 1, options.seconds)})
    limit.stop()
    report.heading("Small requests over HTTP/1.1: identity of 64 bytes, binary; 32 connections, and one")
    for name in ("tensord", "nginx"):
        describe(report, name, runs[name])
    report.add("CPU per request, tensord ÷ nginx answering a constant",
               median(runs["tensord"], "cpu_us") / median(runs["nginx"], "cpu_us"), "", 2)
    report.add("one connection: tensord's median latency − nginx's",
               median(runs["tensord, one"], "p50_us") - median(runs["nginx, one"], "p50_us"), " µs", 100)


def small_grpc(report, options, server, folder, build):
    body = load.grpc_request(folder, "small", 16)
    limit, peer = subjects.nghttpd(folder), subjects.grpc_echo(build)
    runs = interleave(options.rounds, {
        "tensord": lambda: load.h2load(server, GRPC_INFER, body, 4, 8, options.seconds),
        "nghttpd": lambda: load.h2load(limit, "/echo", body, 4, 8, options.seconds),
        "grpc++ echo": lambda: load.h2load(peer, GRPC_INFER, body, 4, 8, options.seconds)})
    limit.stop()
    peer.stop()
    report.heading("Small unary gRPC calls: the same; 4 connections of 8 streams")
    for name, samples in runs.items():
        describe(report, name, samples)
    ours = median(runs["tensord"], "cpu_us")
    report.add("CPU per call, tensord ÷ nghttpd serving a file", ours / median(runs["nghttpd"], "cpu_us"), "", 2.5)
    report.add("CPU per call, tensord ÷ a bare C++ gRPC echo", ours / median(runs["grpc++ echo"], "cpu_us"), "", 1)


def big_tensors(report, options, server, folder, build):
    request = load.rest_request(folder, "big", BIG)
    grpc = load.grpc_request(folder, "big", BIG)
    head = f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:00000\r\nContent-Length: {len(request.body)}\r\n" \
           f"Inference-Header-Content-Length: 000\r\n\r\n"
    response = folder / "response"
    response.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
    limit = subjects.socket_copy(build, len(head) + len(request.body), response)
    runs = interleave(options.rounds, {
        "socket copy": lambda: load.wrk(limit, INFER, request, 4, options.seconds),
        "tensord, REST": lambda: load.wrk(server, INFER, request, 4, options.seconds),
        "tensord, gRPC": lambda: load.h2load(server, GRPC_INFER, grpc, 4, 1, options.seconds)})
    limit.stop()
    report.heading("Tensors of 602,112 bytes each way; 4 connections")
    for name, samples in runs.items():
        describe(report, name, samples)
    bare = median(runs["socket copy"], "cpu_us")
    report.add("bare socket copy's CPU ÷ tensord's, REST", bare / median(runs["tensord, REST"], "cpu_us"), "", 0.7, True)
    report.add("bare socket copy's CPU ÷ tensord's, gRPC", bare / median(runs["tensord, gRPC"], "cpu_us"), "", 0.5, True)


def idle_connections(server, count, greeting):
    """Resident memory, KiB, that `count` idle connections add, each after the greeting was answered."""
    before = server.resident_kib(2)
    conns = []
    for i in range(count):
        conn = socket.socket()
        conn.bind((f"127.0.0.{2 + i // 20000}", 0))
        conn.connect(("127.0.0.1", server.port))
        conn.sendall(greeting)
        conns.append(conn)
    for conn in conns:
        conn.settimeout(10)
        conn.recv(65536)
    added = server.resident_kib(2) - before
    for conn in conns:
        conn.close()
    return added


def memory(report, build, models, count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    report.heading(f"Memory of front and spawner, and what {count:,} idle connections add")
    server = subjects.tensord(build, models)
    report.add("front and spawner when idle (PSS)", server.resident_kib(2) / 1024, " MiB", 12)
    http1 = idle_connections(server, count, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    server.stop()
    server = subjects.tensord(build, models)
    http2 = idle_connections(server, count, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    server.stop()
    report.add("idle connections over HTTP/1.1", http1 / 1024, " MiB", 60)
    report.add("idle connections over HTTP/2", http2 / 1024, " MiB", 250)


def exec_to_listening(build, models):
    """Milliseconds from exec to the first accepted connection."""
    port = subjects.free_port()
    started = time.monotonic()
    server = subjects.Subject("tensord", [build / "src/cmd/tensord", "serve", models, "--port", port, "--grpc-port", 0,
                                          "--metrics-port", 0], port)
    took = time.monotonic() - started
    server.stop()
    return took * 1e3


def first_answer(build, model, flags):
    """Milliseconds from exec to the first answer of a cold model."""
    started = time.monotonic()
    server = subjects.tensord(build, model, *flags)
    body = b'{"inputs":[{"name":"bytes","datatype":"INT32","shape":[1,2048],"data":[%s]}]}' % b",".join([b"0"] * 2048)
    urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v2/models/magika/infer", body).read()
    took = time.monotonic() - started
    server.stop()
    return took * 1e3


def bare_first_answer(build, model, library):
    """The same of a bare program over ONNX Runtime's C API."""
    started = time.monotonic()
    loop = subjects.subprocess.run([build / "bench/ort_first", library, model], capture_output=True, check=True)
    assert loop.returncode == 0
    return (time.monotonic() - started) * 1e3


def starting(report, options, build, models, model, package):
    report.heading("Starting")
    count = 3 if options.quick else 15
    report.add("exec to listening, median", statistics.median(exec_to_listening(build, models) for _ in range(count)),
               " ms", 30)
    [library] = package.glob("capi/libonnxruntime.so.1.*")
    ours, bare = [], []
    for _ in range(3 if options.quick else 9):
        ours.append(first_answer(build, model, ["--onnxruntime", package]))
        bare.append(bare_first_answer(build, model, library))
    report.add("exec to the first answer of a cold ONNX model", statistics.median(ours), " ms")
    report.add("the same of a bare program over ONNX Runtime", statistics.median(bare), " ms")
    report.add("difference", statistics.median(ours) - statistics.median(bare), " ms", 100)


def make_models(folder):
    models = folder / "models"
    (models / "identity").mkdir(parents=True)
    config = models / "identity/model.yaml"
    config.write_text("backend: identity\ninput: [{name: x, data_type: TYPE_FP32, dims: [-1]}]\n"
                      "output: [{name: y, data_type: TYPE_FP32, dims: [-1]}]\n")
    long_ago = time.time() - 3600
    os.utime(config, (long_ago, long_ago))
    os.utime(models / "identity", (long_ago, long_ago))
    return models


PAGE = """# Performance

Written by `./dev bench --write`. Every comparison was interleaved in one run on one machine ({cores} cores, {machine}), so the ratios
hold where single figures do not. CPU time counts all processes of a server: front, spawner and worker. Load comes from `wrk` and
`h2load` on the same machine; `bench/README.md` says what each limit is.
{rows}
"""


def main():
    parser = argparse.ArgumentParser(description="Measure the server beside its limits.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a first look")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--build", type=Path, default=ROOT / "build-release", help="build folder")
    options = parser.parse_args()
    options.rounds, options.seconds = (1, 1) if options.quick else (5, 3)
    [package] = ROOT.glob(".venv/lib/python3*/site-packages/onnxruntime")
    [model] = ROOT.glob(".venv/lib/python3*/site-packages/magika/models/standard_v*/model.onnx")
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        models = make_models(folder)
        magika = folder / "magika.onnx"
        magika.write_bytes(model.read_bytes())
        os.utime(magika, (1, 1))
        server = subjects.tensord(options.build, models)
        small_http(report, options, server, folder)
        small_grpc(report, options, server, folder, options.build)
        big_tensors(report, options, server, folder, options.build)
        server.stop()
        memory(report, options.build, models, 1000 if options.quick else 10000)
        starting(report, options, options.build, models, magika, package)
    if options.write:
        page = PAGE.format(cores=os.cpu_count(), machine=platform.machine(), rows=report.markdown())
        (ROOT / "docs/performance.md").write_text(page)


if __name__ == "__main__":
    main()
