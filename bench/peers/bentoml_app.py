"""The function on BentoML: bentoml serve bentoml_app:Identity."""
import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from typing_extensions import Annotated

Array = Annotated[np.ndarray, DType("float32"), Shape((16,))]


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}}, traffic={"timeout": 60})
class Identity:
    """Answers with the array that it was sent."""

    @bentoml.api
    async def predict(self, x: Array) -> Array:
        return x
