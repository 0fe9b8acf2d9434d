#!/bin/sh
# Formats of large frameworks, compared with the frameworks themselves: minutes, and gigabytes of packages.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_large_formats.py
