"""Environments with real frameworks, made by uv for the tests that need them, and scripts that run in them."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".deps" / "frameworks"
SYSTEM_PYTHON = Path("/usr/bin/python3")

# What each format is tested with; docs/formats.md says the same. Those of EVERY_TIME are tested by every run of the tests,
# the others by the long ones.
TESTED = {
    "mlflow": "mlflow==3.17.2",
    "mlserver": "mlflow==3.17.2",
    "torchserve": "torch-model-archiver==0.12.0",
    "tensorflow": "tensorflow-cpu==2.21.0",
    "spacy": "spacy==3.8.18",
    "sentence_transformers": "sentence-transformers==6.2.0",
    "transformers": "transformers==5.23.0",
    "sklearn": "scikit-learn==1.9.1",
    "skops": "skops==0.16.0",
    "xgboost": "xgboost-cpu==3.2.0",
    "lightgbm": "lightgbm==4.7.0",
    "catboost": "catboost==1.2.10",
    "pytorch": "torch==2.15.0",
    "torch_export": "torch==2.15.0",
    "keras": "keras==3.15.1",
    "tflite": "ai-edge-litert==2.3.0",
    "pmml": "sklearn-pmml-model==1.0.8",
}
EVERY_TIME = ("sklearn", "skops", "xgboost", "lightgbm", "pmml", "pytorch", "torchserve")  # pytorch: the system's


def _uv(*arguments):
    subprocess.run([str(Path(sys.executable).parent / "uv"), *map(str, arguments)], check=True)


def _make(folder, base, requirements, *options, system=False):
    """An environment there; returns its interpreter."""
    python = folder / "bin" / "python"
    _uv("venv", "-q", "--clear", *(["--system-site-packages"] if system else []), "--python", base, folder)
    if requirements:
        _uv("pip", "install", "-q", *options, "--python", python, *requirements)
    return python


def environment(*requirements, base=None, system=False):
    """The interpreter of an environment that has these packages; made once. base: the Python that it is on; system: that
    one's packages are seen too."""
    base = base or getattr(sys, "_base_executable", sys.executable)
    name = hashlib.sha256(" ".join([str(base), *sorted(requirements)]).encode()).hexdigest()[:16]
    if not (FOLDER / name / "whole").exists():
        _make(FOLDER / name, base, requirements, system=system)
        (FOLDER / name / "whole").touch()
    return FOLDER / name / "bin" / "python"


@contextlib.contextmanager
def large_environment(*requirements):
    """The same for packages that take gigabytes: gone afterwards, with all that was downloaded, unless
    TENSORD_KEEP_FRAMEWORKS is set."""
    if os.environ.get("TENSORD_KEEP_FRAMEWORKS"):
        yield environment(*requirements)
        return
    folder = FOLDER / "large"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        base = getattr(sys, "_base_executable", sys.executable)
        yield _make(folder / "environment", base, requirements, "--cache-dir", folder / "cache")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(python, script, *arguments):
    """Runs the script, from a file, since TorchScript reads it, too; returns what it gave as JSON in its last line."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(textwrap.dedent(script))
        file.flush()
        done = subprocess.run([str(python), "-W", "ignore", file.name, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, "the framework itself failed; its words are on standard error"
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


def values(outputs):
    """The outputs as nested lists, by name."""
    return {name: np.array(output["data"]).reshape(output["shape"]).tolist() for name, output in outputs.items()}


def assert_same(outputs, expected):
    """Fails unless the outputs are what the framework gave."""
    got = values(outputs)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if np.array(value).dtype.kind in "US":
            assert got[name] == value
        else:
            np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)
