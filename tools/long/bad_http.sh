#!/bin/sh
# Malformed HTTP in depth: half a minute, so not in every run.
exec .venv/bin/python -m pytest -q tests/long/test_bad_http1.py tests/long/test_bad_http2.py
