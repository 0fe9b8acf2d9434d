"""Objects with scikit-learn's interface: predict, predict_proba, transform; whoever made them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from tensord.formats.base import Functions, datatype_of, describe, texts
from tensord.worker.model import TensorInfo

METHODS = ("predict", "predict_proba")


def _steps(estimator: Any) -> Iterator[Any]:
    """The estimator, and those that it is made of: pipelines, column transformers."""
    yield estimator
    for _, step, *_ in getattr(estimator, "steps", None) or getattr(estimator, "transformers_", None) or []:
        if not isinstance(step, str) and step is not None:
            yield from _steps(step)
    for name in ("best_estimator_", "estimator_"):
        inner = getattr(estimator, name, None)
        if inner is not None:
            yield from _steps(inner)


def _takes_text(estimator: Any) -> bool:
    """Whether rows are documents: the first step makes words of them."""
    first = estimator
    while getattr(first, "steps", None):
        first = first.steps[0][1]
    return hasattr(first, "build_analyzer")


def _text_columns(estimator: Any, names: list[str]) -> dict[str, str]:
    """The columns that hold text, each with a text that was seen there."""
    found: dict[str, str] = {}
    for step in _steps(estimator):
        categories = getattr(step, "categories_", None)
        columns = getattr(step, "feature_names_in_", names)
        if categories is None or len(categories) != len(columns):
            continue
        for column, values in zip(columns, categories):
            if values.dtype.kind in "OUST" and len(values) and column in names:
                found[column] = next((value for value in values if isinstance(value, str)), "")
    return found


def _quiet(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Without the warning that an array has no names of columns: it never has."""

    def called(rows: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*feature names")
            return _array(function(rows))

    return called


class SeveralArrays(ValueError):
    """What a method gave is no tensor: of several targets, a list of arrays."""


def _array(value: Any) -> Any:
    import numpy

    if isinstance(value, list) and value and isinstance(value[0], numpy.ndarray):
        raise SeveralArrays("the model gives a list of arrays")
    value = value.toarray() if hasattr(value, "toarray") else value
    return value if isinstance(value, numpy.ndarray) else numpy.asarray(value)


def over_columns(function: Callable[[Any], Any], inputs: list[TensorInfo]) -> Callable[..., Any]:
    """The function of a table, over its columns."""

    def called(*columns: Any) -> Any:
        import pandas

        from tensord.worker.errors import BadRequest

        if len({len(column) for column in columns}) > 1:
            raise BadRequest("the columns differ in their numbers of rows")
        table = {i.name: texts(c) if i.datatype == "BYTES" else c for i, c in zip(inputs, columns)}
        return function(pandas.DataFrame(table))

    return called


def is_estimator(made: Any) -> bool:
    """Whether an object has such an interface."""
    return not isinstance(made, type) and any(hasattr(made, name) for name in (*METHODS, "transform"))


def functions_of(estimator: Any) -> dict[str, Callable[[Any], Any]]:
    """What it can do, by the outputs' names."""
    found = {name: getattr(estimator, name) for name in METHODS if hasattr(estimator, name)}
    if not found:
        found = {"transform": estimator.transform}
    return {name: _quiet(function) for name, function in found.items()}


def serve(platform: str, estimator: Any, datatype: str = "FP64") -> Functions:
    """The estimator as a model."""
    import numpy

    from tensord.worker.bridge import dtype

    functions = functions_of(estimator)
    if _takes_text(estimator):
        over_texts = {name: (lambda rows, f=function: f(texts(rows))) for name, function in functions.items()}
        example = [numpy.array([b"a"], dtype=object)]
        return _model(platform, estimator, [TensorInfo("input", "BYTES", [-1])], over_texts, example)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    found = _text_columns(estimator, names)
    if found:
        return serve_columns(platform, estimator, names, found, datatype)
    count = int(getattr(estimator, "n_features_in_", -1))
    inputs = [TensorInfo("input", datatype, [-1, count])]
    return _model(platform, estimator, inputs, functions, [numpy.zeros((1, max(1, count)), dtype(datatype))])


def serve_columns(platform: str, estimator: Any, names: list[str], found: dict[str, str], datatype: str = "FP64") -> Functions:
    """The estimator of a table, some of whose columns hold text: found has a text that was seen in each of these."""
    import numpy

    inputs = [TensorInfo(name, "BYTES" if name in found else datatype, [-1]) for name in names]
    example = [numpy.array([found[i.name].encode()], dtype=object) if i.name in found else numpy.zeros(1) for i in inputs]
    functions = {name: over_columns(function, inputs) for name, function in functions_of(estimator).items()}
    return _model(platform, estimator, inputs, functions, example)


def _model(platform: str, estimator: Any, inputs: list[TensorInfo], functions: dict[str, Any], example: list[Any]) -> Functions:
    """With those outputs that are one array. They are described by an example; where the model takes no such example, by
    what it says of itself."""
    outputs = []
    for name, function in list(functions.items()):
        try:
            outputs.append(describe(name, function(*example)))
        except (SeveralArrays, AttributeError):  # which says that it has no such method after all
            if name == "predict":
                raise
            del functions[name]
        except Exception:  # whatever the model thinks of it
            outputs.append(_declared(name, estimator))
    return Functions(platform, inputs, functions, outputs)


def _declared(name: str, estimator: Any) -> TensorInfo:
    """The output, by the classes that the estimator knows."""
    import numpy

    classes = getattr(estimator, "classes_", None)
    if name == "predict":
        return TensorInfo(name, "FP64" if classes is None else datatype_of(numpy.asarray(classes).dtype), [-1])
    return TensorInfo(name, "FP64", [-1, -1 if classes is None else len(classes)])
