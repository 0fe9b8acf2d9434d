"""What a case is: an id, a kind, a source, and a sentence that says what is expected and why (its docstring)."""
import pytest

REQUIRED, TRITON, ROBUSTNESS = "required", "triton", "robustness"
KINDS = {
    REQUIRED: "the Open Inference Protocol's text asks for it",
    TRITON: "an extension, or what unmodified clients of Triton and KServe rely on",
    ROBUSTNESS: "bad input: refused as the client's mistake with a sentence, and the server is as it was before",
}

# Where a sentence comes from.
OIP_REST = "Open Inference Protocol, REST"
OIP_GRPC = "Open Inference Protocol, gRPC"


def case(name, kind, source, needs=(), model=None):
    """Marks a test as the case `name`. needs: what the server must have (see Target.lacks), model: which it must serve;
    where one is missing, the case is not applicable."""
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    models = (model,) if isinstance(model, str) else tuple(model or ())
    assert kind in KINDS, kind
    return pytest.mark.case(name, kind, source, needs, models)
