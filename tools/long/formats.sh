#!/bin/sh
# Formats of large frameworks, and more of the others, compared with the frameworks themselves: minutes, and gigabytes of packages.
set -eu
export TENSORD_ALL_FORMATS=1
exec .venv/bin/python -m pytest -q tests/test_formats.py tests/long/test_large_formats.py
