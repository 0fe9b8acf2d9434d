"""Bodies and answers that are compressed."""
import gzip
import json
import zlib

import pytest

from oip_conformance.catalogue import ROBUSTNESS, TRITON, case
from oip_conformance.tensors import binary, outputs_of, pack, request, tensor

SOURCE = "Triton: inference_protocols.md, HTTP compression"
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}
DECODERS = {"gzip": gzip.decompress, "deflate": zlib.decompress}
PATH = "/v2/models/{}/infer"


def ask(http, target, body, *fields):
    reply = http.ask("POST", PATH.format(target.model("identity_fp32")), body, fields)
    if reply.status in (415, 501) and any(name == "Content-Encoding" for name, _ in fields):
        pytest.skip(f"refuses compressed bodies with {reply.status}")
    return reply


@case("compression.request", TRITON, SOURCE, model="identity_fp32")
@pytest.mark.parametrize("coding", CODINGS)
def test_request(http, target, coding):
    """A body may be compressed as Content-Encoding says; deflate is zlib's format."""
    body = CODINGS[coding](json.dumps(request(tensor([1.0, 2.5]))).encode())
    assert outputs_of(ask(http, target, body, ("Content-Encoding", coding)))["OUTPUT0"][2] == [1.0, 2.5]


@case("compression.binary-request", TRITON, SOURCE, "binary_tensor_data", "identity_fp32")
@pytest.mark.parametrize("coding", CODINGS)
def test_binary_request(http, target, coding):
    """JSON and bytes are compressed as one; the JSON's length is that before compression."""
    body, fields = binary(("INPUT0", "FP32", [1, 2], pack("FP32", [1, 2.5])))
    assert outputs_of(ask(http, target, CODINGS[coding](body), ("Content-Encoding", coding), *fields))["OUTPUT0"][2] == [1.0, 2.5]


@case("compression.answer", TRITON, SOURCE, model="identity_fp32")
@pytest.mark.parametrize("coding", CODINGS)
def test_answer(http, target, coding):
    """Where Accept-Encoding asks for one coding, the answer may be compressed: it says so, and decodes to the plain one."""
    asked = request(tensor([float(i % 7) for i in range(2000)]))
    plain = json.loads(ask(http, target, asked).body)["outputs"]
    reply = ask(http, target, asked, ("Accept-Encoding", coding))
    if "content-encoding" not in reply.fields:
        pytest.skip("does not compress answers")
    assert reply.fields["content-encoding"] == coding and json.loads(DECODERS[coding](reply.body))["outputs"] == plain


@case("compression.refused-by-client", TRITON, "RFC 9110, 12.5.3", model="identity_fp32")
def test_refused(http, target):
    """A coding with q=0 is not used."""
    reply = ask(http, target, request(tensor([1.0] * 2000)), ("Accept-Encoding", "gzip;q=0, deflate;q=0"))
    assert "content-encoding" not in reply.fields and reply.status == 200


@case("bad.compression.unknown", ROBUSTNESS, "RFC 9110, 8.4", model="identity_fp32")
def test_unknown(http, target):
    """A coding that there is not is refused, not read as if it were plain."""
    reply = http.ask("POST", PATH.format(target.model("identity_fp32")), request(tensor([1.0])), [("Content-Encoding", "nix")])
    assert reply.status in (400, 415, 501), reply.status


@case("bad.compression.garbage", ROBUSTNESS, "RFC 9110, 8.4.1", model="identity_fp32")
@pytest.mark.parametrize("coding", CODINGS)
def test_garbage(http, target, coding):
    """A body that is not what Content-Encoding says is the client's mistake."""
    assert 400 <= ask(http, target, b"not compressed at all", ("Content-Encoding", coding)).status < 500


@case("bad.compression.cut", ROBUSTNESS, "RFC 1952", model="identity_fp32")
def test_cut(http, target):
    """A compressed body that ends too early is the client's mistake."""
    body = gzip.compress(json.dumps(request(tensor([1.0] * 1000))).encode())
    assert 400 <= ask(http, target, body[:len(body) // 2], ("Content-Encoding", "gzip")).status < 500


@case("bad.compression.bomb", ROBUSTNESS, "a body may not take a thousand times its size of memory", model="identity_fp32")
def test_bomb(http, target):
    """256 MiB of blanks in 256 KiB: refused."""
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(coder.compress(b" " * (1 << 20)) for _ in range(256)) + coder.flush()
    assert 400 <= ask(http, target, body, ("Content-Encoding", "gzip")).status < 500
