#!/usr/bin/env python3
"""Measures the server beside its limits, interleaved in one run, and prints ratios; with --write also
docs/performance.md.

Ratios hold on a noisy machine where single figures do not, and CPU time per request, of all processes of a
server, holds best."""
import argparse
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import batching
import comparisons
import costs
import footprint
import json_tensors
import model_load
import overload
import peer_overload
import peer_table
import python_models
import subjects
import tls
from noise import Noise
from report import Report

ROOT = Path(__file__).resolve().parent.parent
IDENTITY = """backend: identity
input: [{name: x, data_type: TYPE_FP32, dims: [-1]}]
output: [{name: y, data_type: TYPE_FP32, dims: [-1]}]
"""
TOLD = """tensord runs
all the time, and the others come and go one after the other, each measured by turns with tensord, in {passes} passes of {pairs} rounds of {seconds} s.
Figures are medians of the rounds, ratios medians of the rounds' ratios, of rounds in which tensord was asked in the same form; {noise}.
Servers and load generator share two processors. CPU time and memory are those of all of a server's processes, pages that several share counted once; a cold start is from exec to the
first right answer, with the files in the page cache. Load comes from `wrk`, the burst from `open_loop`."""


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


@dataclass
class Run:
    """What the parts of the benchmark have in common."""

    report: Report
    options: argparse.Namespace
    build: Path
    folder: Path  # for files of the run
    models: Path  # the identity model
    magika: Path
    package: Path  # of ONNX Runtime


def small_http(run):
    with subjects.tensord(run.build, run.models) as server:
        comparisons.small_http(run.report, run.options, server, run.folder)


def small_grpc(run):
    with subjects.tensord(run.build, run.models) as server:
        comparisons.small_grpc(run.report, run.options, server, run.folder, run.build)


def big_tensors(run):
    with subjects.tensord(run.build, run.models) as server:
        comparisons.big_tensors(run.report, run.options, server, run.folder, run.build)


def json(run):
    json_tensors.rows(run.report, run.options, run.build, run.models, run.folder)


def transport(run):
    tls.rows(run.report, run.options, run.build, run.models, run.folder)


def extras(run):
    costs.rows(run.report, run.options, run.build, run.models, run.folder)


def model(run):
    model_load.rows(run.report, run.options, run.build, run.magika, run.package, run.folder)


def batches(run):
    batching.rows(run.report, run.options, run.build, run.magika, run.package, run.folder)


def overloaded(run):
    overload.rows(run.report, run.options, run.build, run.magika, run.package, run.folder)


def memory(run):
    footprint.memory(run.report, run.build, run.models, 1000 if run.options.quick else 10000)


def starting(run):
    footprint.starting(run.report, run.options, run.build, run.models, run.magika, run.package)


def python(run):
    python_models.rows(run.report, run.options, run.build, run.folder)


def peers_python(run):
    with subjects.processors(2):
        peer_table.python(run.report, run.options, run.build, run.folder)


def peers_onnx(run):
    with subjects.processors(2):
        peer_table.onnx(run.report, run.options, run.build, run.package, run.folder)


def peers_overload(run):
    with subjects.processors(2):
        peer_overload.rows(run.report, run.options, run.build, run.magika, run.package, run.folder)


PARTS = {"small-http": small_http, "small-grpc": small_grpc, "big": big_tensors, "json": json, "costs": extras, "tls": transport,
         "model": model, "batching": batches, "overload": overloaded, "memory": memory, "starting": starting,
         "python": python}
# These install other servers, a gigabyte, and so are measured when they are asked for.
PEERS = {"peers-python": peers_python, "peers-onnx": peers_onnx, "peers-overload": peers_overload}


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the server beside its limits.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a first look")
    parser.add_argument("--peers", action="store_true", help="instead, beside other servers, which are installed first")
    parser.add_argument("--only", action="append", choices=PARTS | PEERS, metavar="PART",
                        help=f"measure this part alone, or several of them: {', '.join(PARTS | PEERS)}")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md, or with --peers that part of it")
    parser.add_argument("--build", type=Path, default=ROOT / "build-release", help="build folder")
    options = parser.parse_args()
    if options.write and (options.only or options.quick):
        parser.error("--write writes the whole page: leave out --only and --quick")
    if options.peers and options.only:
        parser.error(f"name the parts: --only {' --only '.join(PEERS)}")
    options.rounds, options.seconds = (1, 1) if options.quick else (15, 1)
    options.passes, options.pairs = (1, 1) if options.quick else (2, 5)
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: told to stop"))  # so that what was started is ended
    subjects.adopt_orphans()
    report, noise = Report(), Noise()
    print(noise.before(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        [package] = ROOT.glob(".venv/lib/python3*/site-packages/onnxruntime")
        run = Run(report, options, options.build, folder, make_identity(folder), copy_magika(folder), package)
        for part in options.only or (PEERS if options.peers else PARTS):
            (PARTS | PEERS)[part](run)
    print(f"\n{noise.meanwhile()}")
    if options.write and options.peers:
        report.write_peers(ROOT / "docs/performance.md", TOLD.format(noise=noise.meanwhile(), **vars(options)))
    elif options.write:
        report.write(ROOT / "docs/performance.md", options.rounds, options.seconds, noise.meanwhile())
    print(f"\n{report.missed} of the bounds missed" if report.missed else "\nall bounds met")


if __name__ == "__main__":
    main()
