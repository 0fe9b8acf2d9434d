"""The function on BentoML: bentoml serve bentoml_app:Identity, or bentoml_app:Rows for a model."""
import bentoml
import numpy as np
from bentoml.validators import DType
from typing_extensions import Annotated

import work

Array = Annotated[np.ndarray, DType(work.dtype())]
SERVICE = {"workers": work.setting("WORKERS"), "metrics": {"enabled": False}, "logging": {"access": {"enabled": False}},
           "traffic": {"timeout": 60}}


@bentoml.service(**SERVICE)
class Identity:
    """Answers with the array that it was sent, on its event loop."""

    @bentoml.api
    async def predict(self, x: Array) -> Array:
        return x


@bentoml.service(**SERVICE)
class Rows:
    """Computes rows of several requests at a time, on a thread."""

    def __init__(self):
        self.function = work.load()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=max(2, work.setting("BATCH")), max_latency_ms=60000)
    def predict(self, x: Array) -> Array:
        return self.function(x)
