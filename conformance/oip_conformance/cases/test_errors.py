"""Requests that do not fit the model: what is said, in words that clients know."""
from oip_conformance.catalogue import OIP_REST, REQUIRED, TRITON, case
from oip_conformance.tensors import request, tensor

SENTENCE = "Triton: infer_request.cc; clients and tests match on it"


def refused(http, target, asked, name="add_sub"):
    """The sentence of a request that the client got wrong."""
    reply = http.ask("POST", f"/v2/models/{target.model(name)}/infer", asked)
    assert 400 <= reply.status < 500, (reply.status, reply.body[:200])
    return reply.error()


def ones(count=16, shape=None, name="INPUT0"):
    return tensor([1] * count, "INT32", shape, name)


def add_sub(first=None, second=None):
    return request(first or ones(), second or ones(name="INPUT1"))


@case("errors.body", REQUIRED, OIP_REST)
def test_body(http):
    """An error has a 4xx or 5xx status and the body {"error": "sentence"}."""
    reply = http.ask("POST", "/v2/models/nix/infer", request(tensor([1.0])))
    assert 400 <= reply.status < 500 and reply.error()


@case("errors.bad-json", REQUIRED, OIP_REST, model="identity_fp32")
def test_bad_json(http, target):
    """What is no JSON is answered by an error of the same form."""
    reply = http.ask("POST", f"/v2/models/{target.model('identity_fp32')}/infer", b'{"inputs":[')
    assert 400 <= reply.status < 500 and reply.error()


@case("errors.content-type", TRITON, "KServe's clients look at it")
def test_content_type(http):
    """An error's body is JSON and says so: application/json."""
    reply = http.ask("POST", "/v2/models/nix/infer", request(tensor([1.0])))
    assert reply.fields["content-type"] == "application/json"


@case("errors.unknown-model", TRITON, SENTENCE)
def test_unknown_model(http):
    """A model that there is not: 404 and Triton's sentence."""
    reply = http.ask("POST", "/v2/models/nix/infer", request(tensor([1.0])))
    assert reply.status == 404 and "Request for unknown model: 'nix' is not found" in reply.error()


@case("errors.unknown-version", REQUIRED, OIP_REST, model="add_sub")
def test_unknown_version(http, target):
    """A version that there is not is the client's mistake."""
    reply = http.ask("POST", f"/v2/models/{target.model('add_sub')}/versions/77/infer", add_sub())
    assert 400 <= reply.status < 500 and reply.error()


@case("errors.missing-input", TRITON, SENTENCE, model="add_sub")
def test_missing(http, target):
    """An input is missing: how many were expected, and which."""
    sentence = refused(http, target, request(ones()))
    assert "expected 2 inputs but got 1 inputs for model" in sentence and "INPUT1" in sentence


@case("errors.unknown-input", REQUIRED, OIP_REST, model="add_sub")
def test_unknown_input(http, target):
    """An input that the model does not have is refused by its name."""
    assert "NIX" in refused(http, target, add_sub(second=ones(name="NIX")))


@case("errors.unknown-output", REQUIRED, OIP_REST, model="add_sub")
def test_unknown_output(http, target):
    """An output that the model does not have is refused by its name."""
    assert "NIX" in refused(http, target, {**add_sub(), "outputs": [{"name": "NIX"}]})


@case("errors.datatype", TRITON, SENTENCE, model="add_sub")
def test_datatype(http, target):
    """Another datatype: which is given and which the model expects."""
    sentence = refused(http, target, add_sub(tensor([1.0] * 16, "FP32")))
    assert "data-type is 'FP32'" in sentence and "expects 'INT32'" in sentence


@case("errors.shape", TRITON, SENTENCE, model="add_sub")
def test_shape(http, target):
    """Another shape: which is expected and which is given."""
    sentence = refused(http, target, add_sub(ones(17)))
    assert "unexpected shape for input 'INPUT0' for model" in sentence and "Expected [-1,16], got [1,17]" in sentence


@case("errors.rank", REQUIRED, OIP_REST, model="add_sub")
def test_rank(http, target):
    """A shape with a dimension too few is refused."""
    assert refused(http, target, add_sub(ones(shape=[16])))


@case("errors.batch-size", TRITON, SENTENCE, model="add_sub")
def test_batch(http, target):
    """More rows than max_batch_size: how many there may be."""
    sentence = refused(http, target, add_sub(ones(144, [9, 16]), ones(144, [9, 16], "INPUT1")))
    assert "batch-size must be <= 8" in sentence


@case("errors.unequal-batches", REQUIRED, OIP_REST, model="add_sub")
def test_unequal(http, target):
    """Inputs of one request have the same number of rows."""
    assert refused(http, target, add_sub(ones(32, [2, 16])))


@case("errors.decoupled", TRITON, "Triton: decoupled_models.md", model="words")
def test_decoupled(http, target):
    """infer of a model that may answer several times is answered once or refused with a sentence: nothing hangs, nothing is
    lost in silence."""
    reply = http.ask("POST", f"/v2/models/{target.model('words')}/infer", request(tensor(["a b"], "BYTES", [1], "text_input")))
    assert reply.status in (400, 500, 501) and reply.error()
