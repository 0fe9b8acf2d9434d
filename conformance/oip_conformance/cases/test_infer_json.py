"""Inference in JSON."""
import pytest

from oip_conformance.catalogue import OIP_REST, REQUIRED, TRITON, case
from oip_conformance.tensors import VALUES, outputs_of, request, tensor

IN_JSON = [name for name in VALUES if name not in ("FP16", "BF16")]
PARAMETERS = "Triton: extension_parameters.md"


def infer(http, target, asked, name="identity_fp32", more="", fields=()):
    return http.ask("POST", f"/v2/models/{target.model(name)}{more}/infer", asked, fields)


def close(found, wanted):
    return len(found) == len(wanted) and all(abs(a - b) <= 1e-6 * abs(b) if isinstance(b, float) else a == b
                                             for a, b in zip(found, wanted))


@case("infer.json.answer", REQUIRED, OIP_REST, model="add_sub")
def test_answer(http, target):
    """An inference answers 200 in JSON with the model's name and, of each output, name, datatype, shape and data."""
    a, b = list(range(16)), [1] * 16
    reply = infer(http, target, request(tensor(a, "INT32"), tensor(b, "INT32", name="INPUT1")), "add_sub")
    assert reply.fields["content-type"].split(";")[0] == "application/json"
    assert reply.json()["model_name"] == target.model("add_sub")
    found = outputs_of(reply)
    assert found["OUTPUT0"] == ("INT32", [1, 16], [x + 1 for x in a]) and found["OUTPUT1"] == ("INT32", [1, 16], [x - 1 for x in a])


@case("infer.json.no-content-type", TRITON, "Triton: http_server.cc asks for none", model="identity_fp32")
def test_no_content_type(http, target):
    """No field of the request's head is needed: `curl -d` sends a form's content-type, a script none."""
    for fields in ([("Content-Type", None)], [("Content-Type", "application/x-www-form-urlencoded")]):
        assert outputs_of(infer(http, target, request(tensor([1.0])), fields=fields))["OUTPUT0"][2] == [1.0]


@case("infer.json.datatype", REQUIRED, OIP_REST, model=[f"identity_{name.lower()}" for name in IN_JSON])
@pytest.mark.parametrize("datatype", IN_JSON)
def test_datatype(http, target, datatype):
    """Each datatype goes through JSON and comes back with the same values, its limits among them."""
    wanted = VALUES[datatype]
    found = outputs_of(infer(http, target, request(tensor(wanted, datatype)), f"identity_{datatype.lower()}"))["OUTPUT0"]
    values = [text.decode() for text in found[2]] if datatype == "BYTES" else found[2]
    assert found[:2] == (datatype, [1, len(wanted)]) and close(values, wanted), found


@case("infer.json.half", REQUIRED, OIP_REST, model=["identity_fp16"])
def test_half(http, target):
    """FP16 in JSON is answered with its values, or refused with 400 and a word about binary data: never with other values."""
    reply = infer(http, target, request(tensor(VALUES["FP16"], "FP16")), "identity_fp16")
    if reply.status == 400:
        assert "binary" in reply.error()
    else:
        assert close(outputs_of(reply)["OUTPUT0"][2], VALUES["FP16"])


@case("infer.json.nested", REQUIRED, OIP_REST, model="identity_fp32")
def test_nested(http, target):
    """Data may be nested as the shape says."""
    found = outputs_of(infer(http, target, request(tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], shape=[3, 2]))))
    assert found["OUTPUT0"] == ("FP32", [3, 2], [1, 2, 3, 4, 5, 6])


@case("infer.json.flat", REQUIRED, OIP_REST, model="identity_fp32")
def test_flat(http, target):
    """Data may be one list in row-major order, whatever the shape."""
    found = outputs_of(infer(http, target, request(tensor([1.0, 2, 3, 4, 5, 6], shape=[2, 3]))))
    assert found["OUTPUT0"] == ("FP32", [2, 3], [1, 2, 3, 4, 5, 6])


@case("infer.json.integers-as-floats", REQUIRED, OIP_REST, model="identity_fp32")
def test_integers(http, target):
    """A float may be written without a point, or with an exponent: they are the same JSON number."""
    data = b'{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,4],"data":[1,-2,1e2,2.5E-1]}]}'
    assert outputs_of(infer(http, target, data))["OUTPUT0"][2] == [1, -2, 100, 0.25]


@case("infer.json.escapes", REQUIRED, OIP_REST, model="identity_bytes")
def test_escapes(http, target):
    """Texts are JSON's: escapes, surrogate pairs and UTF-8 arrive as the characters they mean."""
    data = b'{"inputs":[{"name":"INPUT0","datatype":"BYTES","shape":[1,3],"data":["\\u00e9\\n","\\ud83d\\ude00","\xc3\xa9"]}]}'
    assert outputs_of(infer(http, target, data, "identity_bytes"))["OUTPUT0"][2] == [
        "\u00e9\n".encode(), "\U0001f600".encode(), "\u00e9".encode()]


@case("infer.json.empty", REQUIRED, OIP_REST, model="identity_fp32")
def test_empty(http, target):
    """A tensor may have no elements."""
    assert outputs_of(infer(http, target, request(tensor([], shape=[1, 0]))))["OUTPUT0"] == ("FP32", [1, 0], [])


@case("infer.json.id", REQUIRED, OIP_REST, model="identity_fp32")
def test_id(http, target):
    """The id of a request comes back with its answer."""
    assert infer(http, target, request(tensor([1.0]), id="an id of 7")).json()["id"] == "an id of 7"


@case("infer.json.version", REQUIRED, OIP_REST, model="versions")
@pytest.mark.parametrize("version", ["1", "2"])
def test_version(http, target, version):
    """A version in the path answers itself, and its number, a string, stands in the answer."""
    reply = infer(http, target, request(tensor([0], "INT32", [1], "ANY")), "versions", f"/versions/{version}")
    assert outputs_of(reply)["VERSION"][2] == [int(version)] and reply.json()["model_version"] == version


@case("infer.json.newest", TRITON, "Triton: model_management.md", model="versions")
def test_newest(http, target):
    """Without a version in the path the newest answers."""
    assert outputs_of(infer(http, target, request(tensor([0], "INT32", [1], "ANY")), "versions"))["VERSION"][2] == [2]


@case("infer.json.outputs", REQUIRED, OIP_REST, model="add_sub")
def test_outputs(http, target):
    """Only the outputs that a request names come back."""
    inputs = [tensor([3] * 16, "INT32"), tensor([1] * 16, "INT32", name="INPUT1")]
    found = outputs_of(infer(http, target, request(*inputs, outputs=[{"name": "OUTPUT1"}]), "add_sub"))
    assert found == {"OUTPUT1": ("INT32", [1, 16], [2] * 16)}


@case("infer.json.input-order", REQUIRED, OIP_REST, model="add_sub")
def test_input_order(http, target):
    """Inputs are told apart by their names, not by their order."""
    inputs = [tensor([1] * 16, "INT32", name="INPUT1"), tensor([3] * 16, "INT32")]
    assert outputs_of(infer(http, target, request(*inputs), "add_sub"))["OUTPUT1"][2] == [2] * 16


@case("infer.json.key-order", REQUIRED, OIP_REST, model="identity_fp32")
def test_key_order(http, target):
    """The keys of an object may stand in any order: data before datatype and shape."""
    data = b'{"outputs":[{"name":"OUTPUT0"}],"inputs":[{"data":[1,2],"shape":[1,2],"datatype":"FP32","name":"INPUT0"}],"id":"x"}'
    assert outputs_of(infer(http, target, data))["OUTPUT0"][2] == [1, 2]


@case("infer.json.whitespace", REQUIRED, OIP_REST, model="identity_fp32")
def test_whitespace(http, target):
    """JSON's white space may stand between any two tokens."""
    data = b' \r\n\t{ "inputs" : [ { "name" : "INPUT0" , "datatype" : "FP32" ,\n"shape" : [ 1 , 1 ] , "data" : [ 1 ] } ] } \n'
    assert outputs_of(infer(http, target, data))["OUTPUT0"][2] == [1]


@case("infer.json.parameters", TRITON, PARAMETERS, "parameters", "behave")
def test_parameters(http, target):
    """Parameters of the request reach the model: texts, integers, booleans and doubles."""
    asked = request(tensor(["parameters"], "BYTES", [1], "COMMAND"), parameters={"t": "x", "i": 7, "b": True, "d": 1.5})
    found = outputs_of(infer(http, target, asked, "behave"))["RESULT"][2][0].decode()
    assert all(word in found.replace(" ", "") for word in ('"t":"x"', "7", "1.5")) and "true" in found.lower(), found


@case("infer.json.reserved-parameters", TRITON, PARAMETERS, "parameters", "identity_fp32")
def test_reserved(http, target):
    """Keys that begin with triton_ are the server's own: 400."""
    reply = infer(http, target, request(tensor([1.0]), parameters={"triton_x": 1}))
    assert reply.status == 400 and "triton_" in reply.error()


@case("infer.json.model-id", TRITON, "Triton: the request's id reaches the model", "parameters", "behave")
def test_model_sees_id(http, target):
    """The request's id reaches the model."""
    asked = request(tensor(["id"], "BYTES", [1], "COMMAND"), id="seen")
    assert outputs_of(infer(http, target, asked, "behave"))["RESULT"][2] == [b"seen"]


@case("infer.json.large", REQUIRED, OIP_REST, model="identity_fp32")
def test_large(http, target):
    """A picture's worth of numbers, 150,528, goes both ways."""
    values = [float(i % 256) for i in range(3 * 224 * 224)]
    assert outputs_of(infer(http, target, request(tensor(values))))["OUTPUT0"][2] == values


@case("infer.json.chunked", REQUIRED, "RFC 9112, 7.1", model="identity_fp32")
def test_chunked(http1, target):
    """A body may come in chunks, without its length."""
    body = b'{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,1],"data":[1]}]}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:10], body[10:])) + b"0\r\n\r\n"
    path = f"/v2/models/{target.model('identity_fp32')}/infer"
    head = f"POST {path} HTTP/1.1\r\nHost: {http1.url.netloc}\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in target.fields)
    assert outputs_of(http1.raw(head.encode() + b"\r\n" + chunks))["OUTPUT0"][2] == [1]


@case("infer.json.model-error", REQUIRED, OIP_REST, model="behave")
@pytest.mark.parametrize("command", ["raise", "refuse"])
def test_model_error(http, target, command):
    """A model that fails is answered with an error's status and {"error": "..."}, in which its own sentence stands."""
    reply = infer(http, target, request(tensor([command], "BYTES", [1], "COMMAND")), "behave")
    assert reply.status >= 400 and f"it was told to {command}" in reply.error()
