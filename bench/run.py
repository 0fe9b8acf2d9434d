#!/usr/bin/env python3
"""Measures the server beside its limits, interleaved in one run, and prints ratios; with --write also
docs/performance.md.

Ratios hold on a noisy machine where single figures do not, and CPU time per request, of all processes of a
server, holds best."""
import argparse
import os
import tempfile
import time
from pathlib import Path

import comparisons
import footprint
import model_load
import subjects
from report import Report

ROOT = Path(__file__).resolve().parent.parent
IDENTITY = """backend: identity
input: [{name: x, data_type: TYPE_FP32, dims: [-1]}]
output: [{name: y, data_type: TYPE_FP32, dims: [-1]}]
"""


def age(*paths):
    """Makes files look old: what has just changed is served only when it has been still for a second."""
    then = time.time() - 3600
    for path in paths:
        os.utime(path, (then, then))


def make_identity(folder):
    models = folder / "models"
    (models / "identity").mkdir(parents=True)
    config = models / "identity/model.yaml"
    config.write_text(IDENTITY)
    age(config, models / "identity", models)
    return models


def copy_magika(folder):
    """A copy of the package's model, which lies in a folder of its own and has a name of its own."""
    [model] = ROOT.glob(".venv/lib/python3*/site-packages/magika/models/standard_v*/model.onnx")
    copy = folder / "magika.onnx"
    copy.write_bytes(model.read_bytes())
    age(copy)
    return copy


def measure(report, options, folder):
    build = options.build
    [package] = ROOT.glob(".venv/lib/python3*/site-packages/onnxruntime")
    models, magika = make_identity(folder), copy_magika(folder)
    with subjects.tensord(build, models) as server:
        comparisons.small_http(report, options, server, folder)
        comparisons.small_grpc(report, options, server, folder, build)
        comparisons.big_tensors(report, options, server, folder, build)
    model_load.rows(report, options, build, magika, package, folder)
    footprint.memory(report, build, models, 1000 if options.quick else 10000)
    footprint.starting(report, options, build, models, magika, package)


def main():
    parser = argparse.ArgumentParser(description="Measure the server beside its limits.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a first look")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--build", type=Path, default=ROOT / "build-release", help="build folder")
    options = parser.parse_args()
    options.rounds, options.seconds = (1, 1) if options.quick else (5, 3)
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        measure(report, options, folder)
    if options.write:
        report.write(ROOT / "docs/performance.md", options.rounds, options.seconds)
    print(f"\n{report.missed} of the bounds missed" if report.missed else "\nall bounds met")


if __name__ == "__main__":
    main()
