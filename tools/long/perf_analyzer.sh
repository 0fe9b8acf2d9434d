#!/bin/sh
# Triton's perf_analyzer with sequences and ensembles, out of a wheel of tritonclient that still has the program: two minutes, 17 MB.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_perf_analyzer.py
