"""The suite's models for MLServer."""
import asyncio
import json

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import MLServerError
from mlserver.types import InferenceResponse, ResponseOutput


class Model(MLModel):
    """A model of the suite: `answer` gives its outputs."""

    async def predict(self, payload):
        outputs = await self.answer({tensor.name: tensor for tensor in payload.inputs}, payload)
        wanted = {output.name for output in payload.outputs or []}
        return InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id,
                                 outputs=[output for output in outputs if not wanted or output.name in wanted])


class Identity(Model):
    async def answer(self, inputs, payload):
        tensor = inputs["INPUT0"]
        return [ResponseOutput(name="OUTPUT0", datatype=tensor.datatype, shape=tensor.shape, data=tensor.data,
                               parameters=tensor.parameters)]


class AddSub(Model):
    async def answer(self, inputs, payload):
        a, b = (NumpyCodec.decode_input(inputs[name]) for name in ("INPUT0", "INPUT1"))
        return [NumpyCodec.encode_output("OUTPUT0", a + b), NumpyCodec.encode_output("OUTPUT1", a - b)]


class Text(Model):
    async def answer(self, inputs, payload):
        return [StringCodec.encode_output("text_output", [text.upper() for text in StringCodec.decode_input(inputs["text_input"])])]


class Words(Text):
    """MLServer streams by a method of its own."""

    async def answer(self, inputs, payload):
        raise MLServerError("this model answers several times: ask for a stream", 400)

    async def predict_stream(self, payloads):
        async for payload in payloads:
            for word in StringCodec.decode_input(payload.inputs[0])[0].split():
                if word == "fail":
                    raise MLServerError("the word is fail")
                yield InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id,
                                        outputs=[StringCodec.encode_output("text_output", [word])])


class Behave(Model):
    async def answer(self, inputs, payload):
        command, *arguments = StringCodec.decode_input(inputs["COMMAND"])[0].split()
        result = command
        if command == "sleep":
            await asyncio.sleep(int(arguments[0]) / 1000)
        elif command == "parameters":
            result = json.dumps(payload.parameters.model_dump(exclude_none=True) if payload.parameters else {})
        elif command == "id":
            result = payload.id
        elif command == "raise":
            raise ValueError("it was told to raise")
        elif command == "refuse":
            raise MLServerError("it was told to refuse", 400)
        return [StringCodec.encode_output("RESULT", [result])]


class Versions(Model):
    async def answer(self, inputs, payload):
        return [NumpyCodec.encode_output("VERSION", np.array([int(self.version)], dtype=np.int32))]
