"""Workers die, lie, hang and are replaced; the server and other models go on."""
import json
import signal
import threading
import time

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.repositories import request, write_model
from support.sockets import Connection, request as http_request
from support.server import is_sanitized

MIB = 1 << 20
SANITIZED = is_sanitized()  # it reports crashes, and its quarantine grows


@pytest.fixture
def served(server, tmp_path):
    """A server of a model that misbehaves when asked to, and of one that never does."""
    folder = tmp_path / "models"
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no"})
    write_model(folder, "other", "identity", "INT32")
    return server(folder).wait_ready("chaos").wait_ready("other")


def ask(server, model, **parameters):
    return server.infer(model, request([1, 2, 3], datatype="INT32", **parameters), timeout_s=60)


def is_good(answer):
    return answer[0] == 200 and answer[1]["outputs"][0]["data"] == [1, 2, 3]


@pytest.mark.parametrize("how", ["segfault", "abort", "exit"])
def test_a_worker_that_dies_fails_its_request_alone(served, how):
    if how == "segfault" and SANITIZED:
        pytest.skip("the sanitizer catches it")
    front = served.front()
    status, body = ask(served, "chaos", die=how)
    assert status == 503 and "may be sent again" in body["error"]
    status, headers, _ = served.fetch("/v2/models/chaos/infer", request([1, 2, 3], datatype="INT32", die=how))
    assert status == 503 and "Retry-After" not in headers  # whether it did something nobody knows
    assert is_good(ask(served, "other"))
    assert is_good(ask(served, "chaos"))
    assert served.front() == front


def test_a_worker_that_closes_its_descriptors_is_replaced(served):
    """Its line ends, but what it wrote into shared memory before may still be read: an answer is as good as a 503."""
    front, [before] = served.front(), served.workers("chaos")

    def replaced():
        status, body = ask(served, "chaos")
        assert is_good((status, body)) or (status == 503 and "may be sent again" in body["error"])
        return status == 200 and not before.is_running()

    status, body = ask(served, "chaos", die="close_fds")
    assert is_good((status, body)) or (status == 503 and "may be sent again" in body["error"])
    assert is_good(ask(served, "other"))
    processes.until(replaced, 30, "the next worker")
    assert served.front() == front


@pytest.mark.parametrize("how", ["slot", "giant", "type", "executed", "backwards", "beyond", "tail"])
def test_a_worker_that_forges_is_killed(served, how):
    status, body = ask(served, "chaos", forge=how)
    assert status in (200, 503), body
    processes.until(lambda: is_good(ask(served, "chaos")), 20, "the model to serve again")
    assert is_good(ask(served, "other"))


def test_engines_say_why_they_fail(served):
    assert ask(served, "chaos", fail="no more milk")[1] == {"error": "no more milk"}
    status, body = ask(served, "chaos", huge=10**12)
    assert status >= 400 and "larger than the model's memory" in body["error"]
    assert ask(served, "chaos", stream=3)[0] == 501
    assert is_good(ask(served, "chaos"))


def test_models_call_each_other_but_not_in_circles(server, tmp_path):
    folder = write_model(tmp_path / "m", "chaos", "chaos", "INT32", {"batching": "no"})
    write_model(folder, "callee", "identity", "INT32")  # with an input of the same name
    served = server(folder).wait_ready("chaos").wait_ready("callee")
    assert is_good(ask(served, "chaos", call="callee"))
    assert "is not found" in ask(served, "chaos", call="nobody")[1]["error"]
    assert "circle" in ask(served, "chaos", call="chaos")[1]["error"]
    assert is_good(ask(served, "chaos"))


def start_endless(server, how):
    """Sends a request that waits for ten minutes, waits until the worker is at it, and returns what
    ends it from the client's side."""
    message = service_pb2.ModelInferRequest(model_name="chaos", raw_input_contents=[bytes(4)])
    message.inputs.add(name="x", datatype="INT32", shape=[1])
    message.parameters["wait_ms"].int64_param = 600_000
    message.parameters["log"].int64_param = 1
    if how in ("reset", "close"):
        connection = Connection(server.address)
        body = request([1], datatype="INT32", wait_ms=600_000, log=1)
        connection.send(http_request("POST", "/v2/models/chaos/infer", body=json.dumps(body).encode()))
        end = connection.reset if how == "reset" else connection.socket.close
    else:
        channel = grpc.insecure_channel(server.netloc)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        grpc.channel_ready_future(channel).result(30)
        call = stub.ModelInfer.future(message, timeout=3 if how == "deadline" else None)  # time to begin in
        end = {"RST_STREAM": call.cancel, "deadline": call.exception, "channel": channel.close}[how]
    assert server.err.wait_for("line 0 of many", 30), "the worker did not start"
    return end


@pytest.mark.parametrize("how", ["close", "reset", "RST_STREAM", "channel", "deadline"])
def test_a_client_that_goes_frees_the_worker(served, how):
    """Its only execution slot is free again at once: the next request would else wait ten minutes."""
    start_endless(served, how)()
    gone = time.monotonic()
    assert is_good(ask(served, "chaos"))
    assert time.monotonic() - gone < 20
    assert len(served.workers()) == 2


def test_a_deadline_frees_the_worker(served):
    status, body = ask(served, "chaos", wait_ms=600000, timeout=200000)
    assert (status, body) == (503, {"error": "Request timeout expired"})
    assert is_good(ask(served, "chaos"))


def test_a_death_over_grpc_is_unavailable(served):
    message = service_pb2.ModelInferRequest(model_name="chaos", raw_input_contents=[bytes(4)])
    message.inputs.add(name="x", datatype="INT32", shape=[1])
    with grpc.insecure_channel(served.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        message.parameters["die"].string_param = "exit"
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message, timeout=30)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE and "may be sent again" in caught.value.details()
        message.parameters.pop("die")
        assert stub.ModelInfer(message, timeout=30).raw_output_contents[0] == bytes(4)


@pytest.mark.parametrize("how", ["spin", "jam"])
def test_a_model_that_hears_nothing_is_unloaded_all_the_same(served, how):
    """It is killed when it does not go by itself, and a load brings a fresh one."""
    [before] = served.workers("chaos")
    with Connection(served.address) as client:
        body = request([1], datatype="INT32", die=how, log=1)
        client.send(http_request("POST", "/v2/models/chaos/infer", body=json.dumps(body).encode()))
        assert served.err.wait_for("line 0 of many", 30)
        assert is_good(ask(served, "other"))
        client.reset()
    assert served.fetch("/v2/repository/models/chaos/unload", b"", method="POST")[0] == 200
    processes.until(lambda: not processes.is_running(before), 30, "its end")
    assert served.fetch("/v2/repository/models/chaos/load", b"", method="POST")[0] == 200
    assert is_good(ask(served, "chaos"))


def test_a_model_that_spins_does_not_disturb_others(served):
    thread = threading.Thread(target=lambda: fetch_quietly(served, die="spin"))
    thread.start()
    for _ in range(20):
        assert is_good(ask(served, "other"))
    [spinning] = served.workers("chaos")
    spinning.kill()
    thread.join(30)
    assert is_good(ask(served, "chaos"))


def fetch_quietly(server, **parameters):
    try:
        ask(server, "chaos", **parameters)
    except OSError:
        pass


def test_kill_under_load_costs_only_running_requests(served):
    """kill -9 three times while eight clients ask: every failure is retryable, the next answers come soon."""
    answers, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            answers.append((time.monotonic(), ask(served, "chaos", wait_ms=40)))  # longer than clients take: a worker that is killed has work

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    front, deaths = served.front(), []
    processes.until(lambda: len(answers) > 50, 30, "load")
    settled = processes.own_pss_bytes(front)
    for _ in range(3):
        [worker] = served.workers("chaos")
        worker.send_signal(signal.SIGKILL)
        deaths.append(time.monotonic())
        processes.until(lambda: any(at > deaths[-1] and is_good(answer) for at, answer in list(answers)), 20,
                        "an answer after the kill")
    stop.set()
    for thread in clients:
        thread.join(60)
    failures = [answer for _, answer in answers if not is_good(answer)]
    assert 0 < len(failures) <= 3 * 8
    assert all(status == 503 and "may be sent again" in body["error"] for status, body in failures)
    for death in deaths:
        assert min(at for at, answer in answers if at > death and is_good(answer)) - death < 20
    assert front.is_running()
    assert SANITIZED or processes.own_pss_bytes(front) < settled + MIB


def test_a_load_waits_for_a_model_that_is_being_restarted(served):
    """Its worker has died twice, so that the next one comes after some time; a load is told when it is there."""
    for _ in range(2):
        assert ask(served, "chaos", die="exit")[0] == 503
    status, _, body = served.fetch("/v2/repository/models/chaos/load", b"", method="POST")
    assert status == 200, body
    assert is_good(ask(served, "chaos"))


def test_cycles_of_load_and_unload_leave_nothing(served):
    def facts():
        return processes.idle_fd_count(served.pid), len(served.descendants())

    for cycle in range(1, 101):
        assert served.fetch("/v2/repository/models/other/unload", b"", method="POST")[0] == 200
        processes.until(lambda: len(served.workers()) == 1, 30, "the worker to end")
        assert served.fetch("/v2/repository/models/other/load", b"", method="POST")[0] == 200
        assert is_good(ask(served, "other"))
        if cycle == 10:
            (descriptors, children), pss = facts(), processes.pss_bytes(served.pid)
    processes.until(lambda: facts()[0] <= descriptors and facts()[1] == children, 30, "as after the tenth")
    assert SANITIZED or processes.pss_bytes(served.pid) < pss + 2 * MIB


def test_the_end_of_the_spawner_ends_all(served):
    everyone = served.descendants()
    served.process.kill()
    alive = processes.outlasting(everyone, 60)
    assert not alive
    served.process.wait()


@pytest.mark.skipif(SANITIZED, reason="the sanitizer catches the crash")
def test_a_model_that_crashes_while_it_loads_is_given_up(server, tmp_path):
    folder = write_model(tmp_path / "models", "broken", "chaos", "INT32", {"load": "crash"})
    write_model(folder, "other", "identity", "INT32")
    served = server(folder).wait_ready("other")
    index = lambda: {one["name"]: one for one in json.loads(served.fetch("/v2/repository/index", {})[2])}  # noqa: E731
    processes.until(lambda: index()["broken"]["state"] == "UNAVAILABLE", 60, "giving up")
    assert "Segmentation fault" in index()["broken"]["reason"]
    status, body = ask(served, "broken")
    assert status == 503 and index()["broken"]["reason"] in body["error"]
    assert is_good(ask(served, "other"))
    assert served.fetch("/v2/health/ready")[0] == 200


def test_crashes_leak_nothing(served):
    front = served.front()

    def facts():
        return processes.idle_fd_count(served.pid), len(served.descendants())

    def crash():
        assert ask(served, "chaos", die="exit")[0] == 503
        processes.until(lambda: is_good(ask(served, "chaos")), 30, "the next worker")

    crash()
    descriptors, children = facts()
    pss = processes.own_pss_bytes(front)
    for _ in range(4):  # a fifth in a row would be given up
        crash()
    processes.until(lambda: facts()[0] <= descriptors and facts()[1] == children, 30, f"{descriptors} descriptors")
    assert SANITIZED or processes.own_pss_bytes(front) < pss + MIB


def test_sigterm_ends_models_that_never_answer(server, tmp_path):
    """One spins, one hangs while it loads; both are killed when their time is over."""
    folder = write_model(tmp_path / "models", "stuck", "chaos", "INT32", {"load": "hang"})
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no"})
    served = server(folder, "--drain-timeout-ms", "200").wait_ready("chaos")
    assert ask(served, "chaos", fail="not yet")[0] == 500
    thread = threading.Thread(target=lambda: fetch_quietly(served, die="spin", log=1))
    thread.start()
    assert served.err.wait_for("line 0 of many", 30)
    processes.until(lambda: {processes.name(p) for p in served.workers()} == {"chaos", "stuck"}, 30, "both workers")
    served.stop()
    thread.join(30)
