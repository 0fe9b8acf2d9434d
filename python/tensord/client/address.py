"""Where a server is: what people write as its address, taken apart."""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional
from urllib.parse import quote, unquote, urlsplit

from tensord.errors import Error

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Address:
    """A server's address; `path` is that of a unix socket, `prefix` what stands before every path."""

    host: str
    port: int
    tls: bool = False
    path: Optional[str] = None
    prefix: str = ""

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.prefix}"


def parse(url: Optional[str]) -> Address:
    """Reads http://HOST:PORT, https://HOST, HOST:PORT or unix:PATH; None is TENSORD_URL's, else this machine's."""
    url = url or os.environ.get("TENSORD_URL") or DEFAULT_URL
    if url.startswith("unix:"):
        return Address("localhost", 80, path=unquote(url[len("unix:"):]))
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(url) from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise _no_address(url)
    if parts.username or parts.password:
        raise Error("a token does not belong into the address; give it as token=… or put it into TENSORD_TOKEN")
    tls = parts.scheme == "https"
    return Address(host, port or (443 if tls else 8000), tls, prefix=parts.path.rstrip("/"))


def _no_address(url: str) -> Error:
    return Error(f"'{url}' is no address; give one as http://HOST:PORT, https://HOST or unix:PATH")


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")
