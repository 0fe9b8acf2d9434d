"""A user's program with KServe's clients: kserve_client.py rest|grpc json|binary HOST:PORT.

A program of its own, since KServe's and NVIDIA's packages declare the same protobuf messages and
cannot be imported into one process. Prints what it got, as JSON.
"""
import asyncio
import json
import sys

import kserve
import numpy as np


def request(binary):
    made = kserve.InferInput("INPUT0", [3], "FP32")
    made.set_data_from_numpy(np.array([1, 2, 3.5], np.float32), binary_data=binary)
    return kserve.InferRequest("identity", [made], request_id="k")


async def rest(binary, netloc):
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", retries=0))
    url = f"http://{netloc}"
    health = [await client.is_server_live(url), await client.is_server_ready(url),
              await client.is_model_ready(url, "identity")]
    answer = await client.infer(url, request(binary), model_name="identity")
    try:
        await client.infer(url, request(binary), model_name="nix")
        error = None
    except Exception as caught:  # httpx.HTTPStatusError
        error = str(caught)
    await client.close()
    return health, answer, error


async def grpc(binary, netloc):
    async with kserve.InferenceGRPCClient(netloc, retries=0) as client:
        health = [await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("identity")]
        return health, await client.infer(request(binary)), None


def main(protocol, data, netloc):
    health, answer, error = asyncio.run({"rest": rest, "grpc": grpc}[protocol](data == "binary", netloc))
    [output] = answer.outputs
    print(json.dumps({"health": health, "id": answer.id, "error": error,
                      "values": output.as_numpy().tolist(), "datatype": output.datatype}))


if __name__ == "__main__":
    main(*sys.argv[1:])
