"""The conformance suite asks four servers in turn, and docs/conformance.md says how they did.

    conformance_table.py [--write] [SERVER…]

Each server has the suite's models, no limits but its own, and is started again when a case has ended it. Fails when tensord does
not pass everything, or when a server does not start. --write writes the page; without it, what it says of tensord alone is judged.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from datetime import date
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE = ROOT / "conformance"
PAGE = ROOT / "docs/conformance.md"
sys.path[:0] = [str(SUITE), str(ROOT / "bench"), str(ROOT / "tests")]

from oip_conformance import table  # noqa: E402
from oip_conformance.models import main as write_models  # noqa: E402
from support.http_peers import free_port  # noqa: E402

HEAD = """# Conformance

What [the conformance suite](../conformance/README.md) says of four servers. `tools/long/conformance.sh --write` writes this page; last on
{date}. Each server has the suite's models, written in Python to its own interface, and answers on this machine.

| server | version | started as |
|---|---|---|
{servers}

A case is `required` (the protocol's text asks for it), `triton` (an extension, or what unmodified clients of Triton and KServe rely on) or
about `robustness`: bad input is refused as the client's mistake, with a sentence, and the server is as it was before. Of extensions that a
server does not have nothing is asked (–). A server that a case has ended is started again.

## How many pass

"""


class Peer:
    """A server: how it is started with a folder of models, on ports of its own."""

    kind, options = "triton", ()

    def __init__(self, folder):
        self.folder, self.http, self.grpc, self.metrics = folder, free_port(), free_port(), free_port()
        write_models([self.kind, str(folder / "models")])

    @property
    def grpc_netloc(self):
        return f"127.0.0.1:{self.grpc}"

    def shown(self):
        """The command, as it stands in the page."""
        words = shlex.join(map(str, self.command()))
        for found, name in ((str(self.folder / "models"), "MODELS"), (f"{self.folder}/", ""), (f"{ROOT}/", ""),
                            (str(self.http), "PORT"), (str(self.grpc), "GRPC_PORT"), (str(self.metrics), "METRICS_PORT")):
            words = words.replace(found, name)
        return words

    def ask(self):
        """The suite's report."""
        report = self.folder / "report.json"
        command = [sys.executable, "-m", "oip_conformance", f"http://127.0.0.1:{self.http}", "--grpc-url", self.grpc_netloc,
                   "--json", report, "--server", f"exec {shlex.join(map(str, self.command()))}", *self.options]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SUITE)}, stdout=subprocess.DEVNULL)
        return json.loads(report.read_text())


class Tensord(Peer):
    program = ROOT / "build/src/cmd/tensord"

    def __init__(self, folder):
        super().__init__(folder)
        token = [self.program, "token", "create", "--name", "suite", "--scope", "admin", "--state-dir", folder / "state"]
        secret = subprocess.run(token, check=True, capture_output=True, text=True).stdout.strip()
        self.options = ("--header", f"Authorization: Bearer {secret}")

    def command(self):
        packages = Path(sysconfig.get_path("platlib"))
        return [self.program, "serve", self.folder / "models", "--state-dir", self.folder / "state", "--port", self.http,
                "--grpc-port", self.grpc, "--metrics-port", 0, "--python", sys.executable, "--onnxruntime", packages / "onnxruntime", "--allow-client-shm", "infer"]


class Tritonserver(Peer):
    def command(self):
        return [ROOT / "tools/tritonserver.sh", self.folder / "models", self.http, self.grpc, self.metrics,
                "--model-control-mode=explicit", "--load-model=*", "--exit-on-error=false"]


class MLServer(Peer):
    kind = "mlserver"

    def command(self):
        import peer_servers

        installed = peer_servers.Peer("MLServer", "mlserver", [], "")  # as for the benchmarks
        installed.install()
        settings = {"HTTP_PORT": self.http, "GRPC_PORT": self.grpc, "HOST": "127.0.0.1", "PARALLEL_WORKERS": 0,
                    "METRICS_ENDPOINT": ""}
        return ["env", *(f"MLSERVER_{name}={value}" for name, value in settings.items()), installed.environment / "bin/mlserver", "start",
                self.folder / "models"]


class KServe(Peer):
    kind, options = "kserve", ("--assume", "binary_tensor_data")

    def command(self):
        return [sys.executable, self.folder / "models/kserve_models.py", "--http_port", self.http, "--grpc_port", self.grpc]


SERVERS = {"tensord": Tensord, "tritonserver": Tritonserver, "MLServer": MLServer, "KServe": KServe}


def version_of(name, report):
    """What the server says of itself, or its package."""
    return metadata.version("kserve") if name == "KServe" else report["server"]["version"]


def page(peers, reports):
    servers = "\n".join(f"| {name} | {version_of(name, report)} | `{peers[name].shown()}` |" for name, report in reports.items())
    text = (HEAD.format(date=date.today().isoformat(), servers=servers) + table.of_several(reports) +
            "\n## What fails, and how\n" + table.reasons(reports))
    return text.replace(f"{ROOT}/", "")  # in tracebacks of servers that are installed below


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md")
    parser.add_argument("server", nargs="*", choices=[[], *SERVERS], help="only these")
    given = parser.parse_args()
    peers, reports = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.server or SERVERS:
            place = Path(folder) / name
            place.mkdir()
            peers[name] = SERVERS[name](place)
            reports[name] = peers[name].ask()
            print(f"{name}: {table.share(reports[name]['results'])}", flush=True)
        if given.write:
            PAGE.write_text(page(peers, reports))
    failed = [result["id"] for result in reports.get("tensord", {"results": []})["results"] if result["outcome"] == "fail"]
    if failed:
        sys.exit(f"tensord fails {', '.join(failed)}")


if __name__ == "__main__":
    main()
