#!/bin/sh
# The gRPC stacks of Go, Java and JavaScript, with stubs generated from proto/: two minutes, and 40 MB of packages.
set -eu
. tools/setup.sh
. tools/grpc_stacks.sh
setup_client_go
setup_client_java
setup_client_javascript
exec .venv/bin/python -m pytest -q -s tests/long/test_grpc_stacks.py
