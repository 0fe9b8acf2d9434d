"""Models without a framework: folders whose model.yaml names the engine identity or chaos.

What a .chaos model is told to do stands in the request's parameters; engines/chaos.c lists it.
"""
import json
import os
import time
from pathlib import Path

YAML_TYPES = {"BYTES": "TYPE_STRING"}
AN_HOUR_S = 3600


def config(engine, inputs=(), outputs=(), **parameters):
    """The text of a model.yaml; inputs and outputs are (name, datatype, dims). JSON is YAML too."""
    made = {"backend": engine}
    for key, tensors in (("input", inputs), ("output", outputs)):
        if tensors:
            made[key] = [{"name": name, "data_type": YAML_TYPES.get(datatype, f"TYPE_{datatype}"), "dims": list(dims)}
                         for name, datatype, dims in tensors]
    if parameters:
        made["parameters"] = {key: {"string_value": str(value)} for key, value in parameters.items()}
    return json.dumps(made)


def settle(path):
    """Makes a path look as if nobody had touched it for an hour, so that a server need not wait
    and see whether somebody is still writing."""
    long_ago = time.time() - AN_HOUR_S
    for inner in [*Path(path).rglob("*"), Path(path)]:
        os.utime(inner, (long_ago, long_ago))
    return path


def add(folder, name, engine, *, inputs=(), outputs=(), **parameters):
    """Makes the model `name` in a folder of models; parameters are the config's."""
    made = Path(folder) / name
    made.mkdir(parents=True)
    (made / "model.yaml").write_text(config(engine, inputs, outputs, **parameters))
    return settle(made)


def chaos(values=(1,), datatype="INT32", **parameters):
    """The JSON of a request to a chaos model: one column of numbers, and what it is to do."""
    request = {"inputs": [{"name": "INPUT0", "datatype": datatype, "shape": [len(values), 1], "data": list(values)}]}
    return {**request, "parameters": parameters} if parameters else request
