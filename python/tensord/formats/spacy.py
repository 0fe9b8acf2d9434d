"""spaCy's pipelines, as to_disk writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensord.formats.base import Format, Functions, texts
from tensord.worker.model import Model, Source, TensorInfo


class Spacy(Format):
    """A folder with spaCy's config.cfg and meta.json."""

    name = "spacy"
    endings = ("config.cfg",)

    def requirements(self, path: Path) -> list[str]:
        """spaCy in the versions that the pipeline says it fits."""
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
            wanted = str(meta.get("spacy_version", ""))
        except (OSError, ValueError, AttributeError):
            wanted = ""
        return [f"spacy{wanted}" if wanted[:1] in ("<", ">", "=", "~") else "spacy"]

    def load(self, path: Path, source: Source) -> Model:
        """Each text's document, as spaCy's JSON."""
        import numpy
        import spacy

        pipeline = spacy.load(path)

        def documents(array: Any) -> Any:
            made = [json.dumps(one.to_json()).encode() for one in pipeline.pipe(texts(array).ravel().tolist())]
            return numpy.array(made, dtype=object)

        return Functions(self.name, [TensorInfo("text", "BYTES", [-1])], {"document": documents},
                         [TensorInfo("document", "BYTES", [-1])])
