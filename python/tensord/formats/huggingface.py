"""Folders as Hugging Face's libraries save them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tensord.formats.base import Format, Functions, texts
from tensord.worker.model import Model, Source, TensorInfo

# Pipelines' tasks by the ends of the architectures' names.
TASKS = {
    "ForSequenceClassification": "text-classification", "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask", "ForCausalLM": "text-generation", "LMHeadModel": "text-generation",
    "ForConditionalGeneration": "text2text-generation", "ForImageClassification": "image-classification",
}


def task_of(folder: Path) -> str:
    """The task of the pipeline that the folder's model is for."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = (config.get("architectures") or [""])[0]
    return next((task for end, task in TASKS.items() if name.endswith(end)), "feature-extraction")


def is_model(folder: Path) -> bool:
    """Whether the folder says which architecture its weights are of."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_type" in config


def _images(array: Any) -> list[Any]:
    from io import BytesIO

    from PIL import Image

    return [Image.open(BytesIO(one)) for one in array.ravel().tolist()]


class Transformers(Format):
    """A model with its tokenizer, served by a pipeline; or weights alone, of a module that the config names.

    Weights in .safetensors are data, which src/repository/format.c knows: then nothing else that lies there is loaded that
    could be code.
    """

    name = "transformers"
    endings = (".safetensors", "pytorch_model.bin")
    packages = ("transformers", "torch", "numpy")

    def requirements(self, path: Path) -> list[str]:
        """transformers, unless there are only weights."""
        return list(self.packages) if is_model(path) else ["torch", "safetensors", "numpy"]

    def load(self, path: Path, source: Source) -> Model:
        """Labels and scores of classifiers; of other tasks, what the pipeline gives for each text, as JSON."""
        if not is_model(path):
            from tensord.formats.pytorch import load_weights

            return load_weights(self.name, self.file(path), source)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import numpy
        from transformers import pipeline

        task = source.parameters.get("task") or task_of(path)
        data = {"use_safetensors": any(one.suffix == ".safetensors" for one in path.iterdir())}
        run = pipeline(task, model=str(path), device="cpu", trust_remote_code=False, model_kwargs=data)
        is_image = task.startswith("image")
        inputs = [TensorInfo("image" if is_image else "text", "BYTES", [-1])]

        def items(array: Any) -> list[Any]:
            return _images(array) if is_image else texts(array).ravel().tolist()

        if task in ("text-classification", "image-classification"):
            return Classifier(self.name, inputs, lambda array: run(items(array), top_k=1))

        def documents(array: Any) -> Any:
            made = [json.dumps(one, default=_plain).encode() for one in run(items(array))]
            return numpy.array(made, dtype=object)

        return Functions(self.name, inputs, {"output": documents}, [TensorInfo("output", "BYTES", [-1])], batching=False)


class Classifier(Functions):
    """The best label of each item, and its score."""

    def __init__(self, platform: str, inputs: list[TensorInfo], run: Any) -> None:
        outputs = [TensorInfo("label", "BYTES", [-1]), TensorInfo("score", "FP32", [-1])]
        super().__init__(platform, inputs, {}, outputs, batching=False)
        self.run = run

    def call(self, *values: Any) -> Any:
        """(labels, scores)."""
        import numpy

        best = [one[0] if isinstance(one, list) else one for one in self.run(values[0])]
        labels = numpy.array([one["label"].encode() for one in best], dtype=object)
        return labels, numpy.array([one["score"] for one in best], dtype=numpy.float32)

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        return dict(zip(("label", "score"), self.call(inputs[self.inputs[0].name])))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


class SentenceTransformers(Format):
    """A folder of sentence-transformers: texts to vectors."""

    name = "sentence_transformers"
    endings = ("modules.json",)
    packages = ("sentence-transformers", "numpy")

    def load(self, path: Path, source: Source) -> Model:
        """encode, as embedding."""
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(path), device="cpu")
        dimension = int(model.get_sentence_embedding_dimension())

        def encode(array: Any) -> Any:
            return model.encode(texts(array).ravel().tolist(), show_progress_bar=False)

        return Functions(self.name, [TensorInfo("text", "BYTES", [-1])], {"embedding": encode},
                         [TensorInfo("embedding", "FP32", [-1, dimension])])
