#!/bin/sh
# The conformance suite asks tensord, tritonserver, MLServer and KServe's server: some eight minutes. --write writes docs/conformance.md.
set -eu
. tools/setup.sh
setup_tritonserver
exec .venv/bin/python tools/conformance_table.py "$@"
