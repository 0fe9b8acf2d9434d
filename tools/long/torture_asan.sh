#!/bin/sh
# The same with AddressSanitizer, which sees what a crash does not show: three minutes.
TENSORD_BINARY=$PWD/build-asan/src/cmd/tensord exec .venv/bin/python -m pytest -q tests/long/test_torture_depth.py
