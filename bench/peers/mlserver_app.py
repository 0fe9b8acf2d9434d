"""The function on MLServer, which loads it as its model's implementation."""
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

import work


class Work(MLModel):
    """Answers with what the function makes of the array that it was sent; where its settings say so, MLServer has joined
    several requests' rows."""

    async def load(self) -> bool:
        self.function = work.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x: np.ndarray = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", self.function(x))])
