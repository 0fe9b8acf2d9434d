"""Traces: what a collector gets, which requests are traced, and what happens when it gets nothing."""
import http.client
import json
import re
import signal
import ssl
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from google.protobuf import descriptor_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import pki, repositories
from support.collector import Collector, attributes
from support.processes import named, until

STAGES = ["parse", "queue", "batch", "execute", "write"]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    started = Collector()
    yield started
    started.close()


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    repositories.write_model(folder, "identity", "identity")
    return folder


def traced(server, models, collector, *arguments, **environment):
    return server(models, *arguments, environment={**collector.environment, **environment}).wait_ready("identity")


def infer(one, **headers):
    status, _ = one.infer("identity", repositories.request([1.0]),
                          headers={key.replace("_", "-"): value for key, value in headers.items()})
    return status


def metric(one, name):
    """The value of a series."""
    text = one.fetch("/metrics")[2].decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def test_a_request_is_a_span_with_one_below_it_for_each_stage(server, models, collector):
    one = traced(server, models, collector, OTEL_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="team=vi%20sion")
    assert infer(one, x_request_id="mine") == 200
    span, children = collector.wait_for_request(tensord__request__id="mine")
    assert span.name == "POST /v2/models/{model}/infer"
    assert span.kind == trace_pb2.Span.SPAN_KIND_SERVER
    assert not span.parent_span_id and len(span.trace_id) == 16 and len(span.span_id) == 8
    has = attributes(span)
    assert {"http.request.method": "POST", "url.path": "/v2/models/identity/infer", "http.response.status_code": 200,
            "http.route": "/v2/models/{model}/infer", "network.protocol.version": "1.1", "client.address": "127.0.0.1",
            "tensord.model.name": "identity", "tensord.model.version": "1"}.items() <= has.items()
    assert 0 < has["client.port"] < 65536
    # Stages follow each other without a gap, from the beginning to the end.
    assert list(children) == STAGES
    at = span.start_time_unix_nano
    for name in STAGES:
        assert children[name].trace_id == span.trace_id
        assert children[name].start_time_unix_nano == at
        at = children[name].end_time_unix_nano
    assert at == span.end_time_unix_nano
    assert collector.resource() | {"service.name": "shop", "team": "vi sion"} == collector.resource()
    assert collector.heads[0][0] == "/v1/traces"
    assert collector.heads[0][1]["Content-Type"] == "application/x-protobuf"


def test_the_caller_s_trace_goes_on(server, models, collector):
    one = traced(server, models, collector)
    assert infer(one, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="a=1,b=2", x_request_id="known") == 200
    span, children = collector.wait_for_request(tensord__request__id="known")
    assert span.trace_id.hex() == TRACE and span.parent_span_id.hex() == PARENT and span.trace_state == "a=1,b=2"
    assert {child.trace_id.hex() for child in children.values()} == {TRACE}


def ask_twice(one, *fields):
    """An inference with header fields that may come several times."""
    client = http.client.HTTPConnection(one.host, one.port, timeout=60)
    client.putrequest("POST", "/v2/models/identity/infer")
    body = json.dumps(repositories.request([1.0])).encode()
    for name, text in (("Authorization", f"Bearer {one.admin_token}"), ("Content-Length", str(len(body))), *fields):
        client.putheader(name, text)
    client.endheaders(body)
    assert client.getresponse().status == 200
    client.close()


def test_fields_of_a_trace_that_come_several_times(server, models, collector):
    """States are one list; of several parents none is taken, however many there are."""
    one = traced(server, models, collector)
    parent = ("traceparent", f"00-{TRACE}-{PARENT}-01")
    ask_twice(one, ("tracestate", "a=1"), parent, ("tracestate", ""), ("tracestate", "b=2,c=3"), ("x-request-id", "states"))
    span, _ = collector.wait_for_request(tensord__request__id="states")
    assert span.trace_id.hex() == TRACE and span.trace_state == "a=1,b=2,c=3"
    ask_twice(one, parent, *[("tracestate", "a=" + "x" * 200)] * 9, ("x-request-id", "long"))
    span, _ = collector.wait_for_request(tensord__request__id="long")
    assert span.trace_id.hex() == TRACE and not span.trace_state
    for count in (2, 3):
        ask_twice(one, *[parent] * count, ("tracestate", "a=1"), ("x-request-id", f"parents{count}"))
        span, _ = collector.wait_for_request(tensord__request__id=f"parents{count}")
        assert not span.parent_span_id and span.trace_id.hex() != TRACE and not span.trace_state


def test_requests_of_a_stream_are_spans_below_it(server, models, collector):
    one = traced(server, models, collector)
    message = service_pb2.ModelInferRequest(model_name="identity", raw_input_contents=[bytes(4)])
    message.inputs.add(name="x", datatype="FP32", shape=[1])
    metadata = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "streamed")]
    with grpc.insecure_channel(one.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert len(list(stub.ModelStreamInfer(iter([message, message]), metadata=metadata, timeout=30))) == 2
    span, _ = collector.wait_for_request(tensord__request__id="streamed")
    assert span.name == "inference.GRPCInferenceService/ModelStreamInfer" and span.parent_span_id.hex() == PARENT
    until(lambda: sum(other.name == "infer" for other in collector.spans()) == 2, 30, "the requests' spans")
    for request in [other for other in collector.spans() if other.name == "infer"]:
        assert request.trace_id.hex() == TRACE and request.parent_span_id == span.span_id
        assert attributes(request)["tensord.model.name"] == "identity"
        assert [other.name for other in collector.spans() if other.parent_span_id == request.span_id] == STAGES


@pytest.mark.parametrize("garbage", ["", "x", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
                                     "00-" + "A" * 200, "\xff" * 60])
def test_a_traceparent_of_garbage_starts_a_trace_of_its_own(server, models, collector, garbage):
    one = traced(server, models, collector)
    assert infer(one, traceparent=garbage, tracestate="a=1", x_request_id="new") == 200
    span, _ = collector.wait_for_request(tensord__request__id="new")
    assert not span.parent_span_id and span.trace_id.hex() != TRACE and not span.trace_state


def test_the_caller_decides_whether_a_request_is_traced(server, models, collector):
    one = traced(server, models, collector, "--trace-sample-permille", "0")
    assert infer(one, x_request_id="unasked") == 200
    assert infer(one, traceparent=f"00-{TRACE}-{PARENT}-00", x_request_id="unsampled") == 200
    assert infer(one, traceparent=f"00-{TRACE}-{PARENT}-01", x_request_id="sampled") == 200
    collector.wait_for_request(tensord__request__id="sampled")
    assert len(collector.spans()) == 1 + len(STAGES)


@pytest.mark.parametrize("sampler, argument, sampled", [
    ("always_off", "", False), ("always_on", "", True), ("traceidratio", "0", False),
    ("parentbased_traceidratio", "1.0", True), ("parentbased_always_off", "", False)])
def test_opentelemetry_s_samplers_are_understood(server, models, collector, sampler, argument, sampled):
    one = traced(server, models, collector, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    for _ in range(5):
        assert infer(one) == 200
    assert metric(one, 'tensord_trace_requests_total{outcome="queued"}') == (5 if sampled else 0)


def test_a_grpc_call_is_a_span(server, models, collector):
    one = traced(server, models, collector)
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        x = tritonclient.grpc.InferInput("x", [2], "FP32").set_data_from_numpy(np.zeros(2, np.float32))
        client.infer("identity", [x], headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        with pytest.raises(tritonclient.grpc.InferenceServerException):
            client.infer("nobody", [x])
    span, children = collector.wait_for_request(rpc__method="ModelInfer", rpc__grpc__status_code=0)
    assert span.name == "inference.GRPCInferenceService/ModelInfer" and span.parent_span_id.hex() == PARENT
    assert attributes(span)["rpc.service"] == "inference.GRPCInferenceService"
    assert attributes(span)["network.protocol.version"] == "2"
    assert list(children) == STAGES
    failed, _ = collector.wait_for_request(rpc__method="ModelInfer", rpc__grpc__status_code=5)
    assert failed.status.code == trace_pb2.Status.STATUS_CODE_UNSET  # the client's fault


def test_errors_and_probes(server, models, collector):
    repositories.write_model(models, "broken", "chaos", parameters={"batching": "no"})
    one = traced(server, models, collector).wait_ready("broken")
    assert one.fetch("/v2/health/ready")[0] == one.fetch("/metrics")[0] == 200
    assert one.fetch("/nothing/%FF%20here")[0] == 404
    assert one.infer("broken", repositories.request([1.0], fail="no milk"))[0] == 500
    span, children = collector.wait_for_request(tensord__model__name="broken")
    assert (span.status.code, span.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "no milk")
    assert attributes(span)["error.type"] == "500"
    assert "execute" in children
    unknown, none = collector.wait_for_request(http__response__status_code=404)
    assert unknown.name == "GET" and not none  # anybody may make up paths
    paths = [attributes(one).get("url.path") for one in collector.spans()]
    assert "/v2/health/ready" not in paths and "/metrics" not in paths


def test_what_a_model_asks_of_another_is_a_span_below(server, models, collector):
    names = ("INPUT0", "OUTPUT0")
    repositories.write_model(models, "caller", "chaos", parameters={"batching": "no"}, names=names)
    repositories.write_model(models, "called", "identity", names=names)
    one = traced(server, models, collector).wait_ready("caller").wait_ready("called")
    status, answer = one.infer("caller", repositories.request([1.0], name="INPUT0", call="called"))
    assert status == 200, answer
    outer, _ = collector.wait_for_request(tensord__model__name="caller")
    inner, stages = collector.wait_for_request(tensord__model__name="called")
    assert inner.name == "infer" and inner.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
    assert inner.trace_id == outer.trace_id and inner.parent_span_id == outer.span_id
    assert {"queue", "batch", "execute"} <= set(stages)


def test_a_collector_that_is_busy_is_asked_again(server, models, collector):
    collector.statuses = [503, 429]
    one = traced(server, models, collector)
    assert infer(one, x_request_id="patient") == 200
    collector.wait_for_request(tensord__request__id="patient")
    assert [status for _, _, status in collector.heads] == [503, 429, 200]
    until(lambda: infer(one) == 200 and metric(one, 'tensord_trace_requests_total{outcome="exported"}') >= 1, 60,
          "the report")  # each next record also brings the news of the last ones


def test_a_collector_s_certificate_is_checked(server, models, tmp_path):
    """Names, certificates and libraries are found from within the exporter's sandbox, and no stranger gets a trace."""
    ours, stranger = pki.authority(tmp_path, "ours"), pki.authority(tmp_path, "stranger")
    identity = pki.server(tmp_path, ours)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate_path, identity.key_path)
    secure = Collector(context)
    try:
        wrong = traced(server, models, secure, OTEL_EXPORTER_OTLP_CERTIFICATE=str(stranger.certificate_path))
        assert infer(wrong, x_request_id="untold") == 200
        assert wrong.err.wait_for("takes no traces now: .*certificate", 60)
        right = traced(server, models, secure, OTEL_EXPORTER_OTLP_CERTIFICATE=str(ours.certificate_path))
        assert infer(right, x_request_id="told") == 200
        secure.wait_for_request(tensord__request__id="told")
        assert "untold" not in [attributes(span).get("tensord.request.id") for span in secure.spans()]
    finally:
        secure.close()


def test_what_a_collector_refuses_is_given_up(server, models, collector):
    collector.statuses = [400]
    one = traced(server, models, collector)
    assert infer(one, x_request_id="refused") == 200
    until(lambda: collector.heads, 60, "a post")
    assert one.err.wait_for("the collector refuses traces: status 400", 60)
    assert infer(one, x_request_id="taken") == 200
    collector.wait_for_request(tensord__request__id="taken")
    assert "refused" not in [attributes(span).get("tensord.request.id") for span in collector.spans()]
    until(lambda: metric(one, 'tensord_trace_requests_total{outcome="lost"}') == 1, 60, "the report")


def test_a_collector_that_hangs_costs_the_server_nothing(server, models, collector):
    """Far more requests than all buffers hold: they are all answered, and memory stays bounded."""
    collector.hold.clear()
    one = traced(server, models, collector, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
    assert infer(one) == 200
    [exporter] = until(lambda: named(one.pid, "exporter"), 60, "an exporter")
    front = one.front()
    before = front.memory_info().rss
    path = "/" + "x" * 500  # a kilobyte of record
    connection = http.client.HTTPConnection(one.host, one.port, timeout=60)
    dropped = 0
    for turn in range(20000):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == 404
        if turn % 500 == 499 and (dropped := metric(one, 'tensord_trace_requests_total{outcome="dropped"}')):
            break
    assert dropped > 0
    assert exporter.memory_info().rss < 256 << 20 and front.memory_info().rss < before + (64 << 20)
    assert infer(one) == 200
    collector.hold.set()


def test_an_exporter_that_dies_is_replaced(server, models, collector):
    one = traced(server, models, collector)
    [first] = until(lambda: named(one.pid, "exporter"), 60, "an exporter")
    first.kill()
    assert one.err.wait_for("the exporter of traces .*another one will be started", 60)
    until(lambda: [p for p in named(one.pid, "exporter") if p.pid != first.pid], 60, "another one")
    assert infer(one, x_request_id="after") == 200
    collector.wait_for_request(tensord__request__id="after")


def test_an_upgrade_traces_on(server, models, collector):
    """The new front has an exporter of its own, and the old one's sends what it has."""
    one = traced(server, models, collector, OTEL_BSP_SCHEDULE_DELAY="600000")
    assert infer(one, x_request_id="before") == 200
    one.process.send_signal(signal.SIGUSR2)
    assert one.err.wait_for("upgraded", 60)
    collector.wait_for_request(tensord__request__id="before")
    until(lambda: len(named(one.pid, "exporter")) == 1, 60, "the end of the old exporter")
    assert infer(one, x_request_id="after") == 200
    one.stop()
    collector.wait_for_request(tensord__request__id="after")


def test_what_was_traced_last_is_sent_at_the_end(server, models, collector):
    one = traced(server, models, collector, OTEL_BSP_SCHEDULE_DELAY="600000")
    assert infer(one, x_request_id="last") == 200
    one.stop()
    assert "last" in [attributes(span).get("tensord.request.id") for span in collector.spans()]


def test_only_the_exporter_has_libcurl_and_the_network(server, models, collector):
    one = traced(server, models, collector)
    assert infer(one, x_request_id="there") == 200
    collector.wait_for_request(tensord__request__id="there")
    with_curl = {role for role in ("front", "worker", "exporter") for process in named(one.pid, role)
                 if any("libcurl" in mapped.path for mapped in process.memory_maps())}
    assert with_curl == {"exporter"}
    [exporter] = named(one.pid, "exporter")
    status = open(f"/proc/{exporter.pid}/status").read()
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    if "seccomp" in one.err.text():
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)


def test_without_a_collector_there_is_no_exporter(server, models):
    one = server(models).wait_ready("identity")
    assert infer(one, traceparent=f"00-{TRACE}-{PARENT}-01") == 200
    assert not named(one.pid, "exporter")
    assert metric(one, 'tensord_trace_requests_total{outcome="queued"}') == 0


@pytest.mark.parametrize("environment, sentence", [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"}, "has to start with http://"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_SAMPLER": "sometimes"}, "known are always_on"),
])
def test_what_makes_no_sense_is_said_at_once(server, models, environment, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        server(models, environment=environment)


def test_our_messages_are_opentelemetry_s(tmp_path):
    """proto/otlp.proto against the descriptors of the real package."""
    proto = Path(__file__).parent.parent / "proto"
    subprocess.run(["protoc", f"--proto_path={proto}", f"--descriptor_set_out={tmp_path / 'set'}", "otlp.proto"], check=True)
    [file] = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file
    modules = (trace_service_pb2, trace_pb2, common_pb2, resource_pb2)
    theirs = {name: descriptor for module in modules for name, descriptor in module.DESCRIPTOR.message_types_by_name.items()}
    checked = 0
    for message in file.message_type:
        for field in message.field:
            other = theirs[message.name].fields_by_name[field.name]
            assert (field.number, field.type, field.label) == (other.number, other.type, 3 if other.is_repeated else 1), field.name
            checked += 1
    assert checked == 30
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER")):
        assert getattr(trace_pb2.Span, f"SPAN_KIND_{name}") == number
