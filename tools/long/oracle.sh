#!/bin/sh
# The same requests to a real tritonserver and to tensord: every difference is explained, or fails. Three minutes; what differs is
# written to .deps/oracle-differences.txt.
set -eu
. tools/setup.sh
setup_tritonserver
exec .venv/bin/python -m pytest -q tests/long/test_oracle.py
