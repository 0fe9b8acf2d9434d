#!/bin/sh
# tritonserver.sh MODELS HTTP_PORT GRPC_PORT METRICS_PORT [OPTION…]: NVIDIA's tritonserver, for comparison, on 127.0.0.1, in
# this process. Installs it first. It has one backend, `python`, and is ready when /v2/health/ready answers 200.
set -eu
models=$(realpath "$1") http=$2 grpc=$3 metrics=$4
shift 4
cd "$(dirname "$0")/.."
. tools/setup.sh
setup_tritonserver
packages=$(echo "$PWD"/.deps/tritonserver/lib/python3*/site-packages)
server=$packages/pytriton/tritonserver
# Its workers start the first python3 of PATH.
export PATH="$PWD/.deps/tritonserver/bin:$PATH" LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs"
exec "$server/bin/tritonserver" --model-repository "$models" --backend-directory "$server/backends" \
    --cache-directory "$server/caches" --http-address 127.0.0.1 --http-port "$http" --grpc-address 127.0.0.1 \
    --grpc-port "$grpc" --metrics-address 127.0.0.1 --metrics-port "$metrics" "$@"
