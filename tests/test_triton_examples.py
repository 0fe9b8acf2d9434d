"""What the examples of Triton's Python clients do with sequences and ensembles, and what they expect.

Where the environment's TRITON_EXAMPLES names a folder that has the examples themselves (src/python/examples in a checkout of Triton's
client repository), these run, too, unmodified.
"""
import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient
import tritonclient.http as httpclient

from support import sequences, triton_examples
from support.python_models import needs_python
from support.server import Server
from support.triton_examples import COLOURS, VALUES

RUN_S = 60
EXAMPLES = Path(os.environ.get("TRITON_EXAMPLES", "none"))
IDS = {False: [1000, 1001, "0b0f3e5c-7d2a-4f6e-9d70-0d4b6f1f6d11"], True: [1000, 1001, "1002"]}
SENT = [[0, *VALUES], [100, *(-value for value in VALUES)], [20, *(-value for value in VALUES)]]

needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="TRITON_EXAMPLES names no folder")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = triton_examples.write_sequences(tmp_path_factory.mktemp("models"))
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for model in ("simple_sequence", "simple_dyna_sequence", "simple_string_dyna_sequence"):
        started.wait_ready(model)
    yield started
    started.stop()


def calls(dyna):
    """(model, sequence, value, starts, ends) of each request, a sequence after the other."""
    models = ["simple_sequence"] * 3 if not dyna else ["simple_dyna_sequence"] * 2 + ["simple_string_dyna_sequence"]
    for model, name, values in zip(models, IDS[dyna], SENT, strict=True):
        for at, value in enumerate(values):
            yield model, name, value, at == 0, at == len(values) - 1


def expected(dyna):
    """The answers: each value, one more with the first, and the id with the last; or the sum of them."""
    plain = [[values[0] + 1, *values[1:]] for values in SENT]
    if not dyna:
        return plain
    summed = list(np.cumsum(SENT[2]))
    return [[*row[:-1], row[-1] + int(name)] for row, name in zip([*plain[:2], summed], IDS[True], strict=True)]


def rows(answers):
    return np.array([answer.as_numpy("OUTPUT").item() for answer in answers]).reshape(3, -1).tolist()


def options(client, sequence, starts, ends):
    return {"outputs": [client.InferRequestedOutput("OUTPUT")], "sequence_id": sequence, "sequence_start": starts,
            "sequence_end": ends}


def one_by_one(client, served):
    triton = client.InferenceServerClient(served.netloc)
    return lambda calls: [triton.infer(model, [sequences.tensor_of(client, value)], **options(client, *marks))
                          for model, value, marks in calls]


def stream(served):
    """All of them on their way before the first answer is read, as the examples do."""
    made = sequences.Stream(served)

    def ask(calls):
        for at, (model, value, marks) in enumerate(calls):
            made.client.async_stream_infer(model, [sequences.tensor_of(grpcclient, value)], request_id=str(at),
                                           **options(grpcclient, *marks))
        answers = [made.next() for _ in calls]
        made.close()
        return sorted(answers, key=lambda answer: int(answer.get_response().id))

    return ask


def aio_stream(served):
    async def run(calls):
        async def requests():
            for at, (model, value, marks) in enumerate(calls):
                yield {"model_name": model, "inputs": [sequences.tensor_of(grpcclient, value)], "request_id": str(at),
                       **options(grpcclient, *marks)}

        async with aioclient.InferenceServerClient(served.netloc) as triton:
            answers = []
            async for answer, error in triton.stream_infer(requests()):
                assert error is None
                answers.append(answer)
                if len(answers) == len(calls):
                    break
        return sorted(answers, key=lambda answer: int(answer.get_response().id))

    return lambda calls: asyncio.run(run(calls))


@pytest.mark.parametrize("dyna", [False, True])
@pytest.mark.parametrize("client", [partial(one_by_one, httpclient), partial(one_by_one, grpcclient), stream, aio_stream],
                         ids=["http", "grpc", "stream", "aio_stream"])
def test_sequences(served, client, dyna):
    wanted = [(model, value, marks) for model, name, value, *ends in calls(dyna) for marks in [(name, *ends)]]
    assert rows(client(served)(wanted)) == expected(dyna)


@pytest.fixture
def images(tmp_path):
    """A folder of an image in each colour."""
    folder = tmp_path / "images"
    folder.mkdir()
    for colour in COLOURS:
        (folder / f"{colour}.ppm").write_bytes(triton_examples.image(colour))
    return folder


@needs_python
@pytest.mark.parametrize("client", [httpclient, grpcclient])
def test_ensembles(server, tmp_path, images, client):
    """Images as they are, several in one request, and the names of their classes."""
    served = server(triton_examples.write_ensemble(tmp_path / "models")).wait_ready("preprocess_inception_ensemble")
    triton = client.InferenceServerClient(served.netloc)
    name, more = "preprocess_inception_ensemble", {"as_json": True} if client is grpcclient else {}
    metadata, config = triton.get_model_metadata(name, **more), triton.get_model_config(name, **more)
    assert config.get("config", config)["max_batch_size"] == 8 and len(config.get("config", config)["input"]) == 1
    files = sorted(images.iterdir())
    batch = np.stack([np.array([file.read_bytes()], object) for file in files])
    given = client.InferInput(metadata["inputs"][0]["name"], batch.shape, "BYTES")
    given.set_data_from_numpy(batch)
    output = metadata["outputs"][0]["name"]
    answer = triton.infer(name, [given], outputs=[client.InferRequestedOutput(output, class_count=1)]).as_numpy(output)
    assert [row[0].decode().split(":")[1:] for row in answer] == [[str(COLOURS.index(file.stem)), file.stem] for file in files]


# ---- the examples themselves ----


def run(name, *arguments):
    """Runs an example, which says at its end that it has passed."""
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0 and "PASS" in done.stdout, done.stdout + done.stderr
    return done.stdout


@needs_examples
@pytest.mark.parametrize("dyna", [[], ["-d"]])
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*sequence*.py")))
def test_the_examples_of_sequences(served, name, dyna):
    run(name, "-u", served.netloc, *dyna)


@needs_examples
@needs_python
@pytest.mark.parametrize("protocol", ["HTTP", "gRPC"])
def test_the_example_of_an_ensemble(server, tmp_path, images, protocol):
    served = server(triton_examples.write_ensemble(tmp_path / "models")).wait_ready("preprocess_inception_ensemble")
    said = run("ensemble_image_client.py", "-u", served.netloc, "-i", protocol, str(images))
    for at, colour in enumerate(COLOURS):
        assert f'{colour}.ppm":\n  [OUTPUT]:\n    0.800000 ({at}) = {colour}' in said, said
