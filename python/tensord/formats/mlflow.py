"""Folders as MLflow saves models, of any flavour that has a pyfunc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensord.formats.base import Format, Functions, datatype_of, describe, texts
from tensord.worker.model import Model, Source, TensorInfo

_DATATYPES = {"long": "INT64", "integer": "INT32", "double": "FP64", "float": "FP32", "boolean": "BOOL"}


class MLflow(Format):
    """A folder with MLmodel; MLflow writes the requirements beside it."""

    name = "mlflow"
    endings = ("MLmodel",)
    packages = ("mlflow",)

    def load(self, path: Path, source: Source) -> Model:
        """predict; inputs are the signature's columns or tensors."""
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(path))
        schema = model.metadata.get_input_schema()
        inputs = _inputs(schema)
        table = schema is None or not schema.is_tensor_spec()

        def predict(*values: Any) -> Any:
            return model.predict(_table(values, inputs) if schema and table else _tensors(values, inputs, schema))

        return Table(self.name, inputs, _outputs(model.metadata.get_output_schema()), predict)


def _inputs(schema: Any) -> list[TensorInfo]:
    return [TensorInfo("input", "FP64", [-1, -1])] if schema is None else _tensors_of(schema, "input")


def _outputs(schema: Any) -> list[TensorInfo]:
    """As the signature says them, for a model that takes no example."""
    if schema is None:
        return [TensorInfo("predict", "FP64", [-1], any_rank=True)]
    return _tensors_of(schema, "predict")


def _tensors_of(schema: Any, name: str) -> list[TensorInfo]:
    if schema.is_tensor_spec():
        return [TensorInfo(one.name or name, datatype_of(one.type), list(one.shape)) for one in schema.inputs]
    names = [one.name or (name if len(schema.inputs) == 1 else f"{name}{i}") for i, one in enumerate(schema.inputs)]
    kinds = [_DATATYPES.get(str(one.type).removeprefix("DataType."), "BYTES") for one in schema.inputs]
    return [TensorInfo(one, kind, [-1]) for one, kind in zip(names, kinds)]


def _table(values: tuple[Any, ...], inputs: list[TensorInfo]) -> Any:
    import pandas

    return pandas.DataFrame({i.name: texts(v) if i.datatype == "BYTES" else v for i, v in zip(inputs, values)})


def _tensors(values: tuple[Any, ...], inputs: list[TensorInfo], schema: Any) -> Any:
    if schema is None or len(inputs) == 1:
        return values[0]
    return {info.name: value for info, value in zip(inputs, values)}


class Table(Functions):
    """A function that gives an array, or a table whose columns are the outputs."""

    def __init__(self, platform: str, inputs: list[TensorInfo], declared: list[TensorInfo], predict: Any) -> None:
        import numpy

        from tensord.worker.bridge import dtype

        self.predict = predict
        example = [
            numpy.array([b""], dtype=object) if info.datatype == "BYTES"
            else numpy.zeros([abs(size) for size in info.shape], dtype(info.datatype)) for info in inputs
        ]
        try:
            outputs = [describe(name, value) for name, value in _columns(predict(*example)).items()]
        except Exception:  # whatever the model thinks of an example of zeros
            outputs = declared
        super().__init__(platform, inputs, {}, outputs, batching=None)

    def call(self, *values: Any) -> Any:
        """The outputs in their order."""
        made = _columns(self.predict(*values))
        return tuple(made[info.name] for info in self.outputs) if len(self.outputs) != 1 else made[self.outputs[0].name]

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        return _columns(self.predict(*(inputs[info.name] for info in self.inputs)))


def _columns(made: Any) -> dict[str, Any]:
    import numpy

    if hasattr(made, "columns"):
        return {str(name): made[name].to_numpy() for name in made.columns}
    if isinstance(made, dict):
        return {str(name): numpy.asarray(value) for name, value in made.items()}
    return {"predict": numpy.asarray(made)}
