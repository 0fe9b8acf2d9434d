"""Sequences: requests that belong together."""
import pytest

from oip_conformance.catalogue import ROBUSTNESS, TRITON, case
from oip_conformance.tensors import outputs_of, request, tensor

SOURCE = "Triton: extension_sequence.md"


def ask(http, target, value, **parameters):
    asked = request(tensor([value], "INT32", [1, 1], "VALUE"), parameters=parameters)
    return http.ask("POST", f"/v2/models/{target.model('sequence_sum')}/infer", asked)


def sums(http, target, name, *values):
    last = len(values) - 1
    return [outputs_of(ask(http, target, value, sequence_id=name, sequence_start=i == 0, sequence_end=i == last))["SUM"][2][0]
            for i, value in enumerate(values)]


@case("sequence.sum", TRITON, SOURCE, "sequence", "sequence_sum")
def test_sum(http, target):
    """Requests with the same sequence_id reach the model as one sequence, with its start and its end."""
    assert sums(http, target, 7001, 1, 2, 3) == [1, 3, 6]


@case("sequence.again", TRITON, SOURCE, "sequence", "sequence_sum")
def test_again(http, target):
    """A sequence that starts anew has forgotten the last one."""
    assert sums(http, target, 7002, 5, 5) == [5, 10] and sums(http, target, 7002, 1, 1) == [1, 2]


@case("sequence.no-id", ROBUSTNESS, SOURCE, "sequence", "sequence_sum")
def test_no_id(http, target):
    """A model of sequences refuses a request that belongs to none."""
    reply = ask(http, target, 1)
    assert 400 <= reply.status < 500 and reply.error()


@case("sequence.no-start", ROBUSTNESS, SOURCE, "sequence", "sequence_sum")
def test_no_start(http, target):
    """A sequence begins with its start: another request of an unknown one is refused."""
    reply = ask(http, target, 1, sequence_id=7999)
    assert 400 <= reply.status < 500 and reply.error()


@case("bad.sequence-id", ROBUSTNESS, SOURCE, "sequence", "sequence_sum")
@pytest.mark.parametrize("name", [-1, 1.5, [1], {"a": 1}, True], ids=["negative", "fraction", "list", "object", "boolean"])
def test_bad_id(http, target, name):
    """A sequence_id is a number or a text; all else is refused."""
    reply = ask(http, target, 1, sequence_id=name, sequence_start=True, sequence_end=True)
    assert 400 <= reply.status < 500 and reply.error()
