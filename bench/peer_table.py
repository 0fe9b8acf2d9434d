"""tensord beside other servers that serve the same function: requests per second, latency, CPU time, memory and cold start.

tensord stays while the others come and go, one after the other: each is started (its cold start), warmed, and measured in
rounds that take turns with tensord's, asked in bytes when the other is and in JSON when it is; so what disturbs the machine
disturbs both, and a ratio is the median of the rounds'. All of that is done in each of several passes, in another order."""
import random
import statistics
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnxruntime

import batching
import load
import peer_forms
import peer_servers
import python_models
import subjects
from comparisons import median, ratio
from report import shown

CONNECTIONS = 32
WARM_S = 2
LEARN_S = 5  # for tensord, once for each form
CHANCES = 3
GOAL = 1 / 3  # of the best one's CPU time for a function in Python
FORMS = {"bytes": peer_forms.protocol_bytes, "JSON": peer_forms.protocol_json}


@dataclass
class Contestant:
    """A server with its settings, and what was measured of it and of tensord in the same rounds."""

    name: str
    told: str  # of the settings
    settings: dict
    samples: list = field(default_factory=list)
    ours: list = field(default_factory=list)
    cold_s: list = field(default_factory=list)
    memory_kib: list = field(default_factory=list)

    @property
    def peer(self):
        return peer_servers.ALL[self.name]

    @property
    def asked(self):
        return "bytes" if self.peer.form in (peer_servers.ROWS, peer_forms.octets) else "JSON"


def contestants(batch):
    """One worker, and one for each of two processors: more make none of them faster on two. batch: at most so many rows at
    a time; 1: the identity, which takes no rows."""
    rows = {"batch": batch, "threads": 1}
    return [
        Contestant("Triton", "1 instance, dynamic batching", {"workers": 1, **rows}),
        Contestant("Triton", "2 instances, dynamic batching", {"workers": 2, **rows}),
        Contestant("Ray Serve", "1 replica behind HAProxy", {"workers": 1, **rows}),
        Contestant("Ray Serve", "2 replicas behind HAProxy", {"workers": 2, **rows}),
        Contestant("BentoML", "1 worker", {"workers": 1, **rows}),
        Contestant("BentoML", "2 workers", {"workers": 2, **rows}),
        Contestant("LitServe", "1 worker, 1 API server", {"workers": 1, "fronts": 1, **rows}),
        Contestant("LitServe", "2 workers, 2 API servers", {"workers": 2, "fronts": 2, **rows}),
        Contestant("MLServer", "in the server's own process", {"parallel": 0, **rows}),
        Contestant("MLServer", "2 workers", {"parallel": 2, **rows}),
    ]


# ---- what is served ----

def identity(folder):
    """The function, and how tensord is told to serve it."""
    models = folder / "peers-identity"
    python_models.write_model(models, "identity", python_models.IDENTITY)
    values = list(range(16))
    return peer_forms.Function("identity", values, np.array(values, np.float32), output="output"), (
        models, "--python", sys.executable)


def mlp(folder, package):
    """A model that wants batches."""
    model = batching.make_mlp(folder / "mlp.onnx")
    values = [round(float(value), 3) for value in np.random.default_rng(1).normal(size=batching.WIDTHS[0])]
    return peer_forms.Function("mlp", values, answer(model, np.array([values], np.float32)), model, output="y2"), (
        model, "--onnxruntime", package)


def answer(model, row):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: row})[0]


# ---- measuring ----

@contextmanager
def tensord(build, function, flags):
    """The running server, its path, its forms by name, and how long it took to the first answer, seconds."""
    path = f"/v2/models/{function.name}/infer"
    forms = {name: make(function, (function.input, function.output)) for name, make in FORMS.items()}
    started = time.monotonic()
    with subjects.tensord(build, *flags, ready=None) as server:
        peer_servers.wait_answering(server, server.url(path), forms["bytes"], function.answer)
        yield server, path, forms, time.monotonic() - started


@contextmanager
def started(contestant, function, home):
    """The running server and its cold start, seconds. It has other chances: Ray gives up soon on a busy machine."""
    for chance in range(CHANCES):
        (home / str(chance)).mkdir(parents=True)
        begun = time.monotonic()
        try:
            server = contestant.peer.start(function, contestant.settings, home / str(chance))
            break
        except subjects.Failure as failure:
            print(f"{failure}", flush=True)
            if chance == CHANCES - 1:
                raise
    with server:
        form, url = contestant.peer.form(function), server.url(contestant.peer.path.format(function=function.name))
        peer_servers.wait_answering(server, url, form, function.answer)
        yield server, time.monotonic() - begun


def measure(contestant, function, ours, home, options):
    """One contestant's rounds; ours: to load tensord in the same form."""
    form = contestant.peer.form(function).write(home.parent, home.name)
    path = contestant.peer.path.format(function=function.name)
    with started(contestant, function, home) as (server, cold_s):
        load.wrk(server, path, form, CONNECTIONS, 1 if options.quick else WARM_S)
        for turn in range(options.pairs):
            runs = {"it": lambda: load.wrk(server, path, form, CONNECTIONS, options.seconds), "we": lambda: ours(contestant.asked)}
            found = {who: runs[who]() for who in (("it", "we") if turn % 2 else ("we", "it"))}
            contestant.samples.append(found["it"])
            contestant.ours.append(found["we"])
        contestant.cold_s.append(cold_s)
        contestant.memory_kib.append(server.whole_kib())


def passes(function, flags, them, options, build, folder):
    """Measures all; returns tensord's cold starts, seconds, and memory, KiB."""
    for peer in {one.name: one.peer for one in them}.values():
        peer.install()
    cold_s, memory_kib = [], []
    shuffle = random.Random(1).sample
    for number in range(options.passes):
        with tensord(build, function, flags) as (server, path, forms, took_s):
            for name, form in forms.items():
                load.wrk(server, path, form.write(folder, f"{function.name}-{name}"), CONNECTIONS, 1 if options.quick else LEARN_S)
            for contestant in shuffle(them, len(them)):
                home = folder / f"{function.name[0]}{number}{them.index(contestant)}"  # short: sockets lie in it
                print(f"  pass {number + 1}: {contestant.name}, {contestant.told}", flush=True)
                try:
                    measure(contestant, function, lambda name: load.wrk(server, path, forms[name], CONNECTIONS, options.seconds),
                            home, options)
                except subjects.Failure as failure:
                    if failure.subject is server:
                        raise
                    print(f"{failure}", flush=True)
            cold_s.append(took_s)
            memory_kib.append(server.whole_kib())
    return cold_s, memory_kib


# ---- telling ----

HEAD = ["server", "set to", "asked in", "requests/s", "p50", "p99", "CPU per request", "memory", "cold start",
        "tensord ÷ it: requests/s", "it ÷ tensord: CPU"]


def ms(us):
    return shown(us / 1e3, " ms")


def row(name, told, asked, samples, cold_s, memory_kib, ratios):
    return [name, told, asked, f"{median(samples, 'per_second'):,.0f}", ms(median(samples, "p50_us")), ms(median(samples, "p99_us")),
            shown(median(samples, "cpu_us"), " µs"),
            f"{statistics.median(memory_kib) / 1024:,.0f} MiB", f"{statistics.median(cold_s):.3g} s", *ratios]


def tell(report, them, cold_s, memory_kib):
    lines = []
    for asked in FORMS:
        samples = [sample for one in them if one.asked == asked for sample in one.ours]
        if samples:
            lines.append(row("tensord", "nothing", asked, samples, cold_s, memory_kib, ["", ""]))
    for one in them:
        if not one.cold_s:
            lines.append([one.name, one.told, one.asked, "failed", *[""] * (len(HEAD) - 4)])
            continue
        lines.append(row(one.name, one.told, one.asked, one.samples, one.cold_s, one.memory_kib, [
            shown(ratio(one.ours, one.samples, "per_second"), " ×"), shown(ratio(one.samples, one.ours, "cpu_us"), " ×")]))
    report.table(HEAD, lines)


def best(them, member, of=min):
    """Of those that could be measured."""
    return of((one for one in them if one.cold_s), key=lambda one: median(one.samples, member), default=None)


def tell_best(report, them, goal=None):
    """Beside those that are fastest, and cheapest; goal: at most so much of the cheapest one's CPU time."""
    fastest, cheapest = best(them, "per_second", max), best(them, "cpu_us")
    if fastest:
        report.add(f"requests per second, tensord ÷ the best of the others ({fastest.name}, {fastest.told})",
                   ratio(fastest.ours, fastest.samples, "per_second"))
        report.add(f"CPU per request, tensord ÷ the best of the others ({cheapest.name}, {cheapest.told})",
                   ratio(cheapest.ours, cheapest.samples, "cpu_us"), "", goal)


def python(report, options, build, folder):
    """A function in Python."""
    function, flags = identity(folder)
    them = contestants(1)
    report.heading(f"The same function in Python: identity of 64 bytes, {CONNECTIONS} connections")
    tell(report, them, *passes(function, flags, them, options, build, folder))
    tell_best(report, them, GOAL)


def onnx(report, options, build, package, folder):
    """A model of ONNX."""
    function, flags = mlp(folder, package)
    them = contestants(32)
    report.heading(f"The same model of ONNX: a perceptron of 14 MB, a row of 512 values a request, {CONNECTIONS} connections")
    tell(report, them, *passes(function, flags, them, options, build, folder))
    tell_best(report, them)
