"""Exceptions that a model may raise to say more than that it failed."""


class BadRequest(ValueError):
    """The request is at fault, not the model: the client is told so (HTTP 400, gRPC INVALID_ARGUMENT)."""

    tensord_status = 1


class Unavailable(RuntimeError):
    """Something is missing now that may be there later (HTTP 503, gRPC UNAVAILABLE)."""

    tensord_status = 2
