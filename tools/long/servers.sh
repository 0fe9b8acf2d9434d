#!/bin/sh
# Managed servers that are real, BentoML and Ray Serve: five minutes, most of them for their packages.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_real_servers.py
