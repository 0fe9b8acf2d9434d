#!/bin/sh
# perf_analyzer over HTTP and gRPC, with and without shared memory: a minute.
set -eu
. tools/setup.sh
setup_system long
setup_perf_analyzer
exec .venv/bin/python -m pytest -q tests/long/test_perf_analyzer.py
