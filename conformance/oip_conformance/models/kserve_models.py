"""The suite's models for KServe's Python server, and the server: its own options are those of this program."""
import argparse
import asyncio
import json

import kserve
import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput
from kserve.utils.utils import generate_uuid

DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")


class Base(Model):
    """A model of the suite: `answer` gives its outputs, as arrays by name with their datatypes."""

    def __init__(self, name, inputs, outputs):
        super().__init__(name)
        self.inputs, self.outputs = inputs, outputs
        self.ready = True

    async def get_input_types(self):
        return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in self.inputs]

    async def get_output_types(self):
        return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in self.outputs]

    async def predict(self, payload, headers=None, response_headers=None):
        arrays = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for name, datatype, array in await self.answer(arrays, payload):
            outputs.append(InferOutput(name, list(array.shape), datatype))
            outputs[-1].set_data_from_numpy(array, binary_data=payload.from_grpc)
        return InferResponse(payload.id or generate_uuid(), self.name, outputs, model_version="1",
                             use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs)


class Identity(Base):
    async def answer(self, arrays, payload):
        return [("OUTPUT0", payload.inputs[0].datatype, arrays["INPUT0"])]


class AddSub(Base):
    async def answer(self, arrays, payload):
        a, b = arrays["INPUT0"], arrays["INPUT1"]
        return [("OUTPUT0", "INT32", a + b), ("OUTPUT1", "INT32", a - b)]


def texts(array):
    return [text.decode() if isinstance(text, bytes) else str(text) for text in array.ravel()]


def strings(values):
    return np.array([value.encode() for value in values], dtype=object)


class Text(Base):
    async def answer(self, arrays, payload):
        return [("text_output", "BYTES", strings(text.upper() for text in texts(arrays["text_input"])))]


class Behave(Base):
    async def answer(self, arrays, payload):
        command, *arguments = texts(arrays["COMMAND"])[0].split()
        result = command
        if command == "sleep":
            await asyncio.sleep(int(arguments[0]) / 1000)
        elif command == "parameters":
            result = json.dumps({name: str(value) for name, value in (payload.parameters or {}).items()})
        elif command == "id":
            result = payload.id
        elif command == "raise":
            raise ValueError("it was told to raise")
        elif command == "refuse":
            raise InvalidInput("it was told to refuse")
        return [("RESULT", "BYTES", strings([result]))]


def models():
    """All of them. KServe has neither versions nor models that answer several times."""
    yield from (Identity(f"identity_{name.lower()}", [("INPUT0", name, [-1, -1])], [("OUTPUT0", name, [-1, -1])])
                for name in DATATYPES)
    pair = [-1, 16]
    yield AddSub("add_sub", [("INPUT0", "INT32", pair), ("INPUT1", "INT32", pair)],
                 [("OUTPUT0", "INT32", pair), ("OUTPUT1", "INT32", pair)])
    yield Text("text", [("text_input", "BYTES", [1])], [("text_output", "BYTES", [1])])
    yield Behave("behave", [("COMMAND", "BYTES", [1])], [("RESULT", "BYTES", [1])])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    arguments, _ = parser.parse_known_args()
    kserve.logging.configure_logging() if hasattr(kserve.logging, "configure_logging") else None
    ModelServer().start(list(models()))
