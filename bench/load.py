"""Load: wrk for HTTP/1.1, h2load for HTTP/2 and gRPC, each bounded in time and connections.

A failed request costs less than an answered one, so that a round with a failure is no figure: it ends
the run."""
import re
import subprocess
from dataclasses import dataclass

import subjects


@dataclass
class Sample:
    """One round against one subject."""

    requests: int
    per_second: float
    cpu_us: float  # of the server, per request
    p50_us: float = 0  # 0: not measured
    p99_us: float = 0


def to_us(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def number(pattern, text):
    return float(re.search(pattern, text).group(1))


def failed(subject, output):
    raise subjects.Failure(subject, f"failed under load:\n{output}")


def measured(subject, command):
    """What the load generator printed, and the server's CPU seconds meanwhile."""
    before = subject.cpu_s()
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, start_new_session=True)
    if done.returncode != 0:
        failed(subject, done.stdout + done.stderr)
    return done.stdout, subject.cpu_s() - before


def wrk(subject, path, request, connections, seconds):
    """Posts a RestRequest, each connection as soon as it has its answer."""
    out, cpu_s = measured(subject, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency",
                                    "-s", request.script, subject.url(path)])
    if "Non-2xx" in out or "Socket errors" in out:
        failed(subject, out)
    count, took = number(r"(\d+) requests in", out), number(r"requests in ([\d.]+)s", out)
    p50, p99 = (to_us(re.search(rf"{share}%\s+([\d.]+\w+)", out).group(1)) for share in (50, 99))
    return Sample(int(count), count / took, cpu_s / count * 1e6, p50, p99)


def h2load(subject, path, request, connections, streams, seconds, log=None):
    """Posts a GrpcRequest on every stream. A gRPC error has the status 200 too, but no message: each answer
    must have brought its tensor. Latencies are known only with a log, a file, which slows h2load down."""
    out, cpu_s = measured(subject, ["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{seconds}",
                                    "-d", request.file, *(part for field in request.fields for part in ("-H", field)),
                                    *([f"--log-file={log}"] if log else []), subject.url(path)])
    # What has a status at the end may still lack its body; it is not counted.
    count, data = number(r"(\d+) succeeded", out), number(r"\((\d+)\) data", out)
    bad = sum(number(rf"(\d+) {what}", out) for what in ("3xx", "4xx", "5xx", "failed"))
    if not count or bad or data < count * request.tensor_bytes:
        failed(subject, out)
    sample = Sample(int(count), count / seconds, cpu_s / count * 1e6)
    if log:
        took_us = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        sample.p50_us, sample.p99_us = (took_us[len(took_us) * share // 100] for share in (50, 99))
        log.unlink()
    return sample


def h2load_block(subject, path, file, fields, connections, streams, requests, *options):
    """Posts the file so many times, and returns the server's CPU seconds; "--h1": over HTTP/1.1."""
    out, cpu_s = measured(subject, ["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-n{requests}", "-d", file,
                                    *(part for field in fields for part in ("-H", field)), *options, subject.url(path)])
    if not number(r"(\d+) 2xx", out) == number(r"(\d+) succeeded", out) == requests:
        failed(subject, out)
    return cpu_s
