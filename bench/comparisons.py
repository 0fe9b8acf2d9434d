"""The server under load beside its limits: A B C B C A …, so that what disturbs the machine disturbs all."""
import random
import statistics
from contextlib import ExitStack

import load
import messages
import subjects

SMALL = 16  # FP32 values, 64 bytes
BIG = 150528  # an image of 224 × 224 × 3: 602,112 bytes
SMALL_CONNS, BIG_CONNS = 32, 4
GRPC_CONNS, GRPC_STREAMS = 4, 8


def interleave(rounds, runs):
    """Runs each of {name: function} once in each of the rounds; {name: [Sample]}. The order changes, so that
    nobody always follows the same one."""
    samples = {name: [] for name in runs}
    shuffle = random.Random(1).sample
    for _ in range(rounds):
        for name in shuffle(list(runs), len(runs)):
            samples[name].append(runs[name]())
    return samples


def median(samples, member):
    return statistics.median(getattr(sample, member) for sample in samples)


def ratio(above, below, member):
    """Median of the rounds' ratios: what disturbs one round disturbs both of its neighbours."""
    return statistics.median(getattr(a, member) / getattr(b, member) for a, b in zip(above, below))


def describe(report, name, samples, timed=None):
    """timed: the rounds that measured latency, when these are others."""
    timed = timed or samples
    report.add(f"{name}: CPU per request", median(samples, "cpu_us"), " µs")
    report.add(f"{name}: requests per second", median(samples, "per_second"))
    report.add(f"{name}: latency, median", median(timed, "p50_us"), " µs")
    report.add(f"{name}: latency, 99th percentile", median(timed, "p99_us"), " µs")


def small_http(report, options, server, folder):
    request = messages.rest_request(folder, "small", SMALL)
    with subjects.nginx(folder) as limit:
        def run(subject, path, connections):
            return lambda: load.wrk(subject, path, request, connections, options.seconds)

        runs = interleave(options.rounds, {
            "tensord": run(server, messages.REST_PATH, SMALL_CONNS),
            "nginx": run(limit, "/", SMALL_CONNS),
            "tensord, one": run(server, messages.REST_PATH, 1),
            "nginx, one": run(limit, "/", 1)})
    report.heading(f"Small requests over HTTP/1.1: identity of 64 bytes, binary; {SMALL_CONNS} connections, and one")
    for name in ("tensord", "nginx"):
        describe(report, name, runs[name])
    report.add("CPU per request, tensord ÷ nginx answering a constant",
               ratio(runs["tensord"], runs["nginx"], "cpu_us"), "", 2)
    ours, theirs = median(runs["tensord, one"], "p50_us"), median(runs["nginx, one"], "p50_us")
    report.add("one connection, tensord: latency, median", ours, " µs")
    report.add("one connection, nginx: latency, median", theirs, " µs")
    report.add("one connection: tensord's median latency − nginx's", ours - theirs, " µs", 100)


def small_grpc(report, options, server, folder, build):
    request = messages.grpc_request(folder, "small", SMALL)
    with ExitStack() as stack:
        limit = stack.enter_context(subjects.nghttpd(folder, request.file.stat().st_size))
        peer = stack.enter_context(subjects.grpc_echo(build))

        def runs_of(log):
            def run(subject, path):
                return lambda: load.h2load(subject, path, request, GRPC_CONNS, GRPC_STREAMS, options.seconds, log)

            return {"tensord": run(server, messages.GRPC_PATH),
                    "nghttpd": run(limit, "/echo"),
                    "grpc++ echo": run(peer, messages.GRPC_PATH)}

        runs = interleave(options.rounds, runs_of(None))
        timed = interleave(1, runs_of(folder / "small.log"))
    report.heading(f"Small unary gRPC calls: the same; {GRPC_CONNS} connections of {GRPC_STREAMS} streams")
    for name, samples in runs.items():
        describe(report, name, samples, timed[name])
    for name, subject, bound in (("nghttpd serving a file", "nghttpd", 2.5), ("a bare C++ gRPC echo", "grpc++ echo", 1)):
        report.add(f"CPU per call, tensord ÷ {name}", ratio(runs["tensord"], runs[subject], "cpu_us"), "", bound)


def wrk_request_bytes(request):
    """How long a request is as wrk sends it to a port of five digits."""
    head = (f"POST {messages.REST_PATH} HTTP/1.1\r\nHost: 127.0.0.1:00000\r\nContent-Length: {len(request.body)}\r\n"
            f"Inference-Header-Content-Length: {request.head_bytes}\r\n\r\n")
    return len(head) + len(request.body)


def big_tensors(report, options, server, folder, build):
    rest = messages.rest_request(folder, "big", BIG)
    grpc = messages.grpc_request(folder, "big", BIG)
    response = folder / "response"
    response.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(rest.body) + rest.body)
    with subjects.socket_copy(build, wrk_request_bytes(rest), response) as limit:
        def run(subject):
            return lambda: load.wrk(subject, messages.REST_PATH, rest, BIG_CONNS, options.seconds)

        runs = interleave(options.rounds, {
            "socket copy": run(limit),
            "tensord, REST": run(server),
            # So few requests that the log costs nothing.
            "tensord, gRPC": lambda: load.h2load(server, messages.GRPC_PATH, grpc, BIG_CONNS, 1, options.seconds,
                                                 folder / "big.log")})
    report.heading(f"Tensors of 602,112 bytes each way; {BIG_CONNS} connections")
    for name, samples in runs.items():
        describe(report, name, samples)
    for name, bound in (("REST", 0.7), ("gRPC", 0.5)):
        ours, bare = runs[f"tensord, {name}"], runs["socket copy"]
        report.add(f"bare socket copy's CPU ÷ tensord's, {name}", ratio(bare, ours, "cpu_us"), "", bound, True)
        report.add(f"tensord's requests per second ÷ bare socket copy's, {name}", ratio(ours, bare, "per_second"))
