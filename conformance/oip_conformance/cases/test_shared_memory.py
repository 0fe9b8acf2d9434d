"""System shared memory: tensors in memory that client and server share. The suite must run on the server's machine."""
import os
from pathlib import Path

import pytest

from oip_conformance.catalogue import ROBUSTNESS, TRITON, case
from oip_conformance.http import NoAnswer
from oip_conformance.tensors import outputs_of, pack, request, tensor

SOURCE = "Triton: extension_shared_memory.md"
NEEDS = "system_shared_memory"
BASE = "/v2/systemsharedmemory"
PAGE = 4096  # offsets of regions are multiples of it: servers map them
BYTES = 3 * PAGE
FOLDER = Path("/dev/shm")


class Segment:
    """Shared memory of ours, registered as a region of the same name."""

    def __init__(self, http, name, size=BYTES):
        self.http, self.name = http, f"oip-{name}-{os.getpid()}"
        self.path = FOLDER / self.name
        self.path.write_bytes(b"\0" * size)

    def register(self, offset=0, byte_size=BYTES, key=None):
        return self.http.ask("POST", f"{BASE}/region/{self.name}/register",
                             {"key": key or f"/{self.name}", "offset": offset, "byte_size": byte_size})

    def unregister(self):
        return self.http.ask("POST", f"{BASE}/region/{self.name}/unregister", b"")

    def parameters(self, size, offset=0):
        return {"shared_memory_region": self.name, "shared_memory_byte_size": size, "shared_memory_offset": offset}

    def close(self):
        self.path.unlink(missing_ok=True)
        try:
            self.unregister()
        except (OSError, NoAnswer):
            pass  # the server has ended, which another one says


@pytest.fixture
def segment(http, request):
    if not FOLDER.is_dir():
        pytest.skip("this machine has no /dev/shm")
    made = Segment(http, request.node.originalname)
    try:
        probe = made.register()
        if probe.status in (403, 501):
            pytest.skip(f"the server does not allow it: {probe.error()}")
        made.unregister()
        yield made
    finally:
        made.close()


def described(segment, shape, size, offset=0):
    return {"name": "INPUT0", "datatype": "FP32", "shape": shape, "parameters": segment.parameters(size, offset)}


def infer(http, target, *inputs, **more):
    return http.ask("POST", f"/v2/models/{target.model('identity_fp32')}/infer", request(*inputs, **more))


def refused(reply):
    assert 400 <= reply.status < 500, (reply.status, reply.body[:200])
    return reply.error()


@case("shm.register", TRITON, SOURCE, NEEDS)
def test_register(http, segment):
    """A region is registered, listed with name, key, offset and size, and unregistered; each answers 200."""
    reply = segment.register(PAGE, PAGE)
    assert reply.status == 200, reply.body
    assert http.ask("GET", f"{BASE}/region/{segment.name}/status").json() == [
        {"name": segment.name, "key": f"/{segment.name}", "offset": PAGE, "byte_size": PAGE}]
    assert segment.name in [row["name"] for row in http.ask("GET", f"{BASE}/status").json()]
    assert segment.unregister().status == 200
    assert segment.name not in [row["name"] for row in http.ask("GET", f"{BASE}/status").json()]


@case("shm.input", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_input(http, target, segment):
    """An input is read from the region, at its offset."""
    segment.path.write_bytes(b"\0" * 128 + pack("FP32", [1.5, 2.5]) + b"\0" * (BYTES - 136))
    assert segment.register().status == 200
    assert outputs_of(infer(http, target, described(segment, [1, 2], 8, 128)))["OUTPUT0"][2] == [1.5, 2.5]


@case("shm.output", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_output(http, target, segment):
    """An output is written into the region, and the answer has none of its data."""
    assert segment.register().status == 200
    reply = infer(http, target, tensor([3.5, 4.5]), outputs=[{"name": "OUTPUT0", "parameters": segment.parameters(8, 256)}])
    [output] = reply.json()["outputs"]
    assert output["shape"] == [1, 2] and "data" not in output
    assert segment.path.read_bytes()[256:264] == pack("FP32", [3.5, 4.5])


@case("shm.offset", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_offset(http, target, segment):
    """Offsets count from the region's beginning, which may lie within the memory."""
    segment.path.write_bytes(b"\0" * (PAGE + 64) + pack("FP32", [7.0]) + b"\0" * (BYTES - PAGE - 68))
    assert segment.register(PAGE, PAGE).status == 200
    assert outputs_of(infer(http, target, described(segment, [1, 1], 4, 64)))["OUTPUT0"][2] == [7.0]


@case("shm.twice", TRITON, SOURCE, NEEDS)
def test_twice(http, segment):
    """A name that is registered cannot be registered again."""
    assert segment.register().status == 200
    assert "already in manager" in refused(segment.register())


@case("shm.unregister-all", TRITON, SOURCE, NEEDS)
def test_unregister_all(http, segment):
    """Without a name all regions are unregistered."""
    assert segment.register().status == 200
    assert http.ask("POST", f"{BASE}/unregister", b"").status == 200 and http.ask("GET", f"{BASE}/status").json() == []


@case("shm.too-small", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_too_small(http, target, segment):
    """An output that is larger than its room is an error, and nothing is written beyond it."""
    segment.path.write_bytes(b"\x55" * BYTES)
    assert segment.register().status == 200
    reply = infer(http, target, tensor([1.0, 2.0]), outputs=[{"name": "OUTPUT0", "parameters": segment.parameters(4)}])
    assert reply.status >= 400 and reply.error()
    assert segment.path.read_bytes()[4:] == b"\x55" * (BYTES - 4)


REGISTERS = {"missing-key": dict(key="/oip-nix"), "offset-beyond": dict(offset=2 * BYTES), "size-beyond": dict(byte_size=2 * BYTES),
             "offset-and-size-beyond": dict(offset=BYTES - 8, byte_size=16), "offset-wraps": dict(offset=2**64 - 8, byte_size=16),
             "negative-offset": dict(offset=-1), "negative-size": dict(byte_size=-1), "key-parent": dict(key="/../etc/passwd"),
             "key-with-slash": dict(key="/a/b"), "key-empty": dict(key="/"), "key-dot": dict(key="/.")}


@case("bad.shm.register", ROBUSTNESS, SOURCE, NEEDS)
@pytest.mark.parametrize("given", REGISTERS.values(), ids=REGISTERS)
def test_bad_register(http, segment, given):
    """A key that names no shared memory, or bounds beyond it, are refused when they are registered."""
    refused(segment.register(**given))


@case("bad.shm.server's-own", ROBUSTNESS, SOURCE, NEEDS)
def test_servers_own(http, segment):
    """No shared memory of the server's own can be registered: it would be read and written by clients."""
    for path in FOLDER.iterdir():
        if "triton" in path.name or "tensord" in path.name:
            assert segment.register(key=f"/{path.name}", byte_size=1).status >= 400, path.name
            segment.unregister()


@case("bad.shm.truncated", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_truncated(http, target, segment):
    """Memory that was truncated after it was registered is an error, and no end of the server (SIGBUS)."""
    assert segment.register().status == 200
    os.truncate(segment.path, 0)
    reply = infer(http, target, described(segment, [1, 2], 8))
    assert reply.status >= 400 and reply.error()


@case("bad.shm.truncated-output", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_truncated_output(http, target, segment):
    """The same for memory that an output is to be written to: refused, or written anew."""
    assert segment.register().status == 200
    os.truncate(segment.path, 0)
    reply = infer(http, target, tensor([1.0]), outputs=[{"name": "OUTPUT0", "parameters": segment.parameters(4)}])
    assert reply.status == 200 or reply.error()


@case("bad.shm.kind", ROBUSTNESS, SOURCE, NEEDS)
@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_kind(http, segment, kind):
    """A FIFO, a folder or a link in the place of shared memory is refused, and nothing waits for it."""
    segment.path.unlink()
    try:
        if kind == "fifo":
            os.mkfifo(segment.path)
        elif kind == "folder":
            segment.path.mkdir()
        else:
            segment.path.symlink_to("/etc/passwd")
        refused(segment.register(byte_size=16))
    finally:
        segment.path.rmdir() if kind == "folder" else segment.path.unlink()


RANGES = {"size-beyond": (BYTES + 8, 0), "offset-beyond": (8, BYTES), "wraps": (16, 2**64 - 8), "negative-offset": (8, -8),
          "other-size": (16, 0), "zero": (0, 0)}


@case("bad.shm.range", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("given", RANGES.values(), ids=RANGES)
def test_range(http, target, segment, given):
    """An input that lies beyond its region, or is not as large as its shape, is refused."""
    assert segment.register().status == 200
    refused(infer(http, target, described(segment, [1, 2], *given)))


@case("bad.shm.unknown-region", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_unknown(http, target, segment):
    """A region that is not registered is refused, for inputs and for outputs."""
    refused(infer(http, target, described(segment, [1, 2], 8)))
    refused(infer(http, target, tensor([1.0]), outputs=[{"name": "OUTPUT0", "parameters": segment.parameters(4)}]))


@case("bad.shm.data-twice", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_data_twice(http, target, segment):
    """A tensor has its data in one place: in JSON or in shared memory."""
    assert segment.register().status == 200
    refused(infer(http, target, {**described(segment, [1, 2], 8), "data": [1.0, 2.0]}))


@case("shm.off", ROBUSTNESS, SOURCE, model="identity_fp32")
def test_off(http, target):
    """A server that does not announce shared memory refuses a request that names a region, instead of reading zeros."""
    if not target.lacks(NEEDS):
        pytest.skip("announces it")
    asked = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 2],
             "parameters": {"shared_memory_region": "nix", "shared_memory_byte_size": 8}}
    refused(infer(http, target, asked))
