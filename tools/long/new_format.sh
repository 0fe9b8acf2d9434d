#!/bin/sh
# docs/formats.md followed by the letter: builds a copy of the tree.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_new_format.py
