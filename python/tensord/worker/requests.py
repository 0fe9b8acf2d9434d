"""The request that is being executed."""
from _channel import Request

__all__ = ["Request"]
