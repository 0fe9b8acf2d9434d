"""Random messages for every method of the gRPC services, made from the descriptors that the server itself gives by
reflection: sound on the wire, hostile in what they say. None may end in INTERNAL or UNKNOWN, hang, or harm the next one."""
import os
import random
import struct
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field

from support import models, sequences
from support.repositories import request, settle, tensor_config, write_config, write_model
from support.server import Server

COUNT = int(os.environ.get("TENSORD_GRPC_MESSAGES", "60"))  # for each method
SEED = int(os.environ.get("TENSORD_SEED", "1"))  # the long run draws one
TIMEOUT_S = 60
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
BAD = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.DATA_LOSS,
       grpc.StatusCode.UNAVAILABLE}

MODELS = ["add", "types", "text", "sums"]
NAMES = ["add", "types", "text", "sums", "region", "INPUT", "nix", "", "1", "0", "-1", "x", "A", "B", "SUM", "in_FP32", "out_BYTES", "INT32", "FP32", "BYTES"]
PARAMETERS = ["timeout", "priority", "sequence_id", "sequence_start", "sequence_end", "binary_data_size", "binary_data", "classification",
              "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "triton_enable_empty_final_response",
              "config", "file:1/model.onnx", "unload_dependents", "trace_level", "trace_rate", "log_verbose_level", "log_format"]
TEXTS = [*NAMES, *PARAMETERS, "\0", "ä€😀", "../../etc/passwd", "a/b", "%00", "x" * 5000, "grpc.health.v1.Health", "inference.proto"]
INTS = [0, 1, 2, -1, 4, 127, 128, 255, 256, -(2**31), 2**31 - 1, 2**31, 2**32 - 1, -(2**63), 2**63 - 1, 2**64 - 1]
FLOATS = [0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324]
RANGES = {Field.TYPE_INT32: (-(2**31), 2**31 - 1), Field.TYPE_UINT32: (0, 2**32 - 1), Field.TYPE_INT64: (-(2**63), 2**63 - 1),
          Field.TYPE_UINT64: (0, 2**64 - 1)}


# ---- the services, as the server tells of them ----


def varint_field(number, payload):
    return bytes([number << 3 | 2, len(payload)]) + payload


def fields(data):
    """(number, value) of an encoded message of lengths and varints."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7:
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            yield tag >> 3, varint()


def ask(channel, question):
    """One answer of reflection: the payload of what the message holds."""
    [answer] = channel.stream_stream(REFLECTION)(iter([question]), timeout=TIMEOUT_S)
    return dict(fields(answer))


def described(channel):
    """A pool with the files of all services that the server lists, and the services' names."""
    listed = ask(channel, varint_field(7, b""))[6]
    names = [dict(fields(service))[1].decode() for number, service in fields(listed) if number == 1]
    pool, known = descriptor_pool.DescriptorPool(), set()
    files = {}
    for name in names:
        for number, encoded in fields(ask(channel, varint_field(4, name.encode()))[4]):
            file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
            files[file.name] = file

    def add(file):
        if file.name not in known:
            known.add(file.name)
            for other in file.dependency:
                add(files[other])
            pool.Add(file)

    for file in files.values():
        add(file)
    return pool, names


# ---- messages ----


class Maker:
    def __init__(self, seed):
        self.draw = random.Random(seed)

    def scalar(self, field):
        draw = self.draw
        if field.type == Field.TYPE_STRING:
            is_model = field.name in ("name", "model_name") and "Model" in field.containing_type.name
            return draw.choice(MODELS) if is_model and draw.random() < 0.6 else draw.choice(TEXTS)
        if field.type == Field.TYPE_BYTES:
            return draw.choice([b"", b"\0", b"\xff" * 7, struct.pack("<4f", 1, 2, 3, 4), struct.pack("<I", 2**32 - 1), draw.randbytes(40)])
        if field.type == Field.TYPE_BOOL:
            return draw.random() < 0.5
        if field.type in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
            return draw.choice(FLOATS)
        if field.type == Field.TYPE_ENUM:
            return draw.choice([*(value.number for value in field.enum_type.values), 12345, -1])
        low, high = RANGES[field.type]
        return draw.choice([value for value in INTS if low <= value <= high])

    def fill(self, message, depth=0):
        """Sets a few of its fields, of those of a oneof the last that is drawn."""
        for field in message.DESCRIPTOR.fields:
            if self.draw.random() < 0.4 + depth * 0.1:
                continue
            self.set(message, field, depth)
        return message

    def set(self, message, field, depth=0):
        draw = self.draw
        if field.message_type and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            for _ in range(draw.choice([0, 1, 3])):
                key = draw.choice([*PARAMETERS, *TEXTS])
                held = getattr(message, field.name)
                if value.message_type:
                    self.fill(held[key], depth + 1)
                else:
                    held[key] = self.scalar(value)
        elif field.is_repeated:
            held = getattr(message, field.name)
            for _ in range(draw.choice([0, 1, 1, 2, 5, 17])):
                if field.message_type:
                    self.fill(held.add(), depth + 1)
                else:
                    held.append(self.scalar(field))
        elif field.message_type:
            if depth < 4:
                self.fill(getattr(message, field.name), depth + 1)
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, self.scalar(field))

    def sound(self, message):
        """A request that works."""
        message.model_name, message.id = "add", "7"
        for name in "AB":
            made = message.inputs.add(name=name, datatype="FP32")
            made.shape.extend([1, 4])
            made.contents.fp32_contents.extend([1, 2, 3, 4])
        if self.draw.random() < 0.5:
            for made in message.inputs:
                made.ClearField("contents")
                message.raw_input_contents.append(struct.pack("<4f", 1, 2, 3, 4))
        return message

    def spoil(self, message):
        """Changes one thing somewhere in it."""
        chosen = message
        while True:
            held = [value for field, values in chosen.ListFields() if field.message_type and not field.message_type.GetOptions().map_entry
                    for value in (values if field.is_repeated else [values])]
            if not held or self.draw.random() < 0.4:
                break
            chosen = self.draw.choice(held)
        field = self.draw.choice(chosen.DESCRIPTOR.fields)
        if self.draw.random() < 0.3:
            chosen.ClearField(field.name)
        else:
            self.set(chosen, field, 2)
        return message

    def make(self, kind):
        message = kind()
        if kind.DESCRIPTOR.full_name == "inference.ModelInferRequest" and self.draw.random() < 0.7:
            self.spoil(self.sound(message))
        else:
            self.fill(message)
        if "Repository" in kind.DESCRIPTOR.name and hasattr(message, "model_name"):  # the others are still needed
            message.model_name = self.draw.choice(["victim", "victim", "nix", "", "../victim", "x" * 300])
        return message

    def encode(self, message):
        """Sometimes with a field that nobody knows."""
        encoded = message.SerializeToString()
        return encoded + (b"\xfa\x7f\x03abc" if self.draw.random() < 0.1 else b"")


# ---- calls ----


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "text", "identity", "BYTES")
    write_model(folder, "victim", "identity", "INT32")
    kinds = ["BOOL", "UINT8", "INT64", "FP16", "FP32", "BYTES"]
    write_config(folder, "types", backend="identity", input=[tensor_config(f"in_{name}", name) for name in kinds],
                 output=[tensor_config(f"out_{name}", name) for name in kinds])
    settle(models.save(models.add(), folder / "add.onnx"))
    sequences.sums(folder)
    one = Server(folder, "--log-level", "error", "--allow-client-shm", "infer", state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


def check_status(error, told, method):
    asked_for = "Repository" in method.name or "victim" in str(told) or error.details() == "Request timeout expired"
    bad = BAD - ({grpc.StatusCode.UNAVAILABLE} if asked_for else set())
    assert error.code() not in bad, (SEED, method.full_name, error.code(), error.details(), told)


def call(channel, method, maker, kinds, metadata):
    """A call with as many messages as the method takes; its answers must be messages of its kind."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    asked = [maker.make(kinds[0]) for _ in range(maker.draw.choice([0, 1, 2, 5]) if method.client_streaming else 1)]
    encoded = [maker.encode(message) for message in asked]
    answers = []
    options = {"timeout": TIMEOUT_S, "metadata": metadata}
    try:
        if method.client_streaming:
            answers = list(channel.stream_stream(path)(iter(encoded), **options))
        elif method.server_streaming:
            watching = channel.unary_stream(path)(encoded[0], **options)
            answers = [next(watching)]
            watching.cancel()
        else:
            answers = [channel.unary_unary(path)(encoded[0], **options)]
    except grpc.RpcError as error:
        check_status(error, asked, method)
    for answer in answers:
        kinds[1].FromString(answer)


@pytest.fixture
def memory(served):
    """Registers a region, where it is not registered."""
    key = f"tensord-fuzz-{os.getpid()}"
    path = Path("/dev/shm") / key
    path.write_bytes(bytes(4096))
    yield lambda: served.fetch("/v2/systemsharedmemory/region/region/register", {"key": f"/{key}", "offset": 0, "byte_size": 4096})
    path.unlink()


def test_no_message_finds_a_mistake(served, memory):
    metadata = [("authorization", f"Bearer {served.admin_token}")]
    with grpc.insecure_channel(served.netloc, [("grpc.max_receive_message_length", -1)]) as channel:
        pool, names = described(channel)
        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(names)
        methods = [method for name in names for method in pool.FindServiceByName(name).methods]
        maker = Maker(SEED)
        for method in methods:
            kinds = [message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type)]
            for at in range(COUNT):
                if at % 20 == 0:
                    memory()
                call(channel, method, maker, kinds, metadata)
    status, answer = served.infer("add", {"inputs": [
        {"name": name, "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]} for name in "AB"]})
    assert status == 200 and answer["outputs"][0]["data"] == [2, 4, 6, 8]
    assert served.infer("text", request(["a"], datatype="BYTES"))[0] == 200
