"""grpc.health.v1.Health/Watch: the health of the server as it changes, told to as many as may watch."""
import signal

import grpc
import pytest

from support import processes
from support.http2 import END_HEADERS, Http2, data, grpc_block, grpc_message, headers
from support.repositories import write_model

WATCH = "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
TIMEOUT_S = 60


def asking_for(service):
    return b"\x0a" + bytes([len(service)]) + service.encode() if service else b""


def watch(channel, service="", **options):
    return channel.unary_stream(WATCH)(asking_for(service), **{"timeout": TIMEOUT_S, **options})


@pytest.fixture
def started(server, tmp_path):
    folder = write_model(tmp_path / "models", "echo", "identity")
    return lambda *arguments: server(folder, *arguments).wait_ready("echo")


@pytest.fixture
def channel():
    """channel(server): a connection that no other channel of the process shares."""
    opened = []

    def open_one(server):
        opened.append(grpc.insecure_channel(server.netloc, [("grpc.use_local_subchannel_pool", 1)]))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_the_status_is_told_at_once(started, channel):
    """Of a service that there is not, too: it could come."""
    clients = channel(started())
    for service, status in (("", SERVING), ("inference.GRPCInferenceService", SERVING), ("nix", SERVICE_UNKNOWN)):
        call = watch(clients, service)
        assert next(call) == status, service
        call.cancel()


def test_it_is_told_when_the_server_gets_ready(server, tmp_path, channel):
    """Whenever one begins to watch: before the first look at the models, or after it."""
    call = watch(channel(server(write_model(tmp_path / "models", "echo", "identity"))))
    assert SERVING in (next(call) for _ in range(2))
    call.cancel()


def test_the_end_is_told_before_it_comes(started, channel):
    server = started()
    calls = [watch(channel(server)) for _ in range(3)] + [watch(channel(server), "nix")]
    assert [next(call) for call in calls] == [SERVING] * 3 + [SERVICE_UNKNOWN]
    server.process.send_signal(signal.SIGTERM)
    assert [next(call) for call in calls[:3]] == [NOT_SERVING] * 3
    for call in calls:
        assert list(call) == [] and call.code() == grpc.StatusCode.OK
    server.stop()


def test_those_who_watch_are_sent_to_the_new_front(started, channel):
    """Else an upgrade would wait for them until its time is over."""
    server = started("--drain-timeout-ms", "3600000")
    old = server.front()
    clients = channel(server)
    call = watch(clients)
    assert next(call) == SERVING
    server.process.send_signal(signal.SIGUSR2)
    assert list(call) == [] and call.code() == grpc.StatusCode.OK
    old.wait(TIMEOUT_S)
    call = watch(clients, wait_for_ready=True)
    assert next(call) == SERVING
    call.cancel()


def test_their_number_is_bounded(started, channel):
    server = started("--max-watches", "2")
    clients = channel(server)
    first, second = calls = [watch(clients) for _ in range(2)]
    assert [next(call) for call in calls] == [SERVING] * 2
    with pytest.raises(grpc.RpcError) as refused:
        next(watch(clients))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "call Check" in refused.value.details()
    assert 'tensord_limit_hits_total{limit="max_watches"} 1' in server.fetch("/metrics")[2].decode()
    assert clients.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=TIMEOUT_S) == SERVING
    first.cancel()
    again = processes.until(lambda: first_of(watch(clients)), TIMEOUT_S, "room for another")
    second.cancel()
    again.cancel()


def first_of(call):
    """The call after its first message; None when it was refused."""
    try:
        assert next(call) == SERVING
        return call
    except grpc.RpcError:
        return None


def test_a_deadline_ends_it(started):
    server = started()
    with Http2(server.address) as connection:
        connection.send(headers(1, grpc_block(WATCH, (b"grpc-timeout", b"100m")), END_HEADERS) + data(1, grpc_message(b"")))
        answer = connection.answer()
    assert (answer.body, answer.fields["grpc-status"]) == (grpc_message(SERVING), "4")


def test_a_client_that_does_not_end_its_side_is_told_too(started):
    """A second message is none of a call like this: it is not read."""
    server = started()
    with Http2(server.address) as connection:
        connection.send(headers(1, grpc_block(WATCH), END_HEADERS) + data(1, grpc_message(b"") * 2, 0))
        while not connection.stream(1).body:
            assert connection.step()
        server.process.send_signal(signal.SIGTERM)
        answer = connection.answer()
    assert answer.body == grpc_message(SERVING) + grpc_message(NOT_SERVING) and answer.fields["grpc-status"] == "0"
    server.stop()
