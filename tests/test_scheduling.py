"""Which request runs when: priorities, deadlines, queues that are full, and what a config says of it.

The model is a chaos one, which waits as its requests say and, with mix=1, tells who was computed together.
"""
import json
import re
import subprocess
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import tokens
from support.processes import until
from support.repositories import request, tensor_config, write_config

LONG_MS = 600_000
TIMEOUT_S = 60


@pytest.fixture
def chaos(server, tmp_path):
    """chaos(dynamic_batching={…}, parameter=value…) serves a chaos model "m"."""

    def start(*arguments, dynamic_batching=None, max_batch_size=None, scheduling=None, **parameters):
        config = {} if dynamic_batching is None else {"dynamic_batching": dynamic_batching}
        if scheduling is not None:
            config["scheduling"] = scheduling
        if max_batch_size is not None:
            config["max_batch_size"] = max_batch_size
        dims = [1] if max_batch_size else [-1]
        write_config(tmp_path / "models", "m", backend="chaos", input=[tensor_config("x", "INT32", dims)],
                     output=[tensor_config("y", "INT32", dims)], **config,
                     parameters={key: {"string_value": str(value)} for key, value in parameters.items()})
        return server(tmp_path / "models", *arguments).wait_ready("m")

    return start


def message(value, shape=(1,), model="m", **parameters):
    made = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[np.int32(value).tobytes()])
    made.inputs.add(name="x", datatype="INT32", shape=shape)
    for key, number in parameters.items():
        made.parameters[key].int64_param = number
    return made


class Calls:
    """Calls over one connection, in the order in which they end."""

    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.netloc)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self.server = server
        self.ended = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def send(self, value, token=None, **parameters):
        call = self.stub.ModelInfer.future(message(value, **parameters), timeout=TIMEOUT_S,
                                           metadata=[("authorization", f"Bearer {token}")] if token else None)
        call.add_done_callback(lambda _: self.ended.append(value))
        return call

    def occupy(self):
        """Makes the model's slot busy until the call that is returned is cancelled."""
        call = self.stub.ModelInfer.future(message(0, wait_ms=LONG_MS, log=1), timeout=TIMEOUT_S)
        assert self.server.err.wait_for("line 0 of many", TIMEOUT_S)
        return call

    def settle(self):
        """Returns when the server has all that was sent."""
        for _ in range(2):
            assert self.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=TIMEOUT_S).live

    def wait_for(self, count):
        until(lambda: len(self.ended) >= count, TIMEOUT_S, "answers")
        return self.ended

    def executed(self, count):
        """What the next executions were asked to say, in their order. Answers that are ready at once may come in any."""
        return [int(self.server.err.wait_for(r"says (\d+)", TIMEOUT_S)[1]) for _ in range(count)]


def post(server, headers=None, **parameters):
    """(status, headers, body) of a request in JSON."""
    status, headers, body = server.fetch("/v2/models/m/infer", request([1], datatype="INT32", **parameters), headers=headers,
                                         timeout_s=TIMEOUT_S)
    return status, headers, json.loads(body)


def test_higher_priorities_go_first(chaos):
    with Calls(chaos(batching="no")) as calls:
        busy = calls.occupy()
        for value, priority in (30, 3), (20, 0), (21, 99), (22, 2), (10, 1), (31, 3):  # 2 is what others have
            calls.send(value, priority=priority, say=value)
        calls.settle()
        busy.cancel()
        assert calls.executed(6) == [10, 20, 21, 22, 30, 31]


def test_priority_and_timeout_are_not_for_the_model(chaos):
    """Requests with parameters of the model's are not joined."""
    with Calls(chaos(batching="yes", mix=1)) as calls:
        busy = calls.occupy()
        sent = [calls.send(value, priority=1, timeout=60_000_000) for value in (1, 3)]
        calls.settle()
        busy.cancel()
        assert [np.frombuffer(call.result().raw_output_contents[0], np.int32).tolist() for call in sent] == [[2000]] * 2


def test_a_timeout_that_passes_in_the_queue_has_triton_s_sentence_and_code(chaos):
    server = chaos(batching="no")
    with Calls(server) as calls:
        busy = calls.occupy()
        with pytest.raises(grpc.RpcError) as refused:
            calls.send(1, timeout=20_000).result()
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details() == "Request timeout expired"
        status, headers, body = post(server, timeout=20_000)
        assert (status, body) == (503, {"error": "Request timeout expired"}) and headers["Retry-After"]
        busy.cancel()


def test_a_timeout_that_passes_in_the_model_cancels_it(chaos):
    server = chaos(batching="no")
    with Calls(server) as calls, pytest.raises(grpc.RpcError) as refused:
        calls.send(1, timeout=20_000, wait_ms=LONG_MS).result()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "Request timeout expired"
    status, headers, body = post(server, timeout=1_000_000, wait_ms=LONG_MS)
    assert (status, body) == (503, {"error": "Request timeout expired"})
    assert "Retry-After" not in headers  # it may have had its effect


def test_when_to_come_back_is_said_over_http2(chaos):
    server = chaos(batching="no")
    with Calls(server) as calls:
        busy = calls.occupy()
        asked = json.dumps(request([1], datatype="INT32", timeout=1))
        answer = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "--max-time", "30", "-D", "-", "-d", asked,
                                 server.url + "/v2/models/m/infer"], capture_output=True, text=True, check=True).stdout
        assert re.search("^HTTP/2 503", answer) and re.search(r"^retry-after: \d+\s", answer, re.MULTILINE), answer
        busy.cancel()


def test_a_header_sets_a_deadline_over_rest(chaos):
    server = chaos(batching="no")
    in_time = {"X-Request-Timeout-Ms": "60000"}
    assert post(server, in_time)[0] == 200
    status, headers, body = post(server, {"X-Request-Timeout-Ms": "20"}, wait_ms=LONG_MS)
    assert (status, body) == (503, {"error": "Request timeout expired"})
    with Calls(server) as calls:
        busy = calls.occupy()
        status, headers, body = post(server, {"X-Request-Timeout-Ms": "20"})
        assert (status, body) == (503, {"error": "Request timeout expired"}) and headers["Retry-After"]
        assert post(server, in_time, timeout=20_000)[0] == 503  # the earlier of the two holds
        busy.cancel()
    assert post(server, {"X-Request-Timeout-Ms": str(2**64 - 1)})[0] == 200


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "10m", "", "99999999999999999999"])
def test_a_header_that_is_no_time_is_refused(chaos, value):
    status, _, body = post(chaos(batching="no"), {"X-Request-Timeout-Ms": value})
    assert status == 400 and "X-Request-Timeout-Ms" in body["error"]


def test_a_request_that_does_not_end_costs_its_worker_where_the_config_says_so(chaos):
    server = chaos(batching="no", concurrency=2, scheduling={"cancel_grace_ms": 50})
    with Calls(server) as calls:
        beside = calls.occupy()
        status, _, body = post(server, timeout=2_000_000, die="hang")  # time to begin in
        assert (status, body) == (503, {"error": "Request timeout expired"})
        with pytest.raises(grpc.RpcError) as failed:
            beside.result()  # the model may be anything: who sent it knows whether it may run twice
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "did not end within 50 ms" in failed.value.details()
        assert post(server)[0] == 200
    metrics = server.fetch("/metrics")[2].decode()
    assert 'tensord_worker_replacements_total{model="m",version="1"} 1' in metrics
    assert 'tensord_worker_crashes_total{model="m",version="1"} 0' in metrics


def test_a_full_queue_says_when_to_come_back(chaos):
    server = chaos("--queue-limit", "1", batching="no")
    with Calls(server) as calls:
        busy = calls.occupy()
        waiting = calls.send(1)
        calls.settle()
        with pytest.raises(grpc.RpcError) as refused:
            calls.send(2).result()
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details() == "Exceeds maximum queue size"
        trailers = dict(refused.value.trailing_metadata())
        assert int(trailers["grpc-retry-pushback-ms"]) == 1000 * int(trailers["retry-after"]) >= 1000
        status, headers, body = post(server)
        assert (status, body) == (503, {"error": "Exceeds maximum queue size"}) and int(headers["Retry-After"]) >= 1
        busy.cancel()
        waiting.result()


def test_what_cannot_be_answered_in_time_is_refused_at_once(chaos):
    """Once the model is known to take long, while another request keeps it busy."""
    server = chaos(batching="no")
    for _ in range(3):
        assert post(server, wait_ms=3000)[0] == 200
    with Calls(server) as calls:
        busy = calls.occupy()
        status, headers, body = post(server, timeout=1_000_000)
        assert status == 503 and "answered too late" in body["error"]
        assert int(headers["Retry-After"]) >= 2
        busy.cancel()
        until(lambda: server.get("/tensord/v1/models")["models"][0]["requests_running"] == 0, TIMEOUT_S, "an idle model")
    assert post(server, timeout=2_500_000)[0] == 200  # nothing else is to be done: it is tried


def test_a_config_may_bound_the_queue(chaos):
    server = chaos(batching="no", dynamic_batching={"default_queue_policy": {"max_queue_size": 1}})
    with Calls(server) as calls:
        busy = calls.occupy()
        waiting = calls.send(1)
        calls.settle()
        assert post(server)[2] == {"error": "Exceeds maximum queue size"}
        busy.cancel()
        waiting.result()


def test_a_config_may_say_which_timeouts_count(chaos):
    server = chaos(batching="no", dynamic_batching={
        "priority_levels": 2, "default_priority_level": 1,
        "default_queue_policy": {"allow_timeout_override": True},
        "priority_queue_policy": {"2": {"default_timeout_microseconds": 20_000}}})
    with Calls(server) as calls:
        busy = calls.occupy()
        assert post(server, timeout=20_000)[2] == {"error": "Request timeout expired"}
        assert post(server, priority=2, timeout=3_600_000_000)[2] == {"error": "Request timeout expired"}
        busy.cancel()
        until(lambda: running(server) == {"m": 0}, TIMEOUT_S, "an idle model")
    assert post(server, timeout=1_000_000, wait_ms=1500)[0] == 200  # it is for the queue alone


def test_a_timeout_that_only_delays(chaos):
    server = chaos(batching="no", dynamic_batching={
        "default_queue_policy": {"allow_timeout_override": True, "timeout_action": "DELAY"}})
    with Calls(server) as calls:
        busy = calls.occupy()
        calls.send(1, timeout=1, say=1)
        calls.settle()
        calls.send(2, say=2)
        calls.settle()
        busy.cancel()
        assert calls.executed(2) == [2, 1]


@pytest.mark.parametrize("preserved", [False, True])
def test_answers_come_in_order_where_that_is_promised(chaos, preserved):
    with Calls(chaos(batching="no", concurrency=2, dynamic_batching={"preserve_ordering": preserved})) as calls:
        slow = calls.send(1, wait_ms=LONG_MS, log=1)
        assert calls.server.err.wait_for("line 0 of many", TIMEOUT_S)
        fast = calls.send(2)
        if not preserved:
            fast.result()
        calls.settle()
        slow.cancel()
        fast.result()
        assert calls.wait_for(2) == ([1, 2] if preserved else [2, 1])


def test_a_delay_is_for_company(chaos):
    server = chaos(batching="yes", mix=1, max_batch_size=2, dynamic_batching={"max_queue_delay_microseconds": LONG_MS * 1000})
    with Calls(server) as calls:
        sent = [calls.send(1, shape=(1, 1))]
        calls.settle()
        assert not sent[0].done()
        sent.append(calls.send(3, shape=(1, 1)))
        assert [np.frombuffer(call.result().raw_output_contents[0], np.int32).tolist() for call in sent] == [[2000]] * 2


def test_preferred_sizes_are_made(chaos):
    server = chaos(batching="yes", mix=1, max_batch_size=8, dynamic_batching={"preferred_batch_size": [2]})
    with Calls(server) as calls:
        busy = calls.stub.ModelInfer.future(message(0, (1, 1), wait_ms=LONG_MS, log=1), timeout=TIMEOUT_S)
        assert server.err.wait_for("line 0 of many", TIMEOUT_S)
        sent = [calls.send(value, shape=(1, 1)) for value in (1, 3, 5, 7, 9)]
        calls.settle()
        busy.cancel()
        got = [np.frombuffer(call.result().raw_output_contents[0], np.int32).tolist() for call in sent]
        assert got == [[2000], [2000], [6000], [6000], [9000]]


def test_what_was_learned_is_shown(chaos):
    server = chaos(batching="yes")
    for _ in range(4):
        assert post(server)[0] == 200
    [row] = server.get("/tensord/v1/models")["models"]
    assert row["batch_rows"] == 64 and row["slots"] == 1 and row["row_ms"] > 0
    metrics = server.fetch("/metrics")[2].decode()
    for name in "tensord_batch_rows_limit", "tensord_executions_limit", "tensord_row_seconds":
        assert name in metrics


def test_callers_take_turns(chaos):
    """One that sends much does not keep another waiting: the other's only request is not the last, though it came last."""
    server = chaos(batching="no")
    with Calls(server) as calls:
        busy = calls.occupy()
        for value in range(20):
            calls.send(value, **({} if value < 4 else {"wait_ms": LONG_MS}))
        calls.settle()
        answers = []
        other = threading.Thread(target=lambda: answers.append(post(server)[0]))  # with a token
        other.start()
        until(lambda: server.get("/tensord/v1/models")["models"][0]["requests_waiting"] == 21, TIMEOUT_S, "waiting")
        busy.cancel()
        other.join()
        assert answers == [200]


def known(server, secret):
    """The token's header, once the server knows the token."""
    until(lambda: server.fetch("/v2", headers=tokens.bearer(secret))[0] == 200, TIMEOUT_S, "the token")
    return tokens.bearer(secret)


def test_tokens_have_turns_by_their_weights(chaos):
    server = chaos(batching="no")
    secrets = {name: tokens.create(server.state_dir, name=name, weight=weight) for name, weight in (("much", 3), ("little", 1))}
    known(server, secrets["little"])
    with Calls(server) as calls:
        busy = calls.occupy()
        for number in range(12):
            calls.send(number, token=secrets["much"], say=number)
            calls.send(number, token=secrets["little"], say=100 + number)
        calls.settle()
        busy.cancel()
        assert sum(said < 100 for said in calls.executed(12)) in (8, 9, 10)
        calls.wait_for(24)


def test_a_model_runs_no_more_requests_than_its_config_says(chaos):
    server = chaos(batching="no", concurrency=8, scheduling={"max_running": 2})
    with Calls(server) as calls:
        busy = [calls.send(value, wait_ms=LONG_MS) for value in range(4)]
        calls.settle()
        until(lambda: running(server) == {"m": 2}, TIMEOUT_S, "running")
        assert server.get("/tensord/v1/models")["models"][0]["requests_waiting"] == 2
        busy[0].cancel()
        busy[1].cancel()
        until(lambda: server.get("/tensord/v1/models")["models"][0]["requests_waiting"] == 0, TIMEOUT_S, "waiting")
        assert running(server) == {"m": 2}


def test_a_token_s_limits_are_named(chaos):
    server = chaos(batching="no")
    seldom = tokens.bearer(tokens.create(server.state_dir, name="seldom", rate="1/h"))
    once = known(server, tokens.create(server.state_dir, name="once", concurrency=1))
    assert post(server, seldom)[0] == 200
    status, headers, body = post(server, seldom)
    assert status == 429 and "(rate=1/h)" in body["error"] and headers["Retry-After"]
    with Calls(server) as calls:
        busy = calls.send(1, token=once["Authorization"].split()[1], wait_ms=LONG_MS, log=1)
        assert server.err.wait_for("line 0 of many", TIMEOUT_S)
        status, headers, body = post(server, once)
        assert status == 429 and "(concurrency=1)" in body["error"]
        busy.cancel()
    metrics = server.fetch("/metrics")[2].decode()
    for limit in "token_rate", "token_concurrency":
        assert f'tensord_limit_hits_total{{limit="{limit}"}} 1' in metrics


@pytest.fixture
def sharing(server, tmp_path):
    """sharing(*arguments, a=…, b=…) serves chaos models that need so much of the resource R."""

    def start(*arguments, **needs):
        for name, need in needs.items():
            limiter = {"resources": [{"name": "R", "count": need}]}
            write_config(tmp_path / "models", name, backend="chaos", input=[tensor_config("x", "INT32")],
                         output=[tensor_config("y", "INT32")], instance_group=[{"count": 4, "rate_limiter": limiter}],
                         parameters={"batching": {"string_value": "no"}, "concurrency": {"string_value": "4"}})
        return server(tmp_path / "models", *arguments)

    return start


def running(server):
    """How many requests run of each model."""
    return {model["name"]: model["requests_running"] for model in server.get("/tensord/v1/models")["models"]}


def test_models_wait_for_what_they_share(sharing):
    server = sharing(a=2, b=1)
    for name in "ab":
        server.wait_ready(name)
    with Calls(server) as calls:
        first = calls.send(1, model="b", wait_ms=LONG_MS)
        until(lambda: running(server)["b"] == 1, TIMEOUT_S, "b")
        big = calls.send(2, model="a", wait_ms=LONG_MS)
        calls.settle()
        overtaking = calls.send(3, model="b", wait_ms=LONG_MS)  # there is enough for it, but a waits for it
        calls.settle()
        assert running(server) == {"a": 0, "b": 1}
        first.cancel()
        until(lambda: running(server) == {"a": 1, "b": 0}, TIMEOUT_S, "a's turn")
        big.cancel()
        until(lambda: running(server) == {"a": 0, "b": 1}, TIMEOUT_S, "b's turn")
        overtaking.cancel()


def test_who_leaves_the_queue_holds_nobody_up(sharing):
    server = sharing(a=2, b=1)
    for name in "ab":
        server.wait_ready(name)
    with Calls(server) as calls:
        first = calls.send(1, model="b", wait_ms=LONG_MS)
        until(lambda: running(server)["b"] == 1, TIMEOUT_S, "b")
        leaving = calls.send(2, model="a", wait_ms=LONG_MS)
        calls.settle()
        second = calls.send(3, model="b", wait_ms=LONG_MS)
        calls.settle()
        leaving.cancel()
        until(lambda: running(server) == {"a": 0, "b": 2}, TIMEOUT_S, "b's second")
        for call in first, second:
            call.cancel()


def test_settings_say_how_much_there_is(sharing):
    server = sharing("--rate-limit-resource", "R:1", a=2, b=1)
    server.wait_ready("b")
    reason = {model["name"]: model["reason"] for model in server.get("/tensord/v1/models")["models"]}["a"]
    assert "needs 2 of the resource 'R', of which there are 1" in reason


def test_the_rate_limiter_can_be_off(sharing):
    server = sharing("--rate-limit", "off", a=1)
    server.wait_ready("a")
    with Calls(server) as calls:
        busy = [calls.send(value, model="a", wait_ms=LONG_MS) for value in range(3)]
        until(lambda: running(server) == {"a": 3}, TIMEOUT_S, "all")
        for call in busy:
            call.cancel()
