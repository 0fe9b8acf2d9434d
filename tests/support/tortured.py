"""A server of which calls fail, and what is asked of it meanwhile."""
import json
import struct

from support import processes
from support.http2 import END_HEADERS, Http2, data, grpc_block, grpc_message, headers
from support.repositories import request, write_model
from support.server import Server
from support.sockets import Connection, request as http_request
from support.torture import Control, failing

VALUES = [1, 2.5, -3, 4]
RAW = struct.pack("<4f", *VALUES)
BINARY_HEAD = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [4],
                                      "parameters": {"binary_data_size": len(RAW)}}]}).encode()
BINARY_FIELD = {"Inference-Header-Content-Length": str(len(BINARY_HEAD))}
ANSWER_S = 30
RECOVER_S = 60
OPTIONS = ("--anonymous", "admin")  # loads, unloads and infers without a token


def field(number, payload):
    """A length-delimited field of protobuf, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(payload)]) + payload


GRPC_INPUT = field(1, b"x") + field(2, b"FP32") + field(3, b"\x04")
GRPC_REQUEST = field(1, b"echo") + field(5, GRPC_INPUT) + field(7, RAW)


def rest(method, path, body=b"", fields=()):
    """One exchange over HTTP/1.1 on a connection of its own: (status, body)."""
    def act(server):
        with Connection(server.address, timeout_s=ANSWER_S) as conn:
            conn.send(http_request(method, path, fields, body))
            answer = conn.response()
            return answer.status, answer.body
    return act


def grpc(path, message):
    """One call over HTTP/2 on a connection of its own: (grpc-status, body)."""
    def act(server):
        with Http2(server.address, timeout_s=ANSWER_S) as conn:
            conn.send(headers(1, grpc_block(path), END_HEADERS) + data(1, grpc_message(message)))
            stream = conn.answer()
            return int(stream.fields["grpc-status"]), stream.body
    return act


INFERENCE = "/inference.GRPCInferenceService/"
INFER = rest("POST", "/v2/models/echo/infer", json.dumps(request(VALUES)).encode())
LOAD = rest("POST", "/v2/repository/models/echo/load")
UNLOAD = rest("POST", "/v2/repository/models/echo/unload")
STEPS = {
    "JSON": INFER,
    "binary": rest("POST", "/v2/models/echo/infer", BINARY_HEAD + RAW, BINARY_FIELD),
    "gRPC": grpc(INFERENCE + "ModelInfer", GRPC_REQUEST),
    "metadata": rest("GET", "/v2/models/echo"),
    "gRPC metadata": grpc(INFERENCE + "ModelMetadata", field(1, b"echo")),
    "index": rest("POST", "/v2/repository/index"),
}


def is_error(answer):
    """No answer, an error of HTTP's, or one of gRPC's."""
    return answer is None or answer[0] >= 400 or 0 < answer[0] <= 16


class Tortured:
    """A server of the model echo; calls of the process of that role fail when told to."""

    def __init__(self, folder, state, role, *arguments):
        if not folder.exists():
            write_model(folder, "echo", "identity")
        self.control = Control(state / "control")
        self.server = Server(folder, *OPTIONS, *arguments, state=state, environment=self.control.environment(role))
        self.server.wait_ready("echo")

    def attempt(self, step):
        """What the step gives; None when the connection ends before its answer."""
        try:
            return step(self.server)
        except (ConnectionError, EOFError, KeyError):
            return None

    def infers(self):
        """Whether an inference gives the right answer, after a load where the model has failed."""
        try:
            answer = INFER(self.server)
            if answer[0] == 503:
                LOAD(self.server)
                answer = INFER(self.server)
        except (ConnectionError, EOFError):
            return False
        return not is_error(answer)

    def survives(self, step, call, error, run_length=1):
        """The step with the 1st, 2nd … such call failing: the right answer, or an error; afterwards, once a worker that
        it may have cost is there again, all is well. Returns how many errors there were."""
        good = step(self.server)
        assert not is_error(good)
        errors = 0
        for nth, answer in failing(self.control, call, lambda: self.attempt(step), error, run_length=run_length):
            assert answer == good or is_error(answer), (nth, answer)
            processes.until(self.infers, RECOVER_S, f"recovery from {call} {nth}")
            assert step(self.server) == good, nth
            errors += is_error(answer)
        return errors
