"""The protocol over gRPC."""
import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from oip_conformance.catalogue import OIP_GRPC, REQUIRED, TRITON, case
from oip_conformance.models import LABELS
from oip_conformance.rpc import Failure, message
from oip_conformance.tensors import VALUES, pack, unpack

TYPED = [name for name in VALUES if name not in ("FP16", "BF16")]
SENTENCE = "Triton: clients and tests match on it"


def output(answer, name="OUTPUT0"):
    """(datatype, shape, elements) of an output, from raw or typed contents."""
    for i, found in enumerate(answer.outputs):
        if found.name == name:
            if answer.raw_output_contents:
                return found.datatype, list(found.shape), unpack(found.datatype, answer.raw_output_contents[i])
            [values] = [list(value) for field, value in found.contents.ListFields()] or [[]]
            return found.datatype, list(found.shape), values
    raise AssertionError(f"no output {name}")


def text(target, name, field, value, **more):
    return message(target.model(name), (field, "BYTES", [1], [value]), **more)


@case("grpc.live", REQUIRED, OIP_GRPC)
def test_live(rpc):
    """ServerLive of a server that runs is true."""
    assert rpc.call("ServerLive", pb.ServerLiveRequest()).live


@case("grpc.ready", REQUIRED, OIP_GRPC)
def test_ready(rpc):
    """ServerReady of a server whose models are ready is true."""
    assert rpc.call("ServerReady", pb.ServerReadyRequest()).ready


@case("grpc.model-ready", REQUIRED, OIP_GRPC, model="identity_fp32")
def test_model_ready(rpc, target):
    """ModelReady of a model that is ready is true."""
    assert rpc.call("ModelReady", pb.ModelReadyRequest(name=target.model("identity_fp32"))).ready


@case("grpc.version-ready", REQUIRED, OIP_GRPC, model="versions")
def test_version_ready(rpc, target):
    """ModelReady tells versions apart."""
    assert rpc.call("ModelReady", pb.ModelReadyRequest(name=target.model("versions"), version="2")).ready


@case("grpc.unknown-model-ready", REQUIRED, OIP_GRPC)
def test_unknown_ready(rpc):
    """A model that there is not is not ready: false, or NOT_FOUND."""
    try:
        assert not rpc.call("ModelReady", pb.ModelReadyRequest(name="nix")).ready
    except Failure as failure:
        assert failure.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT)


@case("grpc.server-metadata", REQUIRED, OIP_GRPC)
def test_server_metadata(rpc, target):
    """ServerMetadata gives name, version and extensions: those of REST."""
    found = rpc.call("ServerMetadata", pb.ServerMetadataRequest())
    assert (found.name, found.version) == (target.metadata["name"], target.metadata["version"])
    assert sorted(found.extensions) == sorted(target.metadata["extensions"])


@case("grpc.model-metadata", REQUIRED, OIP_GRPC, model="add_sub")
def test_model_metadata(rpc, target):
    """ModelMetadata gives name, platform, inputs and outputs with names, datatypes and shapes."""
    found = rpc.call("ModelMetadata", pb.ModelMetadataRequest(name=target.model("add_sub")))
    assert found.name == target.model("add_sub")
    assert [(tensor.name, tensor.datatype) for tensor in found.inputs] == [("INPUT0", "INT32"), ("INPUT1", "INT32")]
    assert {tensor.name for tensor in found.outputs} == {"OUTPUT0", "OUTPUT1"}
    assert all(list(tensor.shape) == [-1, 16] for tensor in found.inputs)


@case("grpc.metadata-unknown-model", REQUIRED, OIP_GRPC)
def test_metadata_unknown(rpc):
    """Metadata of a model that there is not fails as the client's mistake, with a sentence."""
    failure = rpc.fails("ModelMetadata", pb.ModelMetadataRequest(name="nix"))
    assert failure.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT) and failure.details


@case("grpc.infer.raw", REQUIRED, OIP_GRPC, model=[f"identity_{name.lower()}" for name in VALUES if name != "BF16"])
@pytest.mark.parametrize("datatype", [name for name in VALUES if name != "BF16"])
def test_raw(rpc, target, datatype):
    """Each datatype goes as raw_input_contents and comes back with the same values."""
    asked = message(target.model(f"identity_{datatype.lower()}"), ("INPUT0", datatype, [1, 3], VALUES[datatype]))
    found = output(rpc.infer(asked))
    assert found[:2] == (datatype, [1, 3]) and pack(datatype, found[2]) == pack(datatype, VALUES[datatype])


@case("grpc.infer.bf16", TRITON, "Triton: BF16", model="identity_bf16")
def test_bf16(rpc, target):
    """BF16 goes as raw contents."""
    asked = message(target.model("identity_bf16"), ("INPUT0", "BF16", [1, 3], VALUES["BF16"]))
    assert output(rpc.infer(asked)) == ("BF16", [1, 3], VALUES["BF16"])


@case("grpc.infer.typed", REQUIRED, OIP_GRPC, model=[f"identity_{name.lower()}" for name in TYPED])
@pytest.mark.parametrize("datatype", TYPED)
def test_typed(rpc, target, datatype):
    """Each datatype that has a field of InferTensorContents may come in that."""
    asked = message(target.model(f"identity_{datatype.lower()}"), ("INPUT0", datatype, [1, 3], VALUES[datatype]), raw=False)
    found = output(rpc.infer(asked))
    assert found[:2] == (datatype, [1, 3]) and pack(datatype, found[2]) == pack(datatype, VALUES[datatype])


@case("grpc.infer.answer", REQUIRED, OIP_GRPC, model="add_sub")
def test_answer(rpc, target):
    """The answer has the model's name, the request's id and all outputs."""
    asked = message(target.model("add_sub"), ("INPUT0", "INT32", [1, 16], [5] * 16), ("INPUT1", "INT32", [1, 16], [2] * 16), id="i7")
    answer = rpc.infer(asked)
    assert (answer.model_name, answer.id) == (target.model("add_sub"), "i7")
    assert output(answer)[2] == [7] * 16 and output(answer, "OUTPUT1")[2] == [3] * 16


@case("grpc.infer.outputs", REQUIRED, OIP_GRPC, model="add_sub")
def test_outputs(rpc, target):
    """Only the outputs that a request names come back."""
    asked = message(target.model("add_sub"), ("INPUT0", "INT32", [1, 16], [5] * 16), ("INPUT1", "INT32", [1, 16], [2] * 16))
    asked.outputs.add(name="OUTPUT1")
    answer = rpc.infer(asked)
    assert [found.name for found in answer.outputs] == ["OUTPUT1"] and output(answer, "OUTPUT1")[2] == [3] * 16


@case("grpc.infer.raw-outputs", TRITON, "Triton: outputs are always raw", model="add_sub")
def test_raw_outputs(rpc, target):
    """Outputs come as raw_output_contents, one for each."""
    asked = message(target.model("add_sub"), ("INPUT0", "INT32", [1, 16], [5] * 16), ("INPUT1", "INT32", [1, 16], [2] * 16))
    answer = rpc.infer(asked)
    assert len(answer.raw_output_contents) == len(answer.outputs) == 2


@case("grpc.infer.version", REQUIRED, OIP_GRPC, model="versions")
@pytest.mark.parametrize("version", ["1", "2"])
def test_version(rpc, target, version):
    """model_version chooses the version, and stands in the answer."""
    answer = rpc.infer(message(target.model("versions"), ("ANY", "INT32", [1], [0]), model_version=version))
    assert output(answer, "VERSION")[2] == [int(version)] and answer.model_version == version


@case("grpc.infer.empty", REQUIRED, OIP_GRPC, model="identity_fp32")
def test_empty(rpc, target):
    """A tensor may have no elements."""
    assert output(rpc.infer(message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 0], [])))) == ("FP32", [1, 0], [])


@case("grpc.infer.large", TRITON, "Triton: messages of up to 2 GiB", model="identity_fp32")
def test_large(rpc, target):
    """A tensor of 8 MB, twice gRPC's own limit, goes both ways."""
    count = 2 << 20
    asked = message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, count], [0.5] * count))
    assert rpc.infer(asked).raw_output_contents[0] == asked.raw_input_contents[0]


@case("grpc.infer.parameters", TRITON, "Triton: extension_parameters.md", "parameters", "behave")
def test_parameters(rpc, target):
    """Parameters reach the model: texts, integers, booleans, doubles and unsigned integers."""
    asked = text(target, "behave", "COMMAND", "parameters")
    asked.parameters["t"].string_param = "x"
    asked.parameters["i"].int64_param = 7
    asked.parameters["b"].bool_param = True
    asked.parameters["d"].double_param = 1.5
    found = output(rpc.infer(asked), "RESULT")[2][0].decode()
    assert all(word in found.replace(" ", "") for word in ('"t":"x"', "7", "1.5")), found


@case("grpc.infer.priority-and-timeout", TRITON, "Triton: tritonclient sends them so", model="identity_fp32")
def test_priority(rpc, target):
    """priority may be unsigned, timeout is microseconds; both are taken by a model that does not queue by them."""
    asked = message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 1], [1.0]))
    asked.parameters["priority"].uint64_param = 1
    asked.parameters["timeout"].int64_param = 10_000_000
    assert output(rpc.infer(asked))[2] == [1.0]


@case("grpc.infer.classification", TRITON, "Triton: extension_classification.md", "classification", "identity_fp32")
def test_classification(rpc, target):
    """classification=k gives the k largest as value:index:label."""
    asked = message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 3], [0.5, 2.0, 1.0]))
    asked.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = 1
    datatype, shape, found = output(rpc.infer(asked))
    assert (datatype, shape) == ("BYTES", [1, 1]) and found[0].decode().split(":")[1:] == ["1", LABELS[1]]


@case("grpc.infer.compression", TRITON, "gRPC: compression.md", model="identity_fp32")
@pytest.mark.parametrize("coding", ["Gzip", "Deflate"])
def test_compression(rpc, target, coding):
    """A message may be compressed as grpc-encoding says."""
    asked = message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 1000], [1.0] * 1000))
    assert output(rpc.call("ModelInfer", asked, compression=getattr(grpc.Compression, coding)))[2] == [1.0] * 1000


@case("grpc.infer.deadline", TRITON, "gRPC: deadlines", model="behave")
def test_deadline(rpc, target):
    """A call that takes longer than its deadline ends with DEADLINE_EXCEEDED."""
    with pytest.raises(grpc.RpcError) as raised:
        rpc.stub.ModelInfer(text(target, "behave", "COMMAND", "sleep 1500"), timeout=0.3, metadata=rpc.metadata)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@case("grpc.errors.unknown-model", TRITON, SENTENCE)
def test_unknown_model(rpc):
    """A model that there is not: NOT_FOUND and Triton's sentence."""
    failure = rpc.fails("ModelInfer", message("nix", ("INPUT0", "FP32", [1, 1], [1.0])))
    assert failure.code == grpc.StatusCode.NOT_FOUND and "unknown model: 'nix'" in failure.details


@case("grpc.errors.model-error", REQUIRED, OIP_GRPC, model="behave")
@pytest.mark.parametrize("command", ["raise", "refuse"])
def test_model_error(rpc, target, command):
    """A model that fails is answered with a status other than OK, in which its own sentence stands."""
    assert f"it was told to {command}" in rpc.fails("ModelInfer", text(target, "behave", "COMMAND", command)).details


@case("grpc.errors.shape", TRITON, SENTENCE, model="add_sub")
def test_shape(rpc, target):
    """Another shape: INVALID_ARGUMENT, and which is expected."""
    asked = message(target.model("add_sub"), ("INPUT0", "INT32", [1, 17], [5] * 17), ("INPUT1", "INT32", [1, 16], [2] * 16))
    failure = rpc.fails("ModelInfer", asked)
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT and "unexpected shape for input 'INPUT0'" in failure.details


@case("grpc.errors.decoupled", TRITON, "Triton: decoupled_models.md", model="words")
def test_decoupled(rpc, target):
    """ModelInfer of a model that answers twice is refused with a sentence."""
    failure = rpc.fails("ModelInfer", text(target, "words", "text_input", "a b"))
    assert failure.code != grpc.StatusCode.UNKNOWN and failure.details


@case("grpc.config", TRITON, "Triton: extension_model_configuration.md", "model_configuration", "add_sub")
def test_config(rpc, target):
    """ModelConfig gives the config as a message."""
    config = rpc.call("ModelConfig", pb.ModelConfigRequest(name=target.model("add_sub"))).config
    assert config.name == target.model("add_sub") and config.max_batch_size == 8 and list(config.input[0].dims) == [16]


@case("grpc.statistics", TRITON, "Triton: extension_statistics.md", "statistics", "identity_int8")
def test_statistics(rpc, target):
    """ModelStatistics counts what REST's counts."""
    name = target.model("identity_int8")

    def count():
        [found] = rpc.call("ModelStatistics", pb.ModelStatisticsRequest(name=name)).model_stats
        return found.inference_stats.success.count

    before = count()
    rpc.infer(message(name, ("INPUT0", "INT8", [1, 1], [1])))
    assert count() == before + 1


@case("grpc.index", TRITON, "Triton: extension_model_repository.md", "model_repository", "add_sub")
def test_index(rpc, target):
    """RepositoryIndex lists versions with their states."""
    rows = [row for row in rpc.call("RepositoryIndex", pb.RepositoryIndexRequest()).models if row.name == target.model("add_sub")]
    assert [(row.version, row.state) for row in rows] == [("1", "READY")]


@case("grpc.trace", TRITON, "Triton: extension_trace.md", "trace")
def test_trace(rpc):
    """TraceSetting without settings gives them all."""
    assert "trace_level" in rpc.call("TraceSetting", pb.TraceSettingRequest()).settings


@case("grpc.logging", TRITON, "Triton: extension_logging.md", "logging")
def test_logging(rpc):
    """LogSettings without settings gives them all."""
    assert "log_info" in rpc.call("LogSettings", pb.LogSettingsRequest()).settings


@case("grpc.cuda", TRITON, "Triton: a build without GPUs", "cuda_shared_memory")
def test_cuda(rpc):
    """The list of CUDA regions is there, and empty."""
    assert not rpc.call("CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest()).regions


@case("grpc.health.check", TRITON, "gRPC: health checking protocol", "health.v1")
@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"], ids=["server", "service"])
def test_health(rpc, service):
    """Check of the server, and of the service, is SERVING: probes of orchestrators ask so."""
    asked = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    assert rpc.raw("/grpc.health.v1.Health/Check", asked) == b"\x08\x01"


@case("grpc.health.unknown", TRITON, "gRPC: health checking protocol", "health.v1")
def test_health_unknown(rpc):
    """Check of a service that there is not: NOT_FOUND."""
    with pytest.raises(Failure) as raised:
        rpc.raw("/grpc.health.v1.Health/Check", b"\x0a\x03nix")
    assert raised.value.code == grpc.StatusCode.NOT_FOUND


@case("grpc.health.watch", TRITON, "gRPC: health checking protocol", ("health.v1", "health.v1.watch"))
def test_health_watch(rpc, target):
    """Watch says at once that the server is SERVING, and goes on."""
    call = target.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30, metadata=rpc.metadata)
    try:
        assert next(call) == b"\x08\x01"
    finally:
        call.cancel()


@case("grpc.reflection.list", TRITON, "gRPC: server reflection protocol", "reflection")
@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(rpc, version):
    """Reflection lists the inference service: grpcurl needs no .proto files."""
    [answer] = rpc.raw_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", b"\x3a\x00")
    assert b"inference.GRPCInferenceService" in answer


@case("grpc.unknown-method", REQUIRED, "gRPC: statuscodes.md")
def test_unknown_method(rpc):
    """A method that there is not: UNIMPLEMENTED."""
    with pytest.raises(Failure) as raised:
        rpc.raw("/inference.GRPCInferenceService/Nix", b"")
    assert raised.value.code == grpc.StatusCode.UNIMPLEMENTED
