#!/bin/sh
# Random messages for every gRPC method, of a new seed, to a server that AddressSanitizer watches: three minutes.
TENSORD_SEED=${TENSORD_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
export TENSORD_SEED
echo "TENSORD_SEED=$TENSORD_SEED"
TENSORD_GRPC_MESSAGES=2000 TENSORD_BINARY=$PWD/build-asan/src/cmd/tensord exec .venv/bin/python -m pytest -q tests/test_grpc_fuzz.py
