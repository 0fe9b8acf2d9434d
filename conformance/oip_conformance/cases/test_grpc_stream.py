"""ModelStreamInfer: several answers a request, several requests a stream."""
import grpc
import pytest

from oip_conformance.catalogue import TRITON, case
from oip_conformance.rpc import Failure, message
from oip_conformance.tensors import unpack

SOURCE = "Triton: decoupled_models.md, grpc_service.proto"


def words(target, text, id="", empty_final=False):
    made = message(target.model("words"), ("text_input", "BYTES", [1], [text]), id=id)
    if empty_final:
        made.parameters["triton_enable_empty_final_response"].bool_param = True
    return made


def number(target, value, id=""):
    return message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 1], [value]), id=id)


def said(answer):
    """The elements of an answer's output, or its error."""
    if answer.error_message:
        return answer.error_message
    found = answer.infer_response
    return unpack(found.outputs[0].datatype, found.raw_output_contents[0]) if found.outputs else []


def final(answer):
    return answer.infer_response.parameters["triton_final_response"].bool_param


@case("grpc.stream.one", TRITON, SOURCE, "stream", "identity_fp32")
def test_one(rpc, target):
    """A model that answers once answers once, with the request's id."""
    [answer] = rpc.stream(number(target, 1.5, "a"))
    assert said(answer) == [1.5] and answer.infer_response.id == "a" and answer.infer_response.model_name == target.model("identity_fp32")


@case("grpc.stream.order", TRITON, SOURCE, "stream", "identity_fp32")
def test_order(rpc, target):
    """Models that answer once answer in the order of the requests."""
    answers = rpc.stream(*(number(target, float(i), str(i)) for i in range(20)))
    assert [(said(answer), answer.infer_response.id) for answer in answers] == [([float(i)], str(i)) for i in range(20)]


@case("grpc.stream.several", TRITON, SOURCE, "stream", "words")
def test_several(rpc, target):
    """A decoupled model answers as often as it likes, each time with the request's id."""
    answers = rpc.stream(words(target, "a b c", "w"))
    assert [said(answer) for answer in answers if said(answer)] == [[b"a"], [b"b"], [b"c"]]
    assert all(answer.infer_response.id == "w" for answer in answers)


@case("grpc.stream.final", TRITON, SOURCE, "stream", "words")
def test_final(rpc, target):
    """With triton_enable_empty_final_response the last answer has no outputs and says triton_final_response; others say false."""
    answers = rpc.stream(words(target, "a b", "w", empty_final=True))
    assert [said(answer) for answer in answers] == [[b"a"], [b"b"], []]
    assert [final(answer) for answer in answers] == [False, False, True]
    last = answers[-1].infer_response
    assert (last.id, last.model_name) == ("w", target.model("words"))


@case("grpc.stream.final-of-one", TRITON, SOURCE, "stream", "identity_fp32")
def test_final_of_one(rpc, target):
    """The one answer of a model that answers once is the final one."""
    [answer] = rpc.stream(number(target, 1.0))
    assert final(answer)


@case("grpc.stream.no-answers", TRITON, SOURCE, "stream", "words")
def test_no_answers(rpc, target):
    """A request may be answered by nothing; the empty final response tells that it is over."""
    assert rpc.stream(words(target, "")) == []
    [answer] = rpc.stream(words(target, "", empty_final=True))
    assert final(answer) and not answer.infer_response.outputs


@case("grpc.stream.many", TRITON, SOURCE, "stream", "words")
def test_many(rpc, target):
    """Requests of one stream are told apart by their ids, and each one's answers come in their order."""
    answers = rpc.stream(*(words(target, f"{i}a {i}b {i}c", str(i)) for i in range(10)))
    for i in range(10):
        mine = [said(answer)[0] for answer in answers if answer.infer_response.id == str(i) and said(answer)]
        assert mine == [f"{i}{letter}".encode() for letter in "abc"]


@case("grpc.stream.error", TRITON, SOURCE, "stream", ("words", "identity_fp32"))
def test_error(rpc, target):
    """A request that fails is answered by error_message, and the stream goes on."""
    bad = message(target.model("identity_fp32"), ("NIX", "FP32", [1, 1], [1.0]), id="bad")
    answers = rpc.stream(number(target, 1.0), bad, number(target, 2.0))
    assert len(answers) == 3 and [said(answer) for answer in answers if not answer.error_message] == [[1.0], [2.0]]


@case("grpc.stream.error-id", TRITON, SOURCE, "stream", "identity_fp32")
def test_error_id(rpc, target):
    """The answer of a request that failed has its id."""
    [answer] = rpc.stream(message(target.model("identity_fp32"), ("NIX", "FP32", [1, 1], [1.0]), id="bad"))
    assert answer.error_message and answer.infer_response.id == "bad"


@case("grpc.stream.error-in-answers", TRITON, SOURCE, "stream", "words")
def test_error_in_answers(rpc, target):
    """A model may answer, then fail."""
    answers = rpc.stream(words(target, "a fail", "w"))
    assert said(answers[0]) == [b"a"] and "the word is fail" in answers[1].error_message


@case("grpc.stream.error-ends", TRITON, "Triton: triton_grpc_error", "stream", "words")
def test_error_ends(rpc, target):
    """With the metadata triton_grpc_error: true the first failure ends the stream with its status."""
    with pytest.raises(Failure) as raised:
        rpc.stream(words(target, "a fail"), metadata=[("triton_grpc_error", "true")])
    assert raised.value.code == grpc.StatusCode.INTERNAL and "the word is fail" in raised.value.details


@case("grpc.stream.empty", TRITON, SOURCE, "stream")
def test_empty(rpc):
    """A stream without requests ends well."""
    assert rpc.stream() == []


@case("grpc.stream.cancel", TRITON, "gRPC: cancellation", "stream", ("behave", "identity_fp32"))
def test_cancel(rpc, target):
    """A client may leave in the middle: the server goes on for others."""
    asked = message(target.model("behave"), ("COMMAND", "BYTES", [1], ["sleep 300"]))
    call = rpc.stub.ModelStreamInfer(iter([asked, asked]), timeout=30, metadata=rpc.metadata)
    call.cancel()
    assert said(rpc.stream(number(target, 3.0))[0]) == [3.0]
