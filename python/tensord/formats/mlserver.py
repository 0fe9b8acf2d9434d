"""Folders with MLServer's model-settings.json, whose implementation is one of MLServer's own runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensord.formats.base import Format
from tensord.worker.model import Model, Source


class MLServer(Format):
    """Served by the format that the runtime is for."""

    name = "mlserver"
    endings = ("model-settings.json",)

    def __init__(self, runtimes: dict[str, Format]) -> None:
        self.runtimes = runtimes  # by the implementations' packages

    def settings(self, path: Path) -> tuple[Format, Path]:
        """(the format, the path of the model)."""
        read: dict[str, Any] = json.loads((path / "model-settings.json").read_text(encoding="utf-8"))
        implementation = str(read.get("implementation", ""))
        form = self.runtimes.get(implementation.partition(".")[0])
        if form is None:
            raise ValueError(f"model-settings.json: there is no format for the implementation '{implementation}'")
        return form, path / str((read.get("parameters") or {}).get("uri", "."))

    def requirements(self, path: Path) -> list[str]:
        """Those of the format."""
        try:
            form, model = self.settings(path)
        except ValueError:
            return []  # loading says so
        return form.requirements(model)

    def load(self, path: Path, source: Source) -> Model:
        """As the format does."""
        form, model = self.settings(path)
        return form.load(model, source)
