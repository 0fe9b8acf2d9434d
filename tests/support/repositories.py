"""Model folders that need no ONNX: models of the engines identity and chaos."""
import json
import os
import time
from pathlib import Path


def settle(path):
    """Makes a path look as if nobody had touched it for an hour: a server that finds it so need not
    wait and see whether somebody is still writing. Returns the path."""
    long_ago = time.time() - 3600
    for inner in [*Path(path).rglob("*"), path]:
        os.utime(inner, (long_ago, long_ago))
    return path


def write_config(folder, name, **config):
    """Writes NAME/model.yaml (JSON is YAML too), settled; returns the model's folder."""
    made = Path(folder) / name
    made.mkdir(parents=True)
    (made / "model.yaml").write_text(json.dumps(config))
    return settle(made)


def tensor_config(name, datatype="FP32", dims=(-1,)):
    """An input or output as a config has it."""
    return {"name": name, "data_type": "TYPE_" + datatype.replace("BYTES", "STRING"), "dims": list(dims)}


def write_model(folder, name, engine, datatype="FP32", parameters=None, names=("x", "y")):
    """A model with one flat input and one flat output; parameters are the config's. Returns the
    folder of models."""
    config = {"input": [tensor_config(names[0], datatype)], "output": [tensor_config(names[1], datatype)]}
    if parameters:
        config["parameters"] = {key: {"string_value": str(value)} for key, value in parameters.items()}
    write_config(folder, name, backend=engine, **config)
    return folder


def request(values, name="x", datatype="FP32", **parameters):
    """An inference request in JSON for one flat input."""
    return {"parameters": parameters,
            "inputs": [{"name": name, "datatype": datatype, "shape": [len(values)], "data": values}]}


def index(server):
    """The repository index: an entry for each (model, version)."""
    status, _, body = server.fetch("/v2/repository/index", {})
    assert status == 200, body
    return {(entry["name"], entry["version"]): entry for entry in json.loads(body)}


def one(server, model):
    """(status, body) of a request to a model made by models.constant."""
    return server.infer(model, {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [0]}]})


def value(server, model):
    """The constant that the model answers; None when it does not answer."""
    status, body = one(server, model)
    return body["outputs"][0]["data"][0] if status == 200 else None
