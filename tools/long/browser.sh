#!/bin/sh
# Web pages against the local server, in a real browser: a minute.
set -eu
. tools/setup.sh
setup_system browser
exec .venv/bin/python -m pytest -q tests/long/test_browser.py
