#!/bin/sh
# schemathesis over the server's OpenAPI documents: ten minutes.
set -eu
. tools/setup.sh
setup_schemathesis
exec .venv/bin/python -m pytest -q tests/long/test_openapi_fuzz.py
