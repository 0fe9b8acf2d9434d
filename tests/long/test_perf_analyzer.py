"""Triton's perf_analyzer, unmodified, drives sequences, with a state that the server keeps, and ensembles."""
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import models, sequences
from support.repositories import write_config
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


def measure(program, server, model, *arguments):
    """What it says of a model, which it has measured without an error."""
    done = subprocess.run([program, "-m", model, "-u", server.netloc, "--concurrency-range", "4", "-p", "1000", "-s", "90",
                           "--max-trials", "10", *arguments], capture_output=True, text=True, timeout=RUN_S,
                          env={**os.environ, "LD_LIBRARY_PATH": str(program.parent)})
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "error" not in said.lower().replace("overhead", ""), said
    return said


@pytest.mark.parametrize("strategy", [{"oldest": {"max_candidate_sequences": 64}}, {"direct": {}}])
@pytest.mark.parametrize("arguments", [["-i", "http"], ["-i", "grpc", "--streaming"]])
def test_sequences(server, program, tmp_path, arguments, strategy):
    started = server(sequences.sums(tmp_path, **strategy)).wait_ready("sums")
    said = measure(program, started, "sums", "--sequence-length", "20", *arguments)
    assert int(re.search(r"Sequence count: (\d+)", said)[1]) > 10, said


TRITON_STEPS = {
    "platform": "ensemble", "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}],
    "ensemble_scheduling": {"step": [
        {"model_name": "first", "model_version": -1, "input_map": {"X": "x"}, "output_map": {"Y": "between"}},
        {"model_name": "second", "model_version": -1, "input_map": {"X": "between"}, "output_map": {"Y": "y"}}]}}
OUR_STEPS = {"steps": [{"model": "first", "input": {"X": "x"}, "output": {"Y": "between"}},
                       {"model": "second", "input": {"X": "between"}, "output": {"Y": "y"}}]}


@pytest.mark.parametrize("config, arguments", [
    (TRITON_STEPS, ["-i", "http"]), (TRITON_STEPS, ["-i", "grpc"]), (TRITON_STEPS, ["-i", "grpc", "--streaming"]),
    (OUR_STEPS, ["-i", "grpc", "--shape", "x:1,4"])])
def test_ensembles(server, program, repository, config, arguments):
    """It asks for the config of the ensemble, finds its models there, and reports the statistics of each."""
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    write_config(folder, "chain", **config)
    said = measure(program, server(folder).wait_ready("chain"), "chain", *arguments)
    _, found, composing = said.partition("Composing models:")
    counts = dict(re.findall(r"(\w+), version: 1\s+Inference count: (\d+)", composing))
    assert found and set(counts) == {"first", "second"} and min(map(int, counts.values())) > 10, said
