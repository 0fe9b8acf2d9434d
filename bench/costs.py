"""What the server's extras cost a small request: metrics and a token, traces, TLS. Servers with them and without, the
same program, under the same load in turn; all listen all the time, and are idle when it is another's turn. All are started
several times: where its memory happens to lie makes more of a difference to a process than what is measured."""
import http.server
import threading
from contextlib import ExitStack, contextmanager

import load
import messages
import subjects
from comparisons import GRPC_CONNS, GRPC_STREAMS, SMALL, SMALL_CONNS, interleave, median, ratio
from tls import certificate

TRACED_PERMILLE = 10
STARTS = 5

# Two ways of serving, and the most that the first may cost of the second.
BOUNDS = (("metrics and a token", "neither", 1.05), ("1 % traced", "metrics", 1.03), ("TLS", "metrics", 1.5))


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


@contextmanager
def servers(build, models, folder):
    """{way of serving: (server, with a token)}."""
    folder.mkdir()
    with ExitStack() as stack:
        def start(name, *flags):
            return stack.enter_context(subjects.tensord(build, models, "--state-dir", folder / name, *flags))

        endpoint = stack.enter_context(collector())
        plain, secure = start("plain"), start("secure", *certificate(folder))
        secure.url = lambda path: f"https://127.0.0.1:{secure.port}{path}"
        yield {
            "neither": (start("bare", "--measure=false"), None),
            "metrics": (plain, None),
            "metrics and a token": (plain, (folder / "plain" / "admin-token").read_text().strip()),
            "1 % traced": (start("traced", "--trace-endpoint", endpoint, "--trace-sample-permille", TRACED_PERMILLE), None),
            "TLS": (secure, None),
        }


def rows(report, options, build, models, folder):
    rest, grpc = messages.rest_request(folder, "small", SMALL), messages.grpc_request(folder, "small", SMALL)

    def wrk(server, request):
        return lambda: load.wrk(server, messages.REST_PATH, request, SMALL_CONNS, options.seconds)

    def h2load(server, request):
        return lambda: load.h2load(server, messages.GRPC_PATH, request, GRPC_CONNS, GRPC_STREAMS, options.seconds)

    def measure(ways, run, request, rounds):
        return interleave(rounds, {way: run(server, messages.with_token(request, token) if token else request)
                                   for way, (server, token) in ways.items()})

    protocols = {"HTTP/1.1": (wrk, rest), "gRPC": (h2load, grpc)}
    samples = {protocol: {} for protocol in protocols}
    for start in range(min(STARTS, options.rounds)):
        with servers(build, models, folder / f"start-{start}") as ways:
            for protocol, (run, request) in protocols.items():
                for way, measured in measure(ways, run, request, max(1, options.rounds // STARTS)).items():
                    samples[protocol].setdefault(way, []).extend(measured)
    report.heading("What metrics, a token, traces and TLS cost a request of 64 bytes, on connections that stay")
    for protocol, of_way in samples.items():
        for way in of_way:
            report.add(f"{protocol}, {way}: CPU per request", median(of_way[way], "cpu_us"), " µs")
        for way, without, bound in BOUNDS:
            report.add(f"{protocol}: CPU per request, {way} ÷ {without}", ratio(of_way[way], of_way[without], "cpu_us"), "", bound)
