"""Pipelines: models whose steps are other models."""
import textwrap
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from onnx import helper
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import models
from support.processes import until
from support.python_models import needs_python, write_python
from support.repositories import index, request, tensor_config, write_config


def tensor(name, data, datatype="FP32"):
    array = np.asarray(data)
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}


def put(folder, name, config):
    """A pipeline of that name, whose model.yaml says this."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "model.yaml").write_text(textwrap.dedent(config))


def outputs(answer):
    """The answer's outputs by name, as arrays."""
    status, body = answer
    assert status == 200, body
    return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in body["outputs"]}


CHAIN = """
    steps:
    - model: first
      input: {X: x}
      output: {Y: between}
    - model: second
      input: {X: between}
      output: {Y: y}
    """


def test_two_steps_in_a_chain(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder).wait_ready("chain")
    x = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    given = outputs(running.infer("chain", {"inputs": [tensor("x", x)]}))
    assert list(given) == ["y"]
    np.testing.assert_allclose(given["y"], x @ models.weights(seed=1) @ models.weights(seed=2), rtol=1e-4)
    assert running.get("/v2/models/chain") == {
        "name": "chain", "versions": ["1"], "platform": "ensemble",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}]}


def write(folder, **named):
    """Models in Python: the code of each, by its name."""
    for name, code in named.items():
        write_python(folder, name, code)


def ask(server, model, *tensors, **more):
    """(status, outputs by name or the error) of an inference."""
    status, body = server.infer(model, {"inputs": list(tensors), **more})
    return status, outputs((status, body)) if status == 200 else body["error"]


def why(server, model):
    """The reason that the index has for the model, when it has one."""
    return index(server).get((model, "1"), {}).get("reason", "")


def wait_for_reason(server, model, reason):
    def is_said():
        seen.append(why(server, model))
        return reason in seen[-1]

    seen = []
    try:
        until(is_said, 60)
    except TimeoutError:
        raise AssertionError(f"{model}: {seen[-1]!r}, not {reason!r}") from None


def test_outputs_may_be_chosen(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN + "output: [{name: between, data_type: TYPE_FP32, dims: [-1, 4]}, "
                                 "{name: y, data_type: TYPE_FP32, dims: [-1, 4]}]")
    running = server(folder).wait_ready("chain")
    x = np.ones((2, 4), np.float32)
    status, given = ask(running, "chain", tensor("x", x), outputs=[{"name": "between"}])
    assert status == 200 and list(given) == ["between"]
    np.testing.assert_allclose(given["between"], x @ models.weights(seed=1), rtol=1e-4)
    asked = {row["name"]: row for row in running.get("/v2/models/stats")["model_stats"]}
    assert asked["first"]["inference_stats"]["success"]["count"] == 1
    assert asked["second"]["inference_stats"]["success"]["count"] == 0  # nothing of it was wanted
    assert asked["chain"]["inference_stats"]["success"]["count"] == 1
    status, given = ask(running, "chain", tensor("x", x))
    assert status == 200 and list(given) == ["between", "y"]


@needs_python
def test_a_condition_chooses_a_branch(server, repository):
    folder = repository(double=models.matmul(seed=1), other=models.matmul(seed=2))
    write(folder, large="""
        from typing import Annotated
        import numpy as np

        def predict(x: Annotated[np.ndarray, "FP32", (-1, 4)]) -> Annotated[np.ndarray, "BOOL", (1,)]:
            return np.array([x.sum() > 10])
        """, note="""
        def predict(y: list[list[float]]) -> str:
            return f"{len(y)} rows"
        """)
    put(folder, "branch", """
        steps:
        - {model: large, input: {x: x}, output: {output: is_large}}
        - {model: double, when: is_large, input: {X: x}, output: {Y: y}}
        - {model: other, unless: is_large, input: {X: x}, output: {Y: y}}
        - {model: double, name: only_large, when: is_large, input: {X: x}, output: {Y: extra}}
        - {model: double, name: behind, input: {X: extra}, output: {Y: more}}
        """)
    running = server(folder).wait_ready("branch")
    names = [row["name"] for row in running.get("/v2/models/branch")["outputs"]]
    assert names == ["y", "more"]
    for x, weights, there in ((np.ones((3, 4)), 1, ["y", "more"]), (np.ones((1, 4)), 2, ["y"])):
        status, given = ask(running, "branch", tensor("x", x.astype(np.float32)))
        assert status == 200 and list(given) == there
        np.testing.assert_allclose(given["y"], x @ models.weights(seed=weights), rtol=1e-4)
    steps = {row["name"]: row for row in running.get("/v2/models/branch/stats")["model_stats"][0]["step_stats"]}
    assert [steps[name]["skipped"] for name in ("large", "double", "other", "only_large")] == [0, 1, 1, 1]
    assert steps["only_large"]["success"]["count"] == 1


@needs_python
def test_each_row_and_joined_again(server, repository):
    folder = repository()
    write(folder, words="""
        def predict(line: str) -> list[str]:
            return line.split()
        """, letters="""
        def predict(words: list[str]) -> list[str]:
            return [letter for word in words for letter in word]
        """, sizes="""
        import tensord

        @tensord.model(outputs=["calls", "longest"])
        def predict(words: list[str], letters: list[str]) -> tuple[list[int], list[str]]:
            return [len(words)], [max(words, key=len) + "".join(letters)]
        """)
    put(folder, "spell", """
        steps:
        - {model: words, input: {line: line}, output: {output: words}}
        - {model: letters, for_each: [words], input: {words: words}, output: {output: letters}}
        - {model: sizes, for_each: [words], rows: 2, input: {words: words, letters: letters},
           output: {calls: calls, longest: longest}}
        """)
    running = server(folder).wait_ready("spell")
    status, given = ask(running, "spell", tensor("line", ["one three five"], "BYTES"))
    assert status == 200
    assert given["calls"].tolist() == [2, 1]  # rows of each call
    assert given["longest"].tolist() == ["threeonethreefive", "fiveonethreefive"]
    status, given = ask(running, "spell", tensor("line", [""], "BYTES"))
    assert status == 200 and given["calls"].shape == (0,) and given["longest"].shape == (0,)


def test_rows_are_joined_by_the_scheduler(server, repository):
    folder = repository(multiply=models.matmul(seed=1))
    put(folder, "rows", """
        steps:
        - {model: multiply, for_each: [x], input: {X: x}, output: {Y: between}}
        - {model: multiply, for_each: [between], rows: 7, input: {X: between}, output: {Y: y}, unless: once}
        - {model: multiply, name: last, input: {X: between}, output: {Y: y}, when: once}
        """)
    running = server(folder).wait_ready("rows")
    x = np.random.default_rng(3).standard_normal((100, 4)).astype(np.float32)
    weights = models.weights(seed=1)
    for once in (False, True):
        status, given = ask(running, "rows", tensor("x", x), tensor("once", [once], "BOOL"))
        assert status == 200
        np.testing.assert_allclose(given["y"], x @ weights @ weights, rtol=1e-3, atol=1e-4)
    asked = {row["name"]: row for row in running.get("/v2/models/stats")["model_stats"]}
    assert asked["multiply"]["inference_stats"]["success"]["count"] == 216
    assert asked["multiply"]["execution_count"] < 216  # some ran together
    steps = {row["name"]: row for row in asked["rows"]["step_stats"]}
    assert [steps[name]["calls"] for name in ("multiply", "multiply-2", "last")] == [200, 15, 1]
    assert [steps[name]["skipped"] for name in ("multiply", "multiply-2", "last")] == [0, 1, 1]
    assert steps["multiply"]["success"]["count"] == 2 and steps["multiply"]["success"]["ns"] > 0
    assert "step_stats" not in asked["multiply"]
    status, given = ask(running, "rows", tensor("x", np.zeros((0, 4), np.float32)), tensor("once", [False], "BOOL"))
    assert status == 200 and given["y"].shape == (0, 4)
    status, error = ask(running, "rows", tensor("x", x), tensor("once", [True, False], "BOOL"))
    assert status == 400 and "its condition 'once' is not one BOOL: BOOL of 2 bytes" in error


def test_calls_wait_for_each_other_when_the_models_memory_is_full(server, repository):
    """Each of 40 calls takes 3 MiB of the 16 that the model may have."""
    nodes = [helper.make_node("ReduceSum", ["B"], ["total"], keepdims=0), helper.make_node("Add", ["X", "total"], ["Y"])]
    inputs = [models.tensor("X", "FP32", [1, 4]), models.tensor("B", "FP32", ["n"])]
    folder = repository(m=models.model(nodes, inputs, [models.tensor("Y", "FP32", [1, 4])]))
    put(folder, "rows", "steps: [{model: m, for_each: [x], input: {X: x, B: b}, output: {Y: y}}]\n")
    running = server(folder, "--memory-limit-mib", "16").wait_ready("rows")
    client = httpclient.InferenceServerClient(running.netloc)
    x, b = np.arange(160, dtype=np.float32).reshape(40, 4), np.zeros(3 << 18, np.float32)
    b[:5] = 1
    given = [httpclient.InferInput("x", x.shape, "FP32"), httpclient.InferInput("b", b.shape, "FP32")]
    given[0].set_data_from_numpy(x)
    given[1].set_data_from_numpy(b)
    np.testing.assert_allclose(client.infer("rows", given).as_numpy("y"), x + 5)
    client.close()


@needs_python
def test_errors_name_the_step(server, repository):
    folder = repository(multiply=models.matmul(seed=1))
    write(folder, picky="""
        def predict(words: list[str]) -> list[str]:
            if "bad" in words:
                raise ValueError("no such word")
            return words
        """, widths="""
        import numpy as np
        from typing import Annotated

        def predict(words: list[str]) -> Annotated[np.ndarray, "FP32", (1, -1)]:
            return np.zeros((1, len(words[0])), np.float32)
        """)
    put(folder, "each", """
        steps:
        - {model: picky, name: check, for_each: [words], input: {words: words}, output: {output: checked}}
        """)
    put(folder, "ragged", """
        steps:
        - {model: widths, for_each: [words], input: {words: words}, output: {output: y}}
        """)
    put(folder, "narrow", """
        steps:
        - {model: widths, input: {words: words}, output: {output: x}}
        - {model: multiply, input: {X: x}, output: {Y: y}}
        """)
    running = server(folder).wait_ready("each").wait_ready("ragged").wait_ready("narrow")
    status, error = ask(running, "each", tensor("words", ["good", "bad", "good"], "BYTES"))
    assert status == 500 and "step 'check', part 2 of 3: " in error and "no such word" in error
    assert running.get("/v2/models/each/stats")["model_stats"][0]["step_stats"][0]["fail"]["count"] == 1
    status, error = ask(running, "each", tensor("words", ["good"] * 5000, "BYTES"))
    assert status == 400 and "step 'check': it would be called for 5000 parts, and 4096 is the most" in error
    status, error = ask(running, "ragged", tensor("words", ["a", "bb"], "BYTES"))
    assert status == 500
    assert error == ("step 'widths': its parts gave 'output' as FP32 [1,1] and as FP32 [1,2], "
                     "which cannot be joined")
    status, error = ask(running, "narrow", tensor("words", ["abc"], "BYTES"))
    assert status == 400 and error.startswith("step 'multiply': ") and "[1,3]" in error
    status, given = ask(running, "narrow", tensor("words", ["abcd"], "BYTES"))
    assert status == 200 and given["y"].shape == (1, 4)


WRONG = {
    # name: (steps, what is said)
    "circle": ("[{model: m, input: {X: a}, output: {Y: b}}, {model: m, name: n, input: {X: b}, output: {Y: a}}]",
               "steps wait for each other in a circle: m <- n <- m"),
    "doubled": ("[{model: m, input: {X: a}, output: {Y: b}}, {model: m, name: n, input: {X: a}, output: {Y: b}}]",
                "steps 'm' and 'n' both give the tensor 'b'"),
    "unknown": ("[{model: missing, input: {X: a}, output: {Y: b}}]", "step 'missing': there is no model 'missing'"),
    "version": ("[{model: m, version: 7, input: {X: a}, output: {Y: b}}]", "step 'm': model 'm' has no version 7"),
    "unreleased": ("[{model: held, input: {X: a}, output: {Y: b}}]",
                   "step 'held': model 'held' has no version that its rollout lets answer"),
    "input": ("[{model: m, input: {Z: a}, output: {Y: b}}]", "step 'm': model 'm' has no input 'Z'"),
    "output": ("[{model: m, input: {X: a}, output: {Z: b}}]", "step 'm': model 'm' has no output 'Z'"),
    "lacks": ("[{model: m, output: {Y: b}}]", "step 'm': model 'm' wants an input 'X', which it is not given"),
    "datatype": ("[{model: whole, input: {INPUT: a}, output: {OUTPUT: b}}, {model: m, input: {X: b}, output: {Y: c}}]",
                 "step 'm': 'X' of model 'm' is FP32 [-1,4], but tensor 'b', which step 'whole' gives as 'OUTPUT', "
                 "is INT64 [-1,4]"),
    "shape": ("[{model: m, input: {X: a}, output: {Y: b}}, {model: wide, input: {X: b}, output: {Y: c}}]",
              "step 'wide': 'X' of model 'wide' is FP32 [-1,5], but tensor 'b', which step 'm' gives as 'Y', "
              "is FP32 [-1,4]"),
    "itself": ("[{model: itself, input: {X: a}, output: {Y: b}}]", "the pipeline would run itself"),
    "key": ("[{modle: m}]", "unknown key 'modle'; did you mean 'model'?"),
    "nothing": ("[{model: m, input: {X: a}}]", "step 'm' gives nothing"),
    "rows": ("[{model: m, rows: 2, input: {X: a}, output: {Y: b}}]", "step 'm': 'rows' says how many rows"),
    "flag": ("[{model: m, when: c, input: {X: a}, output: {Y: b}}, "
             "{model: m, name: n, input: {X: a}, output: {Y: c}}]", "step 'm': its condition 'c' is FP32, not BOOL"),
}


def test_what_is_wrong_is_said_and_where(server, repository):
    folder = repository(m=models.matmul(), wide=models.matmul(width=5), whole=models.identity("INT64"))
    put(folder, "held", "rollout: {weights: {2: 1}}\n")
    models.save(models.matmul(), folder / "held" / "1" / "model.onnx")
    for name, (steps, _) in WRONG.items():
        put(folder, name, f"steps: {steps}\n")
    running = server(folder).wait_ready("m")
    for name, (_, sentence) in WRONG.items():
        wait_for_reason(running, name, sentence)
        assert running.fetch(f"/v2/models/{name}/ready")[0] != 200


def test_it_is_as_ready_as_its_steps(server, repository):
    folder = repository(first=models.matmul(seed=1))
    put(folder, "chain", CHAIN)
    running = server(folder).wait_ready("first")
    wait_for_reason(running, "chain", "step 'second': there is no model 'second'")
    repository(second=models.matmul(seed=2))  # it comes later
    running.wait_ready("chain")
    x = tensor("x", np.ones((1, 4), np.float32))
    assert ask(running, "chain", x)[0] == 200
    assert running.fetch("/v2/repository/models/second/unload", {})[0] == 200
    assert running.fetch("/v2/models/chain/ready")[0] != 200
    wait_for_reason(running, "chain", "step 'second': model 'second' is unloaded")
    status, error = ask(running, "chain", x)
    assert status == 503 and error.startswith("step 'second': ")
    assert running.fetch("/v2/repository/models/second/load", {})[0] == 200
    assert running.fetch("/v2/models/chain/ready")[0] == 200
    assert ask(running, "chain", x)[0] == 200


def test_loading_it_loads_its_steps(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder, "--load", "explicit")
    until(lambda: ("chain", "1") in index(running), 60, "the first look")
    status, _, body = running.fetch("/v2/repository/models/chain/load", {})
    assert status == 200, body
    assert running.fetch("/v2/models/second/ready")[0] == 200
    assert ask(running, "chain", tensor("x", np.ones((1, 4), np.float32)))[0] == 200


def test_steps_are_woken(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder, "--load", "lazy").wait_ready("chain")
    assert ask(running, "chain", tensor("x", np.ones((1, 4), np.float32)))[0] == 200


def test_a_changed_step_changes_it(server, repository):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder).wait_ready("chain")
    repository(second=models.matmul(width=5))  # does not fit any more
    wait_for_reason(running, "chain", "its newer files failed: step 'second': 'X' of model 'second' is FP32 [-1,5]")
    repository(first=models.matmul(width=5))
    until(lambda: running.get("/v2/models/chain")["inputs"][0]["shape"] == [-1, 5], 60, "the new shape")
    assert ask(running, "chain", tensor("x", np.ones((1, 5), np.float32)))[0] == 200
    until(lambda: why(running, "chain") == "", 60, "no reason")


def test_pipelines_in_pipelines_are_bounded(server, repository):
    folder = repository(m=models.matmul())
    below = "m"
    for depth in range(1, 10):
        put(folder, f"deep{depth}", f"steps: [{{model: {below}, input: {{X: X}}, output: {{Y: Y}}}}]")
        below = f"deep{depth}"
    running = server(folder).wait_ready("deep8")
    x = np.ones((1, 4), np.float32)
    status, given = ask(running, "deep7", tensor("X", x))
    assert status == 200
    np.testing.assert_allclose(given["Y"], x @ models.weights(), rtol=1e-4)
    assert ask(running, "deep8", tensor("X", x))[0] == 200
    wait_for_reason(running, "deep9", "deep in each other")


LONG_MS = 600_000
TIMEOUT_S = 60


@pytest.fixture
def slow(server, tmp_path):
    """A pipeline "twice" of two chaos models, which do as the parameters of its requests say."""
    for name in ("before", "behind"):
        write_config(tmp_path / "models", name, backend="chaos", input=[tensor_config("x", "INT32")],
                     output=[tensor_config("y", "INT32")], parameters={"batching": {"string_value": "no"}})
    put(tmp_path / "models", "twice", """
        steps:
        - {model: before, input: {x: x}, output: {y: between}}
        - {model: behind, input: {x: between}, output: {y: y}}
        """)
    return server(tmp_path / "models").wait_ready("twice")


def message(**parameters):
    made = service_pb2.ModelInferRequest(model_name="twice", raw_input_contents=[np.int32(7).tobytes()])
    made.inputs.add(name="x", datatype="INT32", shape=[1])
    for key, number in parameters.items():
        made.parameters[key].int64_param = number
    return made


def is_free(server, model):
    """Answers the model, whose only slot was taken?"""
    return server.infer(model, request([1], datatype="INT32"))[0] == 200


def test_a_client_that_leaves_takes_the_running_step_along(slow):
    with grpc.insecure_channel(slow.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer.future(message(wait_ms=LONG_MS, log=1), timeout=TIMEOUT_S)
        assert slow.err.wait_for("line 0 of many", TIMEOUT_S)
        call.cancel()
        assert is_free(slow, "before")
        stats = {row["name"]: row["inference_stats"] for row in slow.get("/v2/models/stats")["model_stats"]}
        assert stats["behind"]["success"]["count"] == 0


def test_a_deadline_is_for_the_whole(slow):
    with grpc.insecure_channel(slow.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(message(wait_ms=LONG_MS, timeout=300_000), timeout=TIMEOUT_S)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details() == "Request timeout expired"
        assert is_free(slow, "before")
        answer = stub.ModelInfer(message(wait_ms=10), timeout=TIMEOUT_S)
        assert np.frombuffer(answer.raw_output_contents[0], np.int32).tolist() == [7]


def test_a_step_whose_worker_dies_is_named(slow):
    status, body = slow.infer("twice", request([1], datatype="INT32", die="exit"))
    assert status == 503
    assert body["error"].startswith("step 'before': the worker of model 'before' ended")
    until(lambda: slow.infer("twice", request([1], datatype="INT32"))[0] == 200, TIMEOUT_S, "it works again")


def test_a_step_that_streams_gives_one_answer(slow):
    status, body = slow.infer("twice", request([1], datatype="INT32", stream=3))
    assert status == 501 and body["error"].startswith("step 'before': the model answers several times")


def test_requests_wait_in_the_pipelines_own_queue(server, tmp_path):
    """With one at once, the second does not start before the first has ended."""
    folder = tmp_path / "models"
    write_config(folder, "before", backend="chaos", input=[tensor_config("x", "INT32")],
                 output=[tensor_config("y", "INT32")], parameters={"batching": {"string_value": "no"}})
    put(folder, "twice", """
        steps: [{model: before, input: {x: x}, output: {y: y}}]
        instance_group: [{count: 1}]
        """)
    running = server(folder).wait_ready("twice")
    with grpc.insecure_channel(running.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        first = stub.ModelInfer.future(message(wait_ms=LONG_MS, log=1), timeout=TIMEOUT_S)
        assert running.err.wait_for("line 0 of many", TIMEOUT_S)
        second = stub.ModelInfer.future(message(), timeout=TIMEOUT_S)
        until(lambda: 'pending_request_count{model="twice",version="1"} 1' in running.fetch("/metrics")[2].decode(),
              TIMEOUT_S, "one waits")
        first.cancel()
        assert second.result().raw_output_contents


def test_many_at_once_with_steps_that_come_and_go(server, repository):
    """Under load, the first step is replaced again and again: no request fails or gets another's answer."""
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    put(folder, "chain", CHAIN)
    running = server(folder).wait_ready("chain")
    weights = models.weights(seed=1) @ models.weights(seed=2)

    def one(seed):
        x = np.random.default_rng(seed).standard_normal((1 + seed % 3, 4)).astype(np.float32)
        status, given = ask(running, "chain", tensor("x", x))
        assert status == 200, given
        np.testing.assert_allclose(given["y"], x @ weights, rtol=1e-3, atol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        for seed in range(4):
            answers = pool.map(one, range(100 * seed, 100 * seed + 100))
            repository(first=models.matmul(seed=1))
            list(answers)


ENSEMBLE = """
    platform: "ensemble"
    max_batch_size: 4
    input [ { name: "INPUT" data_type: TYPE_FP32 dims: [ 4 ] } ]
    output [ { name: "OUTPUT" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "SIDE" data_type: TYPE_FP32 dims: [ 4 ] } ]
    ensemble_scheduling {
      step [
        { model_name: "first" model_version: -1 input_map { key: "X" value: "INPUT" } output_map { key: "Y" value: "mid" } },
        { model_name: "second" model_version: -1 input_map { key: "X" value: "mid" } output_map { key: "Y" value: "OUTPUT" } },
        { model_name: "second" model_version: 1 input_map { key: "X" value: "INPUT" } output_map { key: "Y" value: "SIDE" } }
      ]
    }
    """


@pytest.mark.parametrize("client", (httpclient, grpcclient))
def test_tritons_ensembles_with_its_clients(server, repository, client):
    folder = repository(first=models.matmul(seed=1), second=models.matmul(seed=2))
    (folder / "both" / "1").mkdir(parents=True)
    (folder / "both" / "config.pbtxt").write_text(textwrap.dedent(ENSEMBLE))
    running = server(folder).wait_ready("both")
    triton = client.InferenceServerClient(running.netloc)
    assert triton.is_model_ready("both")
    described = triton.get_model_metadata("both", **({"as_json": True} if client is grpcclient else {}))
    assert described["platform"] == "ensemble"
    assert [list(map(int, row["shape"])) for row in described["outputs"]] == [[-1, 4], [-1, 4]]
    config = triton.get_model_config("both", **({"as_json": True} if client is grpcclient else {}))
    steps = config.get("config", config)["ensemble_scheduling"]["step"]
    assert [step["model_name"] for step in steps] == ["first", "second", "second"]
    given = client.InferInput("INPUT", [3, 4], "FP32")
    x = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)
    given.set_data_from_numpy(x)
    answer = triton.infer("both", [given], request_id="r1")
    first, second = models.weights(seed=1), models.weights(seed=2)
    np.testing.assert_allclose(answer.as_numpy("OUTPUT"), x @ first @ second, rtol=1e-4)
    np.testing.assert_allclose(answer.as_numpy("SIDE"), x @ second, rtol=1e-4)
    answer = triton.infer("both", [given], outputs=[client.InferRequestedOutput("SIDE")])
    assert answer.as_numpy("OUTPUT") is None
    np.testing.assert_allclose(answer.as_numpy("SIDE"), x @ second, rtol=1e-4)
    with pytest.raises(Exception, match="unexpected shape|expected"):
        wrong = client.InferInput("INPUT", [3, 5], "FP32")
        wrong.set_data_from_numpy(np.zeros((3, 5), np.float32))
        triton.infer("both", [wrong])
    triton.close()


def test_what_runs_when_it_is_unloaded_goes_on(slow):
    """Until it is done, or nobody waits for it."""
    with grpc.insecure_channel(slow.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        kept = stub.ModelInfer.future(message(wait_ms=4000, log=1), timeout=TIMEOUT_S)
        assert slow.err.wait_for("line 0 of many", TIMEOUT_S)
        left = stub.ModelInfer.future(message(wait_ms=LONG_MS), timeout=TIMEOUT_S)
        until(lambda: 'pending_request_count{model="before",version="1"} 1' in slow.fetch("/metrics")[2].decode(),
              TIMEOUT_S, "the other one waits for the step")
        assert slow.fetch("/v2/repository/models/twice/unload", {})[0] == 200
        assert np.frombuffer(kept.result().raw_output_contents[0], np.int32).tolist() == [7]
        assert why(slow, "twice") == "unloaded"
        left.cancel()
        assert is_free(slow, "before")
        until(lambda: index(slow)["twice", "1"]["state"] == "UNAVAILABLE", TIMEOUT_S, "it is unloaded")
        assert slow.fetch("/v2/repository/models/twice/load", {})[0] == 200
        assert stub.ModelInfer(message(), timeout=TIMEOUT_S).raw_output_contents


def test_the_server_stops_while_one_runs(slow):
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(slow.infer, "twice", request([1], datatype="INT32", wait_ms=500, log=1))
        assert slow.err.wait_for("line 0 of many", TIMEOUT_S)
        slow.stop()
        assert answer.result()[0] == 200
