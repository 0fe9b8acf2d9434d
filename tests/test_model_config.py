"""ModelConfig over REST and gRPC: what the file says, carried through whole, completed by what was found out."""
import json

import pytest
import tritonclient.grpc
import tritonclient.http
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from support import models
from support.repositories import settle, tensor_config, write_config
from support.server import Server

PBTXT = """
name: "full"
backend: "identity"
max_batch_size: 8
version_policy { latest { num_versions: 1 } }
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] format: FORMAT_NONE } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
instance_group [ { count: 2 kind: KIND_CPU }, { name: "other" count: 1 } ]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  priority_levels: 2
  default_priority_level: 1
  priority_queue_policy { key: 2 value { max_queue_size: 7 } }
}
optimization { graph { level: 1 } priority: PRIORITY_MAX cuda { graphs: true } }
parameters { key: "mode" value { string_value: "fast ä" } }
metric_tags { key: "team" value: "vision" }
model_warmup { name: "w" batch_size: 1 inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }
response_cache { enable: false }
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "full").mkdir()
    (folder / "full" / "config.pbtxt").write_text(PBTXT)
    (folder / "full" / "labels.txt").write_text("cat\ndog\n")
    settle(folder / "full")
    write_config(folder, "yaml", backend="identity", input=[tensor_config("x", "BYTES", [-1])],
                 output=[tensor_config("y", "BYTES", [-1])])
    write_config(folder, "streams", backend="chaos", input=[tensor_config("x", "INT32")],
                 output=[tensor_config("y", "INT32")], model_transaction_policy={"decoupled": True})
    write_config(folder, "line", steps=[{"model": "yaml", "input": {"x": "a"}, "output": {"y": "b"}}])
    settle(models.save(models.add(), folder / "add.onnx"))
    settle(models.save(models.constant(1.0), folder / "alone.onnx"))
    one = Server(folder, state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def config_of(request, served):
    """A function: the config of a model as the message ModelConfig of Triton's client. Its JSON parser refuses fields, enums
    and types that it does not know, so it says whether ours is spelt as theirs."""
    with request.param.InferenceServerClient(served.netloc) as client:
        def ask(model, version=""):
            got = client.get_model_config(model, version)
            return json_format.ParseDict(got, model_config_pb2.ModelConfig()) if isinstance(got, dict) else got.config
        yield ask


def test_everything_that_a_config_says_comes_back(config_of):
    got = config_of("full", "1")
    assert (got.name, got.backend, got.platform, got.max_batch_size) == ("full", "identity", "identity", 8)
    assert list(got.input[0].dims) == [4] and got.input[0].data_type == model_config_pb2.TYPE_FP32
    assert got.output[0].label_filename == "labels.txt"
    assert [(group.name, group.count) for group in got.instance_group] == [("full_0", 2), ("other", 1)]
    assert list(got.dynamic_batching.preferred_batch_size) == [4, 8]
    assert got.dynamic_batching.max_queue_delay_microseconds == 100
    assert got.dynamic_batching.priority_queue_policy[2].max_queue_size == 7
    assert got.optimization.graph.level == 1 and got.optimization.cuda.graphs
    assert got.optimization.priority == model_config_pb2.ModelOptimizationPolicy.PRIORITY_MAX
    assert got.parameters["mode"].string_value == "fast ä" and got.metric_tags["team"] == "vision"
    assert got.model_warmup[0].inputs["x"].zero_data
    assert got.HasField("response_cache") and not got.response_cache.enable
    assert got.version_policy.latest.num_versions == 1


def test_a_file_alone_has_a_config_too(config_of):
    got = config_of("add")
    assert (got.name, got.platform, got.backend) == ("add", "onnxruntime_onnx", "onnxruntime")
    assert got.max_batch_size == 64 and got.HasField("dynamic_batching")
    assert [(one.name, list(one.dims)) for one in got.input] == [("A", [4]), ("B", [4])]
    assert [(one.name, list(one.dims), one.data_type) for one in got.output] == [("SUM", [4], model_config_pb2.TYPE_FP32)]
    assert [(group.name, group.kind) for group in got.instance_group] == [("add", model_config_pb2.ModelInstanceGroup.KIND_CPU)]
    assert got.instance_group[0].count >= 1 and not got.model_transaction_policy.decoupled


def test_without_batches_all_dimensions_are_listed(config_of):
    got = config_of("alone")
    assert got.max_batch_size == 0 and not got.WhichOneof("scheduling_choice")
    assert list(got.output[0].dims) == [1]


def test_strings_and_answers_that_stream(config_of):
    assert config_of("yaml").input[0].data_type == model_config_pb2.TYPE_STRING
    assert config_of("streams").model_transaction_policy.decoupled


def test_a_pipeline_is_an_ensemble(config_of):
    got = config_of("line")
    assert (got.platform, got.backend) == ("ensemble", "")
    [step] = got.ensemble_scheduling.step
    assert (step.model_name, step.model_version) == ("yaml", -1)
    assert (dict(step.input_map), dict(step.output_map)) == ({"x": "a"}, {"y": "b"})


def test_scalars_stand_in_the_json_although_they_are_zero(served):
    status, fields, body = served.fetch("/v2/models/alone/config")
    assert (status, fields["content-type"]) == (200, "application/json")
    got = json.loads(body)
    assert got["max_batch_size"] == 0 and got["parameters"] == {} and got["default_model_filename"] == ""
    assert got["output"][0]["dims"] == [1] and got["output"][0]["label_filename"] == ""


def test_unknown_names_are_refused_as_elsewhere(config_of):
    for arguments in [("none",), ("add", "7")]:
        with pytest.raises(InferenceServerException) as refused:
            config_of(*arguments)
        assert refused.value.status() in ("404", "StatusCode.NOT_FOUND")


def test_a_load_whose_body_is_no_json_is_refused(served):
    assert served.fetch("/v2/repository/models/alone/load", b"x")[0] == 400
    status, _, body = served.fetch("/v2/repository/models/alone/load", b'{"parameters": {"other": 1}}')
    assert status == 400 and b"'other'" in body
    assert served.fetch("/v2/repository/models/alone/load", b'{"parameters": {}}')[0] == 200
