"""What the oracle asks of system shared memory. Each server has an object of its own, so that what one writes is not taken for the
other's; keys are told apart by the port, and made the same in what is compared."""
import threading
from pathlib import Path
from urllib.parse import urlsplit

from oip_conformance.rpc import message
from oip_conformance.tensors import binary, pack, request, tensor
from tritonclient.grpc import service_pb2 as pb

from support.oracle import Rest, Rpc, infer

PAGE = 4096
BYTES = 3 * PAGE
FOLDER = Path("/dev/shm")
SYSTEM = "/v2/systemsharedmemory"
ASLEEP_MS = 700
FILLED = b"\x55" * BYTES


def own_key(server):
    """The key of the server's own object."""
    return f"/oracle-{urlsplit(server.url).port}"


def path_of(server):
    return FOLDER / own_key(server)[1:]


def written(server, offset, data):
    """The object's bytes anew, with the data at the offset."""
    path_of(server).write_bytes(FILLED[:offset] + data + FILLED[offset + len(data):])


class Own:
    """A request of which `make` needs the key of the server's own object."""

    def __init__(self, label, make):
        self.label, self.make = label, make

    def ask(self, server):
        key = own_key(server)
        facts = self.make(key).ask(server)
        return {what: value.replace(key[1:], "KEY") if isinstance(value, str) else value for what, value in facts.items()}


class Put:
    """Writes the object anew."""

    def __init__(self, offset=0, data=b""):
        self.label, self.offset, self.data = "write the object", offset, data

    def ask(self, server):
        written(server, self.offset, self.data)
        return {}


class Holds:
    """What the object holds now."""

    def __init__(self, label):
        self.label = f"{label}: the object"

    def ask(self, server):
        data = path_of(server).read_bytes()
        return {"changed": [(at, data[at]) for at in range(len(data)) if data[at] != 0x55][:64]}


class Remove:
    """The end of the object."""

    label = "remove the object"

    def ask(self, server):
        path_of(server).unlink(missing_ok=True)
        return {}


class Meanwhile:
    """Asks the second one while the model is busy with the first one."""

    def __init__(self, label, first, second):
        self.label, self.first, self.second = label, first, second

    def ask(self, server):
        found = {}
        thread = threading.Thread(target=lambda: found.update(self.first.ask(server)))
        thread.start()
        thread.join(ASLEEP_MS / 2000)  # the model sleeps, half of the time is over
        facts = {f"meanwhile {what}": value for what, value in self.second.ask(server).items()}
        thread.join()
        return {**facts, **{f"first {what}": value for what, value in found.items()}}


# ---- the calls over both protocols ----


class OverRest:
    name = "REST"

    @staticmethod
    def register(label, region="r", key=None, offset=0, byte_size=BYTES):
        return Own(label, lambda own: Rest(label, "POST", f"{SYSTEM}/region/{region}/register",
                                           {"key": own if key is None else key, "offset": offset, "byte_size": byte_size}))

    @staticmethod
    def unregister(label, region="r"):
        return Rest(label, "POST", f"{SYSTEM}{f'/region/{region}' if region else ''}/unregister", b"")

    @staticmethod
    def status(label, region=""):
        return Own(label, lambda own: Rest(label, "GET", f"{SYSTEM}{f'/region/{region}' if region else ''}/status"))

    @staticmethod
    def infer(label, model, inputs, outputs=()):
        """inputs: (name, datatype, shape, values or parameters); outputs: (name, parameters)."""
        given = [{"name": name, "datatype": kind, "shape": shape, "parameters": data} if isinstance(data, dict)
                 else tensor(data, kind, shape, name) for name, kind, shape, data in inputs]
        return infer(label, model, request(*given, outputs=[{"name": name, "parameters": more} for name, more in outputs]))


class OverGrpc:
    name = "gRPC"

    @staticmethod
    def register(label, region="r", key=None, offset=0, byte_size=BYTES):
        return Own(label, lambda own: Rpc(label, "SystemSharedMemoryRegister", pb.SystemSharedMemoryRegisterRequest(
            name=region, key=own if key is None else key, offset=offset, byte_size=byte_size)))

    @staticmethod
    def unregister(label, region="r"):
        return Rpc(label, "SystemSharedMemoryUnregister", pb.SystemSharedMemoryUnregisterRequest(name=region))

    @staticmethod
    def status(label, region=""):
        return Own(label, lambda own: Rpc(label, "SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest(name=region)))

    @staticmethod
    def message(model, inputs, outputs=()):
        made = pb.ModelInferRequest(model_name=model)
        for name, kind, shape, data in inputs:
            added = made.inputs.add(name=name, datatype=kind, shape=shape)
            if isinstance(data, dict):
                put_parameters(added, data)
            else:
                made.raw_input_contents.append(pack(kind, data))
        for name, more in outputs:
            put_parameters(made.outputs.add(name=name), more)
        return made

    @classmethod
    def infer(cls, label, model, inputs, outputs=()):
        return Rpc(label, "ModelInfer", cls.message(model, inputs, outputs))


def put_parameters(tensor_message, given):
    for name, value in given.items():
        kind = "bool_param" if isinstance(value, bool) else "int64_param" if isinstance(value, int) else "string_param"
        setattr(tensor_message.parameters[name], kind, value)


def lies(size, offset=None, region="r", **more):
    """Parameters of a tensor that lies in a region."""
    return {"shared_memory_region": region, "shared_memory_byte_size": size,
            **({} if offset is None else {"shared_memory_offset": offset}), **more}


# ---- what is asked ----


def registering(way):
    at = f"regions, {way.name}: "
    yield Put()
    yield way.status(at + "status, none")
    yield way.status(at + "status of one that there is not", "nix")
    yield way.register(at + "register")
    yield way.register(at + "register twice")
    yield way.register(at + "register twice, otherwise", byte_size=PAGE)
    yield way.register(at + "a second name", "other", offset=PAGE, byte_size=PAGE)
    yield way.status(at + "status of one", "r")
    yield way.unregister(at + "unregister one that there is not", "nix")
    yield way.unregister(at + "unregister")
    yield way.unregister(at + "unregister twice")
    yield way.status(at + "status", "other")
    yield way.unregister(at + "unregister all", "")
    yield way.status(at + "status after all")
    for label, given in (("an object that there is not", {"key": "/oracle-nix"}), ("no key", {"key": ""}), ("a key that is a path", {"key": "/a/b"}),
                         ("a key without slash", {"key": "oracle-nix"}), ("offset at the end", {"offset": BYTES, "byte_size": 1}),
                         ("size beyond", {"byte_size": BYTES + 1}), ("offset and size beyond", {"offset": PAGE, "byte_size": BYTES}),
                         ("no size", {"byte_size": 0}), ("offset that wraps", {"offset": 2**64 - 8, "byte_size": 16}),
                         ("an odd offset", {"offset": 100, "byte_size": 100})):
        yield way.register(at + label, **given)
        yield way.unregister(f"{at}unregister after {label}")


def inferring(way):
    at = f"regions, {way.name}: "
    floats = pack("FP32", [1.5, 2.5])
    yield Put(128, floats)
    yield way.register(at + "register")

    def asked(label, given, outputs=(), model="identity_fp32", shape=(1, 2), kind="FP32", name="INPUT0"):
        yield way.infer(at + label, model, [(name, kind, list(shape), given)], outputs)
        yield Holds(at + label)

    room = [("OUTPUT0", lies(8, 256))]
    yield from asked("an input", lies(8, 128))
    yield from asked("an output", [3.5, 4.5], room)
    yield Put(128, floats)
    yield from asked("both", lies(8, 128), [("OUTPUT0", lies(64, PAGE))])
    yield from asked("an output without offset", [3.5, 4.5], [("OUTPUT0", lies(8))])
    yield from asked("an output over its input", lies(8, 128), [("OUTPUT0", lies(8, 128))])
    yield from asked("an output as bytes", [3.5, 4.5], [("OUTPUT0", lies(8, 512, binary_data=True))])
    for label, given in (("unknown region", lies(8, region="nix")), ("input too short", lies(4, 128)), ("input too long", lies(12, 128)),
                         ("input beyond", lies(8, BYTES - 4)), ("input far beyond", lies(8, 2 * BYTES)), ("no bytes", lies(0)),
                         ("no size", {"shared_memory_region": "r"}), ("size alone", {"shared_memory_byte_size": 8}),
                         ("size that is a text", lies("8", 128))):
        yield from asked(f"{label}, input", given)
    for label, given in (("unknown region", lies(8, region="nix")), ("too small", lies(4, 640)), ("beyond", lies(8, BYTES - 4)), ("no bytes", lies(0)),
                         ("no size", {"shared_memory_region": "r"}), ("size alone", {"shared_memory_byte_size": 8}),
                         ("classes", lies(64, 1024, classification=2)), ("too small for classes", lies(4, 1024, classification=2)),
                         ("another datatype of a size", lies(True, 128))):
        yield Put()
        yield from asked(f"{label}, output", [3.5, 4.5], [("OUTPUT0", given)])
    yield Put(64, pack("BYTES", ["ab", ""]))
    for label, size in (("texts", 10), ("texts, cut", 9), ("texts, and more", 12)):
        yield from asked(label, lies(size, 64), [("OUTPUT0", lies(32, 2048))], "identity_bytes", kind="BYTES")
    ints = pack("INT32", range(16))
    yield Put(0, ints)
    for label, inputs in (("one of two inputs", [("INPUT0", "INT32", [1, 16], lies(64, 0)), ("INPUT1", "INT32", [1, 16], [1] * 16)]),
                          ("the other", [("INPUT0", "INT32", [1, 16], [1] * 16), ("INPUT1", "INT32", [1, 16], lies(64, 0))]),
                          ("two of two", [("INPUT0", "INT32", [1, 16], lies(64, 0)), ("INPUT1", "INT32", [1, 16], lies(64, 0))])):
        yield way.infer(at + label, "add_sub", inputs, [("OUTPUT0", lies(64, PAGE)), ("OUTPUT1", {})])
        yield Holds(at + label)
    yield way.infer(at + "one output too small of two", "add_sub", inputs, [("OUTPUT0", lies(64, PAGE)), ("OUTPUT1", lies(63, 2 * PAGE))])
    yield way.unregister(at + "unregister")
    yield from asked("an input of a region that was", lies(8, 128))
    yield way.register(at + "register")
    yield Put()
    sleep = way.infer("sleep", "behave", [("COMMAND", "BYTES", [1], [f"sleep {ASLEEP_MS}"])], [("RESULT", lies(64, 0))])
    yield Meanwhile(at + "unregister while it is written to", sleep, way.unregister("unregister"))
    yield Holds(at + "unregister while it is written to")
    yield way.status(at + "status after that")
    yield way.unregister(at + "unregister all after that", "")


def cases():
    """All that is asked, from no regions to no regions."""
    for way in (OverRest, OverGrpc):
        yield from registering(way)
        yield from inferring(way)
    at = "regions: "
    yield OverRest.register(at + "register")
    for label, body in (("nothing", b""), ("no object", b"[]"), ("no key", {"offset": 0, "byte_size": 8}), ("no size", {"key": "/oracle-nix"}),
                        ("a text for a size", {"key": "/oracle-nix", "byte_size": "8"}), ("a size below 0", {"key": "/oracle-nix", "byte_size": -1})):
        yield Rest(f"{at}register with {label}", "POST", f"{SYSTEM}/region/x/register", body)
    yield Rest(at + "GET register", "GET", f"{SYSTEM}/region/x/register")
    yield Rest(at + "register without name", "POST", f"{SYSTEM}/register", b"{}")
    yield Rest(at + "data, too", "POST", "/v2/models/identity_fp32/infer", request(tensor([1.0], parameters=lies(4, 0))))
    body, fields = binary(("INPUT0", "FP32", [1, 1], pack("FP32", [1.0])))
    yield infer(at + "bytes, too", "identity_fp32", body.replace(b'"binary_data_size"', b'"shared_memory_region":"r","shared_memory_byte_size":4,"binary_data_size"'),
                [("Inference-Header-Content-Length", str(int(fields[0][1]) + 55)), *fields[1:]])
    made = message("identity_fp32", ("INPUT0", "FP32", [1, 1], [1.0]))
    put_parameters(made.inputs[0], lies(4, 0))
    yield Rpc(at + "gRPC, data, too", "ModelInfer", made)
    yield Put(0, pack("FP32", [1.0, 2.0]))
    streamed = [OverGrpc.message("identity_fp32", [("INPUT0", "FP32", [1, 1], lies(4, at))], [("OUTPUT0", lies(4, 64 + at))]) for at in (0, 4)]
    yield Rpc(at + "a stream", "ModelStreamInfer", streamed)
    yield Holds(at + "a stream")
    yield Rpc(at + "a stream, too small", "ModelStreamInfer",
              [OverGrpc.message("identity_fp32", [("INPUT0", "FP32", [1, 1], lies(4, 0))], [("OUTPUT0", lies(3, 64))])])
    yield Rpc(at + "a stream of answers", "ModelStreamInfer",
              [OverGrpc.message("words", [("text_input", "BYTES", [1], ["a"])], [("text_output", lies(16, 128))])])
    yield Holds(at + "a stream of answers")
    yield Rest(at + "generate", "POST", "/v2/models/text/generate", {"text_input": "a", "shared_memory_region": "r"})
    yield OverRest.unregister(at + "unregister all", "")
    for way, name in (("systemsharedmemory", "nix"), ("cudasharedmemory", "nix")):
        yield Rest(f"{at}{way}, status of one", "GET", f"/v2/{way}/region/{name}/status")
    yield Rest(at + "CUDA", "POST", "/v2/cudasharedmemory/region/c/register", {"raw_handle": {"b64": "AA=="}, "device_id": 0, "byte_size": 8})
    yield Rpc(at + "gRPC CUDA", "CudaSharedMemoryRegister", pb.CudaSharedMemoryRegisterRequest(name="c", raw_handle=b"\0", byte_size=8))
    yield Remove()
