"""Requests that belong together, to a model that remembers."""
from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from tensord.client.model import Model


class RequestSequence:
    """A sequence of a model's requests; `model.sequence()` makes one. Called like the model, one request after another; `last`
    makes the last one. After that, or when a first request has failed, the next one starts anew. For one thread at a time."""

    def __init__(self, model: "Model", name: Union[int, str, None] = None) -> None:
        self.model, self.name, self._begun = model, uuid.uuid4().hex if name is None else name, False

    def __call__(self, *values: Any, **named: Any) -> Any:
        """The next request."""
        return self._ask(False, values, named)

    def last(self, *values: Any, **named: Any) -> Any:
        """The last request: the server forgets the sequence."""
        return self._ask(True, values, named)

    def _ask(self, end: bool, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        marks = {"sequence_id": self.name, "sequence_start": not self._begun, "sequence_end": end}
        model = self.model.with_options(parameters={**(self.model.options.parameters or {}), **marks})
        answer = model(*values, **named)
        self.model._metadata = model._metadata
        self._begun = not end
        return answer
