"""Answers in parts over gRPC, and what befalls a stream: clients that leave, do not read or cancel, workers that die, tokens
that are revoked. REST's streams are in test_generate.py, the package's in test_package_stream.py."""
import asyncio
import json
import queue
import re
import threading
import time
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from support import http2, processes, streams
from support.python_models import needs_python, write_python
from support.repositories import request, write_model
from support.server import fetch
from support.sockets import Connection, request as http_request
from support.streams import PATIENCE_S, PYTHON, is_free, wait_free
from support.tokens import bearer, create, revoke

EMPTY_FINAL = {"enable_empty_final_response": True}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    started = streams.start(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state"))
    yield started
    started.stop()


# ---- gRPC, by tritonclient ----


def tensor(name, values, datatype):
    made = grpcclient.InferInput(name, [len(values)], datatype)
    made.set_data_from_numpy(np.array(values, dtype=object if datatype == "BYTES" else getattr(np, datatype.lower())))
    return made


class Stream:
    """tritonclient's stream: what it calls back with, in order."""

    def __init__(self, server, **options):
        self.seen = queue.Queue()
        self.client = grpcclient.InferenceServerClient(server.netloc)
        self.client.start_stream(lambda result, error: self.seen.put(error or result), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_stream(cancel_requests=True)
        self.client.close()

    def ask(self, model, inputs, name, **options):
        self.client.async_stream_infer(model, inputs, request_id=name, **options)

    def next(self):
        """(id, the first output's first value or the error's text, final)."""
        got = self.seen.get(timeout=PATIENCE_S)
        if isinstance(got, InferenceServerException):
            return got
        response = got.get_response()
        outputs = response.outputs
        first = got.as_numpy(outputs[0].name).tolist()[0] if outputs else None
        return response.id, first, response.parameters["triton_final_response"].bool_param


@needs_python
def test_a_generator_over_grpc(served):
    with Stream(served) as stream:
        stream.ask("count", [tensor("n", [5], "INT64")], "a", **EMPTY_FINAL)
        assert [stream.next() for _ in range(6)] == [("a", i, False) for i in range(5)] + [("a", None, True)]
        stream.ask("words", [tensor("text", ["one two"], "BYTES")], "b")
        stream.ask("decoupled", [tensor("N", [1], "INT32")], "c", **EMPTY_FINAL)
        got = [stream.next() for _ in range(4)]
        assert [one for one in got if one[0] == "b"] == [("b", b"one", False), ("b", b"two", False)]  # no empty one
        assert [one for one in got if one[0] == "c"] == [("c", 0, False), ("c", None, True)]


@needs_python
def test_models_with_no_answer_at_all(served):
    with Stream(served) as stream:
        stream.ask("decoupled", [tensor("N", [0], "INT32")], "silent")
        stream.ask("decoupled", [tensor("N", [0], "INT32")], "told", **EMPTY_FINAL)
        assert stream.next() == ("told", None, True)


def test_answers_of_models_that_answer_once_keep_their_order(served):
    with Stream(served) as stream:
        for i in range(20):
            model, wait_ms = ("chaos", 50) if i % 5 == 0 else ("other", 0)
            stream.ask(model, [tensor("x", [i], "INT32")], str(i), parameters={"wait_ms": wait_ms})
        assert [stream.next() for _ in range(20)] == [(str(i), i, True) for i in range(20)]


@needs_python
def test_decoupled_answers_do_not_wait_for_others(served):
    with Stream(served) as stream:
        stream.ask("words", [tensor("text", ["one forever"], "BYTES")], "slow")
        assert [stream.next(), stream.next()] == [("slow", b"one", False), ("slow", b"forever", False)]
        stream.ask("chaos", [tensor("x", [1], "INT32")], "once", parameters={"wait_ms": 3000})
        stream.ask("count", [tensor("n", [2], "INT64")], "fast")
        assert [stream.next() for _ in range(3)] == [("fast", 0, False), ("fast", 1, False), ("once", 1, True)]


def test_what_is_wrong_with_a_request_leaves_the_stream_open(served):
    with Stream(served) as stream:
        stream.ask("nobody", [tensor("x", [1], "INT32")], "unknown")
        stream.ask("other", [tensor("wrong", [1], "INT32")], "wrong")
        stream.ask("chaos", [tensor("x", [1], "INT32")], "failing", parameters={"fail": "no more milk"})
        stream.ask("other", [tensor("x", [7], "INT32")], "good")
        errors = [str(stream.next()) for _ in range(3)]
        assert "Request for unknown model: 'nobody' is not found" in errors[0]
        assert "wrong" in errors[1] and "no more milk" in errors[2]
        assert stream.next() == ("good", 7, True)


def test_a_request_that_failed_is_named(served):
    message = service_pb2.ModelInferRequest(model_name="nobody", id="this one")
    with stub_of(served) as stub:
        [answer] = stub.ModelStreamInfer(iter([message]), timeout=PATIENCE_S)
    assert answer.infer_response.id == "this one" and "nobody" in answer.error_message


def test_a_client_may_want_errors_as_the_status(served):
    with Stream(served, headers={"triton_grpc_error": "true"}) as stream:
        stream.ask("other", [tensor("x", [7], "INT32")], "good")
        assert stream.next() == ("good", 7, True)
        stream.ask("nobody", [tensor("x", [1], "INT32")], "unknown")
        error = stream.next()
        assert error.status() == "StatusCode.NOT_FOUND" and "nobody" in error.message()


@needs_python
def test_an_error_behind_good_answers(served):
    with Stream(served) as stream:
        stream.ask("count", [tensor("n", [5], "INT64"), tensor("boom", [2], "INT64")], "a")
        assert [stream.next(), stream.next()] == [("a", 0, False), ("a", 1, False)]
        assert "ValueError: boom at 2" in str(stream.next())
        stream.ask("count", [tensor("n", [1], "INT64")], "b", **EMPTY_FINAL)
        assert [stream.next(), stream.next()] == [("b", 0, False), ("b", None, True)]


@needs_python
def test_the_asynchronous_client(served):
    async def main():
        async def requests():
            for i in range(3):
                yield {"model_name": "count", "inputs": [tensor("n", [3], "INT64")], "request_id": str(i)}

        async with aioclient.InferenceServerClient(served.netloc) as client:
            seen = {}
            async for result, error in client.stream_infer(requests(), stream_timeout=PATIENCE_S):
                assert error is None
                seen.setdefault(result.get_response().id, []).append(result.as_numpy("output").tolist()[0])
            return seen

    assert asyncio.run(main()) == {str(i): [0, 1, 2] for i in range(3)}


@contextmanager
def stub_of(server):
    with grpc.insecure_channel(server.netloc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def message_of(model, values=(1,), name="x", datatype="INT32", **parameters):
    """One flat input as a message; raw."""
    array = np.array(values, dtype=getattr(np, datatype.lower()))
    message = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[array.tobytes()])
    message.inputs.add(name=name, datatype=datatype, shape=[len(values)])
    for key, value in parameters.items():
        if isinstance(value, str):
            message.parameters[key].string_param = value
        else:
            message.parameters[key].int64_param = value
    return message


class Messages:
    """Messages for a stub, one when told; ends the client's side when told so."""

    def __init__(self):
        self.waiting = queue.Queue()

    def __iter__(self):
        return self

    def __next__(self):
        message = self.waiting.get()
        if message is None:
            raise StopIteration
        return message

    def send(self, *messages):
        for message in messages:
            self.waiting.put(message)

    def end(self):
        self.waiting.put(None)


def test_what_runs_is_answered_when_the_client_has_sent_all(served):
    messages = [message_of("chaos", [i], wait_ms=100) for i in range(8)]
    with stub_of(served) as stub:
        answers = list(stub.ModelStreamInfer(iter(messages), timeout=PATIENCE_S))
    assert [np.frombuffer(one.infer_response.raw_output_contents[0], np.int32).tolist() for one in answers] == [[i] for i in range(8)]


def test_large_messages_and_answers(served):
    """Tensors go straight to where they stay, and leave from there."""
    values = [np.arange(i, i + 300_000, dtype=np.int32) for i in range(6)]
    messages = [message_of("other", one) for one in values]
    with stub_of(served) as stub:
        answers = list(stub.ModelStreamInfer(iter(messages), timeout=PATIENCE_S))
    assert len(answers) == 6
    for one, answer in zip(values, answers):
        assert answer.infer_response.raw_output_contents[0] == one.tobytes()


def test_more_requests_than_may_run_at_once_wait(server, tmp_path):
    folder = write_model(tmp_path / "m", "chaos", "chaos", "INT32", {"batching": "no", "concurrency": 2})
    served = server(folder, "--max-stream-requests", "2").wait_ready("chaos")
    messages = [message_of("chaos", [i], wait_ms=20) for i in range(12)]
    with stub_of(served) as stub:
        answers = list(stub.ModelStreamInfer(iter(messages), timeout=PATIENCE_S))
    assert len(answers) == 12 and not any(one.error_message for one in answers)
    assert served.fetch("/metrics")[2].decode().count('limit="max_stream_requests"') == 1


def test_messages_that_wait_for_memory(server, tmp_path):
    """All tensors together are ten times what the model's memory holds: each message waits for those before it."""
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder, "--memory-limit-mib", "16").wait_ready("other")
    values = [np.full(700_000, i, np.int32) for i in range(60)]
    with stub_of(served) as stub:
        answers = list(stub.ModelStreamInfer((message_of("other", one) for one in values), timeout=PATIENCE_S))
    assert [one.error_message for one in answers] == [""] * 60
    assert all(answer.infer_response.raw_output_contents[0] == one.tobytes() for one, answer in zip(values, answers))
    with stub_of(served) as stub:  # one that never fits fails alone
        messages = [message_of("other", np.zeros(4_100_000, np.int32)), message_of("other", [5])]
        failed, answered = stub.ModelStreamInfer(iter(messages), timeout=PATIENCE_S)
    assert "memory" in failed.error_message and answered.infer_response.raw_output_contents[0] == b"\5\0\0\0"


def test_values_in_contents(served):
    """Typed values: the message is collected whole, and does not stay while its request runs."""
    message = service_pb2.ModelInferRequest(model_name="other", id="typed" * 100)
    made = message.inputs.add(name="x", datatype="INT32", shape=[100_000])
    made.contents.int_contents.extend(range(100_000))
    message.outputs.add(name="y")
    with stub_of(served) as stub:
        answers = list(stub.ModelStreamInfer(iter([message, message]), timeout=PATIENCE_S))
    assert [one.infer_response.id for one in answers] == ["typed" * 100] * 2
    assert answers[1].infer_response.raw_output_contents[0] == np.arange(100_000, dtype=np.int32).tobytes()


@pytest.mark.parametrize("encoding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages(served, encoding):
    values = np.arange(5000, dtype=np.int32)
    with stub_of(served) as stub:
        [answer] = stub.ModelStreamInfer(iter([message_of("other", values)]), compression=encoding, timeout=PATIENCE_S)
    assert answer.infer_response.raw_output_contents[0] == values.tobytes()


@needs_python
def test_unary_calls_of_a_model_that_streams(served):
    message = message_of("count", [1], "n", "INT64")
    with stub_of(served) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message, timeout=PATIENCE_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED and "decoupled" in caught.value.details()
    with stub_of(served) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message_of("chaos", stream=2), timeout=PATIENCE_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED and "several times" in caught.value.details()


def grpc_stream(client, *more, stream=1):
    """Opens a ModelStreamInfer on a raw connection."""
    path = "/inference.GRPCInferenceService/ModelStreamInfer"
    client.send(http2.headers(stream, http2.grpc_block(path, *more), http2.END_HEADERS))


@pytest.mark.parametrize("body,status", [
    (b"\2\0\0\0\0", 13),  # unknown flags
    (b"\0\xff\xff\xff\xff", 8),  # a message of 4 GiB
    (b"\1\0\0\0\1x", 13),  # compressed, and no encoding named
    (b"\0\0\0\0\5abc", 13),  # it ends inside a message
    (b"\0\0", 13),
    (b"", 0),
])
def test_bad_framing_ends_the_stream(served, body, status):
    with http2.Http2(served.address) as client:
        grpc_stream(client)
        client.send(http2.data(1, body))
        assert int(client.answer(1).fields["grpc-status"]) == status


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05ab", b"", b"\x0a\x00" * 5000, b"\x3a\x01x" * 2000])
def test_a_message_that_is_none_fails_alone(served, body):
    good = message_of("other", [5]).SerializeToString()
    with http2.Http2(served.address) as client:
        grpc_stream(client)
        client.send(http2.data(1, http2.grpc_message(body) + http2.grpc_message(good)))
        stream = client.answer(1)
        assert stream.fields["grpc-status"] == "0"
    failed, answered = take_answers(stream.body)
    assert failed.error_message and answered.infer_response.raw_output_contents[0] == b"\5\0\0\0"


def take_answers(body):
    answers = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        answers.append(service_pb2.ModelStreamInferResponse.FromString(body[5:5 + size]))
        body = body[5 + size:]
    return answers


# ---- leaving, not reading, dying ----


def is_still(worker):
    """Has the process done nothing for a while?"""
    before = worker.cpu_times().user
    time.sleep(0.3)
    return worker.cpu_times().user == before


def load_told(field):
    """What endpoint-load-metrics says, in either form: {name: number}."""
    kind, text = field.split(" ", 1)
    if kind == "JSON":
        told = json.loads(text)
        return told.pop("named_metrics") | told
    assert kind == "TEXT"
    return {name.removeprefix("named_metrics."): float(number) for name, number in (pair.split("=") for pair in text.split(", "))}


@needs_python
def test_the_load_is_told_with_answers(served):
    """ORCA, as Triton and vLLM have it: to whoever asks for it, of the answer's model."""
    wait_free(served, "words")
    for form in ("text", "JSON"):
        asked = {"endpoint-load-metrics-format": form}
        with sse(served, "/v2/models/words/generate_stream", {"text": "one forever"}, asked) as stream:
            head = stream.take_until(b"\r\n\r\n").decode()
            told = load_told(re.search("endpoint-load-metrics: (.*)\r", head)[1])
            assert (told["num_requests_running"], told["num_requests_waiting"]) == (1, 0) and told.get("application_utilization", 1) > 0
            _, headers, _ = served.fetch("/v2/models/words/generate", {"text": "two"}, headers=asked)
            assert load_told(headers["endpoint-load-metrics"])["num_requests_running"] >= 1
        wait_free(served, "words")


def test_the_load_is_told_to_whoever_asks(served):
    def told(**fields):
        return served.fetch("/v2/models/other/infer", request([1], datatype="INT32"), headers=fields)[1]["endpoint-load-metrics"]

    for form in ("json", "TEXT"):
        assert load_told(told(**{"endpoint-load-metrics-format": form}))["num_requests_waiting"] == 0
    assert told() is told(**{"endpoint-load-metrics-format": "bin"}) is None


def test_header_fields_are_parameters_of_each_request(server, tmp_path):
    """Chaos fails with the sentence that its parameter `fail` says."""
    served = server(write_model(tmp_path / "m", "chaos", "chaos", "INT32"), "--forward-header", "fail").wait_ready("chaos")
    fields, body = {"fail": "no more milk"}, request([1], datatype="INT32")
    assert served.infer("chaos", body)[0] == 200
    assert served.infer("chaos", body, headers=fields) == (500, {"error": "no more milk"})
    raw = fields | {"Inference-Header-Content-Length": "0"}
    assert served.fetch("/v2/models/chaos/infer", b"\0" * 4, headers=raw)[::2] == (500, b'{"error":"no more milk"}')
    status, answer = served.infer("chaos", body | {"parameters": {"fail": "other"}}, headers=fields)
    assert status == 400 and "'fail' is taken from the header field" in answer["error"]
    asked = [tensor("x", [1], "INT32")]
    with grpcclient.InferenceServerClient(served.netloc) as client, pytest.raises(InferenceServerException, match="no more milk"):
        client.infer("chaos", asked, headers=fields)
    with Stream(served, headers=fields) as stream:
        for name in "ab":
            stream.ask("chaos", asked, name)
        assert [stream.next().message() for _ in "ab"] == ["no more milk"] * 2


def gone_within(server, model, end):
    """Seconds until the model runs nothing, after `end`."""
    processes.until(lambda: not is_free(server, model), PATIENCE_S, "it to run")
    start = time.monotonic()
    end()
    wait_free(server, model)
    return time.monotonic() - start


def sse(server, path, body, headers=None, **options):
    """A connection on which a stream has been asked for."""
    client = Connection(server.address, **options)
    client.send(http_request("POST", path, bearer(server.admin_token) | (headers or {}), json.dumps(body).encode()))
    return client


@pytest.mark.parametrize("how", ["close", "reset", "cancel", "channel"])
def test_a_client_that_goes_ends_the_work(served, how):
    messages = Messages()
    if how in ("close", "reset"):
        client = sse(served, "/v2/models/chaos/generate_stream", {"x": [1], "stream": 10, "wait_ms": 600_000})
        took = gone_within(served, "chaos", client.reset if how == "reset" else client.socket.close)
    else:
        channel = grpc.insecure_channel(served.netloc)
        call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter(messages))
        messages.send(message_of("chaos", wait_ms=600_000), message_of("chaos", wait_ms=600_000))
        took = gone_within(served, "chaos", call.cancel if how == "cancel" else channel.close)
        messages.end()
        channel.close()
    assert took < 20  # a few turns of the loop, and what asking for the gauge takes


@needs_python
def test_a_task_hears_that_its_client_has_gone(served):
    client = sse(served, "/v2/models/words/generate_stream", {"text": "one forever"})
    client.take_until(b'"output":"one"}\n\n')
    start = time.monotonic()
    client.reset()
    assert served.err.wait_for("the task was cancelled", PATIENCE_S)
    assert time.monotonic() - start < 20


@needs_python
def test_a_generator_waits_for_a_client_that_does_not_read(server, tmp_path):
    """It is cut when it does not read for too long; until then the model makes nothing that nobody takes."""
    folder = tmp_path / "m"
    write_python(folder, "large", PYTHON["large"])
    served = server(folder, "--unsent-timeout-ms", "2000").wait_ready("large")
    client = sse(served, "/v2/models/large/generate_stream", {"n": 100_000_000, "elements": 5000})
    client.take_until(b"data: ")
    [worker] = served.workers("large")

    processes.until(lambda: is_still(worker), PATIENCE_S, "the model to pause")
    assert served.err.wait_for("the generator has ended", PATIENCE_S)  # cut
    assert b'limit="unsent_timeout_ms"' in served.fetch("/metrics")[2]
    client.socket.close()


@needs_python
def test_a_generator_goes_on_when_its_client_reads_again(served):
    client = sse(served, "/v2/models/large/generate_stream", {"n": 600, "elements": 5000})
    client.take_until(b"data: ")
    [worker] = served.workers("large")
    processes.until(lambda: is_still(worker), PATIENCE_S, "the model to pause")
    pieces, last = [client.received], b""
    while not last.endswith(b"0\r\n\r\n"):
        pieces.append(client.socket.recv(1 << 20))
        last = (last + pieces[-1])[-1000:]
    assert b"".join(pieces).count(b"model_name") == 600 and b",5597,5598]}\n\n" in last


def test_a_worker_that_dies_in_mid_stream(served):
    client = sse(served, "/v2/models/chaos/generate_stream", {"x": [1], "stream": 1_000_000_000})
    client.take_until(b'"y":1}\n\n')
    [worker] = served.workers("chaos")
    worker.kill()
    rest = client.rest_of_chunks()
    assert b"may be sent again" in rest and rest.endswith(b"0\r\n\r\n")
    served.wait_ready("chaos")
    messages = Messages()
    with stub_of(served) as stub:
        answers = stub.ModelStreamInfer(messages, timeout=PATIENCE_S)
        messages.send(message_of("chaos", die="exit"))
        assert "may be sent again" in next(answers).error_message
        messages.send(message_of("other", [3]))
        assert next(answers).infer_response.raw_output_contents[0] == b"\3\0\0\0"
        messages.end()
        assert list(answers) == []


def test_a_deadline_ends_a_stream(served):
    with stub_of(served) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ModelStreamInfer(iter([message_of("chaos", wait_ms=600_000)]), timeout=0.5))
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_free(served)
    with stub_of(served) as stub:  # a request's own
        [answer] = stub.ModelStreamInfer(iter([message_of("chaos", wait_ms=600_000, timeout=200_000)]), timeout=PATIENCE_S)
        assert answer.error_message == "Request timeout expired"
    status, _, body = served.fetch("/v2/models/chaos/generate_stream", {"x": [1], "wait_ms": 600_000, "timeout": 200_000})
    assert (status, json.loads(body)) == (503, {"error": "Request timeout expired"})


def test_an_idle_stream_may_wait(server, tmp_path):
    """It has no clock of its own, but for a message that was begun."""
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder, "--body-timeout-ms", "2500", "--idle-timeout-ms", "2500").wait_ready("other")
    good = http2.grpc_message(message_of("other", [5]).SerializeToString())
    with http2.Http2(served.address) as client:
        grpc_stream(client)
        client.send(http2.data(1, good, 0))
        time.sleep(6)  # longer than both timeouts
        client.send(http2.data(1, good))
        stream = client.answer(1)
        assert stream.fields["grpc-status"] == "0" and len(take_answers(stream.body)) == 2
    with http2.Http2(served.address) as client:
        grpc_stream(client)
        client.send(http2.data(1, good[:9], 0))
        assert client.answer(1).reset is not None or client.answer(1).fields["grpc-status"] != "0"


def test_a_server_that_stops_ends_idle_streams(server, tmp_path):
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder).wait_ready("other")
    with Stream(served) as stream:
        stream.ask("other", [tensor("x", [7], "INT32")], "good")
        assert stream.next() == ("good", 7, True)
        start = time.monotonic()
        served.stop()
        assert time.monotonic() - start < 20
        error = stream.next()
        assert error.status() == "StatusCode.UNAVAILABLE"
        assert error.message() == "GRPC server is shutting down and has stopped accepting new requests."


def test_each_request_of_a_stream_counts_for_its_token(server, tmp_path):
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder).wait_ready("other")
    secret = create(served.state_dir, scope="infer", rate="3/h")
    metadata = [("authorization", f"Bearer {secret}")]
    messages = Messages()

    def known():
        with stub_of(served) as stub:
            try:
                stub.ModelInfer(message_of("nobody"), timeout=PATIENCE_S, metadata=metadata)
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.NOT_FOUND

    processes.until(known, PATIENCE_S, "the token")
    with stub_of(served) as stub:
        answers = stub.ModelStreamInfer(messages, timeout=PATIENCE_S, metadata=metadata)
        messages.send(*[message_of("other", [i]) for i in range(4)])
        got = [next(answers) for _ in range(4)]
        messages.end()
        assert list(answers) == []
    assert [bool(one.error_message) for one in got] == [False, False, True, True]
    assert "rate of requests is used up" in got[2].error_message


def test_a_token_that_is_revoked_ends_with_the_request_that_runs(server, tmp_path):
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder).wait_ready("other")
    secret = create(served.state_dir, scope="infer", name="short")
    metadata = [("authorization", f"Bearer {secret}")]
    processes.until(lambda: fetch(served.url + "/v2", headers=bearer(secret))[0] == 200, PATIENCE_S, "the token")
    messages = Messages()
    with stub_of(served) as stub:
        answers = stub.ModelStreamInfer(messages, timeout=PATIENCE_S, metadata=metadata)
        messages.send(message_of("other", [1]))
        assert next(answers).error_message == ""
        revoke(served.state_dir, "short")
        processes.until(lambda: fetch(served.url + "/v2", headers=bearer(secret))[0] == 401, PATIENCE_S, "its end")
        messages.send(message_of("other", [2]))
        assert "revoked" in next(answers).error_message
        messages.end()
        assert list(answers) == []


# ---- what is counted ----


@needs_python
def test_statistics_tell_the_answers_apart(server, tmp_path):
    folder = tmp_path / "m"
    write_python(folder, "count", PYTHON["count"])
    served = server(folder).wait_ready("count")
    served.fetch("/v2/models/count/generate_stream", {"n": 2})
    served.fetch("/v2/models/count/generate_stream", {"n": 3, "boom": 1})
    [stats] = served.get("/v2/models/count/stats")["model_stats"]
    told = {place: {name: row["count"] for name, row in rows.items() if row["count"]} for place, rows in stats["response_stats"].items()}
    assert told == {"0": {"compute_infer": 2, "compute_output": 2, "success": 2},
                    "1": {"compute_infer": 2, "compute_output": 1, "success": 1, "fail": 1},
                    "2": {"compute_infer": 1, "empty_response": 1}}
    assert stats["inference_stats"]["success"]["count"] == 1 and stats["inference_stats"]["fail"]["count"] == 1
    with grpcclient.InferenceServerClient(served.netloc) as client:
        [same] = client.get_inference_statistics("count").model_stats
    assert same.response_stats["0"].success.count == 2 and same.response_stats["2"].empty_response.count == 1
    shown = served.fetch("/metrics")[2].decode()
    family, labels = "nv_inference_first_response_histogram_ms", 'model="count",version="1"'
    assert f"# TYPE {family} histogram\n" in shown and f"\n{family}_count{{{labels}}} 2\n" in shown
    assert f'\n{family}_bucket{{{labels},le="100.0"}} ' in shown and f'\n{family}_bucket{{{labels},le="+Inf"}} 2\n' in shown


def test_the_log_has_a_line_for_each_stream(server, tmp_path):
    folder = write_model(tmp_path / "m", "other", "identity", "INT32")
    served = server(folder, "--access-log", "all").wait_ready("other")
    with stub_of(served) as stub:
        list(stub.ModelStreamInfer(iter([message_of("other"), message_of("nobody")]), timeout=PATIENCE_S))
    line = served.err.wait_for("ModelStreamInfer", PATIENCE_S).string
    assert "nobody" in line and "grpc" in line


def test_many_streams_at_once(served):
    """Interleaved on one connection and on several."""
    failures = []

    def one(i):
        with stub_of(served) as stub:
            answers = list(stub.ModelStreamInfer(iter([message_of("chaos", [i], stream=20), message_of("other", [i])]), timeout=PATIENCE_S))
        values = [np.frombuffer(a.infer_response.raw_output_contents[0], np.int32)[0] for a in answers if not a.error_message]
        if values != [i] * 22:
            failures.append((i, len(values), [a.error_message for a in answers if a.error_message]))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not failures
