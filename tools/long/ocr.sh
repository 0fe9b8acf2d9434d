#!/bin/sh
# The pipeline that reads text, compared with the package whose models it has: minutes, most of them for packages.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_ocr.py
