"""The API's own documents: they name every route, their references resolve, and what they show works when it is pasted."""
import json
import re

import pytest

from support import models
from support.repositories import settle, tensor_config, write_config, write_model
from support.server import Server, fetch
from test_walk import REST

DATATYPES = ["BOOL", "UINT8", "UINT64", "INT8", "INT64", "FP16", "FP32", "FP64", "BF16", "BYTES"]
ALL_MODELS = ["add", "dynamic", "matmul", "optional", "sp ace", "text", "types"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "text", "identity", "BYTES")
    write_config(folder, "types", backend="identity", input=[tensor_config(f"in_{name}", name) for name in DATATYPES],
                 output=[tensor_config(f"out_{name}", name) for name in DATATYPES])
    for name, made in {"add": models.add(), "matmul": models.matmul(), "dynamic": models.dynamic(), "optional": models.optional(),
                       "sp ace": models.add()}.items():
        settle(models.save(made, folder / f"{name}.onnx"))
    write_config(folder, "large", backend="identity", input=[tensor_config("x", "FP32", (3, 224, 224))],
                 output=[tensor_config("y", "FP32", (3, 224, 224))])
    one = Server(folder, state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem.replace(" ", "%20"))
    yield one
    one.stop()


def document(served, model=None, version=None):
    of_version = f"/versions/{version}" if version else ""
    path = f"/v2/models/{model.replace(' ', '%20')}{of_version}/docs" if model else "/v2/docs"
    status, headers, body = served.fetch(path + "/dataplane.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    return json.loads(body)


def operations(made):
    return [(method.upper(), path, one) for path, methods in made["paths"].items() for method, one in methods.items()]


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = value.values()
    if not isinstance(value, str):
        for one in value if hasattr(value, "__iter__") else []:
            yield from references(one)


def check_whole(made):
    assert made["openapi"] == "3.1.0" and made["info"]["title"]
    for reference in references(made):
        found = made
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    ids = [one["operationId"] for _, _, one in operations(made)]
    assert len(ids) == len(set(ids))
    for _, path, one in operations(made):
        named = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_the_servers_document_has_every_route(served):
    made = document(served)
    check_whole(made)
    assert {(method, path) for method, path, _ in operations(made)} == set(REST)
    for method, path, one in operations(made):
        scopes = {scope for way in one["security"] for scope in way.get("token", [])}
        assert scopes == {REST[method, path]} - {"open"}


@pytest.mark.parametrize("model", ALL_MODELS)
@pytest.mark.parametrize("version", [None, 1])
def test_examples_work_when_pasted(served, model, version):
    made = document(served, model, version)
    check_whole(made)
    assert made["info"]["title"] == model and not any("{" in path for path in made["paths"])
    tried = 0
    for method, path, one in operations(made):
        example = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if example is None or one["operationId"].startswith("explain"):
            continue
        status, _, body = served.fetch(path, example, method=method)
        assert status == 200, (path, example, body)
        tried += 1
    assert tried == 5


def test_a_models_document_knows_its_tensors(served):
    schemas = document(served, "add")["components"]["schemas"]
    a, b = schemas["InferRequest"]["properties"]["inputs"]["items"]["anyOf"]
    assert [one["properties"]["name"]["const"] for one in (a, b)] == ["A", "B"]
    assert a["properties"]["datatype"] == {"const": "FP32"}
    assert a["properties"]["shape"]["prefixItems"] == [{"type": "integer", "minimum": 0}, {"const": 4}]
    assert schemas["GenerateRequest"]["required"] == ["A", "B"]
    generate = document(served, "optional")["components"]["schemas"]["GenerateRequest"]
    assert generate["required"] == ["X"]
    assert {"type": "null"} in generate["properties"]["BIAS"]["anyOf"] and {"type": "null"} not in generate["properties"]["X"]["anyOf"]


@pytest.mark.parametrize("binary", [False, True])
def test_answers_are_of_the_types_that_the_document_names(served, binary):
    for _, path, one in operations(document(served, "types")):
        example = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if example is None or one["operationId"].startswith("explain"):
            continue
        status, headers, _ = served.fetch(path, {**example, "parameters": {"binary_data_output": binary}}, method="POST")
        assert status == 200 and headers["Content-Type"].split(";")[0] in one["responses"]["200"]["content"], path


def test_truths_may_be_numbers_as_the_document_says(served):
    schemas = document(served, "types")["components"]["schemas"]
    values, alone = schemas["GenerateRequest"]["properties"]["in_BOOL"]["anyOf"]
    assert alone == values["items"] == {"type": ["boolean", "integer"], "minimum": 0, "maximum": 1}
    assert schemas["GenerateResponse"]["allOf"][0]["properties"]["out_BOOL"]["anyOf"][1] == {"type": "boolean"}
    example = document(served, "types")["paths"]["/v2/models/types/generate"]["post"]["requestBody"]["content"]["application/json"]["example"]
    for given in 0, [1], True:
        status, _, body = served.fetch("/v2/models/types/generate", {**example, "in_BOOL": given})
        assert status == 200 and json.loads(body)["out_BOOL"] is (given != 0)
    assert served.fetch("/v2/models/types/generate", {**example, "in_BOOL": 2})[0] == 400


def test_a_long_example_is_left_out(served):
    made = document(served, "large")
    for _, _, one in operations(made):
        assert "example" not in one.get("requestBody", {}).get("content", {}).get("application/json", {})


@pytest.mark.parametrize("path", ["/v2/docs", "/v2/models/add/docs", "/v2/models/add/versions/1/docs"])
def test_a_page_shows_it(served, path):
    status, headers, body = served.fetch(path)
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    text = body.decode()
    assert "/dataplane.json" in text and not re.search(r"(src|href)=[\"']?https?:", text)


def test_who_may_not_see_a_model_gets_no_document(served):
    assert served.fetch("/v2/models/nix/docs/dataplane.json")[0] == served.fetch("/v2/models/nix/docs")[0] == 404
    assert fetch(served.url + "/v2/docs/dataplane.json", headers={"X-Forwarded-For": "10.0.0.1"})[0] == 401
