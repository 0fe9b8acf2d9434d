#!/bin/sh
# Fifty models within a budget of memory for five: some minutes.
exec .venv/bin/python -m pytest -q -s tests/long/test_fifty_models.py
