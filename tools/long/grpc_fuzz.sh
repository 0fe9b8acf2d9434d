#!/bin/sh
# Random messages for every gRPC method, to a server that AddressSanitizer watches: three minutes.
TENSORD_GRPC_MESSAGES=2000 TENSORD_BINARY=$PWD/build-asan/src/cmd/tensord exec .venv/bin/python -m pytest -q tests/test_grpc_fuzz.py
