"""What the server takes when nothing is asked of it, and how soon it is there."""
import http.client
import resource
import socket
import statistics
import struct
import subprocess
import time

import subjects

HTTP1_GREETING = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Preface, empty SETTINGS, HEADERS of stream 1: GET http //x/v2/health/live, by HPACK's static table.
H2_FIELDS = b"\x82\x86\x04\x0f/v2/health/live\x01\x01x"
H2_GREETING = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) +
               bytes((0, 0, len(H2_FIELDS), 1, 5, 0, 0, 0, 1)) + H2_FIELDS)
FRAME_HEADERS = 1


def http1_answered(data):
    return b"\r\n\r\n" in data


def h2_answered(data):
    """Has a whole HEADERS frame come?"""
    at = 0
    while at + 9 <= len(data):
        end = at + 9 + int.from_bytes(data[at:at + 3], "big")
        if data[at + 3] == FRAME_HEADERS:
            return end <= len(data)
        at = end
    return False


def converse(conn, greeting, answered):
    conn.sendall(greeting)
    data = b""
    while not answered(data):
        more = conn.recv(65536)
        if not more:
            raise SystemExit("bench: the server closed an idle connection")
        data += more


def idle_kib(build, models, count, greeting, answered):
    """Memory, KiB, that `count` connections add, each idle after one answer."""
    conns = []
    with subjects.tensord(build, models) as server:
        before = server.resident_kib("Pss")
        for _ in range(count):
            conn = socket.create_connection(("127.0.0.1", server.port), 10)
            # Closed by RST, so that no port is left waiting.
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conns.append(conn)
            converse(conn, greeting, answered)
        added = server.resident_kib("Pss") - before
        for conn in conns:
            conn.close()
    return added


def memory(report, build, models, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    report.heading(f"Memory of front and spawner, and what {count:,} idle connections add")
    with subjects.tensord(build, models) as server:
        rss, pss = server.resident_kib("Rss"), server.resident_kib("Pss")
    report.add("front and spawner when idle, resident", rss / 1024, " MiB", 12)
    report.add("the same, shared pages counted once (PSS)", pss / 1024, " MiB")
    for name, greeting, answered, bound in (("HTTP/1.1", HTTP1_GREETING, http1_answered, 60),
                                            ("HTTP/2", H2_GREETING, h2_answered, 250)):
        added = idle_kib(build, models, count, greeting, answered)
        report.add(f"idle connections over {name}", added / 1024, " MiB", bound)


def exec_to_listening(build, models):
    """Milliseconds from exec to the line that says the address."""
    started = time.monotonic()
    with subjects.tensord(build, models, ready="listening on"):
        return (time.monotonic() - started) * 1e3


def first_answer(build, model, package):
    """Milliseconds from exec to the first answer of a cold model."""
    body = b'{"inputs":[{"name":"bytes","datatype":"INT32","shape":[1,2048],"data":[%s]}]}' % b",".join([b"0"] * 2048)
    started = time.monotonic()
    with subjects.tensord(build, model, "--onnxruntime", package) as server:
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        conn.request("POST", "/v2/models/magika/infer", body)
        response = conn.getresponse()
        text = response.read()
        took = time.monotonic() - started
        conn.close()
        if response.status != 200:
            raise SystemExit(f"bench: the first answer is {response.status}: {text[:400]}")
    return took * 1e3


def bare_first_answer(build, model, library):
    """The same of a bare program over ONNX Runtime."""
    started = time.monotonic()
    loop = subprocess.Popen([build / "bench/ort_loop", library, model], stdout=subprocess.PIPE)
    line = loop.stdout.readline()
    took = time.monotonic() - started
    loop.stdout.close()
    if loop.wait(30) != 0 or not line:
        raise SystemExit("bench: the bare program over ONNX Runtime failed")
    return took * 1e3


def starting(report, options, build, models, model, package):
    report.heading("Starting")
    count = 3 if options.quick else 20
    report.add("exec to listening, median of many",
               statistics.median(exec_to_listening(build, models) for _ in range(count)), " ms", 30)
    [library] = package.glob("capi/libonnxruntime.so.1.*")
    ours, bare = [], []
    for _ in range(3 if options.quick else 9):
        ours.append(first_answer(build, model, package))
        bare.append(bare_first_answer(build, model, library))
    ours_ms, bare_ms = statistics.median(ours), statistics.median(bare)
    report.add("exec to the first answer of a cold ONNX model", ours_ms, " ms")
    report.add("the same of a bare program over ONNX Runtime", bare_ms, " ms")
    report.add("difference", ours_ms - bare_ms, " ms", 100)
