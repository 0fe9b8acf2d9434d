#!/bin/sh
# Half an hour of everything at once; SOAK_MINUTES for another time.
exec .venv/bin/python -m pytest -q -s tests/soak
