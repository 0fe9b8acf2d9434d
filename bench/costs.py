"""What the server's extras cost a small request: metrics and a token, traces. (TLS: tls.py.)

These are some hundredths, less than what two processes of the same program differ by: where a process's memory happens
to lie makes more of a difference. So each server serves in all ways, and changes from one to the other between short
blocks of the same many requests; a ratio is of two blocks that follow each other. With a few hundred of them it is
known how exactly it is known."""
import http.server
import json
import random
import signal
import socket
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import load
import messages
import subjects
from comparisons import GRPC_CONNS, GRPC_STREAMS, SMALL, SMALL_CONNS

TRACED_ONE_IN = 100
STARTS = 5
REQUESTS = 5000  # of a block
BLOCKS_PER_ROUND = 20
RELOAD_S = 20


@dataclass(frozen=True)
class Way:
    """A way of serving."""

    measured: bool = True
    token: bool = False
    traced: bool = False


WAYS = {"neither": Way(measured=False), "metrics and a token": Way(token=True), "metrics": Way(), "1 % traced": Way(traced=True)}

# Two ways, and the most that the first may cost of the second.
BOUNDS = (("metrics and a token", "neither", 1.05), ("1 % traced", "metrics", 1.03))


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes traces, and does nothing with them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def collector():
    """The address of a collector of traces."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Changing:
    """A server that changes its way of serving, and says on a socket, as to systemd, when it has."""

    def __init__(self, server, folder, told):
        self.server, self.config, self.told = server, folder / "tensord.yaml", told
        self.token = (folder / "state" / "admin-token").read_text().strip()

    def change(self, way):
        """Also to the same way: what a change leaves to be done is the same before each block."""
        self.config.write_text(f"measure: {str(way.measured).lower()}\n")
        self.reload()
        trace = {"trace_level": ["TIMESTAMPS" if way.traced else "OFF"], "trace_rate": str(TRACED_ONE_IN)}
        urllib.request.urlopen(urllib.request.Request(
            self.server.url("/v2/trace/setting"), json.dumps(trace).encode(), {"Authorization": f"Bearer {self.token}"})).read()

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)
        while b"RELOADING=1" not in self.told.recv(4096):
            pass
        while b"READY=1" not in self.told.recv(4096):
            pass

    def block(self, way, protocol, request):
        """CPU time of a block of requests, seconds."""
        self.change(way)
        fields = request.fields + ((f"authorization: Bearer {self.token}",) if way.token else ())
        if protocol == "gRPC":
            return load.h2load_block(self.server, messages.GRPC_PATH, request.file, fields, GRPC_CONNS, GRPC_STREAMS, REQUESTS)
        return load.h2load_block(self.server, messages.REST_PATH, request.file, fields, SMALL_CONNS, 1, REQUESTS, "--h1")


@contextmanager
def changing(build, models, folder):
    folder.mkdir()
    config, notify = folder / "tensord.yaml", folder / "notify"
    config.touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, collector() as endpoint:
        told.bind(str(notify))
        told.settimeout(RELOAD_S)
        flags = ("--state-dir", folder / "state", "--config", config, "--trace-endpoint", endpoint)
        with subjects.tensord(build, models, *flags, environment={"NOTIFY_SOCKET": str(notify)}) as server:
            yield Changing(server, folder, told)


def rows(report, options, build, models, folder):
    requests = {"HTTP/1.1": messages.rest_request(folder, "small", SMALL), "gRPC": messages.grpc_request(folder, "small", SMALL)}
    used = {(protocol, pair): [] for protocol in requests for pair in BOUNDS}
    starts = min(STARTS, options.rounds)
    shuffle = random.Random(1).sample
    for start in range(starts):
        with changing(build, models, folder / f"start-{start}") as server:
            for protocol, request in requests.items():
                for _ in range(BLOCKS_PER_ROUND * options.rounds // starts):
                    for pair in BOUNDS:  # each of its two ways is the first one half of the time
                        took = {way: server.block(WAYS[way], protocol, request) for way in shuffle(pair[:2], 2)}
                        used[protocol, pair].append([took[way] / REQUESTS * 1e6 for way in pair[:2]])
    report.heading(f"What metrics, a token and traces cost a request of 64 bytes, in pairs of blocks of {REQUESTS:,} requests")
    for (protocol, (*ways, bound)), pairs in used.items():
        for way, costs in zip(ways, zip(*pairs)):
            report.add_median(f"{protocol}, {way}: CPU per request", costs, " µs")
        report.add_median(f"{protocol}: CPU per request, {' ÷ '.join(ways)}", [with_it / without for with_it, without in pairs],
                          "", bound)
