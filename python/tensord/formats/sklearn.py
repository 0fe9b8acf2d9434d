"""scikit-learn's estimators, and other objects with such an interface, in pickles, joblib's files and skops' files."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from tensord.formats import pickles
from tensord.formats.base import Format
from tensord.worker.model import Model, Source


class Pickle(Format):
    """Anything pickled that predicts, transforms or can be called; what it needs is what the pickle names."""

    name = "sklearn"
    endings = (".pkl", ".pickle", ".joblib")

    def requirements(self, path: Path) -> list[str]:
        """The packages of its classes, scikit-learn in the version that made it."""
        return pickles.requirements(self.file(path))

    def load(self, path: Path, source: Source) -> Model:
        """Unpickles it: that runs what the pickle says. Modules of the model's own may lie beside it."""
        os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")  # its semaphores are for processes, which a worker has not
        import joblib

        file = self.file(path)
        sys.path.insert(0, str(file.parent))
        try:
            made = joblib.load(file)
        except AttributeError as error:
            raise TypeError(f"{error}: a class of a script or notebook is not in its pickle; put it into a module that lies "
                            "beside the pickle, or use cloudpickle") from error if "__main__" in str(error) else error
        return self._serve(made, source)

    def _serve(self, made: Any, source: Source) -> Model:
        from tensord.formats.estimators import is_estimator, serve

        if is_estimator(made):
            return serve(self.name, made)
        if not callable(made):
            raise TypeError(f"an object of the class {type(made).__name__} can neither predict, nor transform, nor be called")
        from types import ModuleType

        from tensord.worker.function import FunctionModel

        called = made if hasattr(made, "__code__") or isinstance(made, type) else made.__call__
        module = ModuleType(called.__module__)
        module.predict = called  # type: ignore[attr-defined]
        return FunctionModel(module, source)


class Skops(Format):
    """An estimator in a file of skops', which holds no code."""

    name = "skops"
    code = False
    endings = (".skops",)
    packages = ("skops", "scikit-learn", "pandas")

    def load(self, path: Path, source: Source) -> Model:
        """Loads what consists of types that skops trusts."""
        from skops.io import get_untrusted_types, load

        from tensord.formats.estimators import serve

        file = self.file(path)
        untrusted = get_untrusted_types(file=file)
        if untrusted:
            raise ValueError(f"the file holds types that skops does not trust: {', '.join(sorted(untrusted))}")
        return serve(self.name, load(file, trusted=[]))

    def requirements(self, path: Path) -> list[str]:
        """skops in the version that wrote the file."""
        try:
            with zipfile.ZipFile(self.file(path)) as archive, archive.open("schema.json") as file:
                version = str(json.load(file).get("_skops_version", ""))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            version = ""
        wanted = f"skops>={version}" if version and version.replace(".", "").isdigit() else "skops"
        return [wanted, *self.packages[1:]]
