"""Every public method of NVIDIA's four Python clients, called once with a token that a plugin shows; what they do in depth is tested
elsewhere."""
import asyncio
import inspect
import queue

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from support.repositories import write_model

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc, "http.aio": tritonclient.http.aio,
             "grpc.aio": tritonclient.grpc.aio}
ANSWER_S = 60


class Calls:
    """Calls a client's methods by name, and knows which it has called."""

    def __init__(self, client):
        self.client, self.called = client, set()

    async def __call__(self, method, *arguments, **named):
        self.called.add(method)
        result = getattr(self.client, method)(*arguments, **named)
        return await result if inspect.isawaitable(result) else result

    async def refused(self, sentence, method, *arguments):
        with pytest.raises(InferenceServerException, match=sentence):
            await self(method, *arguments)


def shows(token):
    """A plugin that shows the token with each request."""

    class Plugin(tritonclient.grpc.InferenceServerClientPlugin):
        def __call__(self, request):
            request.headers["authorization"] = f"Bearer {token}"

    return Plugin()


def one(library, value):
    tensor = library.InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.array([value], np.float32))
    return [tensor]


async def metadata(call):
    assert await call("is_server_live") and await call("is_server_ready") and await call("is_model_ready", "echo")
    for method, *arguments in (["get_server_metadata"], ["get_model_metadata", "echo"], ["get_model_config", "echo"],
                               ["get_inference_statistics", "echo"], ["get_log_settings"], ["get_trace_settings"]):
        assert await call(method, *arguments)
    assert "echo" in str(await call("get_model_repository_index"))
    await call("update_log_settings", {"log_verbose_level": 1})
    assert "1" in str(await call("get_log_settings"))
    await call("update_trace_settings", settings={"trace_level": ["OFF"]})


async def models(call):
    await call("unload_model", "echo")
    for _ in range(2):
        await call("load_model", "echo")
    assert await call("is_model_ready", "echo")


async def memory(call):
    key = "/tensord_client_api"
    region = shm.create_shared_memory_region("r", key, 64)
    try:
        await call("register_system_shared_memory", "r", key, 64)
        assert key in str(await call("get_system_shared_memory_status"))
        await call("unregister_system_shared_memory", "r")
    finally:
        shm.destroy_shared_memory_region(region)
    await call.refused("GPUs not supported", "register_cuda_shared_memory", "c", b"AAAA", 0, 64)
    await call("unregister_cuda_shared_memory")
    await call("get_cuda_shared_memory_status")


async def requests_of(library):
    for i in range(3):
        yield {"model_name": "echo", "inputs": one(library, i)}


async def inference(call, library):
    """By each of the ways that the client has."""
    inputs, has = one(library, 4), lambda method: hasattr(call.client, method)
    assert (await call("infer", "echo", inputs)).as_numpy("y") == [4]
    if has("generate_request_body"):
        await call("generate_request_body", inputs)
        body = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[4]}]}'
        assert (await call("parse_response_body", body)).as_numpy("y") == [4]
    if has("async_infer"):
        seen = queue.Queue()
        if has("start_stream"):
            await call("async_infer", "echo", inputs, lambda result, error: seen.put(error or result))
            await call("start_stream", lambda result, error: seen.put(error or result))
            await call("async_stream_infer", "echo", inputs)
            answers = [seen.get(timeout=ANSWER_S) for _ in range(2)]
            await call("stop_stream")
        else:
            answers = [(await call("async_infer", "echo", inputs)).get_result()]
        assert all(answer.as_numpy("y") == [4] for answer in answers)
    if has("stream_infer"):
        answers = [answer async for answer, _ in await call("stream_infer", requests_of(library))]
        assert [answer.as_numpy("y")[0] for answer in answers] == [0, 1, 2]


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_method(server, tmp_path, name):
    library = LIBRARIES[name]
    served = server(write_model(tmp_path / "models", "echo", "identity"), "--allow-client-shm", "infer").wait_ready("echo")

    async def story():
        call = Calls(library.InferenceServerClient(served.netloc))
        await call.refused("'deploy'", "load_model", "echo")
        await call("register_plugin", shows(served.admin_token))
        assert await call("plugin") is not None
        for part in (metadata(call), models(call), memory(call), inference(call, library)):
            await part
        await call("unregister_plugin")
        await call.refused("'deploy'", "unload_model", "echo")
        await call("close")
        return call.called

    public = {method for method, _ in inspect.getmembers(library.InferenceServerClient) if not method.startswith("_")}
    assert asyncio.run(story()) == public
