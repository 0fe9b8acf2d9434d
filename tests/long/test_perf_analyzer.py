"""Triton's perf_analyzer, unmodified, drives sequences: over HTTP and over a gRPC stream, with a state that the server keeps."""
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import sequences
from support.server import ROOT

RUN_S = 120
FILES = {"perf_analyzer": "tritonclient", "libcudart.so.12": "nvidia_cuda_runtime"}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, beside the one library that it links and that no GPU is needed for."""
    folder = tmp_path_factory.mktemp("perf_analyzer")
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes",
                    "-d", folder, "-r", ROOT / "tools" / "requirements-perf-analyzer.txt"], check=True)
    for name, package in FILES.items():
        with zipfile.ZipFile(next(folder.glob(package + "*.whl"))) as wheel:
            member = next(path for path in wheel.namelist() if Path(path).name == name)
            (folder / name).write_bytes(wheel.read(member))
    (folder / "perf_analyzer").chmod(0o755)
    return folder / "perf_analyzer"


@pytest.mark.parametrize("strategy", [{"oldest": {"max_candidate_sequences": 64}}, {"direct": {}}])
@pytest.mark.parametrize("arguments", [["-i", "http"], ["-i", "grpc", "--streaming"]])
def test_sequences(server, program, tmp_path, arguments, strategy):
    started = server(sequences.sums(tmp_path, **strategy)).wait_ready("sums")
    done = subprocess.run([program, "-m", "sums", "-u", started.netloc, "--concurrency-range", "4", "-p", "1000", "-s", "90",
                           "--max-trials", "3", "--sequence-length", "20", *arguments], capture_output=True, text=True,
                          timeout=RUN_S, env={**os.environ, "LD_LIBRARY_PATH": str(program.parent)})
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "error" not in said.lower().replace("overhead", ""), said
    assert int(re.search(r"Sequence count: (\d+)", said)[1]) > 10, said
