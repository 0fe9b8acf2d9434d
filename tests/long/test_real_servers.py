"""Managed servers that are real: BentoML and Ray Serve, each in an environment of its own, from the index."""
import json

import pytest
from support.managed import path_of, write_server
from support.processes import cmdline, outlasting, until
from support.python_models import needs_python

pytestmark = needs_python
BUILD_S = 600

BENTO = """
    import bentoml
    import numpy as np

    @bentoml.service
    class Summer:
        @bentoml.api
        def total(self, numbers: list[float]) -> float:
            return float(np.sum(numbers))

        @bentoml.api
        def count(self, upto: int):
            for i in range(upto):
                yield f"{i}\\n"
"""

RAY = """
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    from ray import serve

    api = FastAPI()

    @serve.deployment(num_replicas=2)
    @serve.ingress(api)
    class Greeter:
        @api.get("/greet/{name}")
        def greet(self, name: str):
            return f"hello {name}"

        @api.get("/count")
        def count(self, upto: int):
            return StreamingResponse((f"{i}\\n" for i in range(upto)), media_type="text/plain")

    app = Greeter.bind()
"""


def ask(server, name, path, data=None):
    status, _, body = server.fetch(path_of(name, path), data, headers={"Content-Type": "application/json"}, timeout_s=120)
    assert status == 200, (status, body)
    return body


def processes(server, words):
    return [child for child in server.descendants() if words in " ".join(cmdline(child))]


@pytest.mark.parametrize("idle_after_s", [0, 1])
def test_bentoml(server, tmp_path, idle_after_s):
    write_server(tmp_path, "summer", "bentoml serve service:Summer --host 127.0.0.1 --port {port}", app=None,
                 health="/readyz", idle_after_s=idle_after_s,
                 files={"service.py": BENTO, "requirements.txt": "bentoml==1.4.40\nnumpy\n"})
    served = server(tmp_path).wait_ready("summer", BUILD_S)
    if idle_after_s:
        until(lambda: served.get("/tensord/v1/models")["models"][0]["state"] == "asleep", 60, "asleep")
    assert json.loads(ask(served, "summer", "/total", {"numbers": [1, 2, 3.5]})) == 6.5
    assert ask(served, "summer", "/count", {"upto": 5}).split() == [b"0", b"1", b"2", b"3", b"4"]


def test_ray_serve(server, tmp_path):
    """Its many processes have a network of their own, and all end with it."""
    write_server(tmp_path, "greeter", "serve run app:app", app=RAY, port=8000, health="/-/healthz",
                 environment={"RAY_USAGE_STATS_ENABLED": "0"}, files={"requirements.txt": "ray[serve]==2.60.0\n"})
    served = server(tmp_path).wait_ready("greeter", BUILD_S)
    until(lambda: served.fetch(path_of("greeter", "/greet/x"), timeout_s=60)[0] == 200, 120, "its app")
    assert json.loads(ask(served, "greeter", "/greet/you")) == "hello you"
    assert ask(served, "greeter", "/count?upto=5").split() == [b"0", b"1", b"2", b"3", b"4"]
    running = processes(served, "/ray/")
    assert any("raylet" in " ".join(cmdline(child)) for child in running)
    assert served.fetch("/v2/repository/models/greeter/unload", {}, method="POST")[0] == 200
    assert not outlasting(running, 60)
