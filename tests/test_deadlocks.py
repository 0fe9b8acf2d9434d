"""Requests that call other models, and keep what those need: none waits for ever, and who need not fail does not."""
import threading

import pytest

from support.processes import until
from support.repositories import write_config
from support.server import is_sanitized

TIMEOUT_S = 60
MIB = 1 << 20
MEET_MS = 2000  # requests that are sent together are with their workers by then


def body(**parameters):
    return {"parameters": parameters, "inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [1, 1], "data": [5]}]}


@pytest.fixture
def chaos(server, tmp_path):
    """chaos({name: config}, …) serves chaos models that run one request at a time in each worker."""
    def start(configs, *arguments):
        folder = tmp_path / "models"
        for name, config in configs.items():
            write_config(folder, name, backend="chaos", parameters={"batching": {"string_value": "no"}}, **config)
        return server(folder, *arguments)

    return start


class Calls:
    """Requests that are under way together, each of which calls another model."""

    def __init__(self, server, pairs, meet_ms=MEET_MS):
        self.server, self.answers, self.wait_ms = server, [], meet_ms if len(pairs) > 1 else 0
        self.threads = [threading.Thread(target=self.ask, args=pair) for pair in pairs]
        for thread in self.threads:
            thread.start()

    def ask(self, model, other):
        self.answers.append(self.server.infer(model, body(wait_ms=self.wait_ms, call=other), timeout_s=TIMEOUT_S))

    def join(self):
        for thread in self.threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
        return sorted(status for status, _ in self.answers)

    def errors(self):
        return [answer["error"] for status, answer in self.answers if status != 200]


@pytest.mark.parametrize("before", [0, 200], ids=["at first", "when requests are sent ahead"])
def test_of_two_models_that_call_each_other_one_call_fails(chaos, before):
    server = chaos({"a": {}, "b": {}})
    for model in "ab":
        server.wait_ready(model)
        for _ in range(before):  # they are known to be fast
            assert server.infer(model, body())[0] == 200
    calls = Calls(server, [("a", "b"), ("b", "a")])
    assert calls.join() == [200, 503]
    assert "wait for each other" in calls.errors()[0]
    assert Calls(server, [("a", "b")]).join() == [200]


def test_with_workers_enough_none_fails(chaos):
    server = chaos({"a": {"workers": 2}, "b": {"workers": 2}})
    until(lambda: [row["workers_ready"] for row in server.get("/tensord/v1/models")["models"]] == [2, 2], TIMEOUT_S,
          "all workers")
    assert Calls(server, [("a", "b"), ("b", "a")]).join() == [200, 200]


def test_in_a_crowd_each_is_answered(chaos):
    server = chaos({name: {"workers": 2} for name in "abc"})
    for model in "abc":
        server.wait_ready(model)
    calls = Calls(server, [pair for pair in ("ab", "bc", "ca", "ba", "cb", "ac") for _ in range(4)], meet_ms=500)
    assert {200} <= set(calls.join()) <= {200, 503}
    assert all("wait for each other" in error for error in calls.errors())


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's workers take more memory")
def test_a_model_without_room_beside_its_caller_is_refused(chaos):
    server = chaos({"a": {}, "b": {}}, "--memory-budget-mib", 60, "--load", "lazy")
    for model in "ab":
        server.wait_ready(model)
        assert server.infer(model, body(leak=40 * MIB))[0] == 200
        until(lambda model=model: needs_mib(server, model) >= 40, TIMEOUT_S, "what it takes to be seen")
    calls = Calls(server, [("a", "b")])
    assert calls.join() == [503]
    assert "no room in memory for model 'b' beside those" in calls.errors()[0]
    assert server.infer("b", body(), timeout_s=TIMEOUT_S)[0] == 200  # it makes room now


def needs_mib(server, model):
    """What the model is known to take of memory, as of its last request."""
    assert server.infer(model, body())[0] == 200
    [row] = [row for row in server.get("/tensord/v1/models")["models"] if row["name"] == model]
    return row["memory_bytes"] // MIB


def test_a_resource_that_the_caller_has_does_not_come(chaos):
    needs = {"instance_group": [{"rate_limiter": {"resources": [{"name": "R", "count": 1}]}}]}
    server = chaos({"a": needs, "b": needs})
    for model in "ab":
        server.wait_ready(model)
    calls = Calls(server, [("a", "b")])
    assert calls.join() == [503]
    assert "wait for each other" in calls.errors()[0]
    assert server.infer("b", body())[0] == 200
