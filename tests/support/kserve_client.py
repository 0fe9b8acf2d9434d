"""A user's program with KServe's clients: kserve_client.py rest|grpc|v1 HOST:PORT.

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


def told(answer):
    [output] = answer.outputs
    return {"id": answer.id, "datatype": output.datatype, "values": output.as_numpy().tolist()}


async def rest(netloc):
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", retries=0))
    url = f"http://{netloc}"
    health = [await client.is_server_live(url), await client.is_server_ready(url),
              await client.is_model_ready(url, "identity")]
    answers = [await client.infer(url, request(binary), model_name="identity") for binary in (False, True)]
    try:
        await client.infer(url, request(True), model_name="nix")
        error = None
    except Exception as caught:  # httpx.HTTPStatusError
        error = str(caught)
    await client.close()
    return health, answers, error


async def grpc(netloc):
    async with kserve.InferenceGRPCClient(netloc, retries=0) as client:
        health = [await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("identity")]
        return health, [await client.infer(request(binary)) for binary in (False, True)], None


async def v1(netloc):
    """The older protocol: what comes back is a dict of the body."""
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1", retries=0))
    url = f"http://{netloc}"
    health = [await client.is_server_live(url), await client.is_model_ready(url, "identity")]
    answers = [await client.infer(url, {key: [1, 2, 3.5]}, model_name="identity") for key in ("instances", "inputs")]
    errors = []
    for call in (client.is_model_ready(url, "nix"), client.infer(url, {"instances": [1]}, model_name="nix"), client.explain(url, "identity", {"instances": [1]})):
        try:
            await call
        except Exception as caught:  # httpx.HTTPStatusError
            errors.append(str(caught))
    await client.close()
    print(json.dumps({"health": health, "answers": answers, "errors": errors}))


def main(protocol, netloc):
    if protocol == "v1":
        return asyncio.run(v1(netloc))
    health, answers, error = asyncio.run({"rest": rest, "grpc": grpc}[protocol](netloc))
    print(json.dumps({"health": health, "answers": [told(answer) for answer in answers], "error": error}))


if __name__ == "__main__":
    main(*sys.argv[1:])
