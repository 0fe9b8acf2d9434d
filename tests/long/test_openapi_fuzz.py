"""Requests that a stranger makes of the server's own documents, sound and unsound ones: none may be answered by an error of the
server's, or otherwise than the document says."""
import os
import subprocess

import pytest

from support import models
from support.repositories import settle, tensor_config, write_config, write_model
from support.server import ROOT, Server

SCHEMATHESIS = ROOT / ".deps" / "schemathesis" / "bin" / "schemathesis"
CONFIG = ROOT / "tests" / "support" / "schemathesis.toml"
DATATYPES = ["BOOL", "UINT8", "UINT64", "INT8", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES"]
SECONDS = int(os.environ.get("TENSORD_FUZZ_S", "60"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "text", "identity", "BYTES")
    write_config(folder, "types", backend="identity", input=[tensor_config(f"in_{name}", name) for name in DATATYPES],
                 output=[tensor_config(f"out_{name}", name) for name in DATATYPES])
    for name, made in {"add": models.add(), "optional": models.optional(), "dynamic": models.dynamic()}.items():
        settle(models.save(made, folder / f"{name}.onnx"))
    one = Server(folder, "--allow-client-shm", "infer", state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


@pytest.mark.parametrize("path, seconds", [
    *((f"/v2/models/{name}/docs/dataplane.json", SECONDS) for name in ("add", "types", "text", "optional", "dynamic")),
    ("/v2/docs/dataplane.json", 4 * SECONDS),
])
def test_no_request_finds_a_mistake(served, tmp_path, path, seconds):
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIG, "run", served.url + path, "-H", f"Authorization: Bearer {served.admin_token}",
         "--phases", "examples,coverage,fuzzing", "--max-time", str(seconds), "--request-timeout", "30", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=10 * seconds)
    assert done.returncode == 0, done.stdout[-20000:]
    assert served.fetch("/v2/health/ready")[0] == 200
