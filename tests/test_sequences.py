"""Models whose requests are of sequences: order, state, controls, and what befalls a sequence."""
import json
import textwrap

import numpy as np
import onnx
import pytest
import tensord
from onnx import helper, numpy_helper
from test_metrics import scrape, value as metric
from tritonclient.utils import InferenceServerException

from support import models, sequences
from support.processes import until
from support.python_models import needs_python
from support.repositories import settle, write_config
from support.server import Server
from support.sequences import Grpc, Http, Stream, value

OLDEST = {"oldest": {"max_candidate_sequences": 4}}
LOST = "is over: its worker ended, and what it had come to is lost; begin it anew, with the START flag"
NOT_STARTED = "must specify the START flag on the first request of the sequence"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    sequences.sums(folder, **OLDEST)
    sequences.sums(folder, "open", batch=0)
    sequences.sums(folder, "brief", batch=0, idle_us=1)
    sequences.controlled(folder, "default", **OLDEST)
    patient = {"max_sequence_idle_microseconds": 60_000_000, **OLDEST}
    sequences.controlled(folder, **patient)
    sequences.controlled(folder, "named", "BYTES", **patient)
    sequences.controlled(folder, "narrow", "INT32", **patient)
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in ("sums", "open", "brief", "default", "controlled", "named", "narrow"):
        started.wait_ready(name)
    yield started
    started.stop()


@pytest.fixture(params=[Http, Grpc, Stream])
def client(request, served):
    made = request.param(served)
    yield made
    made.close()


@pytest.fixture
def http(served):
    made = Http(served)
    yield made
    made.close()


# ---- requests of sequences ----


@pytest.mark.parametrize("names", [(11, 12), ("one", "two"), (5, "5"), (2**64 - 1, 2**63)])
def test_two_sequences_that_interleave(client, names):
    if isinstance(client, Grpc) and 2**64 - 1 in names:
        pytest.skip("tritonclient sends int64 over gRPC")
    numbers, totals = [10, 20, 30, 40], {name: [] for name in names}
    for at, number in enumerate(numbers):
        for sign, name in enumerate(names):
            result = client.infer("sums", -number if sign else number, name, at == 0, at == len(numbers) - 1)
            totals[name].append(int(value(result)))
    assert totals == {names[0]: [10, 30, 60, 100], names[1]: [-10, -30, -60, -100]}


def test_a_number_above_what_int64_holds_over_grpc(served, http):
    """Clients in C++ write it as a negative number; it is the same one as over REST."""
    client = Grpc(served)
    client.infer("sums", 1, -2, True)
    assert value(http.infer("sums", 2, 2**64 - 2, end=True)) == 3
    client.close()


def test_a_single_request_is_a_sequence(client):
    assert value(client.infer("sums", 7, 21, True, True)) == 7
    with pytest.raises(InferenceServerException, match=NOT_STARTED):
        client.infer("sums", 7, 21)


def test_a_sequence_starts_anew(client):
    client.infer("sums", 7, 22, True)
    assert value(client.infer("sums", 1, 22)) == 8
    assert value(client.infer("sums", 100, 22, True)) == 100
    assert value(client.infer("sums", 1, 22, end=True)) == 101


def test_many_in_flight_keep_their_order(served):
    stream = Stream(served)
    count = 300
    for at in range(count):
        for name in ("left", 77):
            stream.send("sums", at, name, at == 0, at == count - 1)
    totals = [int(value(stream.next())) for _ in range(2 * count)]
    stream.close()
    expected = np.cumsum(range(count))
    assert totals[0::2] == list(expected) and totals[1::2] == list(expected)


def test_more_sequences_than_places_wait_for_one(served):
    stream = Stream(served)
    names = [1000 + at for at in range(40)]
    for step in range(3):
        for name in names:
            stream.send("sums", name, name, step == 0, step == 2)
    totals = [int(value(stream.next())) for _ in range(3 * len(names))]
    stream.close()
    assert totals == [step * name for step in (1, 2, 3) for name in names]


def test_thousands_of_sequences(served):
    stream = Stream(served)
    for name in range(1, 5001):
        stream.send("brief", name, name, start=True)
        if name % 500 == 0:
            totals = [int(value(stream.next())) for _ in range(500)]
            assert totals == list(range(name - 499, name + 1))
    stream.close()


def test_the_package(served):
    with tensord.connect(served.url) as server:
        model = server.model("sums")
        left, right = model.sequence(), model.sequence(81)
        assert [int(one(np.int32([[2]]))[0, 0]) for one in (left, right, left, left)] == [2, 2, 4, 6]
        assert int(left.last(np.int32([[1]]))[0, 0]) == 7
        assert int(left(np.int32([[1]]))[0, 0]) == 1, "it starts anew"
        assert int(model.with_options(parameters={"sequence_id": 81})(np.int32([[5]]))[0, 0]) == 7


# ---- what a request must say ----


def ask(server, model="sums", **parameters):
    return server.infer(model, {"parameters": parameters, "inputs": [
        {"name": "INPUT", "datatype": "INT32", "shape": [1, 1], "data": [1]}]})


@pytest.mark.parametrize("parameters, sentence", [
    ({}, "must specify a non-zero or non-empty correlation ID"),
    ({"sequence_id": 0, "sequence_start": True}, "must specify a non-zero or non-empty correlation ID"),
    ({"sequence_id": "", "sequence_start": True}, "must specify a non-zero or non-empty correlation ID"),
    ({"sequence_id": 31}, "inference request for sequence 31 to model 'sums' " + NOT_STARTED),
    ({"sequence_id": "x"}, "inference request for sequence x to model 'sums' " + NOT_STARTED),
    ({"sequence_id": 32, "sequence_end": True}, "inference request for sequence 32 to model 'sums' " + NOT_STARTED),
    ({"sequence_id": -1, "sequence_start": True}, "'sequence_id' is text, or a whole number of 64 bits"),
    ({"sequence_id": 1.5, "sequence_start": True}, "'sequence_id' is text, or a whole number of 64 bits"),
    ({"sequence_id": 2**64, "sequence_start": True}, "'sequence_id' is text, or a whole number of 64 bits"),
    ({"sequence_id": True, "sequence_start": True}, "'sequence_id' is text, or a whole number of 64 bits"),
    ({"sequence_id": "x" * 129, "sequence_start": True}, "at most 128 bytes"),
    ({"sequence_id": 33, "sequence_start": 1}, "'sequence_start' is true or false"),
    ({"sequence_id": 33, "sequence_end": "yes"}, "'sequence_end' is true or false"),
])
def test_bad_marks(served, parameters, sentence):
    status, body = ask(served, **parameters)
    assert status == 400 and sentence in body["error"]


def test_rows_are_refused(served):
    status, body = served.infer("sums", {"parameters": {"sequence_id": 1, "sequence_start": True}, "inputs": [
        {"name": "INPUT", "datatype": "INT32", "shape": [2, 1], "data": [1, 2]}]})
    assert status == 400 and "must specify batch-size 1" in body["error"]


def test_what_the_server_gives_no_client_does(served):
    status, body = served.infer("sums", {"parameters": {"sequence_id": 1, "sequence_start": True}, "inputs": [
        {"name": name, "datatype": "INT32", "shape": [1, 1], "data": [1]} for name in ("INPUT", "SUM_IN")]})
    assert status == 400 and "unexpected inference input 'SUM_IN'" in body["error"]
    status, body = served.infer("sums", {"parameters": {"sequence_id": 1, "sequence_start": True}, "outputs": [
        {"name": "SUM_OUT"}], "inputs": [{"name": "INPUT", "datatype": "INT32", "shape": [1, 1], "data": [1]}]})
    assert status == 400 and "unexpected inference output 'SUM_OUT'" in body["error"]


def test_outputs_by_name(served):
    request = {"parameters": {"sequence_id": "by name", "sequence_start": True}, "outputs": [{"name": "TOTAL"}],
               "inputs": [{"name": "INPUT", "datatype": "INT32", "shape": [1, 1], "data": [4]}]}
    assert served.infer("sums", request)[1]["outputs"][0]["data"] == [4]
    request["parameters"] = {"sequence_id": "by name", "sequence_end": True}
    assert served.infer("sums", request)[1]["outputs"][0]["data"] == [8]


# ---- controls ----


def told(result, sequence):
    return [result.as_numpy(name + "_WAS").item() for name in ("INPUT", "START", "READY", "END")] == sequence


@pytest.mark.parametrize("model, name, was", [
    ("controlled", 41, 41), ("named", "forty", b"forty"), ("named", 42, b"42"), ("narrow", 2**31 - 1, 2**31 - 1)])
def test_controls(client, model, name, was):
    first, second, third = (client.infer(model, at, name, at == 1, at == 3) for at in (1, 2, 3))
    assert told(first, [1, 1, 1.0, False])
    assert told(second, [2, 0, 1.0, False])
    assert told(third, [3, 0, 1.0, True])
    assert {result.as_numpy("CORRID_WAS").item() for result in (first, second, third)} == {was}


def test_ids_that_the_control_cannot_tell(served):
    for name, sentence in (("text", "is a number, not text"), (2**31, "is at most 2147483647")):
        status, body = ask(served, "narrow", sequence_id=name, sequence_start=True)
        assert status == 400 and sentence in body["error"]


# ---- what the server says of such models ----


def test_metadata_and_config(served):
    def fetch(path):
        status, _, body = served.fetch(path)
        assert status == 200
        return json.loads(body)

    assert "sequence" in fetch("/v2")["extensions"]
    metadata = fetch("/v2/models/sums")
    assert [row["name"] for row in metadata["inputs"]] == ["INPUT"]
    assert [row["name"] for row in metadata["outputs"]] == ["TOTAL"]
    config = fetch("/v2/models/open/config")
    assert [row["name"] for row in config["input"]] == ["INPUT"] and "dynamic_batching" not in config
    batching = config["sequence_batching"]
    assert batching["oldest"]["max_candidate_sequences"] == 1024
    assert batching["max_sequence_idle_microseconds"] == 60_000_000
    assert batching["state"][0]["input_name"] == "SUM_IN" and batching["state"][0]["data_type"] == "TYPE_INT32"
    config = fetch("/v2/models/default/config")
    assert [row["name"] for row in config["input"]] == ["INPUT"]
    assert len(config["sequence_batching"]["control_input"]) == 4
    assert config["sequence_batching"]["max_sequence_idle_microseconds"] == 1_000_000


# ---- idle sequences ----


def test_an_idle_sequence_is_dropped(server, tmp_path):
    started = server(sequences.sums(tmp_path, idle_us=1, oldest={"max_candidate_sequences": 1})).wait_ready("sums")
    client = Http(started)
    assert value(client.infer("sums", 3, 1, True)) == 3

    def is_over():
        try:
            client.infer("sums", 3, 1)
        except InferenceServerException as error:
            return NOT_STARTED in error.message()
        return False

    until(is_over)
    assert value(client.infer("sums", 4, 2, True)) == 4, "its place is free for others"
    client.close()


def test_a_sequence_that_has_no_place_waits_until_another_is_over(server, tmp_path):
    started = server(sequences.sums(tmp_path, oldest={"max_candidate_sequences": 1})).wait_ready("sums")
    stream = Stream(started)
    stream.infer("sums", 3, 1, True)
    stream.send("sums", 5, 2, True, True)
    stream.send("sums", 4, 1, end=True)
    assert sorted(int(value(stream.next())) for _ in range(2)) == [5, 7]
    with pytest.raises(InferenceServerException, match="(?i)timeout expired"):
        stream.infer("sums", 1, 3, True)
        stream.infer("sums", 1, 4, True, timeout=1000)
    assert value(stream.infer("sums", 2, 3, end=True)) == 3
    stream.close()


# ---- initial states ----


def test_a_state_that_begins_with_a_file(server, tmp_path):
    state = {"data_type": "TYPE_INT32", "dims": [2],
             "initial_state": [{"name": "first", "data_type": "TYPE_INT32", "dims": [2], "data_file": "first"}]}
    folder = sequences.sums(tmp_path, state=state, width=2, **OLDEST)
    (folder / "sums" / "initial_state").mkdir()
    (folder / "sums" / "initial_state" / "first").write_bytes(np.array([100, 200], np.int32).tobytes())
    settle(folder / "sums")
    started = server(folder).wait_ready("sums")
    for total in ([101, 202], [102, 204]):
        status, body = started.infer("sums", {"parameters": {"sequence_id": 1, "sequence_start": total[0] == 101}, "inputs": [
            {"name": "INPUT", "datatype": "INT32", "shape": [1, 2], "data": [1, 2]}]})
        assert status == 200 and body["outputs"][0]["data"] == total


def test_states_that_grow_too_large_are_refused_and_counted(server, tmp_path):
    """The state is twice as long with each request: after 22 of them it has 16 MiB."""
    nodes = [helper.make_node("Concat", ["SEEN", "SEEN"], ["SEEN_OUT"], axis=0), helper.make_node("Size", ["SEEN"], ["TOTAL"])]
    inputs, outputs = [models.tensor("SEEN", "INT32", ["n"])], [models.tensor("SEEN_OUT", "INT32", ["m"])]
    doubling = models.model([*nodes, helper.make_node("Identity", ["INPUT"], ["SAME"])],
                            [models.tensor("INPUT", "INT32", [1, 1]), *inputs],
                            [models.tensor("TOTAL", "INT64", []), models.tensor("SAME", "INT32", [1, 1]), *outputs])
    state = {"input_name": "SEEN", "output_name": "SEEN_OUT", "dims": [-1], "data_type": "TYPE_INT32"}
    started = server(sequences.save(tmp_path, "doubling", doubling, sequence_batching={
        "max_sequence_idle_microseconds": 60_000_000, "state": [state]})).wait_ready("doubling")
    client = Http(started)
    totals = [int(value(client.infer("doubling", 0, 1, at == 0))) for at in range(22)]
    assert totals == [2**at for at in range(22)]
    assert metric(scrape(started), "tensord_limit_hits_total", limit="sequence_states") == 0
    with pytest.raises(InferenceServerException, match="the states of a sequence of model 'doubling' take 33554432 bytes"):
        client.infer("doubling", 0, 1)
    assert metric(scrape(started), "tensord_limit_hits_total", limit="sequence_states") == 1
    with pytest.raises(InferenceServerException, match=NOT_STARTED):
        client.infer("doubling", 0, 1)
    assert value(client.infer("doubling", 0, 1, True)) == 1
    client.close()


# ---- a model in Python, which keeps its state itself ----

ACCUMULATE = """
    import os
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def initialize(self, args):
            self.sums, self.name = {}, int.from_bytes(os.urandom(3))

        def execute(self, requests):
            responses = []
            for request in requests:
                def get(name):
                    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().item()
                corrid, number = get("CORRID"), get("INPUT")
                if number == 666:
                    os._exit(1)
                if get("START"):
                    self.sums[corrid] = 0
                self.sums[corrid] += number
                assert request.correlation_id() == corrid
                flags = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START * get("START")
                assert request.flags() == flags + pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END * get("END")
                out = [("TOTAL", self.sums[corrid]), ("WORKER", self.name)]
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(n, np.array([[v]], np.int32)) for n, v in out]))
            return responses
"""


def write_accumulate(folder, count=2):
    controls = sequences.controls("UINT64", ("START", "END"))
    made = write_config(folder, "sticky", backend="python", max_batch_size=4,
                        input=[{"name": "INPUT", "data_type": "TYPE_INT32", "dims": [1]}],
                        output=[{"name": name, "data_type": "TYPE_INT32", "dims": [1]} for name in ("TOTAL", "WORKER")],
                        instance_group=[{"count": count, "kind": "KIND_CPU"}],
                        sequence_batching={"max_sequence_idle_microseconds": 60_000_000, "control_input": controls,
                                           "oldest": {"max_candidate_sequences": 8}})
    (made / "1").mkdir()
    (made / "1" / "model.py").write_text(textwrap.dedent(ACCUMULATE))
    settle(made)
    return folder


@needs_python
def test_a_sequence_stays_with_its_worker_and_ends_with_it(server, tmp_path):
    started = server(write_accumulate(tmp_path)).wait_ready("sticky")
    until(lambda: json.loads(started.fetch("/tensord/v1/models")[2])["models"][0]["workers_ready"] == 2)
    stream, workers = Stream(started), {}
    for step in range(5):
        for name in range(1, 7):
            stream.send("sticky", name, name, step == 0)
        for name in range(1, 7):
            result = stream.next()
            assert value(result) == name * (step + 1)
            workers.setdefault(name, set()).add(int(value(result, "WORKER")))
    assert all(len(used) == 1 for used in workers.values())
    assert len(set.union(*workers.values())) == 2, "both workers have some"
    victim = workers[1]
    stream.send("sticky", 666, 1)
    stream.send("sticky", 1, 1)
    for sentence in ("ended .*, and with it sequence 1: begin it anew", f"sequence 1 of model 'sticky' {LOST}"):
        with pytest.raises(InferenceServerException, match=sentence):
            stream.next()
    for name in range(1, 7):
        if workers[name] == victim:
            for _ in range(2):
                with pytest.raises(InferenceServerException, match=LOST):
                    stream.infer("sticky", name, name)
            status, body = ask(started, "sticky", sequence_id=name)
            assert status == 409 and LOST in body["error"]
            assert value(stream.infer("sticky", name, name, True, True)) == name
        else:
            assert value(stream.infer("sticky", name, name, end=True)) == 6 * name
    stream.close()


# ---- the strategy direct: a sequence keeps its row ----


def row_model():
    """Tells each row which it is, how many there are, and how many of those up to it are READY."""
    kinds = {"INPUT": "INT32", "CORRID": "UINT64", **{name: sequences.DATATYPES[kind] for name, kind in sequences.KINDS.items()}}
    inputs = [models.tensor(name, kind, ["batch", 1]) for name, kind in kinds.items()]
    outputs = [models.tensor(name, "INT32", ["batch", 1]) for name in ("ROW", "ROWS", "BEFORE")]
    one = helper.make_tensor("value", onnx.TensorProto.INT32, [1], [1])
    nodes = [
        helper.make_node("Cast", ["READY"], ["ready"], to=onnx.TensorProto.INT32),
        helper.make_node("CumSum", ["ready", "axis"], ["BEFORE"]),
        helper.make_node("Shape", ["INPUT"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=one),
        helper.make_node("CumSum", ["ones", "axis"], ["ROW"]),
        helper.make_node("CumSum", ["ones", "axis"], ["from_end"], reverse=1),
        helper.make_node("Add", ["ROW", "from_end"], ["both"]),
        helper.make_node("Sub", ["both", "ones"], ["ROWS"]),
    ]
    return models.model(nodes, inputs, outputs, [numpy_helper.from_array(np.array(0, np.int64), "axis")])


def test_rows_that_sequences_keep(server, tmp_path):
    started = server(sequences.save(
        tmp_path, "rows", row_model(), max_batch_size=4,
        sequence_batching={"control_input": sequences.controls(), "max_sequence_idle_microseconds": 60_000_000, "direct": {}}))
    started.wait_ready("rows")
    stream = Stream(started)

    def ask(name, **marks):
        result = stream.infer("rows", name, name, **marks)
        return tuple(int(value(result, output)) for output in ("ROW", "ROWS", "BEFORE"))

    assert ask(1, start=True) == (1, 1, 1)
    assert ask(2, start=True) == (2, 2, 1), "the first row is there, and not ready"
    assert ask(3, start=True) == (3, 3, 1)
    assert ask(1) == (1, 3, 1) and ask(3) == (3, 3, 1), "each has its row again"
    assert ask(2, end=True) == (2, 3, 1)
    assert ask(4, start=True) == (2, 3, 1), "a row that is free is another's"
    assert ask(3, end=True) == (3, 3, 1)
    assert ask(1) == (1, 2, 1)
    for step in range(30):
        for name in (1, 4):
            stream.send("rows", name, name, end=step == 29)
    rows = [[int(value(result, output)) for output in ("ROW", "BEFORE")] for result in (stream.next() for _ in range(60))]
    assert [row for row, _ in rows] == [1, 2] * 30
    stream.close()


def test_states_where_sequences_keep_rows(server, tmp_path):
    started = server(sequences.sums(tmp_path, batch=4, direct={})).wait_ready("sums")
    stream, names = Stream(started), range(1, 11)
    for step in range(6):
        for name in names:
            stream.send("sums", name, name, step == 0, step == 5)
    totals = [int(value(stream.next())) for _ in range(6 * len(names))]
    assert totals == [step * name for step in range(1, 7) for name in names]
    stream.close()


def test_a_batch_that_waits_for_its_rows(server, tmp_path):
    direct = {"max_queue_delay_microseconds": 600_000_000, "minimum_slot_utilization": 0.5}
    started = server(sequences.sums(tmp_path, batch=4, direct=direct)).wait_ready("sums")
    stream = Stream(started)
    for step in range(3):
        for name in (1, 2):
            stream.send("sums", name, name, step == 0, step == 2)
    assert [int(value(stream.next())) for _ in range(6)] == [1, 2, 2, 4, 3, 6]
    stream.close()
