"""The server that is asked, and what it has: extensions that it announces, endpoints that are there, models that it serves."""
import json
from functools import cached_property
from urllib.parse import urlsplit

import grpc

from .http import Http1, Http2, NoAnswer
from .tensors import request, tensor

# Endpoints that no announcement names: how one sees that a server has them.
PROBES = {
    "generate": ("POST", "/v2/models/text/generate", {"text_input": "a"}),
    "model_list": ("GET", "/v2/models", None),
    "kserve_v1": ("GET", "/v1/models", None),
    "openapi": ("GET", "/v2/docs/dataplane.json", None),
}
RPC_EXTENSIONS = {"stream": "/inference.GRPCInferenceService/ModelStreamInfer",
                  "health.v1": "/grpc.health.v1.Health/Check", "health.v1.watch": "/grpc.health.v1.Health/Watch",
                  "reflection": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}


class Silent(AssertionError):
    """The server does not answer any more."""


class Target:
    """A server by its URLs. assume: extensions that it has and does not announce."""

    def __init__(self, url, grpc_url=None, fields=(), assume=(), names=None):
        self.url, self.grpc_netloc = url.rstrip("/"), grpc_url and (urlsplit(grpc_url).netloc or grpc_url)
        self.fields, self.assumed, self.names = list(fields), set(assume), names or {}
        self.http1, self.http2 = Http1(self.url, self.fields), Http2(self.url, self.fields)
        self.lacking, self.served = {}, {}

    @cached_property
    def metadata(self):
        """What the server says of itself, {} when it says nothing sensible."""
        try:
            found = self.http1.ask("GET", "/v2").json()
        except AssertionError:
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def speaks_http2(self):
        return self.http2.speaks()

    @cached_property
    def channel(self):
        """For gRPC."""
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(self.grpc_netloc, limits)

    def reconnect(self):
        """Forgets the channel to a server that has been started again."""
        if "channel" in self.__dict__:
            self.channel.close()
            del self.channel

    @property
    def rpc_metadata(self):
        """The fields for gRPC."""
        return [(name.lower(), value) for name, value in self.fields]

    def model(self, name):
        """The name under which the server serves a model of the suite."""
        return self.names.get(name, name)

    def serves(self, name):
        if name not in self.served:
            self.served[name] = self.http1.ask("GET", f"/v2/models/{self.model(name)}/ready").status == 200
        return self.served[name]

    def lacks(self, extension):
        """Why the server does not have it; empty when it does."""
        if extension not in self.lacking:
            self.lacking[extension] = self.look_for(extension)
        return self.lacking[extension]

    def look_for(self, extension):
        if extension in self.assumed:
            return ""
        if extension in PROBES:
            method, path, body = PROBES[extension]
            status = self.http1.ask(method, path, body).status
            return "" if status == 200 else f"{method} {path} answers {status}"
        if extension in RPC_EXTENSIONS:
            return self.look_for_rpc(RPC_EXTENSIONS[extension])
        announced = self.metadata.get("extensions") or []
        return "" if extension in announced else f"does not announce '{extension}'"

    def look_for_rpc(self, path):
        if not self.grpc_netloc:
            return "no gRPC"
        if path.endswith("/ModelStreamInfer"):
            return self.look_for_streams()
        call = self.channel.stream_stream(path)(iter([b""]), timeout=10, metadata=self.rpc_metadata)
        try:
            for _ in call:
                break
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return f"{path} is not implemented"
        finally:
            call.cancel()
        return ""

    def look_for_streams(self):
        """Others have a call of that name whose answers are other messages."""
        from .rpc import Failure, Rpc, message

        try:
            Rpc(self).stream(message(self.model("identity_fp32"), ("INPUT0", "FP32", [1, 1], [1.0])))
        except Failure as failure:
            if failure.code == grpc.StatusCode.UNIMPLEMENTED or "deserializing" in failure.details:
                return f"no ModelStreamInfer as Triton's: {failure.details}"
        return ""

    def ask_well(self):
        """(status, outputs) of a good request."""
        answer = self.http1.ask("POST", f"/v2/models/{self.model('identity_fp32')}/infer", request(tensor([1.0, 2.5])))
        return answer.status, json.loads(answer.body).get("outputs")

    @cached_property
    def good(self):
        """What a good request was answered before all cases."""
        return self.ask_well()

    def check_well(self):
        """What holds after every bad input: live, ready, and a good request is answered as ever."""
        try:
            for path in ("/v2/health/live", "/v2/health/ready"):
                status = self.http1.ask("GET", path).status
                assert status == 200, f"{path} answers {status} afterwards"
            answer = self.ask_well()
            assert answer == self.good, f"a good request is answered {answer} afterwards, {self.good} before"
        except (OSError, NoAnswer) as error:
            raise Silent(f"the server does not answer afterwards: {error}") from error
