"""The same function, an identity of 16 FP32 values in Python, in other Python servers: what a request costs each, all their
processes counted, beside tensord's cost in the same rounds.

Each is served as its own documentation says that it is fastest, without logs and metrics, and asked in the leanest form that
it takes: bytes where it takes any, else JSON. bench/peers/ has the apps; each has an environment of its own."""
import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import load
import messages
import python_models
import subjects
from comparisons import SMALL, describe, interleave, median, ratio

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
VALUES = list(range(SMALL))
CONNECTIONS = 32
START_S = 120
WARM_S = 3
GOAL = 1 / 3  # of the best


@dataclass
class Peer:
    """A server, by its environment and command ($ stands for the port), and what it is asked."""

    name: str
    package: str
    command: list
    path: str
    body: bytes
    kind: str = "application/json"
    variables: dict = field(default_factory=dict)

    def environment(self):
        """The folder of its environment, made when it is not there."""
        pins = PEERS / f"requirements-{self.package}.txt"
        folder = ROOT / ".deps/peers" / self.package
        stamp = folder / "made-from"
        if not stamp.exists() or stamp.read_text() != pins.read_text():
            print(f"bench: installing {self.package}", flush=True)
            uv = Path(sys.executable).with_name("uv")
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "install", "-q", "--python", folder / "bin/python",
                            "--require-hashes", "-r", pins], check=True)
            stamp.write_text(pins.read_text())
        return folder

    def start(self, folder):
        """Starts it; ends with the `with`. folder: for its own files."""
        port = subjects.free_port()
        programs = self.environment() / "bin"
        words = [str(word).replace("$", str(port)) for word in self.command]
        variables = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), **self.variables}
        words = ["env", "-C", PEERS, *(f"{name}={value}".replace("$", str(port)) for name, value in variables.items()), *words]
        return subjects.Subject(self.name, words, port, listen_s=START_S)

    def script(self, folder):
        """For wrk."""
        script = folder / f"{self.name}.lua".replace(" ", "-")
        body = "".join(f"\\{byte:03d}" for byte in self.body)
        script.write_text(f'wrk.method, wrk.body = "POST", "{body}"\nwrk.headers["Content-Type"] = "{self.kind}"\n')
        return messages.RestRequest(self.body, 0, script)


BYTES = messages.values(SMALL)
V2 = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [SMALL], "data": VALUES}]}
RAY = ["python", "ray_app.py", "$"]
ALL = [
    Peer("Ray Serve", "ray", RAY, "/", BYTES, "application/octet-stream", {"RAY_USAGE_STATS_ENABLED": 0}),
    Peer("BentoML", "bentoml", ["bentoml", "serve", "bentoml_app:Identity", "--host", "127.0.0.1", "--port", "$"], "/predict",
         json.dumps({"x": VALUES}).encode(), variables={"BENTOML_DO_NOT_TRACK": "True"}),
    Peer("LitServe", "litserve", ["python", "litserve_app.py", "$"], "/predict", json.dumps({"x": VALUES}).encode()),
    Peer("MLServer", "mlserver", ["mlserver", "start", "mlserver"], "/v2/models/identity/infer", json.dumps(V2).encode(),
         variables={"MLSERVER_HTTP_PORT": "$", "MLSERVER_GRPC_PORT": "0"}),
]


def wait_answering(peer, subject):
    """Waits until it answers with what it was sent: some listen before their app is there."""
    asked = urllib.request.Request(subject.url(peer.path), data=peer.body, headers={"Content-Type": peer.kind})
    wanted = peer.body if peer.kind != "application/json" else b"15"
    end = time.monotonic() + START_S
    while True:
        try:
            body = urllib.request.urlopen(asked, timeout=60).read()
        except OSError as error:  # HTTP's errors, too
            if time.monotonic() > end:
                subject.fail(f"does not answer: {error}")
            time.sleep(0.2)
            continue
        if wanted not in body:
            subject.fail(f"answers {body[:200]!r}")
        return


def rows(report, options, build, folder):
    """Measures all of them in turn."""
    models = folder / "python-peer"
    python_models.write_model(models, "echo", python_models.IDENTITY)
    with ExitStack() as stack:
        runs = {}

        def add(name, subject, path, request):
            load.wrk(subject, path, request, CONNECTIONS, 1 if options.quick else WARM_S)
            runs[name] = lambda: load.wrk(subject, path, request, CONNECTIONS, options.seconds)

        server = stack.enter_context(subjects.tensord(build, models, "--python", sys.executable))
        add("tensord", server, python_models.PATH, python_models.request(folder))
        for peer in ALL:
            home = folder / peer.name.replace(" ", "-")
            home.mkdir()
            subject = stack.enter_context(peer.start(home))
            wait_answering(peer, subject)
            add(peer.name, subject, peer.path, peer.script(folder))
        samples = interleave(options.rounds, runs)
    report.heading(f"The same Python function elsewhere: identity of 64 bytes, {CONNECTIONS} connections")
    for name, found in samples.items():
        describe(report, name, found)
    best = min((name for name in samples if name != "tensord"), key=lambda name: median(samples[name], "cpu_us"))
    report.add(f"CPU per request, tensord ÷ the best of the others ({best})", ratio(samples["tensord"], samples[best], "cpu_us"),
               "", GOAL)
