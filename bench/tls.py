"""What TLS costs: one server that listens with and without it, under the same load in turn, on connections that stay."""
import copy
import http.client
import resource
import socket
import ssl
import statistics
import struct
import subprocess
import time

import footprint
import load
import messages
import subjects
from comparisons import BIG, BIG_CONNS, GRPC_CONNS, GRPC_STREAMS, SMALL, SMALL_CONNS, interleave, median, ratio

KINDS = ("plain", "TLS")


def certificate(folder):
    """Flags of a server with a certificate of its own, of the kind that is cheapest and most usual (P-256)."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return "--tls-cert", cert, "--tls-key", key


def over(server, scheme, port):
    """The same server, reached by another port."""
    reached = copy.copy(server)
    reached.url = lambda path: f"{scheme}://127.0.0.1:{port}{path}"
    return reached


def costs(report, options, build, models, folder):
    small, grpc = messages.rest_request(folder, "small", SMALL), messages.grpc_request(folder, "small", SMALL)
    big, port = messages.rest_request(folder, "big", BIG), subjects.free_port()
    with subjects.tensord(build, models, *certificate(folder), "--listen", f"http://127.0.0.1:{port}") as server:
        ways = dict(zip(KINDS, (over(server, "http", port), over(server, "https", server.port))))

        def rest(request, connections):
            return {kind: lambda way=way: load.wrk(way, messages.REST_PATH, request, connections, options.seconds)
                    for kind, way in ways.items()}

        def unary():
            return {kind: lambda way=way: load.h2load(way, messages.GRPC_PATH, grpc, GRPC_CONNS, GRPC_STREAMS,
                                                      options.seconds)
                    for kind, way in ways.items()}

        report.heading("TLS on connections that stay, and without it")
        for name, runs, bound in ((f"64 bytes over HTTP/1.1, {SMALL_CONNS} connections", rest(small, SMALL_CONNS), 1.5),
                                  (f"64 bytes over gRPC, {GRPC_CONNS} × {GRPC_STREAMS} streams", unary(), 1.5),
                                  (f"602,112 bytes each way over HTTP/1.1, {BIG_CONNS} connections",
                                   rest(big, BIG_CONNS), None)):
            samples = interleave(options.rounds, runs)
            for kind in KINDS:
                report.add(f"{name}, {kind}: CPU per request", median(samples[kind], "cpu_us"), " µs")
            report.add(f"{name}: CPU per request, TLS ÷ plain", ratio(samples["TLS"], samples["plain"], "cpu_us"), "",
                       bound)


def connected(server, context):
    """An idle connection that was answered once."""
    conn = socket.create_connection(("127.0.0.1", server.port), 10)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no port waiting
    conn = context.wrap_socket(conn)
    footprint.converse(conn, footprint.HTTP1_GREETING, footprint.http1_answered)
    return conn


def handshake_us(server, context, count):
    """CPU of the server per connection that asks one thing and goes."""
    before = server.cpu_s()
    for _ in range(count):
        conn = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        conn.request("GET", "/v2/health/live")
        conn.getresponse().read()
        conn.close()
    return (server.cpu_s() - before) / count * 1e6


def memory(report, options, build, models, folder):
    count = 200 if options.quick else 2000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    flags = certificate(folder)
    with subjects.tensord(build, models, *flags) as server:
        report.add("with a certificate, front and spawner when idle: resident", server.resident_kib("Rss") / 1024, " MiB",
                   12)
        report.add("the same, shared pages counted once (PSS)", server.resident_kib("Pss") / 1024, " MiB")
        report.add("CPU per new connection with one request", handshake_us(server, context, count), " µs")
        before = server.resident_kib("Pss")
        conns = [connected(server, context) for _ in range(count)]
        report.add("memory of an idle connection over TLS", (server.resident_kib("Pss") - before) / count, " KiB", 64)
        for conn in conns:
            conn.close()
    took_ms = []
    for _ in range(3 if options.quick else 20):
        started = time.monotonic()
        with subjects.tensord(build, models, *flags, ready="listening on"):
            took_ms.append((time.monotonic() - started) * 1e3)
    report.add("exec to listening with a certificate, median of many", statistics.median(took_ms), " ms", 30)


def rows(report, options, build, models, folder):
    costs(report, options, build, models, folder)
    memory(report, options, build, models, folder)
