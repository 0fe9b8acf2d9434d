"""Pipelines: models whose steps are other models."""
import textwrap

import numpy as np
import pytest

from support import models


def tensor(name, data, datatype="FP32"):
    array = np.asarray(data)
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}


def put(folder, name, config):
    """A pipeline of that name, whose model.yaml says this."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "model.yaml").write_text(textwrap.dedent(config))


def outputs(answer):
    """The answer's outputs by name, as arrays."""
    status, body = answer
    assert status == 200, body
    return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in body["outputs"]}


CHAIN = """
    steps:
    - model: first
      input: {X: x}
      output: {Y: between}
    - model: second
      input: {X: between}
      output: {Y: y}
    """


def test_two_steps_in_a_chain(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder).wait_ready("chain")
    x = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    given = outputs(running.infer("chain", {"inputs": [tensor("x", x)]}))
    assert list(given) == ["y"]
    np.testing.assert_allclose(given["y"], x @ models.weights(seed=1) @ models.weights(seed=2), rtol=1e-4)
    assert running.get("/v2/models/chain") == {
        "name": "chain", "versions": ["1"], "platform": "ensemble",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}]}
