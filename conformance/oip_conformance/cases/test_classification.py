"""Classes in the place of values."""
from oip_conformance.catalogue import TRITON, case
from oip_conformance.models import LABELS
from oip_conformance.tensors import outputs_of, request, tensor

SOURCE = "Triton: extension_classification.md"


def classes(http, target, data, count, shape=None, name="identity_fp32", datatype="FP32"):
    asked = request(tensor(data, datatype, shape), outputs=[{"name": "OUTPUT0", "parameters": {"classification": count}}])
    return outputs_of(http.ask("POST", f"/v2/models/{target.model(name)}/infer", asked))["OUTPUT0"]


@case("classification.top", TRITON, SOURCE, "classification", "identity_fp32")
def test_top(http, target):
    """The k largest of a row come as texts, value:index:label, largest first; the shape is [batch, k]."""
    datatype, shape, found = classes(http, target, [0.25, 4.0, 1.5], 2)
    assert (datatype, shape) == ("BYTES", [1, 2])
    split = [text.decode().split(":") for text in found]
    assert [(float(value), index, label) for value, index, label in split] == [(4.0, "1", LABELS[1]), (1.5, "2", LABELS[2])]


@case("classification.batch", TRITON, SOURCE, "classification", "identity_fp32")
def test_batch(http, target):
    """Each row of a batch has classes of its own."""
    _, shape, found = classes(http, target, [1.0, 2.0, 3.0, 6.0, 5.0, 4.0], 1, [2, 3])
    assert shape == [2, 1] and [text.decode().split(":")[1] for text in found] == ["2", "0"]


@case("classification.no-labels", TRITON, SOURCE, "classification", "identity_int32")
def test_no_labels(http, target):
    """Without labels a class is value:index."""
    _, _, found = classes(http, target, [5, 9], 1, None, "identity_int32", "INT32")
    assert [text.decode().split(":")[1:] for text in found] == [["1"]]


@case("classification.more-than-there-are", TRITON, SOURCE, "classification", "identity_fp32")
def test_more(http, target):
    """Of fewer values than k all come."""
    assert classes(http, target, [1.0, 2.0, 3.0], 50)[1] == [1, 3]
