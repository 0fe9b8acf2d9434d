"""The Open Inference Protocol over REST with binary tensors: requests as bytes, answers as tensors."""
from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Sequence

from tensord.client.datatypes import Buffer, Tensor, TensorInfo, flatten, nest, pack, shape_of, unpack
from tensord.errors import Error

HEAD_LENGTH = "Inference-Header-Content-Length"


def encode_request(tensors: Sequence[Tensor], parameters: Optional[Mapping[str, Any]] = None) -> tuple[dict, list]:
    """The fields and the parts of the body of a request with these inputs."""
    head = {
        "inputs": [
            {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype,
             "parameters": {"binary_data_size": memoryview(tensor.data).nbytes}}
            for tensor in tensors
        ],
        "parameters": {"binary_data_output": True, **(parameters or {})},
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    fields = {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(len(text))}
    return fields, [text, *(tensor.data for tensor in tensors)]


def encode_json(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The same inputs as values by name, for the surfaces that take only JSON."""
    return {tensor.name: nest(unpack(tensor.data, tensor.datatype), tensor.shape) for tensor in tensors}


def decode_answer(body: Buffer, head_length: Optional[str]) -> list[Tensor]:
    """The outputs of an answer; those in binary stay where they lie in the body."""
    view = memoryview(body)
    try:
        at = len(view) if head_length is None else int(head_length)
        head = json.loads(bytes(view[:at]))
        outputs = []
        for output in head["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                data: Any = _from_json(output)
            else:
                data, at = view[at:at + size], at + size
            outputs.append(Tensor(output["name"], output["datatype"], tuple(output["shape"]), data))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Error(f"the server's answer cannot be read: {error}") from error
    if at > len(view):
        raise Error("the server's answer ends within a tensor")
    return outputs


def _from_json(output: Mapping[str, Any]) -> bytes:
    data = output["data"]
    return pack(flatten(data, len(shape_of(data))), output["datatype"])


def read_infos(described: Sequence[Mapping[str, Any]]) -> list[TensorInfo]:
    """Inputs or outputs out of a model's metadata."""
    return [TensorInfo(str(one["name"]), str(one["datatype"]), tuple(one["shape"]), bool(one.get("optional", False)))
            for one in described]
