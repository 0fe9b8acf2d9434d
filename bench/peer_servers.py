"""The other servers that tensord is compared with: how each is installed, started and asked. Each is served as its own
documentation says that it is fastest, without logs and metrics, and asked in the leanest form that it takes. bench/peers/ has
their apps and configs; each has an environment of its own."""
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import peer_forms
import subjects

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
ENVIRONMENTS = ROOT / ".deps/peers"
START_S = 120
SHARED = "bench_{port}_"  # begins the names of memory that Triton shares with its workers
ASK_S = 0.01  # between two questions to a server that starts
OFF_BY = 1e-3  # at most, of an answer: batches of other sizes are summed in another order


class Served(subjects.Subject):
    """Another server, running."""

    def stop(self):
        super().stop()
        for left in Path("/dev/shm").glob(SHARED.format(port=self.port) + "*"):
            left.unlink()


@dataclass
class Peer:
    """A server by its command. {port}, another free port {second_port}, its {home} and {function} stand in it and in its
    variables for these, {service} for the kind of app. The app finds in variables what else it needs (bench/peers/work.py)."""

    name: str
    package: str
    command: list
    path: str
    form: object = peer_forms.plain_json
    variables: dict = field(default_factory=dict)

    @property
    def environment(self):
        return ENVIRONMENTS / self.package

    def install(self):
        """Its environment, when it is not there or is made from other pins."""
        pins, stamp = PEERS / f"requirements-{self.package}.txt", self.environment / "made-from"
        if stamp.exists() and stamp.read_text() == pins.read_text():
            return
        print(f"bench: installing {self.package}", flush=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, self.environment], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--compile-bytecode", "--python", self.environment / "bin/python",
                        "--require-hashes", "-r", pins], check=True)
        stamp.write_text(pins.read_text())

    def start(self, function, settings, home):
        """Starts it, in a folder for its own files; ends with the `with`."""
        port = subjects.free_port()
        named = {"port": port, "second_port": subjects.free_port(), "home": home, "function": function.name,
                 "service": "Rows" if function.model else "Identity", **settings}
        variables = {"PATH": f"{self.environment}/bin:{os.environ['PATH']}", "HOME": home, "TMPDIR": home, "PYTHONPATH": PEERS,
                     "PEER_DTYPE": np.dtype(function.dtype).name, **({"PEER_MODEL": function.model} if function.model else {}),
                     **{f"PEER_{name.upper()}": value for name, value in settings.items()}, **self.variables}
        words = ["env", "-C", PEERS, *(f"{name}={value}" for name, value in variables.items()), *self.command]
        return Served(self.name, [str(word).format(**named) for word in words], port, listen_s=START_S)


class Triton(Peer):
    """The program and its Python come from tools/; its models import of ours what there is not."""

    def install(self):
        subprocess.run(["sh", "-euc", ". tools/setup.sh; setup_tritonserver"], cwd=ROOT, check=True)
        return super().install()


def wait_answering(subject, url, form, answer):
    """Waits until it answers as it should: some listen before their app is there."""
    asked = urllib.request.Request(url, data=form.body, headers=form.fields)
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                got = form.read(response.read(), response.headers)
        except OSError as error:  # HTTP's errors, too
            if time.monotonic() > end or subject.process.poll() is not None:
                subject.fail(f"does not answer: {error}")
            time.sleep(ASK_S)
            continue
        if not np.allclose(np.ravel(got), np.ravel(answer), atol=OFF_BY):
            subject.fail(f"answers {got}")
        return


# ---- the servers, and how they are set ----

ROWS = partial(peer_forms.protocol_bytes, rows=True)
PACKAGES = "lib/python{}.{}/site-packages".format(*sys.version_info)
ALL = {peer.name: peer for peer in (
    Triton("Triton", "triton", [
        ROOT / "tools/tritonserver.sh", "triton", "{port}", 0, 0, "--allow-grpc=false", "--allow-metrics=false", "--log-info=false",
        f"--backend-config=python,shm-region-prefix-name={SHARED}",
        "--model-control-mode=explicit", "--load-model={function}", "--model-config-name=workers-{workers}"],
        "/v2/models/{function}/infer", ROWS,
        {"PYTHONPATH": f"{PEERS}:{ENVIRONMENTS}/triton/{PACKAGES}"}),
    Peer("Ray Serve", "ray", ["python", "ray_app.py", "{port}"], "/", peer_forms.octets, {
        "RAY_USAGE_STATS_ENABLED": 0, "RAY_SERVE_THROUGHPUT_OPTIMIZED": 1, "RAY_SERVE_ENABLE_HA_PROXY": 1,
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": 0, "RAY_SERVE_HAPROXY_STATS_PORT": "{second_port}",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{home}/haproxy.cfg", "RAY_SERVE_HAPROXY_SOCKET_PATH": "{home}/s",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{home}", "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{home}/haproxy.state"}),
    Peer("BentoML", "bentoml", ["bentoml", "serve", "bentoml_app:{service}", "--host", "127.0.0.1", "--port", "{port}"],
         "/predict", variables={"BENTOML_DO_NOT_TRACK": "True"}),
    Peer("LitServe", "litserve", ["python", "litserve_app.py", "{port}"], "/predict"),
    Peer("MLServer", "mlserver", ["mlserver", "start", "mlserver/{function}"], "/v2/models/{function}/infer",
         peer_forms.protocol_json, {"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": 0,
                                    "MLSERVER_PARALLEL_WORKERS": "{parallel}"}),
)}
