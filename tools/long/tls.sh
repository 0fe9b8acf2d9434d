#!/bin/sh
# TLS as scanners see it (sslyze, testssl.sh), and a flood of handshakes: five minutes.
set -eu
. tools/setup.sh
setup_system long
setup_sslyze
exec .venv/bin/python -m pytest -q tests/long/test_tls_depth.py
