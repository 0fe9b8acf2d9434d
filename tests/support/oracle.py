"""The same requests to two servers, and every difference between their answers, each as one line of text."""
import json
import random
import struct

import grpc
from google.protobuf.json_format import MessageToDict
from oip_conformance.cases.test_bad_binary import ELEMENTS, LENGTHS, SHAPES, SIZES, TAILS
from oip_conformance.cases.test_bad_json import BODIES, KNOWN, OUT_OF_RANGE
from oip_conformance.cases.test_compression import DECODERS
from oip_conformance.cases.test_grpc_bad import MESSAGES
from oip_conformance.http import Http1
from oip_conformance.models import DATATYPES
from oip_conformance.rpc import message
from oip_conformance.target import Target
from oip_conformance.tensors import FORMATS, binary, framed, pack, request, tensor
from tritonclient.grpc import service_pb2, service_pb2_grpc

# These end tritonserver: see docs/conformance.md. So does classification of texts.
DEADLY = {"brackets-250000", "data-brackets-250000", "shape-terabyte"}
FIELDS = ("content-type", "inference-header-content-length", "content-encoding")
SENTENCES = ("body.error", "details")
TIMEOUT_S = 60


class Rest:
    """A request over REST."""

    def __init__(self, label, method, path, body=None, fields=()):
        self.label, self.method, self.path, self.body, self.fields = label, method, path, body, fields

    def ask(self, server):
        """{what: value} of the answer."""
        reply = Http1(server.url, server.fields).ask(self.method, self.path, self.body, self.fields)
        facts = {"status": reply.status, **{name: reply.fields.get(name) for name in FIELDS}}
        length = reply.fields.get("inference-header-content-length")
        if coding := reply.fields.get("content-encoding"):
            reply.body = DECODERS[coding](reply.body)
        if facts["content-type"] and facts["content-type"].startswith("text/event-stream"):
            return {**facts, **flat("events", [json.loads(event[6:]) for event in reply.body.decode().split("\n\n") if event])}
        head, tail = (reply.body[:int(length)], reply.body[int(length):]) if length else (reply.body, b"")
        facts["inference-header-content-length"] = bool(length)  # how JSON is spaced is nobody's business
        try:
            facts.update(flat("body", json.loads(head)))
        except ValueError:
            facts["body"] = head.decode(errors="replace")
        return {**facts, "tail": tail}


class Rpc:
    """A call of gRPC. A list of messages is a stream."""

    def __init__(self, label, name, asked, metadata=()):
        self.label, self.name, self.asked, self.metadata = label, name, asked, metadata

    def ask(self, server):
        call = getattr(service_pb2_grpc.GRPCInferenceServiceStub(server.channel), self.name)
        asked = iter(self.asked) if isinstance(self.asked, list) else self.asked
        facts = {"status": "OK"}
        try:
            answers = call(asked, timeout=TIMEOUT_S, metadata=[*self.metadata, *server.rpc_metadata])
            answers = list(answers) if isinstance(self.asked, list) else [answers]
        except grpc.RpcError as error:
            return {"status": error.code().name, "details": error.details()}
        for i, answer in enumerate(answers):
            facts.update(flat(f"answer{i}", MessageToDict(answer, preserving_proto_field_name=True)))
        return facts


def flat(path, value):
    """{path: leaf} of what JSON has; data are one leaf."""
    if isinstance(value, dict):
        return {key: leaf for name, inner in value.items() for key, leaf in flat(f"{path}.{name}", inner).items()} or {path: "{}"}
    if isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        return {key: leaf for i, inner in enumerate(value) for key, leaf in flat(f"{path}[{i}]", inner).items()}
    return {path: value}


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "…"


def differences(asked, theirs, ours):
    """One line for each thing that is not the same; of an answer and an error, only that and the sentence."""
    a, b = theirs.ask(asked), ours.ask(asked)
    missing = "(nothing)"
    whats = sorted({*a, *b} if a.get("status") == b.get("status") else {"status", *SENTENCES} & {*a, *b})
    return [f"{asked.label} | {what} | {shown(a.get(what, missing))} | {shown(b.get(what, missing))}{alike(a.get(what), b.get(what))}"
            for what in whats if a.get(what, missing) != b.get(what, missing)]


def alike(a, b):
    """Says so of numbers that are written in other digits, and are the same FP32."""
    if not (isinstance(a, list) and isinstance(b, list) and all(isinstance(value, float) for value in a + b)):
        return ""
    return " | equal as FP32" if struct.pack(f"{len(a)}f", *a) == struct.pack(f"{len(b)}f", *b) else ""


def infer(label, model, body, fields=(), call="infer"):
    return Rest(label, "POST", f"/v2/models/{model}/{call}", body, fields)


def hand_picked():
    """What a person would ask, over REST."""
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/nix", "/v2/models/nix", "/v2/models/nix/ready", "/v2/models/nix/config",
                 "/v2/models/nix/stats", "/v2/models/add_sub", "/v2/models/add_sub/", "/v2/models/add_sub/ready",
                 "/v2/models/add_sub/config", "/v2/models/add_sub/versions/1", "/v2/models/add_sub/versions/7",
                 "/v2/models/add_sub/versions/7/ready", "/v2/models/add_sub/versions/x", "/v2/models/versions", "/v2/models/versions/config",
                 "/v2/models/versions/versions/2/ready", "/v2/models/words", "/v2/models/words/config", "/v2/models/identity_fp32",
                 "/v2/models/identity_fp32/config", "/v2/models/text", "/v2/models/text/config", "/v2/trace/setting", "/v2/logging",
                 "/v2/models/add_sub/trace/setting", "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status", "/", "/v2/",
                 "/v2/models/add_sub/infer", "/v2/repository/index"):
        yield Rest(f"GET {path}", "GET", path)
    for path in ("/v2/health/live", "/v2", "/v2/models/add_sub", "/v2/models/nix/infer", "/v2/repository/models/nix/load",
                 "/v2/repository/models/nix/unload", "/v2/repository/nix/models/add_sub/load"):
        yield Rest(f"POST {path}", "POST", path, b"{}")
    for body in ({"trace_rate": "x"}, {"trace_level": ["LOUD"]}, {"trace_nix": "1"}, {"trace_file": "x"}, b"{", {"trace_rate": "9"},
                 {"trace_rate": None}):
        yield Rest(f"trace {body}", "POST", "/v2/trace/setting", body)
    for body in ({"log_verbose_level": "x"}, {"log_info": "x"}, {"log_nix": True}, {"log_file": "x"}, b"{", {"log_format": "ISO8601"},
                 {"log_format": "default"}, {"log_format": "nix"}, {"log_verbose_level": -1}):
        yield Rest(f"logging {body}", "POST", "/v2/logging", body)
    pair = [tensor([3] * 16, "INT32"), tensor([1] * 16, "INT32", name="INPUT1")]
    yield infer("id", "add_sub", request(*pair, id="7"))
    yield infer("parameters of the request", "add_sub", request(*pair, parameters={"a": 1, "b": "x", "c": True, "d": 1.5}))
    yield infer("sequence parameters", "add_sub", request(*pair, parameters={"sequence_id": 1, "sequence_start": True, "sequence_end": True}))
    yield infer("priority", "add_sub", request(*pair, parameters={"priority": 3}))
    yield infer("timeout", "add_sub", request(*pair, parameters={"timeout": 10_000_000}))
    yield infer("triton_ parameter", "add_sub", request(*pair, parameters={"triton_x": 1}))
    yield infer("null parameter", "add_sub", request(*pair, parameters={"a": None}))
    yield infer("list parameter", "add_sub", request(*pair, parameters={"a": [1]}))
    yield infer("one output", "add_sub", request(*pair, outputs=[{"name": "OUTPUT1"}]))
    yield infer("outputs in another order", "add_sub", request(*pair, outputs=[{"name": "OUTPUT1"}, {"name": "OUTPUT0"}]))
    yield infer("an output twice", "add_sub", request(*pair, outputs=[{"name": "OUTPUT1"}, {"name": "OUTPUT1"}]))
    yield infer("no outputs", "add_sub", request(*pair, outputs=[]))
    yield infer("unknown output", "add_sub", request(*pair, outputs=[{"name": "NIX"}]))
    yield infer("one input missing", "add_sub", request(pair[0]))
    yield infer("unknown input", "add_sub", request(*pair, tensor([1.0], name="NIX")))
    yield infer("another unknown input", "add_sub", request(pair[0], tensor([1] * 16, "INT32", name="NIX")))
    yield infer("an input twice", "add_sub", request(pair[0], pair[0]))
    yield infer("another datatype", "add_sub", request(tensor([3.0] * 16, "FP32"), pair[1]))
    yield infer("another shape", "add_sub", request(tensor([3] * 17, "INT32"), pair[1]))
    yield infer("another rank", "add_sub", request(tensor([3] * 16, "INT32", [16]), pair[1]))
    yield infer("9 rows", "add_sub", request(*(tensor([3] * 144, "INT32", [9, 16], f"INPUT{i}") for i in range(2))))
    yield infer("no rows", "add_sub", request(*(tensor([], "INT32", [0, 16], f"INPUT{i}") for i in range(2))))
    yield infer("unequal rows", "add_sub", request(tensor([3] * 32, "INT32", [2, 16]), pair[1]))
    yield infer("no such version", "add_sub/versions/7", request(*pair))
    yield infer("version 1", "versions/versions/1", request(tensor([0], "INT32", [1], "ANY")))
    yield infer("newest version", "versions", request(tensor([0], "INT32", [1], "ANY")))
    for command in ("parameters", "id", "raise", "refuse"):
        yield infer(f"behave: {command}", "behave", request(tensor([command], "BYTES", [1], "COMMAND"), id="i",
                                                            parameters={"n": 1, "t": "x", "f": 0.5, "b": False}))
    yield infer("decoupled over REST", "words", request(tensor(["a b"], "BYTES", [1], "text_input")))
    yield infer("decoupled over REST, one answer", "words", request(tensor(["a"], "BYTES", [1], "text_input")))
    for count in (0, 1, 2, 9):
        yield infer(f"classification {count}", "identity_fp32", request(
            tensor([0.5, 2.0, 1.0], "FP32", [1, 3]), outputs=[{"name": "OUTPUT0", "parameters": {"classification": count}}]))
    yield infer("classification, bytes", "identity_fp32", request(
        tensor([0.5, 2.0, 1.0], "FP32", [1, 3]), outputs=[{"name": "OUTPUT0", "parameters": {"classification": 2, "binary_data": True}}]))
    yield infer("accepts gzip", "identity_fp32", request(tensor([1.0] * 500)), [("Accept-Encoding", "gzip")])
    yield infer("accepts deflate", "identity_fp32", request(tensor([1.0] * 500)), [("Accept-Encoding", "deflate")])
    yield infer("unknown coding", "identity_fp32", request(tensor([1.0])), [("Content-Encoding", "nix")])
    yield infer("raw", "text", b"raw", [("Inference-Header-Content-Length", "0"), ("Content-Type", "application/octet-stream")])
    yield infer("raw, two inputs", "add_sub", b"\0" * 128, [("Inference-Header-Content-Length", "0")])
    yield infer("raw, half an element", "identity_fp32", b"\0" * 5, [("Inference-Header-Content-Length", "0")])
    yield from generates()
    yield Rest("index", "POST", "/v2/repository/index", {"ready": "yes"})


def generates():
    for call in ("generate", "generate_stream"):
        for label, model, body in (
                ("text", "text", {"text_input": "a"}), ("id", "text", {"text_input": "a", "id": "7"}), ("nothing", "text", {}),
                ("number for text", "text", {"text_input": 7}), ("list", "text", {"text_input": ["a"]}), ("two", "text", {"text_input": ["a", "b"]}),
                ("object", "text", {"text_input": {"a": 1}}), ("no JSON", "text", b"{"), ("array", "text", b"[]"), ("null", "text", {"text_input": None}),
                ("unknown model", "nix", {"text_input": "a"}), ("two answers", "words", {"text_input": "a b"}),
                ("one answer", "words", {"text_input": "a"}), ("no answers", "words", {"text_input": ""}),
                ("failure", "words", {"text_input": "fail"}), ("answer, then failure", "words", {"text_input": "a fail"}),
                ("parameters", "behave", {"COMMAND": "parameters", "x": 1, "y": "z", "parameters": {"n": True}}),
                ("raise", "behave", {"COMMAND": "raise"}), ("lists", "add_sub", {"INPUT0": list(range(16)), "INPUT1": [1] * 16}),
                ("a list too short", "add_sub", {"INPUT0": [1], "INPUT1": [1] * 16})):
            yield infer(f"{call}, {label}", model, body, call=call)


def mistakes():
    """The suite's bad input."""
    for name, body in BODIES.items():
        if name not in DEADLY:
            yield infer(f"bad JSON {name}", "identity_fp32", body)
    for name, parameters in KNOWN.items():
        yield infer(f"bad parameter {name}", "identity_fp32", request(tensor([1.0]), parameters=parameters))
    for name, value in OUT_OF_RANGE.items():
        kind = name.split("-")[0]
        yield infer(f"out of range {name}", f"identity_{kind.lower()}",
                    f'{{"inputs":[{{"name":"INPUT0","datatype":"{kind}","shape":[1,1],"data":[{value}]}}]}}'.encode())
    data = pack("FP32", [1, 2])
    body, fields = binary(("INPUT0", "FP32", [1, 2], data))
    for name, length in LENGTHS.items():
        right = int(fields[0][1])
        yield infer(f"bad length of JSON {name}", "identity_fp32", body,
                    [(fields[0][0], str(right + 1) if length is None else length), *fields[1:]])
    described = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 2]}
    for name, size in SIZES.items():
        yield infer(f"bad size {name}", "identity_fp32", *framed(request({**described, "parameters": {"binary_data_size": size}}), data))
    for name, shape in SHAPES.items():
        yield infer(f"bad shape {name}", "identity_fp32", *binary(("INPUT0", "FP32", shape, data)))
    for name, tail in TAILS.items():
        yield infer(f"bad tail {name}", "identity_fp32",
                    *framed(request({**described, "parameters": {"binary_data_size": 8}}), tail))
    for name, element in ELEMENTS.items():
        yield infer(f"bad BYTES {name}", "identity_bytes", *binary(("INPUT0", "BYTES", [1, 1], element)))


def calls():
    """gRPC."""
    pb = service_pb2
    yield Rpc("gRPC live", "ServerLive", pb.ServerLiveRequest())
    yield Rpc("gRPC ready", "ServerReady", pb.ServerReadyRequest())
    yield Rpc("gRPC metadata", "ServerMetadata", pb.ServerMetadataRequest())
    for name in ("add_sub", "words", "versions", "identity_fp32", "nix", ""):
        for call in ("ModelReady", "ModelMetadata", "ModelConfig"):
            yield Rpc(f"gRPC {call} {name}", call, getattr(pb, f"{call}Request")(name=name))
        yield Rpc(f"gRPC version 7 {name}", "ModelReady", pb.ModelReadyRequest(name=name, version="7"))
    yield Rpc("gRPC trace", "TraceSetting", pb.TraceSettingRequest())
    yield Rpc("gRPC log", "LogSettings", pb.LogSettingsRequest())
    yield Rpc("gRPC index", "RepositoryIndex", pb.RepositoryIndexRequest(repository_name="nix"))
    yield Rpc("gRPC cuda", "CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest())
    target = Target("http://none")
    for name, make in MESSAGES.items():
        yield Rpc(f"gRPC bad {name}", "ModelInfer", make(target))
        yield Rpc(f"gRPC stream, bad {name}", "ModelStreamInfer", [make(target)])

    def words(text, id="", empty=False):
        made = message("words", ("text_input", "BYTES", [1], [text]), id=id)
        if empty:
            made.parameters["triton_enable_empty_final_response"].bool_param = True
        return made

    for text in ("a", "a b", "", "fail"):  # "a fail" ends tritonserver now and then
        yield Rpc(f"gRPC decoupled '{text}'", "ModelInfer", words(text))
        for empty in (False, True):
            yield Rpc(f"gRPC stream '{text}' {'with' if empty else 'without'} the empty last answer", "ModelStreamInfer", [words(text, "i", empty)])
        yield Rpc(f"gRPC stream '{text}' that ends with its failure", "ModelStreamInfer", [words(text)], [("triton_grpc_error", "true")])
    for command in ("parameters", "id", "raise", "refuse"):
        made = message("behave", ("COMMAND", "BYTES", [1], [command]), id="i")
        made.parameters["n"].int64_param = 1  # one alone: a map has no order
        yield Rpc(f"gRPC behave {command}", "ModelInfer", made)
        yield Rpc(f"gRPC stream behave {command}", "ModelStreamInfer", [made])
    for count in (1, 2, 9):
        made = message("identity_fp32", ("INPUT0", "FP32", [1, 3], [0.5, 2.0, 1.0]))
        made.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = count
        yield Rpc(f"gRPC classification {count}", "ModelInfer", made)


def generated(seed, count):
    """Good inferences, and some that are nearly good: identities of every datatype, over REST in JSON and bytes, and over gRPC."""
    rng = random.Random(seed)
    for i in range(count):
        kind = rng.choice([name for name in DATATYPES if name != "BF16"])
        model, shape = f"identity_{kind.lower()}", [rng.choice((1, 1, 2, 3, 8, 9)), rng.choice((1, 2, 5, 40))]
        values = [element(rng, kind) for _ in range(shape[0] * shape[1])]
        if rng.random() < 0.1:
            shape = rng.choice(([shape[0]], [*shape, 1], [shape[1], shape[0] + 1]))
        how = rng.choice(("JSON", "bytes", "gRPC"))
        label = f"generated {seed}.{i} {how} {kind} {shape}"
        given = kind if rng.random() > 0.03 else "INT32"
        if how == "JSON" and kind != "FP16":
            outputs = rng.choice(({}, {"outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]}))
            yield infer(label, model, request(tensor(values, given, shape), id=str(i), **outputs))
        elif how == "bytes":
            yield infer(label, model, *binary(("INPUT0", given, shape, pack(kind, values)), parameters={"binary_data_output": rng.random() < 0.7}
                                              if kind != "FP16" else {"binary_data_output": True}))
        else:
            raw = kind == "FP16" or rng.random() < 0.5
            made = message(model, ("INPUT0", kind, shape, values), raw=raw, id=str(i))
            made.inputs[0].datatype = given
            yield Rpc(label, "ModelInfer", made)


def element(rng, kind):
    """A value that every encoding keeps."""
    if kind == "BOOL":
        return rng.random() < 0.5
    if kind == "BYTES":
        return "".join(rng.choice("ab\u00e9\u4e2d\U0001f600\n\"\\") for _ in range(rng.randrange(6)))
    if kind in ("FP16", "FP32", "FP64"):
        return struct.unpack("<e", struct.pack("<e", rng.choice((rng.uniform(-100, 100), rng.randrange(-9, 9), 0.0, -0.0, 6e-5))))[0]
    size = struct.calcsize(FORMATS[kind]) * 8
    low, high = (0, 2**size - 1) if kind.startswith("U") else (-2**(size - 1), 2**(size - 1) - 1)
    return rng.choice((low, high, 0, 1, rng.randint(low, high)))
