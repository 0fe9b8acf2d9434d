"""Models that answer several times."""
import textwrap

from support.processes import until
from support.python_models import needs_python, write_python
from support.repositories import write_model
from support.server import Server

PATIENCE_S = 60

PYTHON = {
    "count": """
        import sys, time
        from collections.abc import Iterator

        def predict(n: int, wait_ms: int = 0, boom: int = -1) -> Iterator[int]:
            try:
                for i in range(n):
                    if i == boom:
                        raise ValueError("boom at %d" % i)
                    yield i
                    time.sleep(wait_ms / 1000)
            finally:
                print("the generator has ended")
    """,
    "words": """
        import asyncio
        from collections.abc import AsyncIterator

        async def predict(text: str) -> AsyncIterator[str]:
            try:
                for word in text.split():
                    yield word
                    await asyncio.sleep(3600 if word == "forever" else 0)
            except asyncio.CancelledError:
                print("the task was cancelled")
                raise
    """,
    "kinds": """
        from collections.abc import Iterator
        from typing import Annotated
        import numpy as np

        def predict(n: int) -> Iterator[tuple[Annotated[np.ndarray, "FP16", (-1, 2)], Annotated[np.ndarray, "FP32", (-1, -1)], bytes]]:
            for i in range(n):
                yield (np.full((i + 1, 2), i, np.float16), np.array([[np.nan, np.inf, i]], np.float32), bytes([255, i]))
    """,
    "large": """
        from collections.abc import Iterator
        from typing import Annotated
        import numpy as np
        import tensord

        def predict(n: int, elements: int) -> Iterator[Annotated[np.ndarray, "INT64", (-1,)]]:
            try:
                for i in range(n):
                    made = tensord.empty(elements, "INT64")
                    made[:] = np.arange(i, i + elements)
                    yield made
            finally:
                print("the generator has ended")
    """,
}

DECOUPLED = """
    backend: "python"
    model_transaction_policy { decoupled: True }
    input [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
    output [ { name: "I" data_type: TYPE_INT32 dims: [ 1 ] } ]
"""
DECOUPLED_CODE = """
    import threading
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                n = request.inputs()[0].as_numpy()[0]
                threading.Thread(target=self.answer, args=(request.get_response_sender(), n)).start()

        def answer(self, sender, n):
            for i in range(n):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array([i], dtype=np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def start(folder, state):
    """A server of models that answer several times, of one that does so when asked (chaos), and of one that answers once
    (other)."""
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no", "concurrency": 4})
    write_model(folder, "other", "identity", "INT32")
    names = ["chaos", "other"]
    if not needs_python.args[0]:
        for name, code in PYTHON.items():
            write_python(folder, name, code)
        version = folder / "decoupled" / "1"
        version.mkdir(parents=True)
        (folder / "decoupled" / "config.pbtxt").write_text(textwrap.dedent(DECOUPLED))
        (version / "model.py").write_text(textwrap.dedent(DECOUPLED_CODE))
        names += [*PYTHON, "decoupled"]
    started = Server(folder, state=state)
    for name in names:
        started.wait_ready(name)
    return started


def is_free(server, model="chaos"):
    """Does the model run nothing? It is asked by its gauge."""
    lines = server.fetch("/metrics")[2].decode().splitlines()
    [running] = [line for line in lines if line.startswith(f'tensord_running_requests{{model="{model}",')]
    return running.endswith(" 0")


def wait_free(server, model="chaos"):
    """Waits until the model runs nothing."""
    until(lambda: is_free(server, model), PATIENCE_S, f"'{model}' to be free")
