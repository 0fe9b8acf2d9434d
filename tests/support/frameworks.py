"""Environments with real frameworks, made by uv for the tests that need them, and scripts that run in them."""
import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".deps" / "frameworks"

# What each format is tested with; docs/formats.md says the same.
TESTED = {
    "sklearn": "scikit-learn==1.9.1",
    "skops": "skops==0.16.0",
    "xgboost": "xgboost-cpu==3.2.0",
    "lightgbm": "lightgbm==4.7.0",
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
