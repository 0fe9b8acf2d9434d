"""What a pickle says of itself, read without unpickling: the packages of its classes, and versions that it keeps.

joblib puts raw arrays between a pickle's instructions and may compress the whole, so the bytes are searched for names in
the forms in which pickles store them, instead of being followed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

CHUNK_BYTES, OVERLAP_BYTES = 1 << 20, 512
MAX_BYTES = 4 << 30  # of what comes out of a compressed file

# Packages by the modules that pickles name.
PACKAGES = {
    "catboost": "catboost", "category_encoders": "category-encoders", "cloudpickle": "cloudpickle",
    "feature_engine": "feature-engine", "hdbscan": "hdbscan", "imblearn": "imbalanced-learn", "lifelines": "lifelines",
    "lightgbm": "lightgbm", "numpy": "numpy", "pandas": "pandas", "pmdarima": "pmdarima", "polars": "polars",
    "prophet": "prophet", "scipy": "scipy", "sklearn": "scikit-learn", "sktime": "sktime", "statsmodels": "statsmodels",
    "torch": "torch", "umap": "umap-learn", "xgboost": "xgboost-cpu",
}
_LENGTH = rb"(?:\x8c.|X....|\x8d.{8})"  # before a text
_MEMO = rb"(?:\x94|q.|r....)?"
MODULE = re.compile(
    rb"(?:" + _LENGTH + rb"|c|\n)((?:" + "|".join(PACKAGES).encode() + rb")(?:\.\w+)*)(?=[\x94\n\x8cqrX])", re.DOTALL)
VERSION = re.compile(rb"_sklearn_version" + _MEMO + rb"(?:\x8c(.)|X(.)\0\0\0)(\d[\w.]{0,30})", re.DOTALL)


class _Zlib:
    """A file of zlib's form, as a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.inflater = file, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        data = self.inflater.decompress(self.inflater.unconsumed_tail or self.file.read(1 << 16), size)
        return data or self.inflater.flush(size)


_OPENERS: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.GzipFile), (b"BZh", bz2.BZ2File), (b"\xfd7zXZ", lzma.LZMAFile), (b"\x5d\x00", lzma.LZMAFile),
)


def _opened(file: BinaryIO) -> Any:
    head = file.read(6)
    file.seek(0)
    for mark, opener in _OPENERS:
        if head.startswith(mark):
            return opener(fileobj=file) if opener is gzip.GzipFile else opener(file)
    return _Zlib(file) if head[:1] == b"\x78" and len(head) > 1 and head[1] in b"\x01\x5e\x9c\xda" else file


def _pieces(path: Path) -> Iterator[bytes]:
    """The bytes, decompressed, in pieces that overlap."""
    with path.open("rb") as file:
        source, kept, total = _opened(file), b"", 0
        try:
            while total < MAX_BYTES and (data := source.read(CHUNK_BYTES)):
                total += len(data)
                yield kept + data
                kept = (kept + data)[-OVERLAP_BYTES:]
        except (OSError, EOFError, lzma.LZMAError, zlib.error):
            return  # loading it will say what is wrong


def look(path: Path) -> tuple[set[str], str]:
    """(names of modules, version of scikit-learn or "")."""
    modules: set[str] = set()
    version = ""
    for piece in _pieces(path):
        modules.update(match.decode() for match in MODULE.findall(piece))
        for short, long, text in VERSION.findall(piece):
            version = version or text[: (short or long)[0]].decode()
    return modules, version


def requirements(path: Path) -> list[str]:
    """The packages that the pickle's classes are of."""
    modules, version = look(path)
    roots = {module.partition(".")[0] for module in modules}
    lines = {PACKAGES[root] for root in roots} - {"numpy"}
    if version:
        lines = lines - {"scikit-learn"} | {f"scikit-learn=={version}"}
    if any(module.startswith("numpy._core") for module in modules):
        lines.add("numpy>=2")
    if any(module.startswith("sklearn.compose") for module in modules):
        lines.add("pandas")  # columns have names
    return sorted(lines | {"joblib"})
