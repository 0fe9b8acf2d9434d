"""What can go wrong, as exceptions. All are of the class Error."""
from __future__ import annotations


class Error(Exception):
    """Whatever goes wrong between this program and a server, or in a model there."""


class ConnectionFailed(Error):
    """No server answers at the address, or the connection broke."""


class Unauthorized(Error):
    """The server wants a token, another one, or one with a further scope."""


class TimedOut(Error, TimeoutError):
    """The answer did not come in time."""


class ModelError(Error):
    """The model `model` could not answer; the message says why."""

    def __init__(self, model: str, message: str, status: int = 0) -> None:
        super().__init__(f"model '{model}': {message}")
        self.model, self.message, self.status = model, message, status

    def __reduce__(self) -> tuple:
        return type(self), (self.model, self.message, self.status)


class ModelNotFound(ModelError):
    """The server has no such model, or the token may not see it."""


class ModelUnavailable(ModelError):
    """The model cannot answer now: it has failed to load, is unloaded, or too much waits for it."""


class InvalidInput(ModelError, ValueError):
    """The inputs are not those that the model takes."""


class DeployError(Error):
    """Something could not be deployed; the message says what to do."""
