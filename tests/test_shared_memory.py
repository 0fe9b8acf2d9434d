"""Clients' shared memory: regions of NVIDIA's clients, unmodified, and what a hostile one does with them."""
import asyncio
import contextlib
import json
import os
import queue
import socket
import threading
import uuid

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from support.processes import until
from support.repositories import tensor_config, write_config, write_model
from support.server import Server, fetch
from support.streams import is_free, wait_free
from support.tokens import bearer, create

LONG_MS = 60_000  # nobody waits for this to be over
VALUES = np.arange(16, dtype=np.float32)
SYSTEM = "/v2/systemsharedmemory"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that lets whoever may use models register shared memory."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "identity", "identity", names=("INPUT0", "OUTPUT0"))
    write_model(folder, "text", "identity", "BYTES", names=("INPUT0", "OUTPUT0"))
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no", "concurrency": 8}, names=("INPUT0", "OUTPUT0"))
    write_config(folder, "pair", backend="identity", input=[tensor_config("A"), tensor_config("B")],
                 output=[tensor_config("C"), tensor_config("D")])
    one = Server(folder, "--allow-client-shm", "infer", "--max-shm-regions", "8", state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def triton(request, served):
    """The client library, with a client of it as .client. No region is left."""
    library = request.param
    with library.InferenceServerClient(served.netloc) as library.client:
        yield library
        library.client.unregister_system_shared_memory()
    del library.client


@contextlib.contextmanager
def memory(size, key=None):
    """A shared memory object of NVIDIA's library, and its key."""
    key = key or f"/tensord_{uuid.uuid4().hex[:12]}"
    handle = shm.create_shared_memory_region("any", key, size)
    try:
        yield handle, key
    finally:
        shm.destroy_shared_memory_region(handle)


@contextlib.contextmanager
def region(client, name, size, offset=0, byte_size=None):
    """Such an object, registered."""
    with memory(size) as (handle, key):
        client.register_system_shared_memory(name, key, size - offset if byte_size is None else byte_size, offset)
        yield handle


def shared_input(library, name, values, region_name, datatype="FP32", offset=0, byte_size=None):
    made = library.InferInput(name, list(values.shape), datatype)
    made.set_shared_memory(region_name, values.nbytes if byte_size is None else byte_size, offset)
    return made


def shared_output(library, name, region_name, byte_size, offset=0):
    asked = library.InferRequestedOutput(name)
    asked.set_shared_memory(region_name, byte_size, offset)
    return asked


def plain_input(library, name, values, datatype="FP32"):
    made = library.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def as_dict(message):
    """A response over gRPC is a message, over HTTP a dict."""
    if isinstance(message, dict):
        return message
    return json.loads(tritonclient.grpc._client.MessageToJson(message, preserving_proto_field_name=True))


def statuses(client):
    """The client's regions as {name: (key, offset, size)}."""
    status = client.get_system_shared_memory_status()
    if not isinstance(status, list):
        return {name: (one.key, one.offset, one.byte_size) for name, one in status.regions.items()}
    return {one["name"]: (one["key"], one["offset"], one["byte_size"]) for one in status}


def failure(call, *arguments, **named):
    """(status, sentence) of a call that fails."""
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    return caught.value.status(), caught.value.message()


def invalid(library):
    """How the library's clients name the status of a wrong argument."""
    return "400" if library is tritonclient.http else "StatusCode.INVALID_ARGUMENT"


# ---- NVIDIA's clients ----


def test_inputs_and_outputs_lie_in_shared_memory(triton):
    size = VALUES.nbytes
    with region(triton.client, "in", size) as source, region(triton.client, "out", size) as target:
        shm.set_shared_memory_region(source, [VALUES])
        result = triton.client.infer("identity", [shared_input(triton, "INPUT0", VALUES, "in")],
                                     outputs=[shared_output(triton, "OUTPUT0", "out", size)])
        assert np.array_equal(shm.get_contents_as_numpy(target, np.float32, [16]), VALUES)
        told = as_dict(result.get_response())
        assert [list(map(int, one["shape"])) for one in told["outputs"]] == [[16]]
        assert "data" not in told["outputs"][0] and not any(told.get("raw_output_contents", []))


def test_parts_of_regions(triton):
    """An offset of the region in its object, and one of the tensor in the region."""
    size = VALUES.nbytes
    with region(triton.client, "r", 64 + 4 * size, offset=64) as handle:
        shm.set_shared_memory_region(handle, [VALUES], offset=64 + size)
        triton.client.infer("identity", [shared_input(triton, "INPUT0", VALUES, "r", offset=size)],
                            outputs=[shared_output(triton, "OUTPUT0", "r", size, offset=3 * size)])
        assert np.array_equal(shm.get_contents_as_numpy(handle, np.float32, [16], offset=64 + 3 * size), VALUES)
        assert not shm.get_contents_as_numpy(handle, np.float32, [16], offset=64 + 2 * size).any()


def test_one_tensor_in_shared_memory_and_one_not(triton):
    other, size = VALUES + 100, VALUES.nbytes
    with region(triton.client, "r", 2 * size) as handle:
        shm.set_shared_memory_region(handle, [VALUES])
        for inputs, first, second in (
                ([shared_input(triton, "A", VALUES, "r"), plain_input(triton, "B", other)], VALUES, other),
                ([plain_input(triton, "A", other), shared_input(triton, "B", VALUES, "r")], other, VALUES)):
            outputs = [triton.InferRequestedOutput("C"), shared_output(triton, "D", "r", size, size)]
            result = triton.client.infer("pair", inputs, outputs=outputs)
            assert np.array_equal(result.as_numpy("C"), first)
            assert np.array_equal(shm.get_contents_as_numpy(handle, np.float32, [16], offset=size), second)


def test_large_tensors(triton):
    """More than is received or copied at once; the message itself is small."""
    values = np.random.default_rng(1).random(3 << 20, dtype=np.float32)
    with region(triton.client, "in", values.nbytes) as source, region(triton.client, "out", values.nbytes) as target:
        shm.set_shared_memory_region(source, [values])
        triton.client.infer("identity", [shared_input(triton, "INPUT0", values, "in")],
                            outputs=[shared_output(triton, "OUTPUT0", "out", values.nbytes)])
        assert np.array_equal(shm.get_contents_as_numpy(target, np.float32, values.shape), values)


def test_strings(triton):
    words = np.array([b"a", b"", b"longer"], object)
    packed = serialize_byte_tensor(words)
    size = len(packed.item())
    with region(triton.client, "r", 2 * size) as handle:
        shm.set_shared_memory_region(handle, [packed])
        triton.client.infer("text", [shared_input(triton, "INPUT0", words, "r", "BYTES", byte_size=size)],
                            outputs=[shared_output(triton, "OUTPUT0", "r", size, size)])
        assert list(shm.get_contents_as_numpy(handle, np.object_, [3], offset=size)) == list(words)


def test_asyncio_clients(served):
    async def use(library):
        async with library.InferenceServerClient(served.netloc) as client:
            with memory(2 * VALUES.nbytes) as (handle, key):
                await client.register_system_shared_memory("r", key, 2 * VALUES.nbytes)
                shm.set_shared_memory_region(handle, [VALUES])
                await client.infer("identity", [shared_input(library, "INPUT0", VALUES, "r")],
                                   outputs=[shared_output(library, "OUTPUT0", "r", VALUES.nbytes, VALUES.nbytes)])
                got = shm.get_contents_as_numpy(handle, np.float32, [16], offset=VALUES.nbytes)
                assert np.array_equal(got, VALUES)
                await client.unregister_system_shared_memory("r")

    for library in (tritonclient.http.aio, tritonclient.grpc.aio):
        asyncio.run(use(library))


class Stream:
    """A ModelStreamInfer of NVIDIA's client, and its answers."""

    def __init__(self, client):
        self.client, self.answers = client, queue.Queue()
        client.start_stream(lambda result, error: self.answers.put((result, error)))

    def infer(self, *arguments, **named):
        self.client.async_stream_infer(*arguments, **named)

    def next(self):
        return self.answers.get(timeout=30)

    def close(self):
        self.client.stop_stream()


@pytest.fixture
def grpc_client(served):
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        yield client
        client.unregister_system_shared_memory()


def test_a_stream_of_requests(grpc_client):
    library, size = tritonclient.grpc, VALUES.nbytes
    with region(grpc_client, "r", 8 * size) as handle:
        stream = Stream(grpc_client)
        for i in range(4):
            shm.set_shared_memory_region(handle, [VALUES + i], offset=i * size)
            stream.infer("identity", [shared_input(library, "INPUT0", VALUES, "r", offset=i * size)], request_id=str(i),
                         outputs=[shared_output(library, "OUTPUT0", "r", size, (4 + i) * size)])
        for i in range(4):
            result, error = stream.next()
            assert error is None and result.get_response().id == str(i)
            assert np.array_equal(shm.get_contents_as_numpy(handle, np.float32, [16], offset=(4 + i) * size), VALUES + i)
        stream.infer("identity", [shared_input(library, "INPUT0", VALUES, "none")])
        assert "Unable to find shared memory region: 'none'" in stream.next()[1].message()
        stream.close()


def test_several_answers_to_one_region(grpc_client):
    """Each is there when it is told of, in its order."""
    library = tritonclient.grpc
    values = np.array([7, 8, 9], np.int32)
    with region(grpc_client, "r", 64) as handle:
        stream = Stream(grpc_client)
        stream.infer("chaos", [plain_input(library, "INPUT0", values, "INT32")], parameters={"stream": 3},
                     outputs=[shared_output(library, "OUTPUT0", "r", 64)])
        seen = [stream.next() for _ in range(3)]
        assert [error for _, error in seen] == [None] * 3
        assert all(not result.get_response().raw_output_contents[0] for result, _ in seen)
        assert shm.get_contents_as_numpy(handle, np.int32, [1]).any()
        stream.close()


def test_a_region_that_is_too_small_fails_the_request_alone(triton):
    sentence = ("shared memory size specified with the request for output 'OUTPUT0' (32 bytes) should be at least 64 bytes "
                "to hold the results")
    with region(triton.client, "r", 32):
        asked = [shared_output(triton, "OUTPUT0", "r", 32)]
        status, message = failure(triton.client.infer, "identity", [plain_input(triton, "INPUT0", VALUES)], outputs=asked)
        assert (status, message) == (invalid(triton), sentence)
        small = VALUES[:8]
        assert triton.client.infer("identity", [plain_input(triton, "INPUT0", small)], outputs=asked)


# ---- registering ----


def test_status_tells_what_is_registered(triton):
    with memory(256) as (_, key):
        triton.client.register_system_shared_memory("one", key, 128, 64)
        triton.client.register_system_shared_memory("two", key.lstrip("/"), 256)
        assert statuses(triton.client) == {"one": (key, 64, 128), "two": (key[1:], 0, 256)}
        triton.client.get_system_shared_memory_status("one")
        triton.client.unregister_system_shared_memory("one")
        assert list(statuses(triton.client)) == ["two"]
        status, message = failure(triton.client.get_system_shared_memory_status, "one")
        assert status in ("404", "StatusCode.NOT_FOUND") and "region: 'one'" in message
        triton.client.unregister_system_shared_memory("one")  # as Triton: it is not there, as was asked for
        triton.client.unregister_system_shared_memory()
        assert statuses(triton.client) == {}


def test_a_name_is_registered_once(triton):
    with memory(64) as (_, key):
        triton.client.register_system_shared_memory("r", key, 64)
        status, message = failure(triton.client.register_system_shared_memory, "r", key, 64)
        assert message == "shared memory region 'r' already in manager"
        assert status in ("400", "StatusCode.ALREADY_EXISTS")


def test_names_registered_at_the_same_time(served):
    """Of many that ask for one name at once, one gets it."""
    with memory(64) as (_, key):
        body = json.dumps({"key": key, "byte_size": 64})
        answers = []

        def ask():
            answers.append(fetch(f"{served.url}{SYSTEM}/region/same/register", body.encode(), "POST")[0])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200] + [400] * 7
        assert fetch(f"{served.url}{SYSTEM}/unregister", b"", "POST")[0] == 200


def test_only_so_many_regions(triton):
    with memory(64) as (_, key):
        for i in range(8):
            triton.client.register_system_shared_memory(f"r{i}", key, 64)
        status, message = failure(triton.client.register_system_shared_memory, "r8", key, 64)
        assert status in ("429", "StatusCode.RESOURCE_EXHAUSTED") and "unregister some" in message


def request(model, inputs, outputs=(), parameters=None):
    """A whole POST of infer, for a socket."""
    body = json.dumps({"inputs": inputs, "outputs": list(outputs), "parameters": parameters or {}})
    return (f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def words(region_name, size, offset=0):
    return {"shared_memory_region": region_name, "shared_memory_byte_size": size, "shared_memory_offset": offset}


def test_a_region_in_use_stays(served, triton):
    """A request's output is to be written there: its client must not think that nobody does. When the client has gone,
    nobody does any more, be it with a worker or not."""
    with region(triton.client, "r", 64), region(triton.client, "other", 64):
        with socket.create_connection(served.address) as one:
            one.sendall(request("chaos", [{"name": "INPUT0", "datatype": "INT32", "shape": [1], "data": [1]}],
                                [{"name": "OUTPUT0", "parameters": words("r", 64)}], {"wait_ms": LONG_MS}))
            until(lambda: not is_free(served))
            status, message = failure(triton.client.unregister_system_shared_memory, "r")
            assert status == invalid(triton) and "Cannot unregister shared memory region 'r', it is currently in use." in message
            status, message = failure(triton.client.unregister_system_shared_memory)
            assert status == invalid(triton) and "r: requests use them" in message
            assert list(statuses(triton.client)) == ["r"]
        wait_free(served)
        triton.client.unregister_system_shared_memory("r")


# ---- CUDA ----


def test_there_is_no_cuda_memory(triton):
    client = triton.client
    assert not (client.get_cuda_shared_memory_status() if triton is tritonclient.http
                else client.get_cuda_shared_memory_status().regions)
    status, message = failure(client.register_cuda_shared_memory, "x", b"aGFuZGxl", 0, 64)
    assert (status, message) == (invalid(triton), "failed to register CUDA shared memory region: 'x', GPUs not supported")
    client.unregister_cuda_shared_memory("x")
    client.unregister_cuda_shared_memory()


def test_a_raw_handle_over_rest_is_refused_alike(served):
    body = {"raw_handle": {"b64": "aGFuZGxl"}, "device_id": 0, "byte_size": 64}
    status, _, answer = served.fetch("/v2/cudasharedmemory/region/x/register", body)
    assert (status, json.loads(answer)) == (400, {"error": "failed to register CUDA shared memory region: 'x', GPUs not supported"})


# ---- what is not allowed ----


def test_it_is_off_unless_allowed(server, tmp_path):
    one = server(write_model(tmp_path / "models", "identity", "identity", names=("INPUT0", "OUTPUT0")))
    one.wait_ready("identity")
    for library in (tritonclient.http, tritonclient.grpc):
        unsupported = "501" if library is tritonclient.http else "StatusCode.UNIMPLEMENTED"
        with library.InferenceServerClient(one.netloc) as client, memory(64) as (_, key):
            for call in ((client.register_system_shared_memory, "r", key, 64),
                         (client.unregister_system_shared_memory, "r"), (client.unregister_system_shared_memory,),
                         (client.unregister_cuda_shared_memory,),
                         (client.infer, "identity", [shared_input(library, "INPUT0", VALUES, "r")])):
                status, message = failure(*call)
                assert status == unsupported and "Client shared memory is disabled" in message
            assert statuses(client) == {}
            metadata = client.get_server_metadata()
            extensions = metadata["extensions"] if library is tritonclient.http else metadata.extensions
            assert "system_shared_memory" not in extensions


def test_extensions_say_so(triton):
    metadata = triton.client.get_server_metadata()
    extensions = metadata["extensions"] if triton is tritonclient.http else metadata.extensions
    assert "system_shared_memory" in extensions and "cuda_shared_memory" not in extensions


def test_regions_belong_to_their_token(server, tmp_path):
    """Names are each caller's own; who lacks the scope has none."""
    one = server(write_model(tmp_path / "models", "identity", "identity", names=("INPUT0", "OUTPUT0")),
                 "--allow-client-shm", "deploy", "--anonymous", "infer")
    one.wait_ready("identity")
    ann, bob = (create(one.state_dir, name=name, scope="infer,deploy") for name in ("ann", "bob"))

    def ask(path, token=None, body=b""):
        status, _, text = fetch(one.url + path, body, "GET" if body is None else "POST", bearer(token) if token else {})
        return status, text.decode()

    until(lambda: ask(f"{SYSTEM}/status", bob, None)[0] == 200)  # the token file has been read
    with memory(64) as (_, key):
        body = json.dumps({"key": key, "byte_size": 64}).encode()
        status, text = ask(f"{SYSTEM}/region/r/register", None, body)
        assert status == 403 and "scope 'deploy'" in text
        assert ask(f"{SYSTEM}/region/r/register", ann, body)[0] == 200
        assert ask(f"{SYSTEM}/region/r/register", bob, body)[0] == 200  # another r
        assert ask(f"{SYSTEM}/region/s/register", ann, body)[0] == 200
        assert [region["name"] for region in json.loads(ask(f"{SYSTEM}/status", bob, None)[1])] == ["r"]
        assert ask(f"{SYSTEM}/region/s/status", bob, None)[0] == 404
        assert json.loads(ask(f"{SYSTEM}/status", None, None)[1]) == []
        request = json.dumps({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [16], "parameters": {
            "shared_memory_region": "s", "shared_memory_byte_size": 64}}]}).encode()
        assert ask("/v2/models/identity/infer", ann, request)[0] == 200
        status, text = ask("/v2/models/identity/infer", bob, request)
        assert status == 404 and "Unable to find shared memory region: 's'" in text
        assert ask(f"{SYSTEM}/unregister", bob)[0] == 200
        assert len(json.loads(ask(f"{SYSTEM}/status", ann, None)[1])) == 2


# ---- bad input ----


@pytest.fixture
def odd():
    """Makes odd things in the folder of shared memory: odd(name, make) → key."""
    made = []

    def make(kind):
        name = f"tensord_odd_{uuid.uuid4().hex[:12]}"
        path = f"/dev/shm/{name}"
        made.append(path)
        if kind == "folder":
            os.mkdir(path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "link":
            target = path + "_target"
            made.append(target)
            open(target, "wb").write(bytes(64))
            os.symlink(target, path)
        elif kind == "link to a file":
            os.symlink("/etc/passwd", path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path)
        elif kind == "read-only":
            open(path, "wb").write(bytes(64))
            os.chmod(path, 0o400)
        elif kind == "foreign":
            open(path, "wb").write(bytes(64))
            os.chmod(path, 0o666)
            os.chown(path, 65534, 65534)
        return "/" + name

    yield make
    for path in made:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


@pytest.mark.parametrize("kind", ["none", "folder", "pipe", "link", "link to a file", "socket", "foreign"])
def test_what_is_no_shared_memory_of_ours_is_not_opened(triton, odd, kind):
    if kind == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can make another's file")
    key = odd(kind)
    status, message = failure(triton.client.register_system_shared_memory, "r", key, 64)
    assert status == invalid(triton) and message.startswith(f"Unable to open shared memory region: '{key}'")
    assert statuses(triton.client) == {}


@pytest.mark.parametrize("key, says", [
    ("", "invalid shm key"), ("/", "invalid shm key"), ("//x", "invalid shm key"), ("/..", "invalid shm key"),
    ("/.", "invalid shm key"), ("/a/b", "invalid shm key"), ("../etc/passwd", "invalid shm key"), ("x" * 256, "invalid shm key"),
    ("/triton_python_backend_shm_region_1", "the reserved prefix 'triton_python_backend_shm_region_'"),
    ("triton_python_backend_shm_region_1", "the reserved prefix 'triton_python_backend_shm_region_'"),
    ("/sem.x", "the reserved prefix 'sem.'"),
])
def test_odd_keys(triton, key, says):
    status, message = failure(triton.client.register_system_shared_memory, "r", key, 64)
    assert status == invalid(triton) and says in message


@pytest.mark.parametrize("offset, size", [(0, 65), (1, 64), (64, 1), (2**64 - 1, 2), (2**63, 2**63), (2**64 - 64, 64),
                                          (0, 2**64 - 1), (0, 0)])
def test_parts_that_are_not_there(triton, offset, size):
    with memory(64) as (_, key):
        status, message = failure(triton.client.register_system_shared_memory, "r", key, size, offset)
        assert status == invalid(triton) and "failed to register shared memory region 'r': invalid args" in message


@pytest.mark.parametrize("offset, size, says", [
    (64, 1, "Invalid offset for"), (2**63 - 1, 64, "Invalid offset for"), (1, 64, "Invalid offset + byte size for"),
    (0, 65, "Invalid offset + byte size for"), (2, 2**63 - 1, "Invalid offset + byte size for"), (0, 32, "byte size mismatch"),
])
def test_parts_that_a_region_does_not_have(triton, offset, size, says):
    with region(triton.client, "r", 64):
        asked = shared_input(triton, "INPUT0", VALUES, "r", offset=offset, byte_size=size)
        status, message = failure(triton.client.infer, "identity", [asked])
        assert status == invalid(triton) and says in message
        if size > 32:
            failure(triton.client.infer, "identity", [plain_input(triton, "INPUT0", VALUES)],
                    outputs=[shared_output(triton, "OUTPUT0", "r", size, offset)])


@pytest.mark.parametrize("body, says", [
    (b"", "no 'key' field"), (b"{}", "no 'key' field"), (b'{"key":"/x"}', "no 'byte_size' field"), (b"[]", "expected"),
    (b'{"key":1,"byte_size":1}', "byte"), (b'{"key":"/x","byte_size":-1}', "byte"), (b'{"key":"/x","byte_size":"1"}', "byte"),
    (b'{"key":"/x\\u0000","byte_size":1}', "byte"), (b'{"key":"/x","byte_size":1e99}', "byte"),
])
def test_registrations_that_make_no_sense(served, body, says):
    status, _, text = fetch(f"{served.url}{SYSTEM}/region/r/register", body, "POST")
    assert status == 400 and says in json.loads(text)["error"]


@pytest.mark.parametrize("name", ["x" * 256, "a%00b", "a%0Ab", "%FF"])
def test_odd_names(served, name):
    status, _, text = fetch(f"{served.url}{SYSTEM}/region/{name}/register", b'{"key":"/x","byte_size":1}', "POST")
    assert status == 400 and json.loads(text)["error"]


def test_a_region_whose_object_was_cut_short(triton):
    """Reading and writing fail with a sentence, and the server goes on; a write does not make it long again."""
    with memory(4096) as (handle, key):
        triton.client.register_system_shared_memory("r", key, 4096)
        os.truncate(f"/dev/shm{key}", 16)
        status, message = failure(triton.client.infer, "identity", [shared_input(triton, "INPUT0", VALUES, "r")])
        assert status == invalid(triton) and "'r' has become shorter" in message
        status, message = failure(triton.client.infer, "identity", [plain_input(triton, "INPUT0", VALUES)],
                                  outputs=[shared_output(triton, "OUTPUT0", "r", 64)])
        assert status == invalid(triton) and "'r' has become shorter" in message
        assert os.stat(f"/dev/shm{key}").st_size == 16
        os.truncate(f"/dev/shm{key}", 4096)
        assert triton.client.infer("identity", [shared_input(triton, "INPUT0", VALUES, "r")])


def test_an_object_that_changes_all_the_time(served, triton):
    """A client cuts its object short, makes it long and writes to it while its requests run: each is answered or refused."""
    size = 4 << 20
    values = np.zeros(size // 4, np.float32)
    stop = threading.Event()
    with memory(2 * size) as (handle, key):
        triton.client.register_system_shared_memory("r", key, 2 * size)

        def spoil():
            fd = os.open(f"/dev/shm{key}", os.O_RDWR)
            while not stop.is_set():
                os.ftruncate(fd, size // 3)
                os.ftruncate(fd, 2 * size)
                os.pwrite(fd, b"x" * 4096, size // 2)
            os.ftruncate(fd, 2 * size)
            os.close(fd)

        thread = threading.Thread(target=spoil)
        thread.start()
        outcomes = set()
        for _ in range(60):
            try:
                triton.client.infer("identity", [shared_input(triton, "INPUT0", values, "r")],
                                    outputs=[shared_output(triton, "OUTPUT0", "r", size, size)])
                outcomes.add("served")
            except InferenceServerException as error:
                outcomes.add(error.message())
        stop.set()
        thread.join()
        assert outcomes <= {"served", "shared memory region 'r' has become shorter than it was when it was registered"}
        assert triton.client.infer("identity", [shared_input(triton, "INPUT0", values, "r")])
    assert served.process.poll() is None


def test_strings_that_change_or_lie(triton):
    """Lengths of strings are checked in the server's own copy."""
    with region(triton.client, "r", 64) as handle:
        shm.set_shared_memory_region(handle, [np.array([60, 0xFFFFFFFF], np.uint32)])
        words = np.empty(2, object)
        status, message = failure(triton.client.infer, "text", [shared_input(triton, "INPUT0", words, "r", "BYTES", byte_size=64)])
        assert status == invalid(triton)


def test_a_client_that_goes_while_its_regions_are_read(served):
    """Nothing of it stays: the region can be unregistered, and descriptors are as before."""
    values = np.zeros(8 << 20, np.float32)
    with tritonclient.http.InferenceServerClient(served.netloc) as client:
        with region(client, "r", values.nbytes):
            asked = request("identity", [{"name": "INPUT0", "datatype": "FP32", "shape": [values.size],
                                          "parameters": words("r", values.nbytes)}],
                            [{"name": "OUTPUT0", "parameters": words("r", values.nbytes)}])
            for _ in range(20):
                with socket.create_connection(served.address) as one:
                    one.sendall(asked)

            def gone():
                try:
                    client.unregister_system_shared_memory("r")
                except InferenceServerException:
                    return False
                return True

            assert until(gone)
    assert served.process.poll() is None
