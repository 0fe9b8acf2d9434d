#!/bin/sh
# A thousand slow clients of each kind, and ten thousand that are gone: three minutes.
exec .venv/bin/python -m pytest -q tests/long/test_slow_clients.py
