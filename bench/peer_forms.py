"""What is asked of the servers that are compared, in the forms that they take, and what their answers say."""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

JSON = {"Content-Type": "application/json"}


@dataclass
class Function:
    """What all of them serve, and a question whose answer is known: one row."""

    name: str
    values: list  # of the row
    answer: np.ndarray
    model: Path = None  # of ONNX; without one it is the identity in Python
    input: str = "x"  # tensord's names; the peers' apps say x and y
    output: str = "y"
    dtype: type = np.float32

    @property
    def datatype(self):
        return {np.float32: "FP32", np.int32: "INT32"}[self.dtype]

    @property
    def row(self):
        return np.array([self.values], self.dtype)


@dataclass
class Form:
    """A question as a server takes it, and how the numbers are read from an answer."""

    body: bytes
    fields: dict
    read: object  # from an answer's body and fields to an array
    script: Path = None  # for wrk, once it is written

    def write(self, folder, name):
        """Its script, in the folder; itself."""
        body, self.script = folder / f"{name}.body", folder / f"{name}.lua"
        body.write_bytes(self.body)
        fields = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in self.fields.items())
        self.script.write_text(f'local file = io.open("{body}", "rb")\nwrk.method, wrk.body = "POST", file:read("*a")\n{fields}')
        return self

    def http(self, path):
        """The whole request, head and all."""
        fields = {"Host": "localhost", "Content-Length": len(self.body), **self.fields}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


def dense(value):
    return json.dumps(value, separators=(",", ":")).encode()


def octets(function, **_):
    """The values' bytes alone."""
    return Form(function.row.tobytes(), {"Content-Type": "application/octet-stream"},
                lambda body, _: np.frombuffer(body, function.answer.dtype))


def plain_json(function, **_):
    """{"x": values}; the answer is {"y": values} or the values alone."""
    def read(body, _):
        found = json.loads(body)
        return np.array(found["y"] if isinstance(found, dict) else found)

    return Form(dense({"x": [function.values] if function.model else function.values}), JSON, read)


def protocol_json(function, names=("x", "y"), rows=None, **parameters):
    """The Open Inference Protocol's JSON. rows: the shape has the dimension of rows; None: when there is a model."""
    shape = [1, len(function.values)] if rows or (rows is None and function.model) else [len(function.values)]
    tensor = {"name": names[0], "datatype": function.datatype, "shape": shape, "data": function.values}
    return Form(dense({"parameters": parameters, "inputs": [tensor], "outputs": [{"name": names[1]}]}), JSON,
                lambda body, _: np.array(json.loads(body)["outputs"][0]["data"]))


def protocol_bytes(function, names=("x", "y"), rows=None, **parameters):
    """The same with the tensors' bytes behind it."""
    def read(body, fields):
        return np.frombuffer(body[int(fields["Inference-Header-Content-Length"]):], function.answer.dtype)

    tensor = function.row.tobytes()
    asked = json.loads(protocol_json(function, names, rows, **parameters).body)
    del asked["inputs"][0]["data"]
    asked["inputs"][0]["parameters"] = {"binary_data_size": len(tensor)}
    asked["outputs"][0]["parameters"] = {"binary_data": True}
    head = dense(asked)
    return Form(head + tensor, {"Inference-Header-Content-Length": len(head)}, read)
