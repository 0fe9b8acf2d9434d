"""Which version answers: canaries, sticky keys, roll-backs, shadows, and version_policy."""
import collections
import json
import os
import re
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import models
from support.processes import named, until
from support.python_models import needs_python
from support.repositories import index, request, settle, tensor_config
from support.server import ROOT, fetch, inherited

TIMEOUT_S = 60


def versions(folder, name, config=None, **made):
    """A model whose versions are ONNX models, by number as v1=…; or that answer a constant. Returns the model's folder."""
    model = folder / name
    for number, one in made.items():
        one = models.constant(one) if isinstance(one, (int, float)) else one
        models.save(one, model / number[1:] / "model.onnx")
    if config is not None:
        (model / "model.yaml").write_text(json.dumps(config))
    return settle(model)


def rewrite(model, config):
    """Replaces the config at once, as an editor does."""
    part = model.parent / "part"
    part.write_text(json.dumps(config))
    settle(part)
    os.replace(part, model / "model.yaml")


def wait_index(running, *wanted):
    until(lambda: all(index(running).get(one, {}).get("state") == "READY" for one in wanted), TIMEOUT_S,
          f"{wanted} to be ready: {index(running)}")
    return running


def rollout(running, model="m"):
    return running.get(f"/tensord/v1/models/{model}/rollout")


def put(running, weights, model="m"):
    status, _, body = running.fetch(f"/tensord/v1/models/{model}/rollout", {"weights": weights}, method="PUT")
    return status, json.loads(body)


BODY = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [0]}]}


def answered(running, model="m", **options):
    """The version that answered a request over REST."""
    status, body = running.infer(model, BODY, **options)
    assert status == 200, body
    return int(body["model_version"])


class Http:
    """tritonclient over HTTP: the version that answers."""

    def __init__(self, running):
        self.client = tritonclient.http.InferenceServerClient(running.netloc)

    def ask(self, model="m", headers=None, parameters=None, version=""):
        tensor = tritonclient.http.InferInput("X", [1], "FP32")
        tensor.set_data_from_numpy(np.zeros(1, np.float32))
        answer = self.client.infer(model, [tensor], headers=headers, parameters=parameters, model_version=version)
        return int(answer.get_response()["model_version"])


class Grpc:
    """The same over gRPC."""

    def __init__(self, running):
        self.client = tritonclient.grpc.InferenceServerClient(running.netloc)

    def ask(self, model="m", headers=None, parameters=None, version=""):
        tensor = tritonclient.grpc.InferInput("X", [1], "FP32")
        tensor.set_data_from_numpy(np.zeros(1, np.float32))
        answer = self.client.infer(model, [tensor], headers=headers, parameters=parameters, model_version=version)
        return int(answer.get_response().model_version)


CLIENTS = [Http, Grpc]


# ---- canaries ----


@pytest.mark.parametrize("client", CLIENTS)
def test_a_canary_gets_its_share_exactly(server, tmp_path, client):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 95, 2: 5}}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    asker = client(running)
    counts = collections.Counter(asker.ask() for _ in range(200))
    assert counts == {1: 190, 2: 10}
    assert asker.ask(version="2") == 2 and asker.ask(version="1") == 1  # who names one gets it
    assert running.get("/v2/models/m/config")["name"] == "m"
    shown = rollout(running)
    assert [(one["version"], one["weight"], one["share"], one["state"]) for one in shown["versions"]] == \
        [(1, 95, 0.95, "ready"), (2, 5, 0.05, "ready")]
    assert shown["from"] == "config" and shown["sticky"] is None and shown["shadow"] is None
    assert sum(one["requests"] for one in shown["versions"]) == 202


def test_without_a_rollout_the_newest_answers(server, tmp_path):
    versions(tmp_path / "models", "m", v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    assert {answered(running) for _ in range(10)} == {2}
    assert rollout(running)["from"] == "default"
    assert [one["share"] for one in rollout(running)["versions"]] == [0, 1]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_key_sticks_to_its_version(server, tmp_path, client):
    """A header's, or a parameter's; few keys move when a weight changes, and none that need not."""
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 50, 2: 50}, "sticky": "x-user"}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    asker = client(running)
    before = {key: asker.ask(headers={"x-user": key}) for key in map(str, range(200))}
    counts = collections.Counter(before.values())
    assert 100 - 45 < counts[1] < 100 + 45  # six standard deviations of a binomial
    for key in ("0", "1", "2", "3"):
        assert {asker.ask(headers={"x-user": key}) for _ in range(5)} == {before[key]}
        assert asker.ask(parameters={"x-user": key}) == before[key]
        assert asker.ask(parameters={"x-user": "else"}, headers={"x-user": key}) == before[key]  # the header counts
    put(running, {"1": 50, "2": 60})
    after = {key: asker.ask(headers={"x-user": key}) for key in before}
    moved = [key for key in before if before[key] != after[key]]
    assert len(moved) < 40 and all(after[key] == 2 for key in moved)
    assert {asker.ask() for _ in range(4)} == {1, 2}  # who has no key takes turns


def test_numbers_are_keys_as_their_text(server, tmp_path):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 50, 2: 50}, "sticky": "user"}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    http, rpc = Http(running), Grpc(running)
    for key in range(20):
        one = answered(running, headers={"User": str(key)})
        assert http.ask(parameters={"user": key}) == http.ask(parameters={"user": str(key)}) == one
        assert rpc.ask(parameters={"user": key}) == one


def test_streams_over_grpc_are_routed_too(server, tmp_path):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 3, 2: 1}}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[np.float32(0).tobytes()])
    message.inputs.add(name="X", datatype="FP32", shape=[1])
    with grpc.insecure_channel(running.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = list(stub.ModelStreamInfer(iter([message] * 40), timeout=TIMEOUT_S))
    assert collections.Counter(one.infer_response.model_version for one in answers) == {"1": 30, "2": 10}


PIPELINE = {"steps": [{"model": "m", "input": {"X": "X"}, "output": {"Y": "Y"}}],
            "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [1]}],
            "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [1]}]}


def test_steps_of_pipelines_are_routed_by_their_clients_key(server, tmp_path):
    folder = tmp_path / "models"
    versions(folder, "m", {"rollout": {"weights": {1: 50, 2: 50}, "sticky": "x-user"}}, v1=1, v2=2)
    (folder / "p").mkdir()
    (folder / "p/model.yaml").write_text(json.dumps(PIPELINE))
    settle(folder)
    running = wait_index(server(folder), ("m", "1"), ("m", "2"), ("p", "1"))

    def through(**options):
        status, body = running.infer("p", BODY, **options)
        assert status == 200, body
        return body["outputs"][0]["data"][0]

    for key in map(str, range(20)):
        assert through(headers={"x-user": key}) == answered(running, headers={"x-user": key})
    assert {through() for _ in range(4)} == {1, 2}


# ---- roll-backs ----


def worker_pids(running):
    return sorted(process.pid for process in named(running.pid, "worker"))


class Load:
    """Clients that ask without end, over both protocols; each answer's version, or its failure."""

    def __init__(self, running, count=4):
        self.stop, self.seen, self.failures = threading.Event(), collections.Counter(), []
        self.threads = [threading.Thread(target=self.ask, args=(CLIENTS[i % 2](running),)) for i in range(count)]

    def ask(self, client):
        while not self.stop.is_set():
            try:
                self.seen[client.ask()] += 1
            except Exception as error:  # whatever a client raises is a failure
                self.failures.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_a_roll_back_fails_no_request(server, tmp_path):
    """By the API and by the config, while clients ask without end; no version is loaded again."""
    model = versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 50, 2: 50}}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    workers = worker_pids(running)
    with Load(running) as load:
        until(lambda: load.seen[1] > 50 and load.seen[2] > 50, TIMEOUT_S)
        status, shown = put(running, {"1": 100})
        assert status == 200 and shown["from"] == "api", shown
        assert {answered(running) for _ in range(20)} == {1}
        rewrite(model, {"rollout": {"weights": {1: 0, 2: 1}}})
        until(lambda: rollout(running)["from"] == "config", TIMEOUT_S)
        assert {answered(running) for _ in range(20)} == {2}
        put(running, {"1": 1, "2": 1})
        for number in (1, 2):  # the other clients take turns, too
            until(lambda number=number: answered(running) == number, TIMEOUT_S)
        assert running.fetch("/tensord/v1/models/m/rollout", method="DELETE")[0] == 200
        assert {answered(running) for _ in range(20)} == {2}
    assert not load.failures, load.failures[:3]
    assert worker_pids(running) == workers


def test_a_mistake_in_the_config_that_is_taken_back_reloads_nothing(server, tmp_path):
    good = {"rollout": {"weights": {1: 1, 2: 1}}}
    model = versions(tmp_path / "models", "m", good, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    workers = worker_pids(running)
    rewrite(model, {"rollout": {"weights": {1: 0, 2: 0}}})
    until(lambda: "must have one above 0" in index(running)["m", "1"].get("reason", ""), TIMEOUT_S)
    assert {answered(running) for _ in range(4)} == {1, 2}  # as before
    rewrite(model, good)
    until(lambda: not index(running)["m", "1"].get("reason"), TIMEOUT_S)
    assert {answered(running) for _ in range(4)} == {1, 2}
    assert worker_pids(running) == workers


def test_a_canary_that_fails_or_goes_is_passed_over(server, tmp_path):
    folder = tmp_path / "models"
    model = versions(folder, "m", {"rollout": {"weights": {1: 1, 2: 1, 3: 1}}}, v1=1, v2=2,
                     v3=models.missing_operator())
    running = wait_index(server(folder), ("m", "1"), ("m", "2"))
    until(lambda: index(running)["m", "3"].get("state") == "UNAVAILABLE", TIMEOUT_S)
    assert collections.Counter(answered(running) for _ in range(10)) == {1: 5, 2: 5}
    states = {one["version"]: one["state"] for one in rollout(running)["versions"]}
    assert states == {1: "ready", 2: "ready", 3: "failed"}
    os.rename(model / "2", tmp_path / "2")
    until(lambda: ("m", "2") not in index(running), TIMEOUT_S)
    assert {answered(running) for _ in range(5)} == {1}
    assert running.err.wait_for("has a weight for version 2, which is not there", TIMEOUT_S)
    assert {one["version"]: one["state"] for one in rollout(running)["versions"]}[2] == "missing"
    os.rename(tmp_path / "2", model / "2")
    wait_index(running, ("m", "2"))
    until(lambda: {answered(running) for _ in range(2)} == {1, 2}, TIMEOUT_S)


def test_when_no_version_may_answer_it_is_said(server, tmp_path):
    """A weight of nothing but versions that are not there does not release another."""
    versions(tmp_path / "models", "m", {"rollout": {"weights": {7: 1}}}, v1=1)
    running = wait_index(server(tmp_path / "models"), ("m", "1"))
    status, body = running.infer("m", BODY)
    assert status == 503 and body["error"] == "model 'm' has no version that its rollout lets answer"
    assert running.fetch("/v2/models/m/versions/1/infer", BODY)[0] == 200


# ---- what is refused ----


@pytest.mark.parametrize("section, sentence", [
    ({"weights": {1: -1}}, "line 1: "),
    ({"weights": {1: 0}}, "must have one above 0"),
    ({"weights": {"one": 1}}, "line 1: "),
    ({"wieghts": {1: 1}}, "unknown key 'wieghts'; did you mean 'weights'?"),
    ({"shadow": {"version": 2, "share": 2}}, "'rollout.shadow.share' is above 0 and at most 1"),
])
def test_wrong_sections_fail_their_model(server, tmp_path, section, sentence):
    versions(tmp_path / "models", "m", {"rollout": section}, v1=1)
    running = server(tmp_path / "models")
    until(lambda: sentence in index(running).get(("m", "1"), {}).get("reason", ""), TIMEOUT_S, sentence)
    assert running.infer("m", BODY)[0] == 503


def test_a_version_has_no_rollout_of_its_own(server, tmp_path):
    model = versions(tmp_path / "models", "m", v1=1, v2=2)
    (model / "2/model.yaml").write_text(json.dumps({"rollout": {"weights": {2: 1}}}))
    settle(model)
    running = server(tmp_path / "models").wait_ready("m")
    until(lambda: "belongs into the config beside" in index(running)["m", "2"].get("reason", ""), TIMEOUT_S)


@pytest.mark.parametrize("body, sentence", [
    ({"weights": {"1": 1, "3": 1}}, "model 'm' has no version 3"),
    ({"weights": {"1": 0}}, "must have one above 0"),
    ({"weights": {}}, "'weights' must name a version"),
    ({"weights": {"1": -1}}, "at byte"),
    ({"weights": {"x": 1}}, "'x' is no version"),
    ({"weights": {"1": 2000000}}, "a weight is 0 to 1000000"),
    ({"wieghts": {"1": 1}}, "unknown key 'wieghts'"),
    ([], "at byte"),
])
def test_wrong_weights_are_refused_and_change_nothing(server, tmp_path, body, sentence):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 1}}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    status, _, answer = running.fetch("/tensord/v1/models/m/rollout", body, method="PUT")
    assert status == 400 and sentence in json.loads(answer)["error"], answer
    assert rollout(running)["from"] == "config" and answered(running) == 1


def test_who_may_not_deploy_may_look_and_not_set(server, tmp_path):
    """On loopback nobody needs a token to infer and to read."""
    versions(tmp_path / "models", "m", v1=1)
    running = server(tmp_path / "models").wait_ready("m")
    url = f"{running.url}/tensord/v1/models/m/rollout"
    assert fetch(url)[0] == 200
    assert fetch(url, {"weights": {"1": 1}}, "PUT")[0] == 401
    assert fetch(url, method="DELETE")[0] == 401
    assert running.fetch("/tensord/v1/models/none/rollout")[0] == 404


# ---- version_policy ----


@pytest.mark.parametrize("policy, served", [
    (None, {"1", "2", "10"}),
    ({"all": {}}, {"1", "2", "10"}),
    ({"latest": {"num_versions": 2}}, {"2", "10"}),
    ({"specific": {"versions": [1, 10]}}, {"1", "10"}),
])
def test_version_policy_chooses_what_is_served(server, tmp_path, policy, served):
    versions(tmp_path / "models", "m", policy and {"version_policy": policy}, v1=1, v2=2, v10=10)
    running = server(tmp_path / "models").wait_ready("m")
    assert {version for _, version in index(running)} == served
    config = Grpc(running).client.get_model_config("m").config
    assert json_format.ParseDict(policy or {"all": {}}, type(config.version_policy)()) == config.version_policy


def test_a_version_that_the_policy_names_and_that_is_not_there_is_told(server, tmp_path):
    versions(tmp_path / "models", "m", {"version_policy": {"specific": {"versions": [1, 7]}}}, v1=1)
    running = wait_index(server(tmp_path / "models"), ("m", "1"))
    assert "names this version, which is not there" in index(running)["m", "7"]["reason"]
    assert answered(running) == 1


def test_a_version_that_the_policy_leaves_out_goes_without_a_failure(server, tmp_path):
    """The newest of two; then a third comes."""
    folder = tmp_path / "models"
    model = versions(folder, "m", {"version_policy": {"latest": {"num_versions": 1}}}, v1=1, v2=2)
    running = wait_index(server(folder), ("m", "2"))
    with Load(running, 2) as load:
        until(lambda: load.seen[2] > 20, TIMEOUT_S)
        versions(tmp_path / "apart", "m", v3=3)
        os.rename(tmp_path / "apart/m/3", model / "3")
        until(lambda: load.seen[3] > 20, TIMEOUT_S)
    assert not load.failures, load.failures[:3]
    until(lambda: {version for _, version in index(running)} == {"3"}, TIMEOUT_S)


# ---- the command ----


def test_the_command_shows_and_sets(server, tmp_path):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 3, 2: 1}, "sticky": "x-user"}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))

    def command(*arguments):
        environment = {**inherited(), "PYTHONPATH": str(ROOT / "python"), "TENSORD_URL": running.url,
                       "TENSORD_TOKEN": running.admin_token}
        return subprocess.run([sys.executable, "-m", "tensord", "rollout", *arguments], capture_output=True, text=True,
                              env=environment, timeout=TIMEOUT_S, check=False)

    shown = command("m").stdout
    assert re.search(r"^ *1 +3 +75 % +ready", shown, re.MULTILINE) and "sticky by x-user" in shown, shown
    assert json.loads(command("m", "2=1", "--json").stdout)["from"] == "api"
    assert {answered(running) for _ in range(5)} == {2}
    assert "as the model's config says" in command("m", "--reset").stdout
    assert {answered(running) for _ in range(4)} == {1, 2}
    for wrong, status, sentence in [(["m", "9=1"], 1, "has no version 9"), (["m", "x"], 2, "is not VERSION=WEIGHT"),
                                    (["m", "1=1", "1=2"], 2, "given twice"), (["none"], 1, "is not found"),
                                    (["m", "1=0"], 1, "must have one above 0")]:
        ended = command(*wrong)
        assert ended.returncode == status and sentence in ended.stderr, ended.stderr


# ---- shadows ----


def diff(running, model="m"):
    return running.get(f"/tensord/v1/models/{model}/diff")


def wait_diff(running, good, model="m"):
    """The report, once it is as wanted: copies are compared after the client has its answer."""
    until(lambda: good(diff(running, model)), TIMEOUT_S, lambda: str(diff(running, model)))
    return diff(running, model)


def counted(running, outcome, version, model="m"):
    page = running.fetch("/metrics")[2].decode()
    [found] = re.findall(rf'^tensord_shadow_requests_total{{model="{model}",version="{version}",outcome="{outcome}"}} (\d+)', page,
                         re.MULTILINE)
    return int(found)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_shadow_shows_a_planted_difference(server, tmp_path, client):
    versions(tmp_path / "models", "m", {"rollout": {"shadow": 2}}, v1=1, v2=1.5)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    asker = client(running)
    assert {asker.ask() for _ in range(20)} == {1}  # the newest is not asked, as it is the shadow
    shown = wait_diff(running, lambda now: now["different"] == 20)
    [tensor] = shown["tensors"]
    assert tensor == {"name": "Y", "datatype": "FP32", "answers": 20, "different": 20, "incomparable": 0, "elements": 20,
                      "unequal": 20, "max_absolute": 0.5, "max_relative": pytest.approx(1 / 3)}
    assert (shown["version"], shown["copied"], shown["equal"]) == (2, 20, 0)
    for side in ("primary", "shadow"):
        assert (shown[side]["answered"], shown[side]["failed"]) == (20, 0)
        assert 0 < shown[side]["p50_ms"] <= shown[side]["p99_ms"]
    assert counted(running, "different", 2) == 20 and counted(running, "equal", 2) == 0
    page = running.fetch("/metrics")[2].decode()
    assert 'tensord_shadow_relative_difference_bucket{model="m",version="2",le="0.1"} 0' in page
    assert 'tensord_shadow_relative_difference_bucket{model="m",version="2",le="1.0"} 20' in page
    assert asker.ask(version="1") == 1 and asker.ask(version="2") == 2  # who names a version is nobody's shadow
    asker.ask()
    assert wait_diff(running, lambda now: now["different"] == 21)["copied"] == 21


def test_a_shadow_that_answers_alike_is_equal(server, tmp_path):
    """Each datatype, texts among them, as the client has asked: with parameters, for one of the outputs."""
    shape = ("batch", 2)
    versions(tmp_path / "models", "m", {"rollout": {"shadow": 2}}, v1=models.all_datatypes(shape),
             v2=models.all_datatypes(shape))
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    values = {"BOOL": [True, False], "BYTES": ["a", "bc"]}
    inputs = [{"name": f"in_{name}", "datatype": name, "shape": [1, 2], "data": values.get(name, [1, 2])}
              for name in models.DATATYPES]
    assert running.infer("m", {"id": "x", "parameters": {"a": "b"}, "inputs": inputs})[0] == 200
    shown = wait_diff(running, lambda now: now["equal"] + now["different"] == 1)
    assert shown["equal"] == 1 and len(shown["tensors"]) == len(models.DATATYPES), shown
    assert running.infer("m", {"inputs": inputs, "outputs": [{"name": "out_BYTES"}]})[0] == 200
    shown = wait_diff(running, lambda now: now["equal"] == 2)
    assert {tensor["name"]: tensor["answers"] for tensor in shown["tensors"]}["out_BYTES"] == 2
    assert sum(tensor["answers"] for tensor in shown["tensors"]) == len(models.DATATYPES) + 1


def test_a_share_of_the_requests_is_copied(server, tmp_path):
    config = {"rollout": {"weights": {1: 1}, "shadow": {"version": 2, "share": 0.1}}}
    versions(tmp_path / "models", "m", config, v1=1, v2=1)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    assert {answered(running) for _ in range(100)} == {1}
    assert wait_diff(running, lambda now: now["equal"] == 10)["copied"] == 10


def test_a_shadow_that_is_a_canary_too_is_not_compared_with_itself(server, tmp_path):
    versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 1, 2: 1}, "shadow": 2}}, v1=1, v2=2)
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    assert collections.Counter(answered(running) for _ in range(20)) == {1: 10, 2: 10}
    assert wait_diff(running, lambda now: now["different"] == 10)["copied"] == 10


def chaos_shadow(folder, how):
    """Version 1 answers; version 2 does what its parameters say at each request."""
    config = {"input": [tensor_config("x", "INT32")], "output": [tensor_config("y", "INT32")]}
    (folder / "m").mkdir(parents=True)
    (folder / "m/model.yaml").write_text(json.dumps({"rollout": {"shadow": 2}}))
    for number, engine in ((1, "identity"), (2, "chaos")):
        (folder / f"m/{number}").mkdir()
        (folder / f"m/{number}/model.yaml").write_text(json.dumps({"backend": engine, **config}))
    settle(folder / "m")
    return {**request([1], datatype="INT32"), "parameters": how}


def test_a_shadow_that_crashes_hurts_nobody(server, tmp_path):
    """Its worker dies at every copy; in the end it is given up, and what it would get is skipped."""
    body = chaos_shadow(tmp_path / "models", {"die": "exit"})
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))

    def ask():
        status, answer = running.infer("m", body)
        assert status == 200 and answer["model_version"] == "1" and answer["outputs"][0]["data"] == [1], answer
        return diff(running)

    until(lambda: ask()["shadow"]["failed"] >= 2, TIMEOUT_S, lambda: str(diff(running)))
    until(lambda: ask()["skipped"]["not_ready"] > 0, TIMEOUT_S, lambda: str(diff(running)))
    shown = diff(running)
    assert shown["primary"]["failed"] == 0 and shown["last_failure"], shown
    assert counted(running, "failed", 2) >= 2
    assert index(running)["m", "1"]["state"] == "READY"


def test_a_shadow_that_hangs_delays_nobody_and_is_bounded(server, tmp_path):
    body = chaos_shadow(tmp_path / "models", {"wait_ms": 600_000})
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    for _ in range(50):
        assert running.infer("m", body)[0] == 200
    shown = wait_diff(running, lambda now: now["copied"] + now["skipped"]["busy"] == 50)
    assert shown["copied"] == 32 and shown["skipped"]["busy"] == 18, shown  # and the server stops in time


def test_failures_of_the_primary_are_counted_too(server, tmp_path):
    body = chaos_shadow(tmp_path / "models", {"fail": "1"})
    for number, engine in ((1, "chaos"), (2, "identity")):
        config = json.loads((tmp_path / f"models/m/{number}/model.yaml").read_text())
        (tmp_path / f"models/m/{number}/model.yaml").write_text(json.dumps({**config, "backend": engine}))
    settle(tmp_path / "models/m")
    running = wait_index(server(tmp_path / "models"), ("m", "1"), ("m", "2"))
    assert running.infer("m", body)[0] >= 400
    shown = wait_diff(running, lambda now: now["shadow"]["answered"] == 1)
    assert shown["primary"]["failed"] == 1 and shown["tensors"] == [] and shown["different"] == 0


def test_steps_of_pipelines_have_shadows(server, tmp_path):
    folder = tmp_path / "models"
    versions(folder, "m", {"rollout": {"shadow": 2}}, v1=1, v2=2)
    (folder / "p").mkdir()
    (folder / "p/model.yaml").write_text(json.dumps(PIPELINE))
    settle(folder)
    running = wait_index(server(folder), ("m", "1"), ("m", "2"), ("p", "1"))
    assert running.infer("p", BODY)[1]["outputs"][0]["data"] == [1]
    wait_diff(running, lambda now: now["different"] == 1)


def test_without_a_shadow_there_is_no_diff(server, tmp_path):
    versions(tmp_path / "models", "m", v1=1)
    running = server(tmp_path / "models").wait_ready("m")
    status, _, body = running.fetch("/tensord/v1/models/m/diff")
    assert status == 404 and "'rollout: {shadow: 2}'" in json.loads(body)["error"]


def test_a_shadow_comes_and_goes_by_the_config(server, tmp_path):
    """Under load, without a failure and without a load; other files of the shadow begin a new report."""
    folder = tmp_path / "models"
    model = versions(folder, "m", {"rollout": {"weights": {1: 1}}}, v1=1, v2=2)
    running = wait_index(server(folder), ("m", "1"), ("m", "2"))
    workers = worker_pids(running)
    with Load(running, 2) as load:
        rewrite(model, {"rollout": {"weights": {1: 1}, "shadow": 2}})
        until(lambda: running.fetch("/tensord/v1/models/m/diff")[0] == 200, TIMEOUT_S)
        wait_diff(running, lambda now: now["different"] > 20)
        assert worker_pids(running) == workers
        models.save(models.constant(1), model / "2/model.onnx")
        shown = wait_diff(running, lambda now: now["equal"] > 20)
        assert shown["different"] == 0
        rewrite(model, {"rollout": {"weights": {1: 1}}})
        until(lambda: running.fetch("/tensord/v1/models/m/diff")[0] == 404, TIMEOUT_S)
    assert not load.failures, load.failures[:3]


@needs_python
def test_the_page_is_true(server, tmp_path):
    """Its commands, as they stand there."""
    page = (ROOT / "docs/rollout.md").read_text()
    before, after = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    serve = "tensord serve models &\n"
    assert before.endswith(serve)
    shim = tmp_path / "bin/tensord"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m tensord "$@"\n')
    shim.chmod(0o755)

    def shell(commands, **environment):
        environment = {**inherited(), "PYTHONPATH": str(ROOT / "python"), "PATH": f"{shim.parent}:{os.environ['PATH']}",
                       **environment}
        ended = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=240,
                               env=environment, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    shell(before.removesuffix(serve))
    settle(tmp_path / "models")
    running = wait_index(server(tmp_path / "models"), ("price", "1"), ("price", "2"))
    out = shell(after, TENSORD_URL=running.url, TENSORD_TOKEN=running.admin_token)
    prices = [int(number) for number in re.findall(r"^\[(\d+)\]$", out, re.MULTILINE)]
    assert prices[0] == 300 and collections.Counter(prices[1:11]) == {300: 9, 303: 1} and prices[11:] == [300] * 10, out
    assert re.search(r"^output +FP64 +1 +1 +100 % +3 +0\.0099", out, re.MULTILINE), out


def test_a_roll_back_outlives_the_server(server, tmp_path):
    """Also one that is killed; until the config says otherwise."""
    model = versions(tmp_path / "models", "m", {"rollout": {"weights": {1: 1, 2: 1}}}, v1=1, v2=2)
    state = tmp_path / "state"
    running = wait_index(server(tmp_path / "models", "--state-dir", state), ("m", "1"), ("m", "2"))
    put(running, {"1": 1})
    kept = state / "learned/rollouts"
    until(lambda: kept.exists() and '"m"' in kept.read_text(), TIMEOUT_S)
    running.kill()
    running = wait_index(server(tmp_path / "models", "--state-dir", state), ("m", "1"), ("m", "2"))
    assert rollout(running)["from"] == "api" and {answered(running) for _ in range(6)} == {1}
    assert running.fetch("/tensord/v1/models/m/rollout", method="DELETE")[0] == 200
    put(running, {"2": 1})
    running.stop()
    rewrite(model, {"rollout": {"weights": {1: 1}}})
    running = wait_index(server(tmp_path / "models", "--state-dir", state), ("m", "1"), ("m", "2"))
    assert rollout(running)["from"] == "config" and {answered(running) for _ in range(6)} == {1}


def test_a_damaged_file_of_weights_is_said_and_passed_over(server, tmp_path):
    versions(tmp_path / "models", "m", v1=1)
    (tmp_path / "state/learned").mkdir(parents=True)
    (tmp_path / "state/learned/rollouts").write_text("[{")
    running = server(tmp_path / "models", "--state-dir", tmp_path / "state").wait_ready("m")
    assert running.err.wait_for("weights that were set by 'tensord rollout' are lost", TIMEOUT_S)
    assert answered(running) == 1
