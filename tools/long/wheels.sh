#!/bin/sh
# Both wheels, built and installed into empty environments: some minutes, most of them for building.
set -eu
./dev wheel
exec .venv/bin/python -m pytest -q tests/long/test_wheels.py
