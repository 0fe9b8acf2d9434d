"""A server, and what can be asked of it as a whole."""
from __future__ import annotations

import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Callable, Optional, Sequence, Union

from tensord.client import address
from tensord.client.model import CallOptions, Model
from tensord.client.transport import Transport

_CALLS_AT_ONCE = 64  # of aio()


class Server:
    """A server, as connect() gives it. May be used by any number of threads; connections are made when they are needed."""

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None, *, timeout_s: Optional[float] = None,
                 retries: int = 3, ca: Optional[str] = None, context: Optional[ssl.SSLContext] = None) -> None:
        where = address.parse(url)
        ca = ca or os.environ.get("TENSORD_CA")
        if where.tls and context is None and ca:
            context = ssl.create_default_context(cafile=ca)
        token = token or os.environ.get("TENSORD_TOKEN") or None
        self.transport = Transport(where, token, timeout_s=timeout_s, retries=retries, context=context)

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.transport.address)

    @property
    def timeout_s(self) -> Optional[float]:
        """For each answer, waiting included; None: no limit."""
        return self.transport.timeout_s

    def __repr__(self) -> str:
        return f"<tensord server at {self.url}>"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        """The threads on which calls with aio() wait."""
        return ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="tensord")

    def close(self) -> None:
        """Closes the connections."""
        if "executor" in self.__dict__:
            self.executor.shutdown(wait=False)
            del self.__dict__["executor"]
        self.transport.close()

    # ---- models ----

    def model(self, name: str, version: Optional[int] = None, **options: Any) -> Model:
        """A model to call; options are those of CallOptions: returns, timeout_s, parameters."""
        return Model(self, name, version, CallOptions(**options))

    def models(self) -> list[dict[str, Any]]:
        """What is served: a dict for each version, with name, version, state, reason, engine."""
        return self.transport.ask("POST", "/v2/repository/index", json_body={}, repeatable=True)

    def is_ready(self) -> bool:
        """Does it answer, and is its first look at the models done?"""
        response = self.transport.request("GET", "/v2/health/ready", repeatable=True)
        response.read()
        return response.status == 200


def connect(url: Optional[str] = None, token: Optional[str] = None, *, timeout_s: Optional[float] = None,
            retries: int = 3, ca: Optional[str] = None, context: Optional[ssl.SSLContext] = None) -> Server:
    """A server at http://HOST:PORT, https://HOST or unix:PATH.

    Without an address it is TENSORD_URL's, else this machine's; without a token TENSORD_TOKEN's, and for a server of the
    same user on the same machine the one of its state folder, when it asks for one. timeout_s is for each answer, waiting
    included. `ca` is a file of certificates to trust (else TENSORD_CA), `context` an SSLContext. Nothing is sent yet.
    """
    return Server(url, token, timeout_s=timeout_s, retries=retries, ca=ca, context=context)
