"""scikit-learn's estimators, and other objects with such an interface, in pickles, joblib's files and skops' files."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from tensord.formats import pickles
from tensord.formats.base import Format
from tensord.worker.model import Model, Source


class Pickle(Format):
    """A pickled estimator; what it needs is what the pickle names."""

    name = "sklearn"
    endings = (".pkl", ".pickle", ".joblib")

    def requirements(self, path: Path) -> list[str]:
        """The packages of its classes, scikit-learn in the version that made it."""
        return pickles.requirements(self.file(path))

    def load(self, path: Path, source: Source) -> Model:
        """Unpickles it: that runs what the pickle says."""
        os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")  # its semaphores are for processes, which a worker has not
        import joblib

        from tensord.formats.estimators import serve

        return serve(self.name, joblib.load(self.file(path)))


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
