#!/bin/sh
# Triton's perf_analyzer in its sequence mode, out of a wheel of tritonclient that still has the program: a minute and 17 MB.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_perf_analyzer.py
