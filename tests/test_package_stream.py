"""The Python package and streams: model.stream, astream, tensord run --stream."""
import asyncio

import numpy as np
import pytest

import tensord
from support import streams
from support.python_models import needs_python
from support.streams import PATIENCE_S, wait_free


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    started = streams.start(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def gpu(served):
    with tensord.connect(served.url, served.admin_token) as connected:
        yield connected


@needs_python
def test_the_package_streams(gpu):
    assert list(gpu.model("count").stream(n=4)) == [0, 1, 2, 3]
    assert list(gpu.model("words").stream("to be or not")) == ["to", "be", "or", "not"]
    assert [one.tolist() for one in gpu.model("other", returns="numpy").stream(np.array([1, 2], np.int32))] == [[1, 2]]
    with pytest.raises(tensord.ModelError, match="boom at 1"):
        list(gpu.model("count").stream(n=4, boom=1))
    with pytest.raises(tensord.ModelNotFound):
        gpu.model("nobody").stream(1)


@needs_python
def test_tensors_of_any_datatype_survive(gpu):
    for i, part in enumerate(gpu.model("kinds", returns="numpy").stream(3)):
        assert part["output0"].dtype == np.float16 and np.atleast_2d(part["output0"]).tolist() == [[i, i]] * (i + 1)
        assert np.isnan(part["output1"].ravel()[0]) and np.isinf(part["output1"].ravel()[1])
        assert part["output2"].tolist() == bytes([255, i])
    assert i == 2


@needs_python
@pytest.mark.parametrize("elements", [1000, 500_000])
def test_large_answers_are_not_mixed_up(gpu, elements):
    """Each lies in shared memory until it was sent; the model makes the next ones meanwhile."""
    count = 0
    for i, part in enumerate(gpu.model("large", returns="numpy").stream(n=40, elements=elements)):
        assert part[0] == i and part[-1] == i + elements - 1 and np.array_equal(part, np.arange(i, i + elements))
        count += 1
    assert count == 40


@needs_python
def test_leaving_the_loop_ends_the_request(served, gpu):
    for part in gpu.model("count").stream(n=1_000_000_000, wait_ms=1):
        if part == 3:
            break
    wait_free(served, "count")

    async def main():
        async for part in gpu.model("words").astream("one two forever"):
            if part == "two":
                break

    asyncio.run(main())
    wait_free(served, "words")


@needs_python
def test_cancelling_a_task_ends_the_request(served, gpu):
    async def main():
        async def consume():
            async for _ in gpu.model("words").astream("one forever"):
                seen.set()

        seen = asyncio.Event()
        task = asyncio.create_task(consume())
        await asyncio.wait_for(seen.wait(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_free(served, "words")


@needs_python
def test_the_command_line_streams(served, capsys):
    from tensord.commands import main

    place = ["--to", served.url, "--token", served.admin_token]
    assert main(["run", "count", "n=3", "--stream", *place]) == 0
    assert capsys.readouterr().out.split() == ["0", "1", "2"]
    assert main(["run", "count", "n=3", *place]) == 1
    assert "--stream prints its answers" in capsys.readouterr().err


