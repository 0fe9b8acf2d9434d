"""The request that is being executed."""
try:
    from _channel import Request
except ImportError:  # not in a worker: for annotations of functions that are written, and deployed, elsewhere

    class Request:  # type: ignore[no-redef]
        """The request that is being executed; a worker makes it."""


__all__ = ["Request"]
