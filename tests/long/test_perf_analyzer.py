"""perf_analyzer, NVIDIA's load generator, unmodified: with tensors in messages, and in shared memory."""
import os
import re
import subprocess

import pytest

from support.repositories import tensor_config, write_config
from support.server import ROOT, Server

HOME = ROOT / ".deps" / "perf_analyzer"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_config(folder, "identity", backend="identity", input=[tensor_config("INPUT0", "FP32", (1024,))],
                 output=[tensor_config("OUTPUT0", "FP32", (1024,))])
    one = Server(folder, "--allow-client-shm", "infer", state=tmp_path_factory.mktemp("state"))
    one.wait_ready("identity")
    yield one
    one.stop()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("memory", [(), ("--shared-memory", "system", "--output-shared-memory-size", "4096")],
                         ids=["messages", "shared memory"])
def test_it_measures(served, tmp_path, protocol, memory):
    """As many requests as were asked for are answered, none of them with an error, and no region is left."""
    [cuda] = HOME.glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib")
    done = subprocess.run(
        [HOME / "bin" / "perf_analyzer", "-m", "identity", "-u", served.netloc, "-i", protocol, "--concurrency-range", "4",
         "--measurement-mode", "count_windows", "--measurement-request-count", "200", "--stability-percentage", "999",
         "--max-trials", "10", *memory],
        env={**os.environ, "LD_LIBRARY_PATH": str(cuda)}, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"Request count: (\d+)", done.stdout)[1]) >= 200, done.stdout
    assert "error" not in done.stdout.lower(), done.stdout
    assert served.fetch("/v2/systemsharedmemory/status")[2] == b"[]"
