#!/bin/sh
# The same bytes to tensord, Apache, nginx and, where there is one, node: a quarter of a minute.
set -eu
. tools/setup.sh
setup_system long
exec .venv/bin/python -m pytest -q -s tests/long/test_http1_differential.py
