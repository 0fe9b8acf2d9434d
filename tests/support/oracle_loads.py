"""What the oracle asks of the repository: loads with a config, loads with files, and unloads."""
import base64
import json
import time

from oip_conformance.models import config, tensors
from oip_conformance.rpc import message
from oip_conformance.tensors import request, tensor
from tritonclient.grpc import service_pb2 as pb

from support.oracle import Rest, Rpc, infer

SETTLE_S = 20
# Answers the number that it was made with.
CODE = '''
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("NUMBER", np.array([%d], dtype=np.int32))]) for request in requests]
'''
IMPORTING = CODE.replace("import numpy", "import helper\nimport numpy", 1)
CONFIG = {"backend": "python", "max_batch_size": 0, "input": [{"name": "ANY", "data_type": "TYPE_INT32", "dims": [1]}],
          "output": [{"name": "NUMBER", "data_type": "TYPE_INT32", "dims": [1]}], "instance_group": [{"count": 1, "kind": "KIND_CPU"}]}


def write(folder):
    """Adds the model that is loaded otherwise to a repository."""
    made = folder / "loaded/1"
    made.mkdir(parents=True)
    (made / "model.py").write_text(CODE % 1)
    (made.parent / "config.pbtxt").write_text(config(tensors("input", "INT32", [1], "ANY"), tensors("output", "INT32", [1], "NUMBER")))


class Row:
    """Which versions of a model are ready, once it neither comes nor goes."""

    def __init__(self, label, model):
        self.label, self.model = f"{label}: index", model

    def ask(self, server):
        for _ in range(SETTLE_S * 10):
            rows = server.http1.ask("POST", "/v2/repository/index", b"{}").json()
            states = {row.get("version", ""): row.get("state", "") for row in rows if row["name"] == self.model}
            if not {"LOADING", "UNLOADING"} & {*states.values()}:
                break
            time.sleep(0.1)
        return {"ready": sorted(version for version, state in states.items() if state == "READY")}


class OverRest:
    name = "REST"

    @staticmethod
    def load(label, model, config=None, files=None, **more):
        given = {**({} if config is None else {"config": config}), **more,
                 **{path: base64.b64encode(data).decode() for path, data in (files or {}).items()}}
        return Rest(label, "POST", f"/v2/repository/models/{model}/load", {"parameters": given} if given else b"")

    @staticmethod
    def unload(label, model):
        return Rest(label, "POST", f"/v2/repository/models/{model}/unload", b"")


class OverGrpc:
    name = "gRPC"

    @staticmethod
    def load(label, model, config=None, files=None, **more):
        made = pb.RepositoryModelLoadRequest(model_name=model)
        for name, value in {**({} if config is None else {"config": config}), **more}.items():
            kind = "bool_param" if isinstance(value, bool) else "int64_param" if isinstance(value, int) else "string_param"
            setattr(made.parameters[name], kind, value)
        for path, data in (files or {}).items():
            made.parameters[path].bytes_param = data
        return Rpc(label, "RepositoryModelLoad", made)

    @staticmethod
    def unload(label, model):
        return Rpc(label, "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name=model))


def seen(label, model="loaded"):
    """What is served now."""
    yield Row(label, model)
    yield Rpc(f"{label}: ready", "ModelReady", pb.ModelReadyRequest(name=model))
    yield infer(f"{label}: infer", model, request(tensor([0], "INT32", [1], "ANY")))
    yield Rpc(f"{label}: gRPC infer", "ModelInfer", message(model, ("ANY", "INT32", [1], [0])))


def cases():
    for way in (OverRest, OverGrpc):
        yield from configs(way)
        yield from files(way)
        yield from unloads(way)
    at = "loads, REST: "
    given = json.dumps(CONFIG)
    for label, body in (("no JSON", b"{"), ("an array", b"[]"), ("parameters that are none", {"parameters": []}), ("no parameters", {}),
                        ("a config that is an object", {"parameters": {"config": CONFIG}}), ("a config that is null", {"parameters": {"config": None}}),
                        ("a file that is a number", {"parameters": {"config": given, "file:1/model.py": 7}}),
                        ("a file that is no base64", {"parameters": {"config": given, "file:1/model.py": "%%%%"}})):
        yield Rest(at + label, "POST", "/v2/repository/models/loaded/load", body)


def configs(way):
    at = f"loads, {way.name}: "
    named = json.dumps({**CONFIG, "parameters": {"a": {"string_value": "b"}}})
    yield from seen(at + "at first")
    yield way.load(at + "again", "loaded")
    yield way.load(at + "config", "loaded", named)
    yield Rpc(f"{at}config, as served", "ModelConfig", pb.ModelConfigRequest(name="loaded"))
    yield from seen(at + "config")
    for label, given in (("no JSON", "{"), ("an unknown key", json.dumps({**CONFIG, "nix": 1})), ("an array", "[]"), ("empty", ""),
                         ("an unknown backend", json.dumps({**CONFIG, "backend": "nix"})),
                         ("a datatype that there is not", json.dumps({**CONFIG, "input": [{"name": "ANY", "data_type": "NIX", "dims": [1]}]})),
                         ("another name", json.dumps({**CONFIG, "name": "other"}))):
        yield way.load(f"{at}config, {label}", "loaded", given)
        yield from seen(f"{at}config, {label}")
    yield way.load(at + "unknown parameter", "loaded", nix="1")
    yield way.load(at + "a model that there is not", "nix")
    yield way.load(at + "config for a model that there is not", "nix", named)
    yield Row(at + "config for a model that there is not", "nix")
    yield way.load(at + "without a config again", "loaded")
    yield Rpc(f"{at}without a config again, as served", "ModelConfig", pb.ModelConfigRequest(name="loaded"))


def files(way):
    at = f"loads, {way.name}: "
    given = json.dumps(CONFIG)

    def load(label, config_given, model="loaded", **brought):
        return way.load(at + label, model, config_given, {path: data.encode() for path, data in brought.items()})

    for label, brought in (
            ("files", {"file:1/model.py": CODE % 7}), ("another version", {"file:3/model.py": CODE % 8}),
            ("two versions", {"file:1/model.py": CODE % 9, "file:2/model.py": CODE % 10}),
            ("what it imports", {"file:1/model.py": IMPORTING % 17, "file:1/helper.py": "pass\n"}),
            ("a folder deeper", {"file:2/model.py": CODE % 18, "file:2/data/a.txt": "x"}),
            ("a version that is none", {"file:x/model.py": CODE % 13}), ("no path", {"file:": CODE % 14}),
            ("a path that leads elsewhere", {"file:1/model.py": CODE % 15, "file:../../oracle-outside": "x"}),
            ("an absolute path", {"file:/tmp/oracle-outside": "x"})):
        yield load(label, given, **brought)
        yield from seen(at + label)
    yield load("no config", None, **{"file:1/model.py": CODE % 11})
    yield from seen(at + "no config")
    yield load("no version", given, **{"file:model.py": CODE % 12})
    yield load("files again", given, **{"file:1/model.py": CODE % 19})
    yield from seen(at + "files again")
    yield load("the same version again", given, **{"file:1/model.py": CODE % 21})
    yield infer(at + "the same version again", "loaded", request(tensor([0], "INT32", [1], "ANY")))
    yield way.load(at + "files no more", "loaded")
    yield load("a model that the repository lacks", given, "brought", **{"file:1/model.py": CODE % 20})
    yield from seen(at + "a model that the repository lacks", "brought")
    yield way.load(at + "it cannot be loaded without its files", "brought")
    yield from seen(at + "it cannot be loaded without its files", "brought")
    yield way.unload(at + "unload what the repository lacks", "brought")
    yield from seen(at + "unload what the repository lacks", "brought")
    yield way.load(at + "load what the repository lacks", "brought")


def unloads(way):
    at = f"loads, {way.name}: "
    yield way.unload(at + "unload", "loaded")
    yield from seen(at + "unload")
    yield way.unload(at + "unload twice", "loaded")
    yield way.unload(at + "unload a model that there is not", "nix")
    yield way.load(at + "load", "loaded")
    yield from seen(at + "load")
