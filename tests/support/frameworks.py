"""Environments with real frameworks, made by uv for the tests that need them, and scripts that run in them."""
import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".deps" / "frameworks"

# What each format is tested with; docs/formats.md says the same.
TESTED = {
    "spacy": "spacy==3.8.18",
    "sklearn": "scikit-learn==1.9.1",
    "skops": "skops==0.16.0",
    "xgboost": "xgboost-cpu==3.2.0",
    "lightgbm": "lightgbm==4.7.0",
    "catboost": "catboost==1.2.10",
}

# Versions to test the others with; their tests run when TENSORD_UNTESTED is set.
UNTESTED = {
    "mlflow": "mlflow==3.17.2",
    "mlserver": "mlflow==3.17.2",
    "torchserve": "torch-model-archiver==0.12.0",
    "tensorflow": "tensorflow-cpu==2.21.0",
    "sentence_transformers": "sentence-transformers==6.2.0",
    "transformers": "transformers==5.24.0",
    "pytorch": "torch==2.15.0",
    "torch_export": "torch==2.15.0",
    "keras": "keras==3.15.1",
    "tflite": "ai-edge-litert==2.3.0",
}


def environment(*requirements):
    """The interpreter of an environment that has these packages; made once."""
    name = hashlib.sha256(" ".join(sorted(requirements)).encode()).hexdigest()[:16]
    python = FOLDER / name / "bin" / "python"
    if not (FOLDER / name / "whole").exists():
        base = getattr(sys, "_base_executable", sys.executable)
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", base, str(FOLDER / name)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *requirements], check=True)
        (FOLDER / name / "whole").touch()
    return python


def run(python, script, *arguments):
    """Runs the script; returns what it gave as JSON in its last line."""
    done = subprocess.run([str(python), "-W", "ignore", "-c", textwrap.dedent(script), *map(str, arguments)],
                          stdout=subprocess.PIPE, text=True, check=True)
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
