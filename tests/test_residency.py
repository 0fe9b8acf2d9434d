"""More models than memory has room for: whoever is asked for comes, the least valuable leaves, and nothing fails."""
import concurrent.futures
import json

import pytest

from support import residency
from support.processes import until
from support.python_models import needs_python, write_python
from support.residency import name_of
from support.server import is_sanitized

PAD_MIB = 24
PATIENCE_S = 120
FEW_MIB = 190  # three of the padded models, and what one more takes while it loads

needs_real_sizes = pytest.mark.skipif(is_sanitized(), reason="a sanitizer's workers take more memory")


def ask(server, number, timeout_s=PATIENCE_S):
    data = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    return server.infer(name_of(number), data, timeout_s=timeout_s)


def states(server):
    """What is served: {name: what is said of it}."""
    return {row["name"]: row for row in server.get("/tensord/v1/models")["models"]}


def wait_settled(server, count):
    """Until each model has been loaded, or looked at."""
    def settled():
        found = states(server)
        return len(found) == count and all(row["state"] in ("ready", "asleep", "failed") for row in found.values())

    until(settled, PATIENCE_S, "the models")
    return server


@pytest.fixture
def serve(server, tmp_path):
    """serve(count, "--memory-budget-mib", …) serves so many padded models, and traces what is decided."""
    def start(count, *arguments, configs=None):
        folder = tmp_path / "models"
        residency.fill(folder, count, PAD_MIB)
        for number, text in (configs or {}).items():
            (folder / name_of(number)).mkdir()
            (folder / f"{name_of(number)}.onnx").rename(folder / name_of(number) / "model.onnx")
            (folder / name_of(number) / "model.yaml").write_text(text)
        return wait_settled(server(folder, "--residency-trace", tmp_path / "trace", *arguments), count)

    return start


@needs_real_sizes
def test_nothing_fails_within_the_budget_and_what_was_decided_is_decided_again(serve, tmp_path):
    server = serve(8, "--memory-budget-mib", FEW_MIB)
    with residency.Watch(server) as watch:
        crowd = residency.Crowd(server, 8, 100).run()
    assert crowd.failures == []
    assert 0 < watch.most <= FEW_MIB * residency.MIB
    counted = residency.counters(server)
    assert counted["evictions"] > 3
    server.stop()
    again = residency.replay(tmp_path / "trace")
    assert again["requests"] == 100
    assert (again["loads"], again["evictions"]) == (counted["loads"], counted["evictions"])


@needs_real_sizes
def test_a_thundering_herd_causes_one_load(serve):
    server = serve(5, "--memory-budget-mib", FEW_MIB)
    asleep = next(int(name[1:]) for name, row in states(server).items() if row["state"] == "asleep")
    loads = residency.counters(server)["loads"]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(server, asleep), range(16)))
    assert all(status == 200 for status, _ in answers)
    assert residency.counters(server)["loads"] == loads + 1


@needs_real_sizes
def test_what_is_pinned_stays_and_what_cannot_fit_is_refused_with_the_arithmetic(serve):
    server = serve(4, "--memory-budget-mib", FEW_MIB,
                   configs={0: "residency: {pin: true}", 1: "residency: {memory_mib: 180}"})
    assert ask(server, 0)[0] == 200
    status, body = ask(server, 1)
    assert status == 503
    assert "it needs 180 MiB (as its config says)" in body["error"] and "'m00' (pinned)" in body["error"], body
    assert f"the budget of {FEW_MIB} MiB (--memory-budget-mib)" in body["error"]
    index = json.loads(server.fetch("/v2/repository/index", {})[2])
    assert "it needs 180 MiB" in next(row["reason"] for row in index if row["name"] == "m01")
    for number in (2, 3, 2, 3):
        assert ask(server, number)[0] == 200
    assert states(server)["m00"]["state"] == "ready"


def test_an_idle_model_leaves_and_the_next_request_wakes_it(serve):
    server = serve(1, configs={0: "residency: {idle_after_s: 1}"})
    until(lambda: states(server)["m00"]["workers"] == 0, PATIENCE_S, "its worker's end")
    row = states(server)["m00"]
    assert row["state"] == "asleep" and "nobody used it" in row["reason"]
    assert server.fetch("/v2/models/m00/ready")[0] == 200
    assert server.fetch("/v2/models/m00")[0] == 200
    assert ask(server, 0) == (200, {"model_name": "m00", "model_version": "1", "outputs": [
        {"name": "Y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})


@needs_real_sizes
def test_a_load_may_be_a_hint(serve):
    server = serve(5, "--memory-budget-mib", FEW_MIB)
    asleep = next(name for name, row in states(server).items() if row["state"] == "asleep")
    assert server.fetch(f"/v2/repository/models/{asleep}/load", {"wait": False})[0] == 200
    until(lambda: states(server)[asleep]["state"] == "ready", PATIENCE_S, f"'{asleep}' ready")
    other = next(name for name, row in states(server).items() if row["state"] == "asleep")
    assert server.fetch(f"/v2/repository/models/{other}/load", {}, timeout_s=PATIENCE_S)[0] == 200
    assert states(server)[other]["state"] == "ready"
    assert server.fetch(f"/v2/repository/models/{other}/load", {"wait": "no"})[0] == 400


def test_what_was_measured_is_known_after_a_restart(server, tmp_path):
    folder = residency.fill(tmp_path / "models", 1, PAD_MIB)
    state, traces = tmp_path / "state", [tmp_path / "first", tmp_path / "second"]
    for trace in traces:
        wait_settled(server(folder, "--state-dir", state, "--residency-trace", trace), 1).stop()
    first, second = ([line.split() for line in trace.read_text().splitlines()] for trace in traces)
    loaded = next(line[3:] for line in first if line[1] == "loaded")
    figures = next(line[9:] for line in second if line[1] == "add")
    assert int(figures[2]) >= int(loaded[0]) > PAD_MIB * residency.MIB and int(figures[4]) > 0


STREAM = """
    import time
    from collections.abc import Iterator

    def predict(n: int, wait_ms: int) -> Iterator[int]:
        for i in range(n):
            yield i
            time.sleep(wait_ms / 1000)
"""


@needs_python
@needs_real_sizes
def test_a_stream_is_not_hurt_by_those_that_want_its_room(server, tmp_path):
    folder = tmp_path / "models"
    residency.fill(folder, 2, PAD_MIB)
    write_python(folder, "count", STREAM)
    running = server(folder, "--memory-budget-mib", 130)
    wait_settled(running, 3)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stream = pool.submit(running.fetch, "/v2/models/count/generate_stream", {"n": 30, "wait_ms": 200},
                             timeout_s=PATIENCE_S)
        until(lambda: states(running)["count"]["requests_running"], PATIENCE_S, "the stream")
        assert ask(running, 0)[0] == 200
        assert ask(running, 1)[0] == 200
        status, _, body = stream.result()
    assert status == 200 and body.count(b"data:") == 30
