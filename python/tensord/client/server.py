"""A server, and what can be asked of it as a whole."""
from __future__ import annotations

import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, Union

from tensord.client import address, deploy, push
from tensord.client.model import CallOptions, Model
from tensord.client.progress import choose
from tensord.client.transport import Transport, error_text
from tensord.errors import Error

_CALLS_AT_ONCE = 64  # of aio()


class Server:
    """A server, as connect() gives it. May be used by any number of threads; connections are made when they are needed."""

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None, *, timeout_s: Optional[float] = None,
                 retries: int = 3, ca: Optional[str] = None, context: Optional[ssl.SSLContext] = None) -> None:
        where = address.parse(url)
        ca = ca or os.environ.get("TENSORD_CA")
        if where.tls and context is None and ca:
            context = _trusting(ca)
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

    # ---- deploying ----

    def push(self, path: Union[str, Path], name: Optional[str] = None, **options: Any) -> Model:
        """Deploys the model file or folder at a path, waits until it is ready, and returns it.

        Only what the server lacks is uploaded, and a push that was cut off goes on where it stopped. Options: version=N;
        requirements=["torch", …] or a file's path; wait=False; timeout_s for the waiting; progress. Needs a token with
        the scope deploy, for models that are code the scope code.
        """
        return deploy.deploy(self, path, name, **options)

    def deploy(self, function: Optional[Callable] = None, **options: Any) -> Any:
        """Deploys a function: its source, and what that uses, runs on the server; the name then calls it there.

            @gpu.deploy(requirements=["torch"], name="embed")
            def embed(texts: list[str]) -> np.ndarray: ...

        Options: name, version, requirements (a list, or a file's path), files (files and folders that come along), wait,
        timeout_s, progress. Nothing is pickled: the function may use modules, functions and classes of the same program,
        and constants; what else it uses it makes itself. Returns a tensord.Deployed.
        """
        if function is None:
            return lambda decorated: deploy.deploy_function(self, decorated, **options)
        return deploy.deploy_function(self, function, **options)

    def pull(self, name: str, folder: Union[None, str, Path] = None, version: Optional[int] = None) -> Path:
        """Fetches a model's files into a folder that is not there yet (the model's name); returns it."""
        progress = choose()
        try:
            pulled = push.pull(self.transport, name, Path(folder or name), version, progress=progress)
        except BaseException:
            progress.abandon()
            raise
        progress.finish(f"{name} is in {pulled}")
        return pulled

    def remove(self, name: str, version: Optional[int] = None) -> None:
        """Unloads a model, or one version of it, and removes its files from the server."""
        push.remove(self.transport, name, version)

    def logs(self, name: str, lines: int = 100, follow: bool = False) -> Iterator[str]:
        """The last lines of a model's log, and with `follow` those that come."""
        path = f"{push.API}/models/{address.segment(name)}/logs?lines={lines}" + ("&follow=1" if follow else "")
        response = self.transport.request("GET", path, repeatable=True, timeout_s=None if follow else self.timeout_s)
        if response.status != 200:
            raise Error(error_text(response))
        return response.lines()

    def status(self) -> list[dict[str, Any]]:
        """What runs: for each version its state, progress, workers, memory, requests that run and wait."""
        return self.transport.get_json(f"{push.API}/models")["models"]

    def rollout(self, name: str) -> dict[str, Any]:
        """Which version of the model answers requests that name none: each one's weight, share, state and requests."""
        return self.transport.get_json(self._rollout(name))

    def set_rollout(self, name: str, weights: Mapping[int, int]) -> dict[str, Any]:
        """Sets the versions' weights, {1: 95, 2: 5}, from the next request on. Needs a token with the scope deploy."""
        return self.transport.ask("PUT", self._rollout(name), repeatable=True,
                                  json_body={"weights": {str(key): one for key, one in weights.items()}})

    def reset_rollout(self, name: str) -> dict[str, Any]:
        """Goes back to what the model's config says."""
        return self.transport.ask("DELETE", self._rollout(name))

    def diff(self, name: str) -> dict[str, Any]:
        """How the answers of the model's shadow differ from those that clients got: for each output, in time, in failures."""
        return self.transport.get_json(f"{push.API}/models/{address.segment(name)}/diff")

    @staticmethod
    def _rollout(name: str) -> str:
        return f"{push.API}/models/{address.segment(name)}/rollout"

    def environments(self) -> list[dict[str, Any]]:
        """The environments that the server has made for models: for each its hash, size, what it was made of and when it
        was last used, and which models use it. Needs a token with the scope admin."""
        return self.transport.get_json(f"{push.API}/environments")["environments"]

    def remove_environments(self, hash: Optional[str] = None) -> list[str]:
        """Removes the environment of that hash, or all, that no model uses; returns the hashes of those that are gone."""
        path = f"{push.API}/environments" + (f"?hash={address.segment(hash)}" if hash is not None else "")
        return self.transport.ask("DELETE", path)["removed"]

    def is_ready(self) -> bool:
        """Does it answer, and is its first look at the models done?"""
        response = self.transport.request("GET", "/v2/health/ready", repeatable=True)
        response.read()
        return response.status == 200


def _trusting(ca: str) -> ssl.SSLContext:
    """What the system trusts, and the certificates in the file."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise Error(f"'{ca}' holds no certificates that could be trusted: {error}") from error
    return context


def connect(url: Optional[str] = None, token: Optional[str] = None, *, timeout_s: Optional[float] = None,
            retries: int = 3, ca: Optional[str] = None, context: Optional[ssl.SSLContext] = None) -> Server:
    """A server at http://HOST:PORT, https://HOST or unix:PATH.

    Without an address it is TENSORD_URL's, else this machine's; without a token TENSORD_TOKEN's, and for a server of the
    same user on the same machine the one of its state folder, when it asks for one. timeout_s is for each answer, waiting
    included. `ca` is a file of certificates to trust beside the system's
    (else TENSORD_CA), `context` an SSLContext. Nothing is sent yet.
    """
    return Server(url, token, timeout_s=timeout_s, retries=retries, ca=ca, context=context)
