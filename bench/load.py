"""Load: wrk for HTTP/1.1, h2load for HTTP/2 and gRPC, each bounded in time and connections."""
import json
import re
import struct
import subprocess
from dataclasses import dataclass


@dataclass
class Sample:
    """One round against one subject."""
    requests: int
    seconds: float
    cpu_us: float  # of the server, per request
    p50_us: float = 0
    p99_us: float = 0


def to_us(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def measured(subject, command):
    before = subject.cpu_s()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, subject.cpu_s() - before


def wrk(subject, path, request, connections, seconds):
    """request: a Request of HTTP/1.1."""
    out, cpu_s = measured(subject, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", request.script,
                                    f"http://127.0.0.1:{subject.port}{path}"])
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"bench: {subject.name} failed under load:\n{out}")
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
    latency = {name: to_us(value) for name, value in re.findall(r"(50|99)%\s+([\d.]+\w+)", out)}
    return Sample(int(count), float(took), cpu_s / int(count) * 1e6, latency["50"], latency["99"])


def h2load(subject, path, body, connections, streams, seconds):
    """Unary gRPC calls, or for others posts that look like them."""
    out, cpu_s = measured(subject, ["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{seconds}", "-d", body,
                                    "-H", "content-type: application/grpc", "-H", "te: trailers",
                                    f"http://127.0.0.1:{subject.port}{path}"])
    good = int(re.search(r"(\d+) 2xx", out).group(1))
    mean = to_us(re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", out).group(1))
    return Sample(good, seconds, cpu_s / max(good, 1) * 1e6, mean)


@dataclass
class Request:
    """A binary inference request over REST: its bytes, and wrk's script that posts them."""
    body: bytes
    script: object


def rest_request(folder, name, count):
    """The identity request of `count` FP32 values, binary in and out."""
    head = json.dumps({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [count], "parameters": {"binary_data_size": 4 * count}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, separators=(",", ":")).encode()
    body = folder / f"{name}.rest"
    body.write_bytes(head + struct.pack(f"{count}f", *range(count)))
    script = folder / f"{name}.lua"
    script.write_text(f"""local file = io.open("{body}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Inference-Header-Content-Length"] = "{len(head)}"
""")
    return Request(body.read_bytes(), script)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def grpc_request(folder, name, count):
    """The same as a framed ModelInferRequest, in a file."""
    tensor = field(1, b"x") + field(2, b"FP32") + field(3, varint(count))
    message = field(1, b"identity") + field(5, tensor) + field(7, struct.pack(f"{count}f", *range(count)))
    path = folder / f"{name}.grpc"
    path.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    return path
