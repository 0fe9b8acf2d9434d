#!/bin/sh
# Each allocation and system call fails in turn while the server starts, loads and answers: two minutes.
exec .venv/bin/python -m pytest -q tests/long/test_torture_depth.py
