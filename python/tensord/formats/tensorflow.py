"""TensorFlow's SavedModel, Keras' files and TensorFlow Lite's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tensord.formats.base import Format, Functions, datatype_of
from tensord.worker.model import Model, Source, TensorInfo


def _quiet() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def _info(name: str, spec: Any) -> TensorInfo:
    import numpy

    kind = getattr(spec.dtype, "as_numpy_dtype", spec.dtype)
    return TensorInfo(name, datatype_of(numpy.dtype(kind)), [-1 if size is None else int(size) for size in spec.shape])


def _rows(infos: list[TensorInfo]) -> bool | None:
    return None if all(info.shape[:1] == [-1] for info in infos) else False


class Outputs(Functions):
    """One function that gives all outputs as a list."""

    def __init__(self, platform: str, inputs: list[TensorInfo], outputs: list[TensorInfo], run: Any) -> None:
        super().__init__(platform, inputs, {}, outputs, batching=_rows(inputs + outputs))
        self.run = run

    def call(self, *values: Any) -> Any:
        """The outputs in their order."""
        made = tuple(self.run(values))
        return made if len(made) != 1 else made[0]

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        return dict(zip((info.name for info in self.outputs), self.run([inputs[info.name] for info in self.inputs])))


class SavedModel(Format):
    """A SavedModel: its signature serving_default, or the only one."""

    name = "tensorflow"
    endings = ("saved_model.pb", "model.savedmodel")
    packages = ("tensorflow-cpu",)

    def folder(self, path: Path) -> Path:
        """The SavedModel's own folder; Triton has it in one called model.savedmodel."""
        inner = path / "model.savedmodel"
        return inner if (inner / "saved_model.pb").is_file() else path

    def load(self, path: Path, source: Source) -> Model:
        """Names, types and shapes are the signature's."""
        _quiet()
        import tensorflow

        loaded = tensorflow.saved_model.load(str(self.folder(path)))
        wanted = source.parameters.get("signature") or "serving_default"
        names = list(loaded.signatures)
        if wanted not in names and len(names) != 1:
            raise ValueError(f"the model has no signature '{wanted}' (it has: {', '.join(names) or 'none'})")
        function = loaded.signatures[wanted if wanted in names else names[0]]
        inputs = [_info(name, spec) for name, spec in function.structured_input_signature[1].items()]
        outputs = [_info(name, spec) for name, spec in sorted(function.structured_outputs.items())]

        def run(values: Any) -> list[Any]:
            given = {info.name: tensorflow.convert_to_tensor(value) for info, value in zip(inputs, values)}
            made = function(**given)
            return [made[info.name].numpy() for info in outputs]

        model = Outputs(self.name, inputs, outputs, run)
        model.loaded = loaded  # its functions do not hold it
        return model


class Keras(Format):
    """A Keras model; layers that are code in the file are refused by Keras itself."""

    name = "keras"
    endings = (".keras",)
    packages = ("keras", "tensorflow-cpu")

    def load(self, path: Path, source: Source) -> Model:
        """Inputs and outputs are the model's own."""
        _quiet()
        import keras

        model = keras.saving.load_model(str(self.file(path)), compile=False)
        inputs = [_info(tensor.name, tensor) for tensor in model.inputs]
        made = model.outputs
        outputs = [_info(name, one) for name, one in zip(["output"] if len(made) == 1 else model.output_names, made)]

        def run(values: Any) -> list[Any]:
            given = list(values) if len(values) > 1 else values[0]
            result = model(given, training=False)
            return [keras.ops.convert_to_numpy(one) for one in (result if isinstance(result, (list, tuple)) else [result])]

        return Outputs(self.name, inputs, outputs, run)


class TFLite(Format):
    """A model of TensorFlow Lite's, run by LiteRT."""

    name = "tflite"
    code = False
    endings = (".tflite",)
    packages = ("ai-edge-litert",)

    def load(self, path: Path, source: Source) -> Model:
        """Tensors are the graph's, under the names of its only signature when it has one."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(self.file(path)), num_threads=source.threads or None)
        signatures = list(interpreter.get_signature_list())
        if len(signatures) == 1:
            runner = interpreter.get_signature_runner(signatures[0])
            inputs = [_tensor(name, row) for name, row in runner.get_input_details().items()]
            outputs = [_tensor(name, row) for name, row in runner.get_output_details().items()]

            def run(values: Any) -> list[Any]:
                made = runner(**{info.name: value for info, value in zip(inputs, values)})
                return [made[info.name].copy() for info in outputs]

            return Outputs(self.name, inputs, outputs, run)
        rows, made_rows = interpreter.get_input_details(), interpreter.get_output_details()
        inputs = [_tensor(row["name"], row) for row in rows]
        outputs = [_tensor(row["name"], row) for row in made_rows]
        interpreter.allocate_tensors()

        def run_graph(values: Any) -> list[Any]:
            changed = False
            for row, value in zip(rows, values):
                if list(interpreter.get_input_details()[rows.index(row)]["shape"]) != list(value.shape):
                    interpreter.resize_tensor_input(row["index"], value.shape)
                    changed = True
            if changed:
                interpreter.allocate_tensors()
            for row, value in zip(rows, values):
                interpreter.set_tensor(row["index"], value)
            interpreter.invoke()
            return [interpreter.get_tensor(row["index"]) for row in made_rows]

        return Outputs(self.name, inputs, outputs, run_graph)


def _tensor(name: str, row: dict[str, Any]) -> TensorInfo:
    import numpy

    shape = row.get("shape_signature")
    shape = row["shape"] if shape is None or not len(shape) else shape
    return TensorInfo(name, datatype_of(numpy.dtype(row["dtype"])), [int(size) for size in shape])
