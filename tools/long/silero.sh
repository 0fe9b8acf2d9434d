#!/bin/sh
# Voice activity in streams: the package silero-vad, whose model is served, against itself. Half a minute and 11 MB.
set -eu
exec .venv/bin/python -m pytest -q tests/long/test_silero.py
