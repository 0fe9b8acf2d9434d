"""What the server's extras cost a small request: metrics and a token, traces, TLS. Servers with them and without, the
same program, under the same load in turn; all listen all the time, and are idle when it is another's turn."""
import http.server
import threading
from contextlib import ExitStack, contextmanager

import load
import messages
import subjects
from comparisons import GRPC_CONNS, GRPC_STREAMS, SMALL, SMALL_CONNS, interleave, median, ratio
from tls import certificate

TRACED_PERMILLE = 10

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

    report.heading("What metrics, a token, traces and TLS cost a request of 64 bytes, on connections that stay")
    with servers(build, models, folder) as ways:
        for protocol, run, request in (("HTTP/1.1", wrk, rest), ("gRPC", h2load, grpc)):
            samples = interleave(options.rounds, {
                way: run(server, messages.with_token(request, token) if token else request)
                for way, (server, token) in ways.items()})
            for way in ways:
                report.add(f"{protocol}, {way}: CPU per request", median(samples[way], "cpu_us"), " µs")
            for way, without, bound in BOUNDS:
                report.add(f"{protocol}: CPU per request, {way} ÷ {without}", ratio(samples[way], samples[without], "cpu_us"),
                           "", bound)
