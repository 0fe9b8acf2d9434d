"""The bytes of an identity request of FP32 values, over REST and over gRPC."""
import json
import struct
from dataclasses import dataclass
from pathlib import Path

REST_PATH = "/v2/models/identity/infer"
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class RestRequest:
    """Binary tensors in and out."""

    body: bytes
    head_bytes: int  # of JSON, before the tensor
    script: Path  # for wrk: posts the body
    file: Path  # of the body, for h2load

    @property
    def fields(self):
        """Of its head: "name: value"."""
        return (f"inference-header-content-length: {self.head_bytes}",)


@dataclass
class GrpcRequest:
    """A framed ModelInferRequest."""

    file: Path
    tensor_bytes: int
    fields = ("content-type: application/grpc", "te: trailers")


def values(count):
    return struct.pack(f"{count}f", *range(count))


def rest_post(folder, name, head, tensor):
    """A request of a JSON head and the bytes of a tensor."""
    body = folder / f"{name}.rest"
    body.write_bytes(head + tensor)
    script = folder / f"{name}.lua"
    script.write_text(f"""local file = io.open("{body}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Inference-Header-Content-Length"] = "{len(head)}"
""")
    return RestRequest(head + tensor, len(head), script, body)


def rest_request(folder, name, count, output="y"):
    tensor = {"name": "x", "datatype": "FP32", "shape": [count], "parameters": {"binary_data_size": 4 * count}}
    output = {"name": output, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}, separators=(",", ":")).encode()
    return rest_post(folder, name, head, values(count))


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, data):
    """A protobuf field of wire type 2: its length, then its bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def grpc_request(folder, name, count):
    tensor = field(1, b"x") + field(2, b"FP32") + field(3, varint(count))
    message = field(1, b"identity") + field(5, tensor) + field(7, values(count))
    file = folder / f"{name}.grpc"
    file.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    return GrpcRequest(file, 4 * count)
