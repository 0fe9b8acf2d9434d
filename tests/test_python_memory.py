"""The memory that models in Python share with the server: what is not copied, and what is kept."""
import json

import numpy as np
import pytest
import tritonclient.http as httpclient

from support.processes import until
from support.python_models import needs_python, write_python

pytestmark = needs_python

IMAGE = 150528  # FP32 values: 602,112 bytes
KEEPER = """
    import gc
    from typing import Annotated
    import numpy as np
    import _channel
    import tensord

    Array = Annotated[np.ndarray, "FP32", (-1,)]
    kept = []

    def predict(x: Array, how: str) -> tuple[Array, dict]:
        before = _channel.copied_bytes()
        facts = {"shared": tensord.is_shared(x), "address": x.ctypes.data, "writable": x.flags.writeable,
                 "copied": before, "kept": [int(k[0]) for k in kept]}
        if how == "same":
            return x, facts
        if how == "part":
            return x[16:], facts
        if how == "new":
            return x + 1, facts
        if how == "empty":
            y = tensord.empty(x.shape, np.float32)
            facts["shared"] = tensord.is_shared(y)
            np.add(x, 1, out=y)
            return y, facts
        if how == "keep":
            kept.append(x)
        if how == "keep empty":
            y = tensord.empty(x.shape)
            y[:] = x
            kept.append(y)
            return y, facts
        if how == "drop":
            kept.clear()
            gc.collect()
        if how == "write":
            x[0] = 1
        if how == "keep and fail":
            kept.append(x)
            raise ValueError("kept")
        return np.zeros(1, np.float32), facts
"""


class Keeper:
    """The model behind a client."""

    def __init__(self, server):
        self.client = httpclient.InferenceServerClient(server.netloc)

    def __call__(self, how, value):
        x = httpclient.InferInput("x", value.shape, "FP32")
        x.set_data_from_numpy(value)
        said = httpclient.InferInput("how", [1], "BYTES")
        said.set_data_from_numpy(np.array([how], dtype=object))
        answer = self.client.infer("keeper", [x, said])
        return answer.as_numpy("output0"), json.loads(answer.as_numpy("output1")[0])


@pytest.fixture
def start(server, tmp_path):
    def make(*arguments):
        write_python(tmp_path, "keeper", KEEPER)
        return Keeper(server(tmp_path, *arguments).wait_ready("keeper"))

    return make


def image(first=0):
    value = np.arange(IMAGE, dtype=np.float32)
    value[0] = first
    return value


def test_a_large_array_crosses_without_a_copy(start):
    keeper = start()
    _, before = keeper("same", image())
    answer, facts = keeper("same", image())
    assert facts["shared"] and not facts["writable"] and facts["address"] % 64 == 0
    assert facts["copied"] - before["copied"] < 1000  # of the facts themselves
    assert np.array_equal(answer, image())
    answer, _ = keeper("part", image())
    assert np.array_equal(answer, image()[16:])
    _, facts = keeper("new", image())
    _, after = keeper("same", image())
    assert 4 * IMAGE <= after["copied"] - facts["copied"] < 4 * IMAGE + 1000


def test_room_for_an_answer(start):
    keeper = start()
    answer, before = keeper("empty", image())
    assert before["shared"] and np.array_equal(answer, image() + 1)
    _, after = keeper("same", image())
    assert after["copied"] - before["copied"] < 1000


def test_inputs_cannot_be_written(start):
    with pytest.raises(Exception, match="read-only"):
        start()("write", image())


@pytest.mark.parametrize("how", ["keep", "keep empty"])
def test_what_is_kept_stays_as_it_is(start, how):
    keeper = start()
    for first in range(5):
        keeper(how, image(100 + first))
    for first in range(20):
        keeper("same", image(first))
    assert keeper("same", image())[1]["kept"] == [100, 101, 102, 103, 104]
    keeper("drop", image())
    assert keeper("same", image())[1]["kept"] == []


def test_what_a_failed_request_left_behind(start):
    keeper = start()
    with pytest.raises(Exception, match="ValueError: kept"):
        keeper("keep and fail", image(7))
    keeper("same", image(8))
    assert keeper("same", image())[1]["kept"] == [7]


def test_more_than_may_be_kept_is_copied(start):
    """A sixteenth of the model's memory, and the server goes on when the model keeps all it gets."""
    keeper = start("--memory-limit-mib", "64")
    shared = [keeper("keep", image(first))[1]["shared"] for first in range(30)]
    assert shared[0] and not shared[-1] and sum(shared) * 4 * IMAGE < 8 << 20
    assert keeper("same", image())[1]["kept"] == list(range(30))
    keeper("drop", image())
    until(lambda: keeper("same", image())[1]["shared"], 60, "room again")


def test_an_async_function_keeps_nothing_for_long(server, tmp_path):
    write_python(tmp_path, "later", """
        import asyncio
        from typing import Annotated
        import numpy as np

        Array = Annotated[np.ndarray, "FP32", (-1,)]

        async def predict(x: Array) -> Array:
            await asyncio.sleep(0)
            return x
    """)
    started = server(tmp_path, "--memory-limit-mib", "64").wait_ready("later")
    client = httpclient.InferenceServerClient(started.netloc)
    for first in range(40):
        x = httpclient.InferInput("x", [IMAGE], "FP32")
        x.set_data_from_numpy(image(first))
        assert client.infer("later", [x]).as_numpy("output")[0] == first
