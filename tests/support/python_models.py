"""Folders of models that are written in Python."""
import os
import textwrap
from pathlib import Path

import pytest

from support.server import binary

EXTENSION = Path(binary()).parents[2] / "engines" / "python" / "_channel.abi3.so"

# A build with sanitizers has no extension: the interpreter would have to be built with them too.
needs_python = pytest.mark.skipif(not EXTENSION.exists() and "TENSORD_BINARY" in os.environ,
                                  reason="this build has no Python workers")


def write_python(folder, name, code, config=None, **files):
    """Makes a model of model.py, with a model.yaml when there is a config, and of other files by their names."""
    path = Path(folder) / name
    path.mkdir(parents=True)
    (path / "model.py").write_text(textwrap.dedent(code))
    if config:
        (path / "model.yaml").write_text(textwrap.dedent(config))
    for file, text in files.items():
        (path / file.replace("__", ".")).write_text(textwrap.dedent(text))
    return path


def tensor(name, datatype, shape, data):
    """One input of a request in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def ask(server, model, *tensors, **parameters):
    """(status, outputs by name, or the error) of an inference."""
    request = {"inputs": list(tensors)}
    if parameters:
        request["parameters"] = parameters
    status, body = server.infer(model, request)
    if status != 200:
        return status, body["error"]
    return status, {output["name"]: output for output in body["outputs"]}
