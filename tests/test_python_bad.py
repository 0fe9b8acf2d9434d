"""Models in Python that misbehave: each is told so, to the one who caused it, and the server goes on."""
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python
from support.server import Server, binary, fetch, inherited

pytestmark = needs_python

BAD = """
    import ctypes, os, sys, threading, time
    import numpy as np
    from typing import Annotated
    import tensord

    kept = []

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("not even that")

    def deep(n):
        return 1 / 0 if n == 0 else deep(n - 1)

    def predict(how: str, request: tensord.Request) -> Annotated[np.ndarray, "FP32", (-1, 2)]:
        good = np.ones((1, 2), np.float32)
        if how == "raise":
            deep(2)
        if how == "odd":
            raise Odd()
        if how == "refuse":
            raise tensord.BadRequest("not like that")
        if how == "later":
            raise tensord.Unavailable("not now")
        if how == "exit":
            sys.exit(3)
        if how == "end":
            os._exit(3)
        if how == "crash":
            ctypes.string_at(1)
        if how == "none":
            return None
        if how == "shape":
            return np.ones((2, 3), np.float32)
        if how == "type":
            return np.array([["a", "b"]])
        if how == "object":
            return object()
        if how == "fork":
            os.fork()
        if how == "execute":
            os.execv("/bin/true", ["true"])
        if how == "socket":
            import socket
            socket.create_connection(("127.0.0.1", 1))
        if how == "outside":
            open("/var/tmp/outside-of-its-scratch", "w")
        if how == "secret":
            open(os.path.join(request.parameters["folder"], "admin-token")).read()
        if how == "change":
            open(__file__, "a")
        if how == "signal":
            os.kill(os.getppid(), 9)
        if how == "scratch":
            import shutil, tempfile
            with tempfile.TemporaryDirectory() as folder:
                with open(folder + "/a", "w") as file:
                    file.write("x" * 100000)
                os.rename(folder + "/a", folder + "/b")
            assert os.environ["HOME"] == os.environ["TMPDIR"]
            open(os.environ["TMPDIR"] + "/left", "w").close()
        if how == "print":
            line = "x" * 100 + "\\n"
            for _ in range(100000):
                sys.stdout.write(line)
            os.write(1, b"y" * 1000000)
        if how == "say":
            print("hello from the model")
            os.system if False else os.write(2, b"and from below\\n")
        if how == "leak":
            kept.append(np.ones(1 << 22, np.float32))
        if how == "threads":
            for _ in range(50):
                threading.Thread(target=time.sleep, args=(0.1,)).start()
        if how == "wait":
            print("has begun to wait")
            while not request.cancelled():
                time.sleep(0.005)
            print("has heard that it was cancelled")
        if how == "recurse":
            def forever(): return forever()
            forever()
        return good
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_python(folder, "bad", BAD)
    write_python(folder, "good", "def predict(x: int) -> int:\n    return x + 1\n")
    write_python(folder, "slow", """
        import asyncio

        async def predict(seconds: float) -> str:
            print("the task sleeps")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                print("the task was cancelled")
                raise
            return "slept"
    """)
    write_python(folder, "meeting", """
        import asyncio

        here = 0

        async def predict(count: int) -> str:
            global here
            here += 1
            while here < count:
                await asyncio.sleep(0.005)
            return "all are here"
    """)
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in ("bad", "good", "slow", "meeting"):
        started.wait_ready(name)
    yield started
    started.stop()


def bad(served, how, **parameters):
    return ask(served, "bad", tensor("how", "BYTES", [1], [how]), **parameters)


def check_others(served):
    assert ask(served, "good", tensor("x", "INT64", [1], [1]))[1]["output"]["data"] == [2]


def log(served):
    return served.err.text() + served.out.text()


@pytest.mark.parametrize("how, status, sentence", [
    ("raise", 500, "ZeroDivisionError: division by zero"),
    ("odd", 500, "Odd"),
    ("refuse", 400, "BadRequest: not like that"),
    ("later", 503, "Unavailable: not now"),
    ("exit", 500, "SystemExit: 3"),
    ("none", 500, "output 'output' is"),
    ("shape", 500, "output 'output' has the shape [2, 3], the model declares [-1, 2]"),
    ("type", 500, "output 'output' is FP32; the model gave"),
    ("object", 500, "output 'output' is FP32"),
    ("recurse", 500, "RecursionError"),
])
def test_errors_say_what_and_why(served, how, status, sentence):
    got, error = bad(served, how)
    assert got == status and sentence in error, error
    assert bad(served, "nothing")[0] == 200  # the same worker goes on
    check_others(served)


@pytest.mark.parametrize("how, error", [
    ("fork", "PermissionError"), ("execute", "PermissionError"), ("socket", "PermissionError"), ("outside", "PermissionError"),
    ("secret", "PermissionError"), ("change", "PermissionError"), ("signal", "PermissionError"),
])
def test_what_a_model_may_not_do(served, how, error):
    status, sentence = bad(served, how, folder=str(served.state_dir))
    assert status == 500 and any(one in sentence for one in (error, "FileNotFoundError", "Read-only")), sentence
    assert not os.path.exists("/var/tmp/outside-of-its-scratch")
    check_others(served)


def test_the_traceback_is_in_the_log_and_for_who_asks(served):
    status, error = bad(served, "raise", traceback=True)
    assert status == 500 and "model.py:" in error and "in deep: return 1 / 0" in error
    until(lambda: "ZeroDivisionError: division by zero" in log(served) and "in deep" in log(served), 60, "the traceback")
    assert "model.py" not in bad(served, "raise")[1]


@pytest.mark.parametrize("how, sentence", [("end", "exited with status 3"), ("crash", "killed by signal 11")])
def test_a_worker_that_ends_is_replaced(served, how, sentence):
    status, error = bad(served, how)
    assert status == 503 and sentence in error and "may be sent again" in error, error
    check_others(served)
    until(lambda: bad(served, "nothing")[0] == 200, 30, "the next worker")


def test_what_it_prints_is_logged(served):
    assert bad(served, "say")[0] == 200
    until(lambda: "hello from the model" in log(served) and "and from below" in log(served), 60, "the lines")


def test_a_flood_of_lines_is_bounded(served):
    before = len(log(served))
    assert bad(served, "print")[0] == 200
    check_others(served)
    assert len(log(served)) - before < 1 << 20


def test_a_scratch_folder_of_its_own(served):
    status, outputs = bad(served, "scratch")
    assert status == 200, outputs


def test_threads_and_leaks_end_with_the_worker(served):
    assert bad(served, "threads")[0] == 200
    for _ in range(5):
        assert bad(served, "leak")[0] == 200
    bad(served, "end")
    until(lambda: bad(served, "nothing")[0] == 200, 30, "the next worker")
    workers = served.workers("bad")
    assert len(workers) == 1 and psutil.Process(workers[0].pid).memory_info().rss < 120 << 20


def test_a_client_that_goes_cancels(served):
    def leave(model, given, begun):
        import http.client

        connection = http.client.HTTPConnection(*served.address, timeout=60)
        connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": [given]}),
                           {"Authorization": f"Bearer {served.admin_token}"})
        until(lambda: begun in log(served), 60, "it to begin")
        connection.close()

    leave("bad", tensor("how", "BYTES", [1], ["wait"]), "has begun to wait")
    leave("slow", tensor("seconds", "FP64", [1], [600]), "the task sleeps")
    until(lambda: "has heard that it was cancelled" in log(served) and "the task was cancelled" in log(served), 60, "both to end")
    assert bad(served, "nothing")[0] == 200


def test_async_calls_run_at_once(served):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(served, "meeting", tensor("count", "INT64", [1], [8])), range(8)))
    assert [(status, outputs["output"]["data"]) for status, outputs in answers] == [(200, ["all are here"])] * 8


CALLERS = {
    "caller": """
        import tensord

        def predict(x: int) -> int:
            return int(tensord.call_sync("good", x=x)[0]) * 10
    """,
    "later": """
        import asyncio
        import tensord

        async def predict(x: int) -> list[int]:
            return [int(one[0]) for one in await asyncio.gather(*[tensord.call("good", x=x + i) for i in range(4)])]
    """,
    "lost": """
        import tensord

        def predict(x: int) -> int:
            return tensord.call_sync("nobody", x=x)
    """,
    "again": """
        import tensord

        def predict(x: int) -> int:
            return int(tensord.call_sync("again", x=x + 1)[0])
    """,
    "myself": """
        import tensord

        async def predict(x: int) -> int:
            return int((await tensord.call("myself", x=x + 1))[0])
    """,
}


def test_calls_of_other_models(server, tmp_path):
    write_python(tmp_path, "good", "def predict(x: int) -> int:\n    return x + 1\n")
    for name, code in CALLERS.items():
        write_python(tmp_path, name, code)
    started = server(tmp_path)
    for name in ("good", *CALLERS):
        started.wait_ready(name)
    given = tensor("x", "INT64", [1], [1])
    assert ask(started, "caller", given)[1]["output"]["data"] == [20]
    assert ask(started, "later", given)[1]["output"]["data"] == [2, 3, 4, 5]
    status, error = ask(started, "lost", given)
    assert status == 500 and "CallFailed: model 'nobody'" in error
    status, error = ask(started, "myself", given)
    assert status == 500 and "CallFailed: model 'myself'" in error  # the depth is limited
    status, error = ask(started, "again", given)  # one call at a time: it would wait for itself
    assert status == 500 and "in a circle" in error


def reason(started, name):
    rows = json.loads(started.fetch("/v2/repository/index", method="POST", data=b"{}")[2])
    return next((row.get("reason", "") for row in rows if row["name"] == name), "")


@pytest.mark.parametrize("name, code, expected", [
    ("raises", "print('before')\nraise ValueError('at import')", "ValueError: at import"),
    ("exits", "import os\nos._exit(7)", "exited with status 7"),
    ("leaves", "import sys\nsys.exit('done')", "SystemExit: done"),
    ("hangs", "import time\ntime.sleep(1000)", "it has not loaded within 6000 ms"),
    ("forks", "import os\nos.fork()", "PermissionError"),
    ("init", "class Model:\n    def __init__(self): raise KeyError('weights')\n    def predict(self, x: int) -> int: return x",
     "KeyError: 'weights'"),
])
def test_a_model_that_does_not_load(server, tmp_path, name, code, expected):
    write_python(tmp_path, name, code)
    write_python(tmp_path, "good", "def predict(x: int) -> int:\n    return x + 1\n")
    started = server(tmp_path, "--load-timeout-ms", "6000" if name == "hangs" else "60000").wait_ready("good")
    until(lambda: expected in reason(started, name), 60, f"{expected!r}")
    status, headers, body = started.fetch(f"/v2/models/{name}/infer", {"inputs": [tensor("x", "INT64", [1], [1])]})
    assert status == 503 and expected in body.decode() and "Retry-After" not in headers  # clients say so at once
    check_others(started)


def test_what_the_code_gets_wrong_is_not_tried_again(server, tmp_path):
    write_python(tmp_path, "wrong", "def predict(x: int) -> int\n    return x\n")
    write_python(tmp_path, "busy", "raise RuntimeError('the device is full')\n")
    started = server(tmp_path)
    states = lambda: {row["name"]: row["state"] for row in json.loads(  # noqa: E731
        started.fetch("/v2/repository/index", b"{}", method="POST")[2])}
    until(lambda: set(states().values()) == {"UNAVAILABLE"}, 60, "both to be given up")
    until(lambda: started.err.text().count("RuntimeError: the device is full") > 2, 60, "the log")
    log = started.err.text()
    assert log.count("def predict(x: int) -> int") == 1
    assert "bridge.py" not in log and "importlib" not in log  # what is shown is the model's own


def scratch(started, folder):
    """(The worker of the model "one", its folder as others see it): in a cage the worker calls its own folder /tmp."""
    [worker] = started.workers("one")
    return worker, Path(f"/proc/{worker.pid}/root{folder}") if folder == "/tmp" else Path(folder)


def test_scratch_folders_go(server, tmp_path):
    write_python(tmp_path, "one", """
        import os

        def predict(x: int) -> str:
            open(os.environ["TMPDIR"] + "/file", "w").close()
            return os.environ["TMPDIR"]
    """)
    started = server(tmp_path).wait_ready("one")
    folder = ask(started, "one", tensor("x", "INT64", [1], [1]))[1]["output"]["data"][0]
    worker, here = scratch(started, folder)
    assert (here / "file").exists() and not os.path.exists("/tmp/file")
    worker.kill()
    until(lambda: not here.exists(), 60, "the folder to go")
    until(lambda: ask(started, "one", tensor("x", "INT64", [1], [1]))[0] == 200, 30, "the next worker")
    started.stop()
    assert not list(Path("/tmp").glob(f"tensord-*-{started.pid}"))


def test_scratch_folders_of_a_server_that_was_killed_go_with_the_next(server, tmp_path):
    write_python(tmp_path / "models", "one", "def predict(x: int) -> int:\n    return x\n")
    (tmp_path / "killed").mkdir()
    living = server(tmp_path / "models", "--sandbox", "off").wait_ready("one")  # so that folders lie on the disk
    killed = Server(tmp_path / "models", "--sandbox", "off", state=tmp_path / "killed").wait_ready("one")
    [left] = Path("/tmp").glob(f"tensord-*-{killed.pid}")
    (left / "file").write_text("x")
    (left / "link").symlink_to(tmp_path)
    killed.kill()  # it leaves them; any server of the machine that starts now may be the next
    server(tmp_path / "models").wait_ready("one")
    until(lambda: not left.exists(), 30, "what was left to go")
    assert list(Path("/tmp").glob(f"tensord-*-{living.pid}")) and (tmp_path / "models").exists()


def test_scratch_folders_go_after_an_upgrade_too(server, tmp_path):
    write_python(tmp_path / "models", "one", """
        import os

        def predict(x: int) -> str:
            return os.environ["TMPDIR"]
    """)
    started = server(tmp_path / "models").wait_ready("one")
    folder = ask(started, "one", tensor("x", "INT64", [1], [1]))[1]["output"]["data"][0]
    _, here = scratch(started, folder)
    assert here.exists()
    started.process.send_signal(signal.SIGUSR2)
    assert started.err.wait_for("upgraded", 120), started.err.text()
    until(lambda: not here.exists(), 60, "the folder of the older worker to go")
    assert ask(started, "one", tensor("x", "INT64", [1], [1]))[0] == 200


def test_a_server_whose_log_is_a_file(tmp_path):
    """A worker's descriptors are pipes, whatever the server's own are."""
    folder = tmp_path / "models"
    write_python(folder, "good", "def predict(x: int) -> int:\n    print('computing')\n    return x + 1\n")
    out = tmp_path / "log"
    with open(out, "w") as log:
        process = subprocess.Popen([binary(), "serve", str(folder), "--port", "0", "--grpc-port", "0", "--metrics-port", "0",
                                    "--python", sys.executable], stdout=log, stderr=log, env={**inherited(), "XDG_STATE_HOME": str(tmp_path)})
    try:
        found = until(lambda: re.search(r"listening on (http\S+)", out.read_text()), 30, "the address")
        until(lambda: fetch(f"{found[1]}/v2/models/good/ready")[0] == 200, 60, f"'good' ready; {out.read_text()}")
        body = {"inputs": [tensor("x", "INT64", [1], [1])]}
        assert fetch(f"{found[1]}/v2/models/good/infer", body, method="POST")[0] == 200
        until(lambda: "computing" in out.read_text(), 60, "the line")
    finally:
        process.terminate()
        process.wait(30)
