"""Each allocation and system call of the front on a request's path fails once: an error or the right answer, and then
all is as it was."""
import errno

import pytest

from support.torture import FAULTS, library
from support.tortured import STEPS, Tortured


@pytest.fixture(scope="module")
def tortured(tmp_path_factory):
    assert library().exists(), f"{library()} is not built"
    made = Tortured(tmp_path_factory.mktemp("served") / "models", tmp_path_factory.mktemp("state"), "front")
    yield made
    made.server.stop()


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("call, error", FAULTS, ids=[f"{call} {errno.errorcode[error]}" for call, error in FAULTS])
def test_a_failed_call_is_an_error_or_nothing(tortured, call, error, name):
    errors = tortured.survives(STEPS[name], call, error)
    assert errors > 0 or call != "allocate"  # the shim is in its place
