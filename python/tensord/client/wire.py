"""The Open Inference Protocol over REST with binary tensors: requests as bytes, answers, one or a stream, as tensors."""
from __future__ import annotations

import json
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from tensord.client.datatypes import Buffer, Tensor, TensorInfo, flatten, pack, shape_of
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


def decode_answer(body: Buffer, head_length: Optional[str]) -> list[Tensor]:
    """The outputs of an answer; those in binary stay where they lie in the body."""
    view = memoryview(body)
    try:
        at = len(view) if head_length is None else int(head_length)
        head = json.loads(bytes(view[:at]))
    except ValueError as error:
        raise _unreadable(error) from error

    def take(size: int) -> Buffer:
        nonlocal at
        at += size
        if size < 0 or at > len(view):
            raise Error("the server's answer ends within a tensor")
        return view[at - size:at]

    return _outputs(head, take)


def decode_answers(pieces: Iterator[bytes]) -> Iterator[list[Tensor]]:
    """The outputs of each answer of a stream: four bytes, the length of its JSON; the JSON; the tensors. StreamError when
    the last one says that the rest cannot be had."""
    rest = bytearray()

    def more() -> bool:
        piece = next(pieces, b"")
        rest.extend(piece)
        return bool(piece)

    def take(size: int) -> bytearray:
        while len(rest) < size:
            if not more():
                raise Error("the server's answer ends within a part")
        taken = rest[:size]
        del rest[:size]
        return taken

    while rest or more():
        try:
            head = json.loads(take(int.from_bytes(take(4), "little")))
        except ValueError as error:
            raise _unreadable(error) from error
        if isinstance(head, dict) and "error" in head:
            raise StreamError(str(head["error"]))
        yield _outputs(head, take)


class StreamError(Exception):
    """What the server says of the rest of a stream."""


def _outputs(head: Any, take: Callable[[int], Buffer]) -> list[Tensor]:
    """The outputs that the JSON of an answer describes; take(size) gives the next bytes behind it."""
    outputs = []
    try:
        for output in head["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            data: Any = _from_json(output) if size is None else take(int(size))
            outputs.append(Tensor(output["name"], output["datatype"], tuple(output["shape"]), data))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(error) from error
    return outputs


def _unreadable(error: Exception) -> Error:
    return Error(f"the server's answer cannot be read: {error}")


def _from_json(output: Mapping[str, Any]) -> bytes:
    data = output["data"]
    return pack(flatten(data, len(shape_of(data))), output["datatype"])


def read_infos(described: Sequence[Mapping[str, Any]]) -> list[TensorInfo]:
    """Inputs or outputs out of a model's metadata."""
    return [TensorInfo(str(one["name"]), str(one["datatype"]), tuple(one["shape"]), bool(one.get("optional", False)))
            for one in described]
