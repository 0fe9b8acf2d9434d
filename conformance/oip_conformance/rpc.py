"""gRPC through Triton's own stubs, and calls of raw bytes."""
import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from .tensors import pack

TIMEOUT_S = 30


class Failure(Exception):
    """A call's status, when that is not OK."""

    def __init__(self, error):
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code, self.details = error.code(), error.details() or ""


class Rpc:
    """A server over gRPC. Failing calls raise Failure."""

    def __init__(self, target):
        self.target, self.metadata = target, target.rpc_metadata
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(target.channel)

    def call(self, name, message, **options):
        """The answer to a message."""
        try:
            return getattr(self.stub, name)(message, timeout=TIMEOUT_S, metadata=self.metadata, **options)
        except grpc.RpcError as error:
            raise Failure(error) from None

    def fails(self, name, message):
        """The Failure of a call that must fail."""
        try:
            answer = self.call(name, message)
        except Failure as failure:
            return failure
        raise AssertionError(f"{name} did not fail: {str(answer)[:300]}")

    def infer(self, message):
        return self.call("ModelInfer", message)

    def stream(self, *messages, metadata=()):
        """The answers to a stream of messages."""
        call = self.stub.ModelStreamInfer(iter(messages), timeout=TIMEOUT_S, metadata=[*self.metadata, *metadata])
        try:
            return list(call)
        except grpc.RpcError as error:
            raise Failure(error) from None

    def raw(self, path, data):
        """The bytes that answer these bytes."""
        try:
            return self.target.channel.unary_unary(path)(data, timeout=TIMEOUT_S, metadata=self.metadata)
        except grpc.RpcError as error:
            raise Failure(error) from None

    def raw_stream(self, path, *data):
        """The bytes that answer a stream of bytes."""
        try:
            return list(self.target.channel.stream_stream(path)(iter(data), timeout=TIMEOUT_S, metadata=self.metadata))
        except grpc.RpcError as error:
            raise Failure(error) from None


def message(model, *inputs, raw=True, **more):
    """A ModelInferRequest of inputs (name, datatype, shape, values)."""
    made = pb.ModelInferRequest(model_name=model, **more)
    for name, datatype, shape, values in inputs:
        added = made.inputs.add(name=name, datatype=datatype, shape=shape)
        if raw:
            made.raw_input_contents.append(pack(datatype, values))
        else:
            fill(added.contents, datatype, values)
    return made


def fill(contents, datatype, values):
    """Typed contents."""
    field = {"BOOL": "bool", "INT8": "int", "INT16": "int", "INT32": "int", "INT64": "int64", "UINT8": "uint", "UINT16": "uint",
             "UINT32": "uint", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}[datatype]
    values = [value.encode() if isinstance(value, str) else value for value in values]
    getattr(contents, f"{field}_contents").extend(values)
